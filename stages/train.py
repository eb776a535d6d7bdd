"""One row under one protocol: a model for each fold, and what its validation sides decide."""

from pathlib import Path

import pandas as pd
from _stage import main

from leukoscope import tracking, workplace
from leukoscope.atomic import new_folder, write_json
from leukoscope.config import load_params
from leukoscope.evaluation.decision import decide
from leukoscope.models import saved_folds
from leukoscope.models.architecture import whole_row
from leukoscope.models.inputs import read_inputs
from leukoscope.models.timing import TIMING_FILE, EpochClock
from leukoscope.models.training import Training


def run(name: str, protocol: str) -> str:
    """Write models/<row>-<protocol>."""
    params = load_params()
    inputs = read_inputs(params, name, protocol)
    training = Training(inputs.row, params.train, params.augment, inputs.data, inputs.split, workplace.store())
    validation = inputs.split[inputs.split["side"] == "val"]
    weights, history, predictions = {}, [], []
    with (
        new_folder(Path("models") / f"{name}-{protocol}") as folder,
        tracking.training(inputs.about, params.train) as tracked,
    ):
        clock = EpochClock(tracked.epoch)
        for trained in training.folds(clock.epoch, past=tracked.epoch):
            weights[trained.fold] = saved_folds.save_fold(trained, folder)
            history += trained.history
            sides = validation[validation["fold"] == trained.fold]
            predictions.append(saved_folds.fold_predictions(folder, inputs, sides))
            layers = whole_row(inputs.features.get("layers"), trained.model)
        saved_folds.write_history(history, folder)
        decided = decide(pd.concat(predictions), params.threshold, params.evaluate)
        identity = saved_folds.write_decision(inputs, decided, weights, layers, folder)
        write_json(folder / TIMING_FILE, clock.summary())
        tracked.finished(identity)
    training.forget()
    return f"models/{name}-{protocol}"


if __name__ == "__main__":
    main(run)
