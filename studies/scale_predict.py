"""What `leukoscope predict --parquet` runs, with a model of plain arithmetic in a registered version's place.

`python -m studies.scale_predict PICTURES SCORES VERSION ADDRESS NUMBER` scores PICTURES into the folder SCORES on
the Ray cluster at ADDRESS, NUMBER of them to a shard; `model_into` has put the model into VERSION. With next to no
model what is left are the costs of reading, of scheduling and of writing.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import numpy as np

from leukoscope.cluster.prediction import run_on_ray
from leukoscope.config.params import Compute
from leukoscope.prediction import shards
from leukoscope.prediction.command import Wanted, predict_shards
from leukoscope.registry.champion import Version
from leukoscope.registry.runtime import SCORING_FILE
from tests.fixtures.decisions import decision_at, point

FRAME = 300
DECISION = decision_at(point(0.5, (0.48, 0.52)), FRAME)


def model_into(version: Path) -> None:
    """Write a model that gives the share of red."""
    import openvino as ov
    from openvino import opset13 as ops

    pixels = ops.parameter([-1, FRAME, FRAME, 3], np.float32)
    mean = ops.reduce_mean(pixels, np.array([1, 2]), keep_dims=False)
    red = ops.multiply(ops.gather(mean, np.array([0]), np.array(1)), np.float32(1 / 255))
    (version / SCORING_FILE).parent.mkdir(parents=True)
    ov.save_model(ov.Model([red], [pixels]), version / SCORING_FILE, compress_to_fp16=False)


def main(pictures: str, scores: str, version: str, address: str, number: str) -> None:
    """Score them."""
    shards.PICTURES = int(number)
    run = partial(run_on_ray, compute=Compute(engine="ray", address=address))
    predict_shards([pictures], lambda: (Version(DECISION, "1"), Path(version)), scores, Wanted(), run, print)


if __name__ == "__main__":
    main(*sys.argv[1:])
