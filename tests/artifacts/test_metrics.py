"""metrics.json as a value: its sides, its estimates with the reasons where there are none, and its numbers by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from leukoscope.artifacts.metrics import METRICS_FILE, Estimate, Metrics
from leukoscope.core.errors import DataError
from leukoscope.evaluation.results import summarise
from tests.evaluation.conftest import SETTINGS, clustered_predictions, decided, images_of
from tests.fixtures.trained_rows import metrics_of, write_row

FEW = "2 groups of hem: too few to resample"


@pytest.fixture(scope="module")
def metrics(tmp_path_factory: pytest.TempPathFactory) -> Metrics:
    root = tmp_path_factory.mktemp("checkout")
    return metrics_of(root, write_row(root, "row", skill=2))


@pytest.fixture(scope="module")
def without_intervals() -> Metrics:
    """Of two hem subjects, none of whose images, nor any other, is called ALL at p > 0.5."""
    predictions = clustered_predictions(subjects_hem=2)
    predictions["p_all"] /= 2.5
    return summarise(predictions, decided(*[0.2] * 3), images_of(predictions), SETTINGS)


def test_metrics_are_read_back_and_written_byte_for_byte(without_intervals: Metrics, tmp_path: Path) -> None:
    without_intervals.write(tmp_path)
    found = Metrics.read(tmp_path)
    assert found == without_intervals
    found.write(tmp_path / "again")
    assert (tmp_path / "again" / METRICS_FILE).read_bytes() == (tmp_path / METRICS_FILE).read_bytes()


def test_a_file_that_is_missing_or_no_json_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / METRICS_FILE
    with pytest.raises(DataError) as missing:
        Metrics.read(tmp_path)
    assert str(missing.value) == f"{path} is missing: run dvc repro"
    path.write_text('{"test": {"auroc": 0.8,')
    with pytest.raises(DataError, match="is not readable JSON") as raised:
        Metrics.read(tmp_path)
    assert str(raised.value).startswith(str(path))
    assert "\n" not in str(raised.value)


def test_an_estimate_has_its_interval_and_no_reason(metrics: Metrics) -> None:
    content = metrics.content["test"]
    auroc = metrics.test.estimate("auroc")
    assert auroc == Estimate(content["auroc"], content["auroc_low"], content["auroc_high"], None)
    assert auroc.low < auroc.value < auroc.high
    called = content["at_threshold"]
    assert metrics.test.at_threshold("sensitivity")[:3] == tuple(
        called[f"sensitivity{end}"] for end in ("", "_low", "_high")
    )
    assert metrics.test.calibration("scaled", "ece").value == content["calibration"]["scaled"]["ece"]
    assert metrics.test.sensitivity_at("0.90").value == content["sensitivity_at_specificity"]["0.90"]["value"]
    over = metrics.test.over_area
    assert over is not None
    assert over.value == content["over_area"]["gap"]
    assert metrics.side("val").over_area is None


def test_an_estimate_without_an_interval_says_why(without_intervals: Metrics) -> None:
    test = without_intervals.test
    assert test.interval_reason == FEW
    for estimate in (
        test.estimate("auroc"),
        test.at_threshold("sensitivity"),
        test.sensitivity_at("0.90"),
        test.calibration("raw", "ece"),
    ):
        assert estimate.value is not None
        assert estimate[1:] == (None, None, FEW)
    assert test.estimate("precision") == Estimate(None, None, None, "no image was called ALL")
    over = test.over_area
    assert over is not None
    assert over.reason == FEW


def test_an_interval_that_no_reason_takes_away_is_not_defined_in_every_resample() -> None:
    content = {"f1": 0.5, "f1_low": None, "f1_high": None, "interval_reason": None}
    assert Estimate.of(content, "f1").reason == "not defined in every resample"
    assert Estimate.of(content, "f1", "another side's").reason == "another side's"


def test_a_side_tells_its_classes_and_counts(metrics: Metrics) -> None:
    test, content = metrics.test, metrics.content["test"]
    assert (test.n, test.n_subjects, test.interval_level) == (144, 12, 0.95)
    assert {name: of.n for name, of in test.classes.items()} == {"ALL": 72, "hem": 72}
    assert test.classes["hem"].subject_accuracy_min == content["classes"]["hem"]["subject_accuracy_min"]
    assert sum(test.confusion.values()) == test.n
    assert test.indicative is True


def test_numbers_are_named_by_their_places_without_nulls_words_and_truth_values(
    metrics: Metrics, without_intervals: Metrics
) -> None:
    numbers = metrics.numbers()
    assert numbers["test/auroc"] == metrics.test.estimate("auroc").value
    assert numbers["train/at_threshold/confusion/tp"] == metrics.content["train"]["at_threshold"]["confusion"]["tp"]
    assert all(type(value) is float for value in numbers.values())
    assert "test/auroc_low" in numbers
    few = without_intervals.marked("tuned on tested groups").numbers()
    assert "test/auroc" in few
    left_out = {"test/auroc_low", "test/precision", "test/interval_reason", "test/indicative", "mark"}
    assert left_out & set(few) == set()


def test_a_mark_is_there_where_there_is_one(metrics: Metrics) -> None:
    assert metrics.mark == ""
    assert metrics.marked("") is metrics
    marked = metrics.marked("tuned on tested groups")
    assert marked.mark == "tuned on tested groups"
    assert marked.content == {**metrics.content, "mark": "tuned on tested groups"}
