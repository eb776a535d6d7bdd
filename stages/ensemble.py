"""One ensemble under one protocol: the mean of what its members said, and what its validation sides decide."""

import json

import pandas as pd
from _stage import main

from leukoscope.config.params import load_params
from leukoscope.core import checkout
from leukoscope.evaluation import ensembles
from leukoscope.evaluation.result_folder import write_result
from leukoscope.tracking import runs


def run(name: str, protocol: str) -> str:
    """Write models/<ensemble>-<protocol>/decision.json and results/<ensemble>-<protocol>."""
    params = load_params()
    listed = json.loads((checkout.members(name) / f"{protocol}.json").read_text())
    images = pd.read_parquet(checkout.IMAGES, columns=["image_id", "cell_area"])
    members = ensembles.read_members(listed, protocol)
    predictions = ensembles.mean_predictions(name, members)
    decision = ensembles.decide_ensemble(name, members, predictions, params.threshold, params.evaluate)
    decision.write(checkout.trained(name, protocol))
    results = checkout.results(name, protocol)
    metrics = write_result(results, decision, predictions, images, params.evaluate)
    runs.log_evaluation(decision, metrics, results)
    return str(results)


if __name__ == "__main__":
    main(run)
