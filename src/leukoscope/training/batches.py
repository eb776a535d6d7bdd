"""Batches for Keras whose order and contents depend on the seed and the epoch's number alone."""

from __future__ import annotations

import os
from collections.abc import Callable

import keras
import numpy as np

from leukoscope.config.params import Augment
from leukoscope.imaging.augmentation import apply_draw
from leukoscope.imaging.draws import draw

THREADS = min(8, os.cpu_count() or 1)
# Epoch views are numbered far above the stored ones, so finetuning never repeats an embedded view.
FIRST_EPOCH_VIEW = 1_000_000
Read = Callable[[np.ndarray, int], np.ndarray]
Order = Callable[[np.random.Generator], np.ndarray]


class AugmentedPictures:
    """Packed pictures under Table II, with a new draw for each epoch."""

    def __init__(self, packed: np.ndarray, sha256: np.ndarray, augment: Augment) -> None:
        self._packed, self._sha256, self._augment = packed, sha256, augment

    def __call__(self, positions: np.ndarray, epoch: int) -> np.ndarray:
        """The pictures at `positions` of the pack, uint8 [n, size, size, 3]: the model makes floats of them itself.

        As floats they would be four times as much to hand from thread to thread and into the backend.
        """
        return np.stack([self._augmented(position, epoch) for position in positions])

    def _augmented(self, position: int, epoch: int) -> np.ndarray:
        parameters = draw(self._augment, str(self._sha256[position]), FIRST_EPOCH_VIEW + epoch)
        return apply_draw(self._packed[position], parameters, keep_black=self._augment.keep_black)


class EpochBatches(keras.utils.PyDataset):
    """Batches of what `read` gives for `positions`, with their targets, in a new `order` each epoch.

    `read(positions, epoch)` gives the inputs of some positions. `targets` are in the order of `positions`, and `order`
    draws indices into both; without it every epoch has the given order. A `fit` takes them with shuffle=False and the
    callback `following`: Keras tells a PyDataset of no epoch's number, and a resumed training starts from a later one.
    """

    def __init__(
        self,
        read: Read,
        positions: np.ndarray,
        targets: np.ndarray,
        *,
        batch_size: int,
        seed: int = 0,
        order: Order | None = None,
    ) -> None:
        super().__init__(workers=THREADS)
        self._read, self._positions, self._targets = read, positions, targets
        self._batch_size, self._seed, self._draw_order = batch_size, seed, order
        self.start_epoch(0)

    def start_epoch(self, epoch: int) -> None:
        """Take the order and the contents of epoch 0, 1, ..."""
        self._epoch = epoch
        everything = np.arange(len(self._positions))
        self._order = self._draw_order(np.random.default_rng([self._seed, epoch])) if self._draw_order else everything

    def __len__(self) -> int:
        return -(-len(self._positions) // self._batch_size)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        rows = self._order[index * self._batch_size : (index + 1) * self._batch_size]
        return self._read(self._positions[rows], self._epoch), self._targets[rows]

    def following(self) -> keras.callbacks.Callback:
        """The callback that starts the batches' epochs with those of a `fit`."""
        return keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: self.start_epoch(epoch))
