import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from leukoscope.errors import DataError
from leukoscope.evaluation.baseline import baseline_area


def sized(predictions, larger=1.0):
    """An image table whose ALL cells are larger by `larger` deviations, and its splits."""
    images = predictions.drop_duplicates("image_id")[["image_id", "subject", "group", "label"]]
    noise = np.random.default_rng(0).normal(0, 1, len(images))
    images = images.assign(cell_area=15000 + 3000 * (noise + larger * images["label"]))
    unlabelled = pd.DataFrame({"image_id": ["final-1"], "cell_area": [1.0], "label": [pd.NA]})
    splits = predictions[["image_id", "fold", "side"]].assign(protocol="subject")
    return pd.concat([images, unlabelled]).astype({"label": "Int8"}), splits


def test_the_area_of_larger_cells_is_its_plain_auroc(predictions, settings):
    images, splits = sized(predictions)
    found = baseline_area(images, splits, settings)
    labelled = images[images["label"].notna()]
    assert found["auroc"] == pytest.approx(roc_auc_score(labelled["label"].astype(int), labelled["cell_area"]))
    assert found["auroc_low"] < found["auroc"] < found["auroc_high"]
    assert found["larger_is_all"] == {"0": True, "1": True, "2": True}
    assert found["n"] == len(labelled)


def test_the_orientation_is_fixed_on_the_training_side(predictions, settings):
    images, splits = sized(predictions, larger=-1)
    found = baseline_area(images, splits, settings)
    assert found["larger_is_all"] == {"0": False, "1": False, "2": False}
    assert found["auroc"] > 0.7

    tested = splits.loc[(splits["fold"] == 0) & (splits["side"] == "test"), "image_id"]
    turned = images.assign(cell_area=images["cell_area"].where(~images["image_id"].isin(tested), -images["cell_area"]))
    fold = splits[splits["fold"] == 0]
    assert baseline_area(turned, fold, settings)["auroc"] == pytest.approx(
        1 - baseline_area(images, fold, settings)["auroc"]
    )


def test_the_baseline_of_two_protocols_at_once_is_refused(predictions, settings):
    images, splits = sized(predictions)
    with pytest.raises(DataError, match="one protocol"):
        baseline_area(images, pd.concat([splits, splits.assign(protocol="image")]), settings)
    with pytest.raises(DataError, match="no labelled test images"):
        baseline_area(images, splits[splits["side"] != "test"], settings)
