"""One row under one protocol: a model for each fold, and what its validation sides decide."""

import pandas as pd
from _stage import main

from leukoscope.config.params import load_params
from leukoscope.config.rows import Protocol
from leukoscope.core import checkout
from leukoscope.core.checkout import TIMING_FILE
from leukoscope.core.files import new_folder, write_json
from leukoscope.features.architecture import whole_row
from leukoscope.stats.operating_point import decide
from leukoscope.tracking import runs
from leukoscope.training import saved_folds
from leukoscope.training.inputs import read_inputs
from leukoscope.training.timing import EpochClock
from leukoscope.training.training import Training


def run(name: str, protocol: Protocol) -> str:
    """Write models/<row>-<protocol>."""
    params = load_params()
    inputs = read_inputs(params, name, protocol)
    training = Training(inputs.row, params.train, params.augment, inputs.data, inputs.split, checkout.store())
    validation = inputs.split[inputs.split["side"] == "val"]
    weights, history, predictions = {}, [], []
    with (
        new_folder(checkout.trained(name, protocol)) as folder,
        runs.training(inputs.about, params.train) as tracked,
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
        decision = saved_folds.decision_of(inputs, decided, weights, layers)
        decision.write(folder)
        write_json(folder / TIMING_FILE, clock.summary())
        tracked.finished(decision.identity)
    training.forget()
    return str(checkout.trained(name, protocol))


if __name__ == "__main__":
    main(run)
