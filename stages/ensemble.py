"""One ensemble under one protocol: the mean of what its members said, and what its validation sides decide."""

import json
from pathlib import Path

import pandas as pd
from _stage import main

from leukoscope.artifacts.decision import DECISION_FILE
from leukoscope.config.params import load_params
from leukoscope.core.files import write_json
from leukoscope.evaluation import ensembles
from leukoscope.evaluation.result_folder import write_result
from leukoscope.tracking import runs


def run(name: str, protocol: str) -> str:
    """Write models/<ensemble>-<protocol>/decision.json and results/<ensemble>-<protocol>."""
    params = load_params()
    listed = json.loads((Path("data/members") / name / f"{protocol}.json").read_text())
    images = pd.read_parquet("data/images.parquet", columns=["image_id", "cell_area"])
    members = ensembles.read_members(listed, protocol)
    predictions = ensembles.mean_predictions(name, members)
    decision = ensembles.decide_ensemble(name, members, predictions, params.threshold, params.evaluate)
    write_json(Path("models") / f"{name}-{protocol}" / DECISION_FILE, decision)
    results = Path("results") / f"{name}-{protocol}"
    metrics = write_result(results, decision, predictions, images, params.evaluate)
    runs.log_evaluation(decision, metrics, results)
    return str(results)


if __name__ == "__main__":
    main(run)
