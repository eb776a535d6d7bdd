import json

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as reference

from leukoscope.artifacts.metrics import Metrics
from leukoscope.config.params import Evaluate
from leukoscope.core.errors import DataError
from leukoscope.evaluation.baseline import over_area
from leukoscope.evaluation.results import ROC_POINTS, confusion_table, roc_table, subject_table, summarise, write_tables
from leukoscope.stats.calibration import slope_and_intercept
from leukoscope.stats.metrics import METRICS, plain
from tests.evaluation.conftest import decided, images_of


@pytest.fixture(scope="module")
def summary(predictions, folds, images, settings):
    return summarise(predictions, folds, images, settings).content


def of_side(predictions, side):
    return predictions[predictions["side"] == side]


@pytest.mark.parametrize("side", ["test", "val", "train"])
def test_a_sides_figures_are_those_of_its_pooled_rows(summary, predictions, side):
    rows = of_side(predictions, side)
    found, called = summary[side], rows["p_all"] > 0.5
    assert found["accuracy"] == pytest.approx(reference.accuracy_score(rows["label"], called))
    assert found["f1"] == pytest.approx(reference.f1_score(rows["label"], called))
    assert found["auroc"] == pytest.approx(reference.roc_auc_score(rows["label"], rows["p_all"]))
    assert found["auroc_low"] < found["auroc"] < found["auroc_high"]
    tn, fp, fn, tp = reference.confusion_matrix(rows["label"], called).ravel()
    assert found["confusion"] == {"tp": tp, "tn": tn, "fp": fp, "fn": fn}
    assert found["n"] == rows["image_id"].nunique()
    assert found["n_predictions"] == len(rows)


def test_each_fold_is_called_at_its_own_threshold(summary, predictions, folds):
    rows = of_side(predictions, "test")
    called = rows["p_all"] > np.array([folds[str(fold)].threshold for fold in rows["fold"]])
    at_threshold = summary["test"]["at_threshold"]
    assert at_threshold["sensitivity"] == pytest.approx(reference.recall_score(rows["label"], called))
    assert at_threshold["specificity"] == pytest.approx(reference.recall_score(rows["label"], called, pos_label=0))
    assert at_threshold["specificity_low"] < at_threshold["specificity"] < at_threshold["specificity_high"]
    assert at_threshold["specificity"] != summary["test"]["specificity"]


def test_the_train_side_counts_each_image_once_however_many_folds_train_on_it(make_predictions, settings):
    made = make_predictions(folds=5)
    found = summarise(made, decided(*[0.5] * 5), images_of(made), settings).content
    assert found["train"]["n"] == found["test"]["n"] == made["image_id"].nunique()
    assert found["train"]["n_predictions"] == 3 * found["train"]["n"]
    assert found["train"]["n_groups_effective"] == found["test"]["n_groups_effective"]


def test_each_class_has_its_groups_and_its_spread_over_subjects(summary, predictions):
    rows = of_side(predictions, "test")
    hem = rows[rows["label"] == 0]
    accuracy = (hem["p_all"] <= 0.5).groupby(hem["subject"]).mean()
    found = summary["test"]["classes"]["hem"]
    assert found["subject_accuracy_min"] == pytest.approx(accuracy.min())
    assert found["subject_accuracy_mean"] == pytest.approx(accuracy.mean())
    assert (found["n"], found["n_subjects"], found["n_groups"]) == (len(hem), 6, 6)
    assert 1 < found["n_groups_effective"] < 6
    assert summary["test"]["n_subjects"] == summary["test"]["n_groups"] == 14
    assert summary["test"]["indicative"]


def test_every_figure_of_a_side_lies_in_its_interval(summary):
    names = [name.removesuffix("_low") for name in summary["test"] if name.endswith("_low")]
    assert {*METRICS, "auroc_fold_mean", "auroc_by_group", "brier_skill"} == set(names)
    for of in (summary["test"], summary["test"]["at_threshold"], *summary["test"]["calibration"].values()):
        for name in (key.removesuffix("_low") for key in of if key.endswith("_low")):
            assert of[f"{name}_low"] < of[name] < of[f"{name}_high"], name


@pytest.mark.parametrize("side", ["test", "val", "train"])
def test_areas_are_pooled_by_fold_and_by_group(summary, predictions, side):
    rows = of_side(predictions, side)
    by_fold = [reference.roc_auc_score(fold["label"], fold["p_all"]) for _, fold in rows.groupby("fold")]
    assert summary[side]["auroc_fold_mean"] == pytest.approx(np.mean(by_fold))
    size = rows.groupby(["label", "group"])["p_all"].transform("size")
    by_group = reference.roc_auc_score(rows["label"], rows["p_all"], sample_weight=1 / size)
    assert summary[side]["auroc_by_group"] == pytest.approx(by_group)
    assert summary[side]["auprc"] == pytest.approx(reference.average_precision_score(rows["label"], rows["p_all"]))


