"""A small finetuning of two folds as a process of its own, which may be killed: what it does is said on stdout.

`python -m tests.models.finetune_once STORE RESULT` works in a checkout with an MLflow store, and writes RESULT (.npz).
"""

import json
import sys
from pathlib import Path

import numpy as np

from leukoscope import tracking
from leukoscope.config import Augment, ModelSettings, Split, Train
from leukoscope.data.splits import make_splits
from leukoscope.models.training import Training
from tests.conftest import twenty_subjects
from tests.models.drawn_cells import pictures

ROW = ModelSettings(
    backbone="mobilenetv2",
    weights="none",
    mode="finetune",
    frame=300,
    size=32,
    width=16,
    sampling="group",
    learning_rate=0.001,
)
# The learning rate's patience is one epoch and stopping's three, so both count.
SETTINGS = Train(epochs=5, head_epochs=1, patience=3, batch_size=20)


def small_training(store: Path) -> Training:
    """Folds 0 and 1 of three, of 120 pictures of 32 pixels."""
    images = twenty_subjects()
    split = make_splits(images, Split(folds=3), ("subject",))
    return Training(ROW, SETTINGS, Augment(), pictures(images), split[split["fold"] < 2], store)


def main(store: Path, result: Path) -> None:
    from leukoscope.models.pictures import AugmentedPictures

    read = AugmentedPictures.__call__

    def told(pictures: AugmentedPictures, positions: np.ndarray, epoch: int) -> np.ndarray:
        sys.stdout.write(f"reads {epoch}\n")  # one write: several threads read
        sys.stdout.flush()
        return read(pictures, positions, epoch)

    AugmentedPictures.__call__ = told  # type: ignore[method-assign]
    about = {
        "row": "a_row",
        "protocol": "subject",
        "settings": ROW.model_dump(mode="json"),
        "data": {"name": "cells", "kind": "synthetic", "hash": "d" * 64},
        "split_hash": "5" * 64,
        "weights_kind": "untrained",
    }
    training = small_training(store)
    outcome: dict[str, np.ndarray] = {}
    with tracking.training(about, SETTINGS) as tracked:
        for fold in training.folds(tracked.epoch, past=tracked.epoch):
            print("trained", fold.fold, flush=True)
            outcome[f"{fold.fold} history"] = np.array(json.dumps(fold.history))
            for number, values in enumerate(fold.model.get_weights()):
                outcome[f"{fold.fold} weights {number}"] = values
    np.savez(result, **outcome)
    training.forget()


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
