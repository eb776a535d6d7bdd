"""Frozen features: a row's passes over every image and its augmented views, knowing no split."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from leukoscope.artifacts.layers import LayerFacts
from leukoscope.config.rows import ModelSettings
from leukoscope.core.arrays import mapped, new_array
from leukoscope.core.files import new_folder, write_json
from leukoscope.core.progress import progress
from leukoscope.features.architecture import unweighted
from leukoscope.features.backbones import weights_of_row
from leukoscope.features.engine import PooledFeatures
from leukoscope.features.memory import FeatureStore, pass_name, vector_key, write_shard
from leukoscope.features.passes import Pass, passes_of
from leukoscope.features.weights import kinds_of_row
from leukoscope.imaging.draws import Draw, draws_of
from leukoscope.imaging.turns import View, seen, turns_of

FEATURES_FILE = "features.npy"
ABOUT_FILE = "features.json"
SHARD = 2048  # vectors between two writes: what a kill can lose


@dataclass(frozen=True)
class Missing:
    """What a pass is to be run on: pictures whose vectors its memory lacks.

    `source` is the pass, `converted` its model for pictures of `size` pixels, `vectors` the folder of its memory. Under
    each of `keys` belongs the vector of the image and view beside it in `shown`, the image by its place in `packed`.
    """

    source: Pass
    converted: Path
    size: int
    vectors: Path
    keys: list[bytes]
    shown: list[tuple[int, View]]
    packed: np.ndarray
    keep_black: bool

    def part(self, start: int, count: int) -> Missing:
        """`count` of them."""
        chosen = slice(start, start + count)
        return replace(self, keys=self.keys[chosen], shown=self.shown[chosen])

    def picture(self, position: int) -> np.ndarray:
        """uint8 [size, size, 3], as it is shown under the key at `position`."""
        image, view = self.shown[position]
        return seen(self.packed[image], view, keep_black=self.keep_black)


def run_here(missing: Missing) -> None:
    """Run the pass in this process."""
    engine = PooledFeatures(missing.converted, missing.size)
    with progress("embedding", len(missing.keys), "pictures") as advance:
        for start in range(0, len(missing.keys), SHARD):
            part = missing.part(start, SHARD)
            pictures = [partial(part.picture, position) for position in range(len(part.keys))]
            write_shard(missing.vectors, part.keys, engine.run(pictures, advance))


@dataclass(frozen=True)
class Engine:
    """What runs a pass, and so puts vectors into its memory.

    `kind` is what those depend on beside the pass and the picture: nothing on OpenVINO.
    """

    run: Callable[[Missing], None]
    kind: Mapping[str, str] = field(default_factory=dict)


HERE = Engine(run_here)


def embed(
    row: Mapping[str, Any],
    images: pd.DataFrame,
    packed: np.ndarray,
    draws: pd.DataFrame,
    keep_black: bool,
    store: Path,
    folder: Path,
    engine: Engine = HERE,
) -> None:
    """Write a row's features and what to know of them, replacing `folder`.

    features.npy is float32 [images, views, channels]: view 0 is the image as it is, then come the row's augmented views
    and the turns beside the image itself; channels are those of the row's passes, joined. `row` is the row's entry in
    data/plan, `packed` [images, size, size, 3] is in the order of `images`, and `draws` holds each image's views 1 to K
    in the same order. Vectors that `store` remembers are not computed again; `engine` computes the others.
    """
    turns = turns_of(row["rotations"])[1:]
    of_images = enumerate(_draws(images, draws, row["views"]))
    shown = [(image, view) for image, own in of_images for view in (None, *own, *turns)]
    computed = _computed(ModelSettings(**row), images["sha256"].to_numpy(), packed, shown, keep_black, store, engine)
    channels = computed.width
    with new_folder(folder) as part:
        shape = (len(images), 1 + row["views"] + len(turns), channels)
        features = new_array(part / FEATURES_FILE, np.float32, shape)
        computed.read_into(features.reshape(-1, channels))
        features.flush()
        about = {**_about(row), "channels": channels, "maps": computed.maps, "layers": computed.layers}
        write_json(part / ABOUT_FILE, about)


def pooled_features(
    row: Mapping[str, Any],
    sha256: np.ndarray,
    packed: np.ndarray,
    positions: np.ndarray,
    views: Sequence[Sequence[View]],
    keep_black: bool,
    store: Path,
) -> np.ndarray:
    """Features float32 [positions, 1 + views, channels] of the images at `positions`, mapped from a file of no name.

    `row` holds a row's settings, `sha256` and `packed` are all images', and `views` what is shown of each image at
    `positions` beside itself. `store` is the memory that `embed` has.
    """
    shown = [(image, view) for image, own in zip(positions, views, strict=True) for view in (None, *own)]
    computed = _computed(ModelSettings(**row), sha256, packed, shown, keep_black, store)
    features = mapped((len(computed.keys), computed.width), store / "scratch")
    computed.read_into(features)
    return features.reshape(len(positions), -1, computed.width)


@dataclass(frozen=True)
class _Computed:
    """A pass that was run: its converted model, and a memory that lacks nothing."""

    source: Pass
    converted: Path
    vectors: FeatureStore

    @property
    def columns(self) -> slice:
        return self.source.columns(self.vectors.width)

    @property
    def width(self) -> int:
        return self.columns.stop - self.columns.start

    @property
    def layers(self) -> list[LayerFacts]:
        return self.source.layers(self.converted, self.width)


@dataclass(frozen=True)
class _Joined:
    """The passes of a row side by side, and the keys of what was shown."""

    passes: list[_Computed]
    keys: list[bytes]

    @property
    def width(self) -> int:
        """Columns of the row's features."""
        return sum(one.width for one in self.passes)

    @property
    def maps(self) -> list[int]:
        """Channels of each map that the passes pool, as `pooling.parts_of_columns` takes them."""
        return [channels for one in self.passes for channels in one.source.maps(one.converted)]

    @property
    def layers(self) -> list[LayerFacts]:
        """What gives the features, one pass after another; each of them begins with the framed pixels."""
        first, *others = self.passes
        if not others:
            return first.layers
        again = [layer for one in others for layer in _from_the_frame(one.layers)]
        names = ", ".join(one.source.name for one in self.passes)
        return [*first.layers, *again, unweighted("Concatenate", "joined", [self.width], names)]

    def read_into(self, features: np.ndarray) -> None:
        """Fill `features` [keys, width]."""
        first = 0
        for one in self.passes:
            one.vectors.read_into(features[:, first : first + one.width], self.keys, one.columns)
            first += one.width


