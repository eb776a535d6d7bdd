"""One fold of a frozen row and of a finetuned one, in a process of its own on the backend that KERAS_BACKEND names.

`python -m tests.models.trained_elsewhere FOLDER` leaves for each, in FOLDER/<name>, what the stage train saves of the
fold, and inputs.npz: the first pictures or features of the data, what the trained model said of them, and its losses.
"""

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np

from leukoscope.data.augment import draw
from leukoscope.models import saved_folds
from leukoscope.models.embedding import pooled_features
from leukoscope.models.training import Training
from tests.models.finetune_once import small_training

SHOWN = 24


def trainings(store: Path) -> Iterator[tuple[str, Training]]:
    """The rows by name."""
    training = small_training(store)
    settings = training.settings.model_copy(update={"epochs": 2})
    finetuned = replace(training, settings=settings, split=training.split[training.split["fold"] == 0])
    yield "frozen", frozen(finetuned)
    yield "finetuned", finetuned


def frozen(training: Training) -> Training:
    """The same row with its backbone frozen, on features of each picture and one augmented view."""
    row = training.row.model_copy(update={"mode": "frozen", "views": 1})
    data = training.data
    shown = [[draw(training.augment, sha256, 1)] for sha256 in data.sha256]
    settings, everyone, black = row.model_dump(), np.arange(len(data.sha256)), training.augment.keep_black
    features = pooled_features(settings, data.sha256, data.pictures(), everyone, shown, black, training.store)
    return replace(training, row=row, data=replace(data, features=features, packed=None))


def main(folder: Path) -> None:
    for name, training in trainings(folder / "store"):
        (fold,) = training.folds()
        (folder / name).mkdir()
        saved_folds.save_fold(fold, folder / name)
        data = training.data
        inputs = data.pictures()[:SHOWN] if data.features is None else data.features[:SHOWN, 0]
        inputs = inputs.astype(np.float32)
        np.savez(
            folder / name / "inputs.npz",
            backend=keras.backend.backend(),
            inputs=inputs,
            said=fold.model.predict_on_batch(inputs),
            losses=[epoch["loss"] for epoch in fold.history],
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
