import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from leukoscope.artifacts.predictions import side_of
from leukoscope.core.errors import DataError
from leukoscope.evaluation.baseline import baseline_area, over_area
from tests.evaluation.conftest import images_of


def sized(predictions, larger=1.0):
    """An image table with an unlabelled image besides, and its splits."""
    unlabelled = pd.DataFrame({"image_id": ["final-1"], "cell_area": [1.0], "label": [pd.NA]})
    splits = predictions[["image_id", "fold", "side"]].assign(protocol="subject")
    return pd.concat([images_of(predictions, larger), unlabelled]).astype({"label": "Int8"}), splits


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


def test_the_gap_over_area_is_paired_on_the_test_images(predictions, settings):
    images, splits = sized(predictions)
    found, area = over_area(predictions, images, settings), baseline_area(images, splits, settings)
    tested = side_of(predictions, "test")
    assert found["auroc_area"] == pytest.approx(area["auroc"])
    assert found["gap"] == pytest.approx(roc_auc_score(tested["label"], tested["p_all"]) - area["auroc"])
    assert found["gap_low"] < found["gap"] < found["gap_high"]
    apart = area["auroc_high"] - area["auroc_low"]
    assert found["gap_high"] - found["gap_low"] != pytest.approx(apart)


def test_a_row_that_says_the_area_itself_has_nothing_over_it(predictions, settings):
    images, _ = sized(predictions)
    area = predictions["image_id"].map(images.set_index("image_id")["cell_area"])
    ruler = predictions.assign(p_all=area.rank(pct=True))
    found = over_area(ruler, images, settings)
    assert (found["gap"], found["gap_low"], found["gap_high"]) == (0, 0, 0)


def test_an_area_that_is_missing_is_refused(predictions, settings):
    images, _ = sized(predictions)
    with pytest.raises(DataError, match="the images lack 1 that were predicted"):
        over_area(predictions, images.iloc[1:], settings)