def _from_the_frame(layers: Sequence[LayerFacts]) -> list[LayerFacts]:
    """Layers that do not take what the ones told before them give."""
    first, *others = layers
    return [{**first, "detail": ", ".join(filter(None, [first["detail"], "of the framed pixels"]))}, *others]


def _computed(
    row: ModelSettings,
    sha256: np.ndarray,
    packed: np.ndarray,
    shown: Sequence[tuple[int, View]],
    keep_black: bool,
    store: Path,
    engine: Engine = HERE,
) -> _Joined:
    keys = [vector_key(sha256[image], view, keep_black) for image, view in shown]
    computed = []
    for source in passes_of(row):
        folder = store / "features" / pass_name({**source.kind, **engine.kind})
        vectors, converted = FeatureStore(folder / "vectors"), source.converted(folder / "ir")
        if missing := _first_of_each(keys, vectors):
            lacking, of = [keys[at] for at in missing], [shown[at] for at in missing]
            engine.run(Missing(source, converted, row.size, vectors.folder, lacking, of, packed, keep_black))
            vectors = FeatureStore(vectors.folder)
        computed.append(_Computed(source, converted, vectors))
    return _Joined(computed, keys)


def _draws(images: pd.DataFrame, draws: pd.DataFrame, count: int) -> list[list[Draw]]:
    """For each image its first `count` draws."""
    if not count:
        return [[] for _ in range(len(images))]
    wanted = draws[draws["view"] <= count]
    if list(wanted["image_id"]) != [image_id for image_id in images["image_id"] for _ in range(count)]:
        raise ValueError("the draws are not those of these images, in their order")
    parameters = draws_of(wanted)
    return [parameters[first : first + count] for first in range(0, len(parameters), count)]


def _first_of_each(keys: list[bytes], vectors: FeatureStore) -> list[int]:
    """Positions of the keys that the store lacks, one for each key."""
    first: dict[bytes, int] = {}
    for position, key in enumerate(keys):
        if key not in vectors:
            first.setdefault(key, position)
    return list(first.values())


def reference_pack(row: Mapping[str, Any], packed: np.ndarray, folder: Path) -> None:
    """For a row that finetunes: no features, but the hash of the pictures, so its training follows their changes."""
    about = {**_about(row), "pictures_sha256": pictures_hash(packed)}
    with new_folder(folder) as part:
        write_json(part / ABOUT_FILE, about)


def _about(row: Mapping[str, Any]) -> dict[str, Any]:
    settings = ModelSettings(**row)
    return {**row, "weights_identity": weights_of_row(settings), "weights_kind": kinds_of_row(settings)}


def pictures_hash(packed: np.ndarray) -> str:
    """The SHA-256 of packed pictures, read a part at a time."""
    digest = hashlib.sha256()
    for start in range(0, len(packed), SHARD):
        digest.update(np.ascontiguousarray(packed[start : start + SHARD]).data)
    return digest.hexdigest()


def read_features(folder: Path) -> tuple[np.ndarray | None, dict[str, Any]]:
    """The features, memory-mapped (None for a row that finetunes), and what is known of them."""
    about = json.loads((folder / ABOUT_FILE).read_text())
    return np.load(folder / FEATURES_FILE, mmap_mode="r") if about["mode"] == "frozen" else None, about
