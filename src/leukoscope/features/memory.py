"""A memory of frozen passes: one vector for each (kind of pass, image, view), kept between runs.

A folder holds one kind of pass (weights, frame, size, taps, poolings, colours) of one state of the code, and its
converted model. Its shards are written whole, so a killed run loses at most the vectors since its last shard and two
runs at once only repeat work.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from leukoscope.core.code import code_hash
from leukoscope.core.files import new_file
from leukoscope.imaging.draws import Draw
from leukoscope.imaging.turns import View

KEY_BYTES = 32
# All that makes a vector of a picture. An untrained start is calibrated on drawn cells; config.rows has BACKGROUND.
COMPUTED_BY = ("config/rows.py", "data/pack.py", "data/synthetic", "features", "imaging")
# Of KerasHub is ResNet18. OpenCV draws views; TensorFlow, whose package's name differs by machine, runs models on GPUs.
LIBRARIES = ("keras", "keras-hub", "opencv-python-headless", "openvino", "tensorflow", "tensorflow-cpu")


def pass_name(settings: Mapping[str, Any]) -> str:
    """A folder name for the passes that share `settings`, computed by this code and these versions of the libraries."""
    facts = {
        **settings,
        "code": code_hash(*COMPUTED_BY),
        "libraries": _versions(),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:24]


def _versions() -> dict[str, str]:
    """The versions of those of LIBRARIES that are installed."""
    found = {}
    for library in LIBRARIES:
        with suppress(PackageNotFoundError):
            found[library] = version(library)
    return found


def vector_key(sha256: str, view: View, keep_black: bool) -> bytes:
    """The key of the vector of one image as `view` shows it; `keep_black` concerns draws alone."""
    words = repr((sha256, view, keep_black if isinstance(view, Draw) else None))
    return hashlib.sha256(words.encode()).digest()


class FeatureStore:
    """The vectors by key that are in one folder when it is opened."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._place: dict[bytes, tuple[Path, int]] = {}
        for shard in sorted(folder.glob("*.keys.npy")):
            keys = np.load(shard)
            values = shard.with_name(shard.name.replace(".keys.npy", ".values.npy"))
            for position, key in enumerate(keys.view(f"V{KEY_BYTES}").ravel()):
                self._place[bytes(key)] = values, position

    def __contains__(self, key: bytes) -> bool:
        return key in self._place

    @property
    def width(self) -> int:
        """Numbers in a vector. Raises ValueError while the store is empty."""
        for shard, _ in self._place.values():
            return int(np.load(shard, mmap_mode="r").shape[1])
        raise ValueError(f"no vectors in {self.folder}")

    def read_into(self, target: np.ndarray, keys: list[bytes], columns: slice) -> None:
        """Fill `target` [len(keys), ...] with `columns` of the vectors, a shard at a time.

        `target` may be a memory map. Raises KeyError for an unknown key.
        """
        by_shard: dict[Path, tuple[list[int], list[int]]] = {}
        for row, key in enumerate(keys):
            shard, position = self._place[key]
            rows, positions = by_shard.setdefault(shard, ([], []))
            rows.append(row)
            positions.append(position)
        for shard, (rows, positions) in by_shard.items():
            target[rows] = np.load(shard, mmap_mode="r")[positions, columns]


def write_shard(folder: Path, keys: list[bytes], values: np.ndarray) -> None:
    """Keep `values` [len(keys), width] float32 under `keys` in a store's folder, for those who open it from then on.

    The keys are written last: they make a shard valid.
    """
    name = uuid.uuid4().hex
    with new_file(folder / f"{name}.values.npy") as part, part.open("wb") as file:
        np.save(file, values)
    with new_file(folder / f"{name}.keys.npy") as part, part.open("wb") as file:
        np.save(file, np.frombuffer(b"".join(keys), np.uint8).reshape(-1, KEY_BYTES))
