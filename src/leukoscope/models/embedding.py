"""Frozen features: one pass of a row's backbone over every image and its augmented views, knowing no split."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from leukoscope.atomic import new_folder, write_json
from leukoscope.data.augment import Draw, apply_draw, draws_of
from leukoscope.models.backbones import backbone, weights_identity
from leukoscope.models.engine import PooledFeatures, converted_backbone, converted_layers
from leukoscope.models.feature_store import FeatureStore, pass_name, vector_key
from leukoscope.models.weights import weights_kind
from leukoscope.progress import progress

FEATURES_FILE = "features.npy"
ABOUT_FILE = "features.json"
SHARD = 2048  # vectors between two writes: what a kill can lose


def embed(
    row: Mapping[str, Any],
    images: pd.DataFrame,
    packed: np.ndarray,
    draws: pd.DataFrame,
    keep_black: bool,
    store: Path,
    folder: Path,
) -> None:
    """Write a row's pooled features and what to know of them, replacing `folder`.

    features.npy is float32 [images, 1 + views, channels]; view 0 is the image as it is. `row` is the row's entry in
    data/plan, `packed` [images, size, size, 3] is in the order of `images`, and `draws` holds each image's views 1 to
    K in the same order. Vectors that `store` remembers are not computed again.
    """
    backbone(row["backbone"])
    identity = weights_identity(row["backbone"], row["weights"], row["size"])
    kind = {"weights": identity, "frame": row["frame"], "size": row["size"]}
    passes = store / "features" / pass_name(kind)
    vectors = FeatureStore(passes / "vectors")
    views = _views(images, draws, row["views"])
    flat = [(image, view) for image, of_image in enumerate(views) for view in of_image]
    keys = [vector_key(images["sha256"].iloc[image], view, keep_black) for image, view in flat]
    missing = _first_of_each(keys, vectors)
    converted = converted_backbone(row["backbone"], row["weights"], row["frame"], row["size"], passes / "ir")
    if missing:
        engine = PooledFeatures(converted, row["size"])

        def picture(position: int) -> np.ndarray:
            image, view = flat[position]
            return packed[image] if view is None else apply_draw(packed[image], view, keep_black=keep_black)

        _compute(engine, vectors, missing, keys, picture)
    channels = vectors.width // 2
    columns = slice(0, channels) if row["pooling"] == "avg" else slice(channels, None)
    with new_folder(folder) as part:
        shape = (len(images), 1 + row["views"], channels)
        features = np.lib.format.open_memmap(part / FEATURES_FILE, "w+", np.float32, shape)
        vectors.read_into(features.reshape(-1, channels), keys, columns)
        features.flush()
        kind_of_weights = weights_kind(row["weights"])
        about = {**row, "weights_identity": identity, "weights_kind": kind_of_weights, "channels": channels}
        write_json(part / ABOUT_FILE, {**about, "layers": converted_layers(converted)})


def _views(images: pd.DataFrame, draws: pd.DataFrame, count: int) -> list[list[Draw | None]]:
    """For each image: None for the image itself, then its first `count` draws."""
    if not count:
        return [[None] for _ in range(len(images))]
    wanted = draws[draws["view"] <= count]
    if list(wanted["image_id"]) != [image_id for image_id in images["image_id"] for _ in range(count)]:
        raise ValueError("the draws are not those of these images, in their order")
    parameters = draws_of(wanted)
    return [[None, *parameters[first : first + count]] for first in range(0, len(parameters), count)]


def _first_of_each(keys: list[bytes], vectors: FeatureStore) -> list[int]:
    """Positions of the keys that the store lacks, one for each key."""
    first: dict[bytes, int] = {}
    for position, key in enumerate(keys):
        if key not in vectors:
            first.setdefault(key, position)
    return list(first.values())


def _compute(
    engine: PooledFeatures,
    vectors: FeatureStore,
    missing: list[int],
    keys: list[bytes],
    picture: Callable[[int], np.ndarray],
) -> None:
    with progress("embedding", len(missing), "pictures") as advance:
        for start in range(0, len(missing), SHARD):
            shard = missing[start : start + SHARD]
            values = engine.run([partial(picture, position) for position in shard], advance)
            vectors.add([keys[position] for position in shard], values)


def reference_pack(row: Mapping[str, Any], packed: np.ndarray, folder: Path) -> None:
    """For a row that finetunes: no features, but the hash of the pictures, so its training follows their changes."""
    backbone(row["backbone"])
    digest = hashlib.sha256()
    for start in range(0, len(packed), SHARD):
        digest.update(np.ascontiguousarray(packed[start : start + SHARD]).data)
    identity = weights_identity(row["backbone"], row["weights"], row["size"])
    about = {**row, "weights_identity": identity, "weights_kind": weights_kind(row["weights"])}
    with new_folder(folder) as part:
        write_json(part / ABOUT_FILE, {**about, "pictures_sha256": digest.hexdigest()})


def read_features(folder: Path) -> tuple[np.ndarray | None, dict[str, Any]]:
    """The features, memory-mapped (None for a row that finetunes), and what is known of them."""
    about = json.loads((folder / ABOUT_FILE).read_text())
    return np.load(folder / FEATURES_FILE, mmap_mode="r") if about["mode"] == "frozen" else None, about
