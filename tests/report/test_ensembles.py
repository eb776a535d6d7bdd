"""An ensemble stands beside the rows wherever results are shown, without what only training leaves."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from leukoscope.config.params import Params
from leukoscope.report.page import write_report
from leukoscope.report.terminal import terminal_summary
from tests.report.conftest import join_rows, make_params

ROWS = ["modified_mobilenet", "proposed_efficientnetb3"]


@pytest.fixture(scope="module")
def reports(ran: tuple[Path, Params], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder reports/ of a checkout that has the mean of both rows besides."""
    root = Path(shutil.copytree(ran[0], tmp_path_factory.mktemp("joined") / "checkout"))
    params = make_params(model_defaults={"weights": "none"}, ensembles={"both": {"members": ROWS}})
    join_rows(root, params, "both")
    write_report(params, root)
    return root / "reports"


def test_an_ensemble_has_the_numbers_of_a_row(reports: Path) -> None:
    measured = json.loads((reports.parent / "results/both-subject/metrics.json").read_text())["test"]
    summary = json.loads((reports / "summary.json").read_text())
    assert set(summary) == {*ROWS, "both"}
    assert set(summary["both"]) == {"subject", "image", "leakage_gap"}
    assert summary["both"]["subject"]["auroc"] == measured["auroc"]
    row = pd.read_csv(reports / "table_v.csv").set_index("row").loc["both"]
    assert row["honest_auroc"] == pytest.approx(measured["auroc"])
    assert pd.isna(row["epochs_to_best"])
    assert pd.isna(row["seconds_per_epoch"])


def test_an_ensemble_is_shown_beside_the_rows(reports: Path) -> None:
    page = (reports / "index.html").read_text()
    assert "ensemble of modified_mobilenet, proposed_efficientnetb3" in page
    assert "both, unseen subjects: ROC curve" in page
    assert "both, unseen subjects: loss per epoch" not in page
    assert "uv run dvc repro ensemble@both-subject" in page
    assert "uv run dvc repro evaluate@modified_mobilenet-subject" in page
    text = terminal_summary(reports, None)
    assert "both" in text
    assert "Every backbone has random weights" in text


def test_curves_of_training_are_those_of_rows(reports: Path) -> None:
    assert set(pd.read_csv(reports / "plots/history.csv")["row"]) == set(ROWS)
    assert set(pd.read_csv(reports / "plots/roc.csv")["row"]) == {*ROWS, "both"}


def test_an_ensemble_leaves_no_curves(reports: Path) -> None:
    figures = {path.stem for path in (reports.parent / "results/both-subject/figures").iterdir()}
    assert figures == {"confusion", "roc", "subjects", "calibration"}
    assert not (reports.parent / "results/both-subject/history.csv").exists()
