"""One row under one protocol: what its folds say of images that they were not trained on."""

import pandas as pd
from _stage import main

from leukoscope.artifacts.decision import Decision
from leukoscope.config.params import load_params
from leukoscope.config.rows import Protocol
from leukoscope.core import checkout
from leukoscope.core.files import write_json
from leukoscope.evaluation.checks import refuse_other_data, refuse_seen_images
from leukoscope.evaluation.ensembles import fingerprint
from leukoscope.evaluation.exchanged import exchanged_predictions
from leukoscope.evaluation.result_folder import write_result
from leukoscope.tracking import runs
from leukoscope.training import saved_folds
from leukoscope.training.inputs import read_inputs


def run(name: str, protocol: Protocol) -> str:
    """Write results/<row>-<protocol> and data/evaluated/<protocol>/<row>.json."""
    params = load_params()
    inputs = read_inputs(params, name, protocol)
    trained, results = checkout.trained(name, protocol), checkout.results(name, protocol)
    decision = Decision.read(trained)
    refuse_seen_images(decision, inputs.split, inputs.images)
    refuse_other_data(decision, inputs.about)
    predictions = pd.concat(
        saved_folds.fold_predictions(trained, inputs, inputs.split[inputs.split["fold"] == fold])
        for fold in saved_folds.fold_numbers(trained)
    )
    history = pd.read_csv(trained / saved_folds.HISTORY_FILE)
    exchanged = exchanged_predictions(trained, inputs, params.evaluate.seed)
    metrics = write_result(results, decision, predictions, inputs.images, params.evaluate, history, exchanged)
    write_json(checkout.evaluated(name, protocol), fingerprint(trained, results))
    runs.log_evaluation(decision, metrics, results)
    return str(results)


if __name__ == "__main__":
    main(run)