def test_the_sensitivity_at_a_specificity_is_read_off_the_sides_own_curve(summary, predictions):
    rows = of_side(predictions, "test")
    fpr, tpr, _ = reference.roc_curve(rows["label"], rows["p_all"], drop_intermediate=False)
    found = summary["test"]["sensitivity_at_specificity"]
    assert list(found) == ["0.90", "0.95"]
    for specificity, of in found.items():
        assert of["value"] == pytest.approx(tpr[1 - fpr >= float(specificity)].max())
        assert of["low"] < of["value"] < of["high"]
    assert found["0.90"]["value"] > found["0.95"]["value"]


def test_all_of_table_iv_is_there_at_the_chosen_threshold(summary, predictions, folds):
    rows = of_side(predictions, "test")
    called = rows["p_all"] > np.array([folds[str(fold)].threshold for fold in rows["fold"]])
    found = summary["test"]["at_threshold"]
    assert found["accuracy"] == pytest.approx(reference.accuracy_score(rows["label"], called))
    assert found["precision"] == pytest.approx(reference.precision_score(rows["label"], called))
    assert found["recall"] == found["sensitivity"]
    assert found["f1"] == pytest.approx(reference.f1_score(rows["label"], called))
    assert found["weighted_f1"] == pytest.approx(reference.f1_score(rows["label"], called, average="weighted"))


def test_the_brier_score_is_held_against_the_prevalence_of_each_folds_train_side(summary, predictions):
    share = of_side(predictions, "train").groupby("fold")["label"].mean()
    rows = of_side(predictions, "test")
    forecast = rows["fold"].map(share)
    test = summary["test"]
    assert test["brier_prevalence"] == pytest.approx(np.mean((forecast - rows["label"]) ** 2))
    assert test["brier_skill"] == pytest.approx(1 - test["brier"] / test["brier_prevalence"])
    known = predictions.assign(p_all=predictions["fold"].map(share))
    told = summarise(known, decided(0.5, 0.5, 0.5), images_of(known), Evaluate(bootstrap=100)).test.content
    assert (told["brier_skill"], told["brier_skill_low"], told["brier_skill_high"]) == pytest.approx((0, 0, 0))


def test_calibration_is_measured_before_and_after_each_folds_own_scaling(summary, predictions, folds):
    rows = of_side(predictions, "test")
    logit = np.log(rows["p_all"] / (1 - rows["p_all"]))
    slope, intercept = (
        np.array([getattr(folds[str(fold)].calibration, name) for fold in rows["fold"]])
        for name in ("slope", "intercept")
    )
    scaled = 1 / (1 + np.exp(-(slope * logit.to_numpy() + intercept)))
    found = summary["test"]["calibration"]
    assert found["raw"]["brier"] == summary["test"]["brier"]
    assert found["raw"]["ece"] == summary["test"]["ece"]
    assert found["scaled"]["brier"] == pytest.approx(reference.brier_score_loss(rows["label"], scaled))
    y = rows["label"].to_numpy()
    for name, p in (("raw", rows["p_all"].to_numpy()), ("scaled", scaled)):
        assert (found[name]["slope"], found[name]["intercept"]) == pytest.approx(slope_and_intercept(y, p))


def test_classes_apart_have_no_slope_and_say_so(predictions, folds, images, settings):
    apart = predictions.assign(p_all=(predictions["p_all"] + predictions["label"]) / 2)
    found = summarise(apart, folds, images, settings).test.content["calibration"]["raw"]
    assert (found["slope"], found["slope_low"]) == (None, None)
    assert found["undefined"] == {"slope": "the classes do not overlap"}


def test_area_is_compared_on_the_test_side_alone(summary, predictions, images, settings):
    assert summary["test"]["over_area"] == plain(over_area(predictions, images, settings))
    assert "over_area" not in summary["val"] | summary["train"]


@pytest.mark.parametrize(("groups", "indicative"), [(9, True), (10, False)])
def test_fewer_than_ten_groups_of_a_class_are_indicative(settings, groups, indicative):
    rows = [
        {"image_id": f"{label}{group}", "subject": f"{label}{group}", "group": f"{label}{group}", "label": label}
        for label, count in ((1, 15), (0, groups))
        for group in range(count)
    ]
    table = pd.DataFrame(rows).merge(pd.DataFrame({"side": ["test", "val", "train"], "fold": 0}), how="cross")
    table["p_all"] = np.random.default_rng(0).random(len(table))
    found = summarise(table, decided(0.5), images_of(table), settings).test.content
    assert found["classes"]["hem"]["n_groups_effective"] == groups
    assert found["indicative"] == indicative


def test_the_area_within_folds_counts_each_pair_of_a_fold_once(summary, predictions):
    won, pairs = 0, 0
    for _, rows in of_side(predictions, "test").groupby("fold"):
        above = np.subtract.outer(*(rows.loc[rows["label"] == label, "p_all"].to_numpy() for label in (1, 0)))
        won, pairs = won + np.sum(above > 0), pairs + above.size
    assert summary["test"]["auroc_within_folds"] == pytest.approx(won / pairs)


