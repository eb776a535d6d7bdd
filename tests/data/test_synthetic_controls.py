"""Two controls on synthetic cells: no subjects, no leak; labels dealt to subjects by chance, nothing but the leak."""

from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from leukoscope.config.params import Evaluate, Fetch, Split, Synthetic
from leukoscope.data.quality.duplicates import assign_groups, find_duplicates
from leukoscope.data.quality.manifest import build_manifest
from leukoscope.data.sources.fetch import fetch
from leukoscope.data.splits import make_splits
from leukoscope.evaluation.comparison import leakage_gap
from leukoscope.imaging.reading import read_rgb

pytestmark = pytest.mark.slow


def drawn(folder: Path, strength: float) -> tuple[pd.DataFrame, np.ndarray]:
    """The manifest of a synthetic set, with groups, and each image's size, colour and texture."""
    synthetic = Synthetic(subject_strength=strength, final_images=0, prelim_subjects=2, prelim_images_per_subject=1)
    raw = folder / "raw"
    fetch(Fetch(synthetic=synthetic), raw)
    images, _ = build_manifest(raw)
    images = assign_groups(images, find_duplicates(images, lambda file: read_rgb(raw / "images" / file)))
    images = images[images["set"] == "train"].reset_index(drop=True)
    return images, np.stack([_measures(read_rgb(raw / "images" / file)) for file in images["file"]])


def _measures(picture: np.ndarray) -> np.ndarray:
    inside = cv2.erode((picture.max(axis=-1) > 16).astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    grey = picture.mean(axis=-1).astype(np.float32)
    blurred = [cv2.GaussianBlur(grey, (0, 0), sigma) for sigma in (1, 2, 4, 8, 16)]
    scales = [np.log((finer - coarser)[inside].std() + 0.1) for finer, coarser in pairwise(blurred)]
    means = np.log(picture[inside].mean(axis=0))
    spreads = np.log(picture[inside].std(axis=0))
    return np.array([np.log(inside.sum()), *means, *spreads, *scales])


def gap(images: pd.DataFrame, measures: np.ndarray) -> dict[str, float]:
    """The leakage gap of a support-vector machine on the measures, under the product's own splits."""
    splits = make_splits(images, Split(), ("subject", "image"))
    row_of = pd.Series(np.arange(len(images)), index=images["image_id"])
    known = images.set_index("image_id")[["subject", "group", "label"]]
    predictions = {}
    for protocol in ("subject", "image"):
        tables = []
        for _, fold in splits[splits["protocol"] == protocol].groupby("fold"):
            table = fold.join(known, on="image_id").astype({"label": int})
            train, test = table[table["side"].isin(["train", "val"])], table[table["side"] == "test"]
            model = make_pipeline(StandardScaler(), SVC(C=3))
            model.fit(measures[row_of[train["image_id"]]], train["label"])
            margin = model.decision_function(measures[row_of[test["image_id"]]])
            tables.append(test.assign(p_all=1 / (1 + np.exp(-margin))))
        predictions[protocol] = pd.concat(tables)
    return leakage_gap(predictions["image"], predictions["subject"], Evaluate())


def test_without_differences_between_subjects_there_is_no_gap(tmp_path: Path) -> None:
    found = gap(*drawn(tmp_path, strength=0))
    assert found["gap_low"] <= 0 <= found["gap_high"]
    assert found["auroc_honest"] > 0.8


def test_with_labels_dealt_to_subjects_by_chance_only_the_leak_is_left(tmp_path: Path) -> None:
    images, measures = drawn(tmp_path, strength=1)
    groups = images.groupby("group")["label"].first()
    honest, leaky = [], []
    for deal in range(4):
        dealt = pd.Series(np.random.default_rng(deal).permutation(groups), index=groups.index)
        found = gap(images.assign(label=images["group"].map(dealt).astype("Int8")), measures)
        honest.append(found["auroc_honest"])
        leaky.append(found["auroc_leaky"])
    assert 0.35 < np.mean(honest) < 0.65
    assert np.mean(leaky) > np.mean(honest) + 0.15
