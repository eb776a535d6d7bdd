"""One row under one protocol: what its folds say of images that they were not trained on."""

from pathlib import Path

import pandas as pd
from _stage import main

from leukoscope import tracking
from leukoscope.atomic import new_folder, write_json
from leukoscope.config import load_params
from leukoscope.evaluation.decision import caveat, refuse_seen_images
from leukoscope.evaluation.figures import Heading, write_figures
from leukoscope.evaluation.results import summarise, write_tables
from leukoscope.models import saved_folds
from leukoscope.models.inputs import read_inputs


def run(name: str, protocol: str) -> None:
    """Write results/<row>-<protocol>."""
    params = load_params()
    inputs = read_inputs(params, name, protocol)
    trained = Path("models") / f"{name}-{protocol}"
    decision = saved_folds.read_decision(trained)
    refuse_seen_images(decision, inputs.split, inputs.images)
    predictions = pd.concat(
        saved_folds.fold_predictions(trained, inputs, inputs.split[inputs.split["fold"] == fold])
        for fold in saved_folds.fold_numbers(trained)
    )
    metrics = summarise(predictions, decision["folds"], inputs.images, params.evaluate)
    history = pd.read_csv(trained / saved_folds.HISTORY_FILE)
    results = Path("results") / f"{name}-{protocol}"
    with new_folder(results) as folder:
        write_json(folder / "metrics.json", metrics)
        predictions.to_parquet(folder / "predictions.parquet", index=False)
        history.to_csv(folder / "history.csv", index=False)
        write_tables(predictions, folder)
        heading = Heading(name, inputs.protocol, caveat(decision))
        write_figures(folder / "figures", heading, predictions, history, metrics, decision["folds"])
    tracking.log_evaluation(decision, metrics, results)


if __name__ == "__main__":
    main(run)