def test_the_area_within_folds_ignores_how_folds_scale_p(predictions, folds, images, settings):
    shifted = predictions.assign(p_all=(predictions["p_all"] + predictions["fold"]) / 3)
    plain, found = (summarise(table, folds, images, settings).test.content for table in (predictions, shifted))
    assert found["auroc_within_folds"] == pytest.approx(plain["auroc_within_folds"])
    assert found["auroc"] < plain["auroc"] - 0.05


def test_the_order_of_rows_changes_no_digit(summary, predictions, folds, images, settings):
    shuffled = predictions.sample(frac=1, random_state=0)
    assert summarise(shuffled, folds, images, settings).content == summary


def test_metrics_json_holds_plain_values(summary, tmp_path):
    Metrics(summary).write(tmp_path)
    assert json.loads((tmp_path / "metrics.json").read_text()) == summary


def test_values_that_cannot_be_had_are_null_and_say_why(make_predictions, settings):
    made = make_predictions(subjects_hem=2)
    made["p_all"] /= 2.5
    content = summarise(made, decided(*[0.2] * 3), images_of(made), settings).content
    found = json.loads(json.dumps(content, allow_nan=False))["test"]
    assert found["precision"] is None
    assert found["undefined"] == {"precision": "no image was called ALL"}
    assert found["auroc"] is not None
    assert (found["auroc_low"], found["auroc_high"]) == (None, None)
    assert (found["at_threshold"]["sensitivity_low"], found["at_threshold"]["specificity_high"]) == (None, None)
    assert found["interval_reason"] == "2 groups of hem: too few to resample"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="group"), "lack the columns group"),
        (lambda t: t.assign(label=t["label"].replace(0, -1)), "a label other than 0 and 1"),
        (lambda t: t.assign(p_all=t["p_all"].where(t.index != 3)), "1 rows with a p_all outside"),
        (lambda t: t.assign(p_all=t["p_all"] + 1), "a p_all outside"),
        (lambda t: t.assign(group=t["group"].where(t.index != 3)), "no group or subject"),
        (lambda t: t.assign(side="unused"), "a side other than"),
        (lambda t: pd.concat([t, t.head(1)]), "a second copy on the same side"),
        (lambda t: t[t["side"] != "val"], "no rows of side val"),
    ],
)
def test_predictions_that_make_no_sense_are_refused(predictions, folds, images, settings, change, message):
    with pytest.raises(DataError, match=message):
        summarise(change(predictions), folds, images, settings)


def test_a_fold_that_decided_nothing_is_refused(predictions, images, settings):
    with pytest.raises(DataError, match="nothing was decided for fold 2"):
        summarise(predictions, decided(0.5, 0.5), images, settings)


def test_the_subject_table_begins_with_the_worst(predictions):
    table = subject_table(predictions)
    assert list(table.columns) == ["class", "subject", "group", "n", "accuracy", "mean_p"]
    assert table.groupby("class")["accuracy"].apply(lambda column: column.is_monotonic_increasing).all()
    assert table["n"].sum() == len(of_side(predictions, "test"))


def test_the_thinned_roc_curve_keeps_the_area(make_predictions):
    made = make_predictions(subjects_all=20, subjects_hem=15, images=100)
    curve, rows = roc_table(made), of_side(made, "test")
    assert len(curve) <= ROC_POINTS < len(reference.roc_curve(rows["label"], rows["p_all"])[0])
    assert curve.iloc[0].tolist() == [0, 0, 1]
    assert curve.iloc[-1, :2].tolist() == [1, 1]
    assert curve["fpr"].is_monotonic_increasing
    area = reference.roc_auc_score(rows["label"], rows["p_all"])
    assert reference.auc(curve["fpr"], curve["tpr"]) == pytest.approx(area, abs=2e-3)
    point = curve.iloc[len(curve) // 2]
    assert point["tpr"] == pytest.approx((rows.loc[rows["label"] == 1, "p_all"] >= point["threshold"]).mean())


def test_a_roc_curve_of_one_class_is_refused(predictions):
    with pytest.raises(DataError, match="one class only"):
        roc_table(predictions[predictions["label"] == 1])


def test_the_confusion_table_has_the_names_of_the_classes(predictions):
    table, rows = confusion_table(predictions), of_side(predictions, "test")
    assert list(table.columns) == ["actual", "predicted"]
    assert (table["actual"] == "ALL").sum() == rows["label"].sum()
    assert (table["predicted"] == "ALL").sum() == (rows["p_all"] > 0.5).sum()
    assert set(table["predicted"]) == {"ALL", "hem"}


def test_the_tables_are_the_same_bytes_every_time(predictions, tmp_path):
    for name in ("first", "second"):
        write_tables(predictions.sample(frac=1, random_state=len(name)), tmp_path / name)
    written = {path.name: path.read_bytes() for path in (tmp_path / "first").iterdir()}
    assert sorted(written) == ["confusion.csv", "roc.csv", "subjects.csv"]
    assert written == {path.name: path.read_bytes() for path in (tmp_path / "second").iterdir()}
    assert len(pd.read_csv(tmp_path / "first" / "subjects.csv", dtype={"subject": str})) == 14
