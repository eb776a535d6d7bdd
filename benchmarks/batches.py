"""An epoch's augmented batches as `fit` receives them: from packed pictures, and from BMPs through Keras's layers."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

from benchmarks.measuring import Measured, Reach, cells, report, side_by_side, speed
from leukoscope.config.params import Augment
from leukoscope.imaging.framing import frame_and_resize

FRAME, SIZE, BATCH = 300, 224, 40
PICTURES, KERAS_PICTURES = 50 * BATCH, 10 * BATCH  # the peer takes seconds for a few hundred
FEW, MANY = 1_000, 15_000


def main() -> None:
    """Measure and report."""
    if sys.argv[1:2] == ["--memory-of"]:
        print(memory_of_an_epoch(int(sys.argv[2])))
        return
    with tempfile.TemporaryDirectory() as folder:
        ours, peer = packed_batches(PICTURES, Path(folder)), keras_batches(Path(folder))
        for epoch in (ours, peer):  # a first epoch traces
            list(epoch())
        ours_seconds, keras_seconds = side_by_side(3, lambda: list(ours()), lambda: list(peer()))
    keras_seconds = [seconds * PICTURES / KERAS_PICTURES for seconds in keras_seconds]
    name = "augmented batches / Keras layers on BMPs"
    report(speed(name, PICTURES, "images", ours_seconds, keras_seconds, Reach(10)), memory())


def packed_batches(pictures: int, folder: Path) -> Callable[[], Iterator[np.ndarray]]:
    """Epochs of finetuning's batches over packed pictures, through the adapter and threads that `fit` gives them."""
    from keras.src.trainers.data_adapters import get_data_adapter

    from leukoscope.training.batches import AugmentedPictures, EpochBatches

    pack = np.lib.format.open_memmap(folder / "pack.npy", "w+", np.uint8, (pictures, SIZE, SIZE, 3))
    drawn = [frame_and_resize(cell, FRAME, SIZE) for cell in cells(BATCH)]
    for start in range(0, min(pictures, PICTURES), BATCH):  # the others stay black: their reading costs the same
        pack[start : start + BATCH] = drawn
    pack.flush()
    opened = np.load(folder / "pack.npy", mmap_mode="r")
    hashes = np.array([f"{number:064x}" for number in range(pictures)])
    batches = EpochBatches(
        AugmentedPictures(opened, hashes, Augment()),
        np.arange(pictures),
        np.eye(2, dtype=np.float32)[np.arange(pictures) % 2],
        batch_size=BATCH,
        order=lambda generator: generator.permutation(pictures),
    )

    def epoch() -> Iterator[np.ndarray]:
        adapter = get_data_adapter(batches, shuffle=False)
        adapter.on_epoch_begin()
        for inputs, _ in adapter.get_tf_dataset():
            yield inputs[0, 0, 0, 0]
        adapter.on_epoch_end()

    return epoch


def keras_batches(folder: Path) -> Callable[[], Iterator[np.ndarray]]:
    """Epochs of what Keras's own functions make of the pictures' files, on all cores."""
    import tensorflow as tf
    from keras import Sequential, layers
    from keras.utils import image_dataset_from_directory

    drawn = cells(BATCH)
    for number in range(KERAS_PICTURES):
        file = folder / "images" / "ah"[number % 2] / f"{number}.bmp"
        file.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(file), drawn[number % BATCH])
    table_ii = Augment()
    turn = table_ii.rotation / 360
    augment = Sequential(
        [
            layers.RandomFlip("horizontal_and_vertical"),
            layers.RandomRotation(turn, fill_mode="nearest"),
            layers.RandomTranslation(table_ii.height_shift, table_ii.width_shift, fill_mode="nearest"),
            layers.RandomShear(float(np.sin(np.deg2rad(table_ii.shear))), fill_mode="nearest"),
            layers.RandomZoom(table_ii.zoom, table_ii.zoom, fill_mode="nearest"),
            layers.RandomBrightness(table_ii.channel_shift / 255),
        ]
    )
    files = image_dataset_from_directory(folder / "images", image_size=(SIZE, SIZE), batch_size=BATCH, verbose=False)
    augmented = files.map(
        lambda pictures, labels: (augment(pictures, training=True), labels), num_parallel_calls=tf.data.AUTOTUNE
    ).prefetch(tf.data.AUTOTUNE)

    def epoch() -> Iterator[np.ndarray]:
        for inputs, _ in augmented:
            yield inputs[0, 0, 0, 0]

    return epoch


def memory() -> Measured:
    """The peak of anonymous memory over an epoch of many pictures, beside that of few."""
    few, many = (_in_a_process_of_its_own(pictures) for pictures in (FEW, MANY))
    name = f"augmented batches / memory of {MANY:,} images beside {FEW:,}"
    return Measured(name, many, few, "MB", many / few, Reach(1.1, at_most=True))


def _in_a_process_of_its_own(pictures: int) -> float:
    command = [sys.executable, "-m", "benchmarks.batches", "--memory-of", str(pictures)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def memory_of_an_epoch(pictures: int) -> float:
    """The largest anonymous memory, in MB, of this process while it reads an epoch of that many pictures."""
    with tempfile.TemporaryDirectory() as folder:
        return max(_anonymous_memory() for _ in packed_batches(pictures, Path(folder))())


def _anonymous_memory() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.split("RssAnon:")[1].split()[0]) / 1024


if __name__ == "__main__":
    main()
