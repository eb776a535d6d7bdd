"""Batches of packed pictures for Keras: augmented anew each epoch for training, as they are for everything else."""

from __future__ import annotations

import keras
import numpy as np

from leukoscope import config
from leukoscope.data.augment import apply_draw, draw

THREADS = 2
# Epoch views are numbered far above the stored ones, so finetuning never repeats an embedded view.
FIRST_EPOCH_VIEW = 1_000_000


class AugmentedPictures(keras.utils.PyDataset):
    """Shuffled batches (float32 [batch, size, size, 3] in 0..255, targets [batch, 2]) under a new draw each epoch.

    `positions` index `packed` and `sha256`; `targets` are in the order of `positions`. Order and draws depend on the
    seed and the epoch's number alone.
    """

    def __init__(
        self,
        packed: np.ndarray,
        positions: np.ndarray,
        targets: np.ndarray,
        sha256: np.ndarray,
        augment: config.Augment,
        *,
        batch_size: int,
        seed: int,
    ) -> None:
        super().__init__(workers=THREADS)
        self._packed, self._positions, self._targets, self._sha256 = packed, positions, targets, sha256
        self._augment, self._batch_size, self._seed = augment, batch_size, seed
        self._epoch = 0
        self._shuffle()

    def __len__(self) -> int:
        return -(-len(self._positions) // self._batch_size)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        rows = self._order[index * self._batch_size : (index + 1) * self._batch_size]
        pictures = [self._augmented(self._positions[row]) for row in rows]
        return np.stack(pictures).astype(np.float32), self._targets[rows]

    def on_epoch_end(self) -> None:
        """Take the next epoch's order and draws."""
        self._epoch += 1
        self._shuffle()

    def _augmented(self, position: int) -> np.ndarray:
        parameters = draw(self._augment, str(self._sha256[position]), FIRST_EPOCH_VIEW + self._epoch)
        return apply_draw(self._packed[position], parameters, keep_black=self._augment.keep_black)

    def _shuffle(self) -> None:
        self._order = np.random.default_rng([self._seed, self._epoch]).permutation(len(self._positions))
