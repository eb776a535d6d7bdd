"""Predictions whose cells depend on their subject, as real ones do."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from leukoscope.artifacts.predictions import labels_and_scores, side_of
from leukoscope.config.params import Evaluate
from leukoscope.stats.metrics import Labels, Scores
from leukoscope.stats.points import Calibration, OperatingPoint
from tests.fixtures.decisions import point

SETTINGS = Evaluate(bootstrap=400)


def clustered_predictions(
    subjects_all: int = 8, subjects_hem: int = 6, images: int = 20, folds: int = 3, seed: int = 0
) -> pd.DataFrame:
    """Out-of-fold predictions: each subject shifts all its cells, each model fits what it trained on better."""
    generator = np.random.default_rng(seed)
    rows = []
    for label, count in ((1, subjects_all), (0, subjects_hem)):
        for number in range(count):
            subject = f"{'' if label else 'H'}{number}"
            shift = generator.normal(0.8 if label else -0.8, 0.8)
            for cell in range(images + int(generator.integers(0, images))):
                rows.append((f"{subject}_{cell}", subject, f"g{subject}", label, shift + generator.normal()))
    cells = pd.DataFrame(rows, columns=["image_id", "subject", "group", "label", "logit"])
    fold_of = cells["subject"].map({subject: n % folds for n, subject in enumerate(cells["subject"].unique())})
    sides = []
    for fold in range(folds):
        side = np.where(fold_of == fold, "test", np.where(fold_of == (fold + 1) % folds, "val", "train"))
        logit = cells["logit"] + generator.normal(0, 0.3, len(cells)) + (side == "train") * (2 * cells["label"] - 1)
        sides.append(cells.assign(p_all=1 / (1 + np.exp(-logit)), fold=fold, side=side).drop(columns="logit"))
    return pd.concat(sides, ignore_index=True)


@pytest.fixture(scope="session")
def predictions() -> pd.DataFrame:
    return clustered_predictions()


@pytest.fixture(scope="session")
def make_predictions() -> Callable[..., pd.DataFrame]:
    return clustered_predictions


@pytest.fixture(scope="session")
def settings() -> Evaluate:
    return SETTINGS


def images_of(predictions: pd.DataFrame, larger: float = 1.0, seed: int = 0) -> pd.DataFrame:
    """An image table whose ALL cells are larger by `larger` deviations."""
    images = predictions.drop_duplicates("image_id")[["image_id", "subject", "group", "label"]]
    noise = np.random.default_rng(seed).normal(0, 1, len(images))
    return images.assign(cell_area=15000 + 3000 * (noise + larger * images["label"]))


@pytest.fixture(scope="session")
def images(predictions: pd.DataFrame) -> pd.DataFrame:
    return images_of(predictions)


def decided(*thresholds: float) -> dict[str, OperatingPoint]:
    """What decision.json says of folds 0, 1, ... with these thresholds and different scalings."""
    return {
        str(fold): point(threshold, calibration=Calibration(slope=0.8 + fold / 10, intercept=0.2 - fold / 10))
        for fold, threshold in enumerate(thresholds)
    }


@pytest.fixture(scope="session")
def folds() -> dict[str, OperatingPoint]:
    return decided(0.4, 0.6, 0.7)


@pytest.fixture
def tested(predictions: pd.DataFrame) -> tuple[Labels, Scores, NDArray[np.str_]]:
    """y, p and groups of the test side, p rounded so that there are ties."""
    rows = side_of(predictions, "test")
    y, p = labels_and_scores(rows)
    return y, np.round(p, 2), rows["group"].to_numpy(str)
