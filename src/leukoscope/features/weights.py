"""Pretrained weights: where ImageNet's lie, how a file is loaded, and what identifies them. Imports no Keras."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leukoscope.config.rows import ModelSettings
from leukoscope.core.errors import WeightsError
from leukoscope.core.files import new_file, sha256_of

if TYPE_CHECKING:
    import keras


PRESET_FILE = "model.weights.h5"


def keras_folder() -> Path:
    """Where Keras keeps the weights that it downloads: $KERAS_HOME/models, by default ~/.keras/models."""
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "models"


def _kagglehub_folder() -> Path:
    return Path(os.environ.get("KAGGLEHUB_CACHE") or Path.home() / ".cache" / "kagglehub") / "models"


@dataclass(frozen=True)
class ImageNetWeights:
    """Published weights: `file` in Keras's folder, whose `{side}` is the input's side where `sides` lists it, else 224.

    Keras downloads and checks the file. With `preset`, a Kaggle handle, KerasHub does: into its own cache, as
    model.weights.h5; a file put into Keras's folder by hand is then taken instead, and known by its content alone.
    """

    file: str
    sides: tuple[int, ...] = ()
    preset: str | None = None

    def place(self, size: int) -> Path:
        """Where the file for inputs of this size belongs, whether it is there or not."""
        return keras_folder() / self.file.format(side=size if size in self.sides else 224)

    def found(self, size: int) -> Path | None:
        """The file for inputs of this size, where it is on this machine."""
        if self.place(size).is_file():
            return self.place(size)
        return self._downloaded_preset()

    def by_hand(self, size: int) -> Path | None:
        """A file in Keras's folder that no download checks: a preset's, put there by hand."""
        return self.place(size) if self.preset and self.place(size).is_file() else None

    @property
    def origin(self) -> str:
        """What the file is called where it is published, where that is another name."""
        return f"{PRESET_FILE} of kaggle.com/models/{self.preset}" if self.preset else ""

    def advice(self, size: int) -> str:
        """What to do where the weights cannot be downloaded."""
        place, origin = self.place(size), f" ({self.origin})" if self.origin else ""
        return f"put {place.name}{origin} into {place.parent}"

    def _downloaded_preset(self) -> Path | None:
        if not self.preset:
            return None
        variation, version = (_kagglehub_folder() / self.preset).parent, Path(self.preset).name
        file, whole = variation / version / PRESET_FILE, variation / ".complete" / version / f"{PRESET_FILE}.complete"
        return file if file.is_file() and whole.is_file() else None


def load_file(trunk: keras.Model, name: str, path: Path) -> None:
    """Load a .weights.h5 file into every layer of a backbone. Raises WeightsError where that cannot be done."""
    _require(path, name)
    try:
        with warnings.catch_warnings():
            # Keras only warns where it finds nothing for a layer and leaves it as it was, at random.
            warnings.simplefilter("error", UserWarning)
            trunk.load_weights(path)
    except (UserWarning, ValueError, OSError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        raise WeightsError(f"weights file {path} does not fit backbone {name} without its top: {reason}") from error


def file_identity(name: str, path: Path) -> str:
    """A weights file's name by its content. Raises WeightsError where it is not there."""
    _require(path, name)
    return f"file:{name}:{sha256_of(path)}"


@contextmanager
def whole_downloads() -> Iterator[None]:
    """Have Keras check a file that it downloads before the file gets its name: a kill or a bad line leaves none there.

    Keras itself downloads under the final name and compares the hash afterwards; of MobileNet's files it has none, and
    takes whatever has their name. Where its folder may not be written it keeps its own way, which is another folder.
    """
    from keras.src.utils import file_utils

    get_file = file_utils.get_file

    def checked_and_moved(fname: str, origin: str, *, file_hash: str | None = None, **words: Any) -> str:
        place = keras_folder() / fname
        if place.is_file() and (file_hash is None or file_utils.validate_file(place, file_hash)):
            return str(place)
        with new_file(place) as part:
            get_file(part.name, origin, file_hash=file_hash, cache_dir=str(place.parent.parent), **words)
        return str(place)

    def in_its_folder(fname: str, origin: str, **words: Any) -> str:
        there = next(folder for folder in (keras_folder(), *keras_folder().parents) if folder.exists())
        ours = words.get("cache_subdir") == keras_folder().name and os.access(there, os.W_OK)
        return (checked_and_moved if ours else get_file)(fname, origin, **words)

    file_utils.get_file = in_its_folder
    try:
        yield
    finally:
        file_utils.get_file = get_file


def _require(path: Path, name: str) -> None:
    if not path.is_file():
        raise WeightsError(
            f"weights file {path} of backbone {name} is not there: mend models.<row>.weights in params.yaml"
        )


def weights_kind(weights: str) -> str:
    """What to call the weights beside a result: imagenet, file, or untrained."""
    return {"imagenet": "imagenet", "none": "untrained"}.get(weights, "file")


def kinds_of_row(row: ModelSettings) -> str:
    """All kinds of weights that a row's backbones have, in the form that an ensemble's have too."""
    return ", ".join(sorted({weights_kind(branch.weights) for branch in row.branches}))
