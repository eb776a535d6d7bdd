"""Predictions whose cells depend on their subject, as real ones do."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from leukoscope.config import Evaluate

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


@pytest.fixture(scope="session")
def thresholds() -> dict[int, float]:
    return {0: 0.4, 1: 0.6, 2: 0.7}
