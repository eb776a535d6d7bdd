"""A fold's training after its last finished epoch, whole or not there, so that a kill loses one epoch at the most.

Keras's BackupAndRestore keeps weights, optimiser and epoch, but neither the other callbacks' counters and best weights
nor the seeds of dropout nor the history, and it writes in place.
"""

from __future__ import annotations

import hashlib
import importlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from leukoscope.core.code import code_hash
from leukoscope.core.files import new_file
from leukoscope.features.backbones import weights_identity
from leukoscope.features.embedding import pictures_hash
from leukoscope.features.memory import COMPUTED_BY
from leukoscope.training.fitting import History, UntilValStops

if TYPE_CHECKING:
    from leukoscope.training.task import Task


# What Keras's callbacks count; none of them has a way to save it.
COUNTED = {
    "plateau": ("wait", "best", "cooldown_counter"),
    "stopping": ("wait", "best"),
    "best": ("best",),
}


class KeepLastEpoch(keras.callbacks.Callback):
    """Writes all that the next epoch depends on to `path` after every epoch, and goes on from there.

    It must come last in a `fit`'s callbacks, and the `fit` take its `initial_epoch`. `history` takes the kept epochs as
    soon as the callback is made.
    """

    def __init__(self, path: Path, callbacks: UntilValStops, history: History, epochs: int) -> None:
        super().__init__()
        self._path, self._callbacks, self._history = path, callbacks, history
        self._kept: dict[str, Any] | None = None
        self.initial_epoch = 0
        if path.exists():
            with np.load(path) as file:
                self._kept = json.loads(str(file["state"]))
            history.go_on_from(self._kept["history"])
            # A training that had stopped has no epoch left; its best weights then come back as at any end.
            self.initial_epoch = epochs if self._kept["stopped"] else self._kept["epochs"]

    @property
    def resumes(self) -> bool:
        """Whether there was something to go on from."""
        return self._kept is not None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Go on from what was kept; or keep the start, so that a head need not be fitted again.

        The start is the best so far, as measured when the head was fitted.
        """
        if self._kept is None:
            if self._history.epochs:
                self._callbacks.best.best = min(epoch["val_loss"] for epoch in self._history.epochs)
                self._callbacks.best.best_weights = self.model.get_weights()
            self._write(epochs=0)
            return
        with np.load(self._path) as file:
            for name, variables in self._variables().items():
                for number, variable in enumerate(variables):
                    variable.assign(file[f"{name}_{number}"])
            best = [file[f"best_{number}"] for number in range(self._kept["best_weights"])]
        self._callbacks.best.best_weights = best or None
        for name, counted in self._kept["counted"].items():
            vars(getattr(self._callbacks, name)).update(counted)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Keep the epoch that ended."""
        self._write(epochs=epoch + 1)

    def _variables(self) -> dict[str, list[keras.Variable]]:
        """The model's (with the seeds of its dropouts) and the optimiser's (with its learning rate)."""
        optimizer = self.model.optimizer
        if not optimizer.built:
            optimizer.build(self.model.trainable_variables)
        return {"model": self.model.variables, "optimizer": optimizer.variables}

    def _write(self, epochs: int) -> None:
        best = self._callbacks.best.best_weights or []
        state = {
            "epochs": epochs,
            "stopped": bool(self.model.stop_training),
            "history": self._history.epochs,
            "counted": {
                name: {key: _number(getattr(getattr(self._callbacks, name), key)) for key in keys}
                for name, keys in COUNTED.items()
            },
            "best_weights": len(best),
        }
        arrays = {
            f"{name}_{number}": keras.ops.convert_to_numpy(variable)
            for name, variables in self._variables().items()
            for number, variable in enumerate(variables)
        }
        arrays |= {f"best_{number}": values for number, values in enumerate(best)}
        with new_file(self._path) as part, part.open("wb") as file:
            np.savez(file, state=np.array(json.dumps(state)), **arrays)


def _number(value: Any) -> float | int | None:
    return value if value is None or isinstance(value, int) else float(value)


def training_key(training: Task) -> str:
    """A hash of everything that determines a finetuning: settings, pictures, labels, split, weights and code."""
    data, row = training.data, training.row
    backend = keras.backend.backend()
    facts = {
        "row": row.model_dump(mode="json"),
        "train": training.settings.model_dump(),
        "augment": training.augment.model_dump(),
        "weights": weights_identity(row.backbone, row.weights, row.size),
        "code": code_hash(*COMPUTED_BY, "training"),
        "libraries": [f"keras-{keras.version()}", f"{backend}-{importlib.import_module(backend).__version__}"],
    }
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for column in (data.image_ids, data.sha256, data.labels, data.groups):
        digest.update(json.dumps(column.tolist(), default=str).encode())
    digest.update(training.split.to_csv(index=False).encode())
    digest.update(pictures_hash(data.pictures()).encode())
    return digest.hexdigest()[:24]
