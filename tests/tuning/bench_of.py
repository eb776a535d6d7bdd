"""A bench over a table of images, for what needs its settings and hashes and trains nothing."""

from pathlib import Path

import numpy as np

from leukoscope.config import Params
from leukoscope.tuning.bench import Bench
from leukoscope.tuning.inner_folds import inner_folds
from tests.conftest import twenty_subjects


def bench_of(params: Params, name: str) -> Bench:
    """The row `name` over twenty subjects."""
    images = twenty_subjects()
    return Bench(
        params=params,
        name=name,
        fold=params.tune.fold,
        images=images,
        positions=np.arange(len(images)),
        folds=inner_folds(images, params.tune),
        data_hash="d" * 64,
        split_hash="5" * 64,
        folder=Path("data"),
    )
