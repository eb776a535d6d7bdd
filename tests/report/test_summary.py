"""What `dvc metrics`, `dvc plots` and the terminal show."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import yaml

from leukoscope.config.params import Params
from leukoscope.core.errors import DataError
from leukoscope.report.terminal import terminal_summary

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def numbers(reported: Path) -> dict:
    return json.loads((reported / "summary.json").read_text())


def test_a_row_and_protocol_have_at_most_six_numbers(numbers: dict) -> None:
    for row in numbers.values():
        assert set(row) == {"subject", "image", "leakage_gap"}
        for scalars in row.values():
            assert 1 <= len(scalars) <= 6
            assert all(isinstance(value, float) and -1 <= value <= 1 for value in scalars.values())


def test_the_summary_says_what_metrics_json_says(numbers: dict, ran: tuple[Path, Params]) -> None:
    test = json.loads((ran[0] / "results/modified_mobilenet-image/metrics.json").read_text())["test"]
    assert numbers["modified_mobilenet"]["image"] == {
        **{name: test[name] for name in ("auroc", "auroc_low", "auroc_high", "accuracy")},
        **{name: test["at_threshold"][name] for name in ("sensitivity", "specificity")},
    }


def test_the_tables_for_plots_hold_every_row_and_protocol(reported: Path, ran: tuple[Path, Params]) -> None:
    wanted = {(row, protocol) for row in ran[1].models for protocol in ran[1].protocols}
    for name in ("roc.csv", "history.csv", "auroc.csv"):
        table = pd.read_csv(reported / "plots" / name)
        assert set(zip(table["row"], table["protocol"], strict=True)) == wanted


def test_a_history_is_the_mean_over_the_folds_that_reached_the_epoch(reported: Path, ran: tuple[Path, Params]) -> None:
    plotted = pd.read_csv(reported / "plots/history.csv").set_index(["row", "protocol", "epoch"])
    of_folds = pd.read_csv(ran[0] / "results/modified_mobilenet-subject/history.csv")
    last = plotted.loc[("modified_mobilenet", "subject", of_folds["epoch"].max())]
    assert last["folds"] == 1
    assert last["val_loss"] == pytest.approx(of_folds.loc[of_folds["epoch"].idxmax(), "val_loss"])
    first = plotted.loc[("modified_mobilenet", "subject", 1)]
    assert first["folds"] == 3
    assert first["loss"] == pytest.approx(of_folds.loc[of_folds["epoch"] == 1, "loss"].mean())


def test_the_terminal_shows_warnings_numbers_with_intervals_and_the_champion(
    reported: Path, numbers: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "110")
    champion = SimpleNamespace(version="3", tags={"row": "proposed_efficientnetb3", "protocol": "subject"})
    text = terminal_summary(reported, champion)
    subject = numbers["proposed_efficientnetb3"]["subject"]
    assert "SYNTHETIC CELLS" in text
    assert "UNTRAINED WEIGHTS" in text
    assert f"{subject['auroc']:.3f} [{subject['auroc_low']:.3f}, {subject['auroc_high']:.3f}]" in text
    assert "version 3, proposed_efficientnetb3 under protocol subject" in text
    assert "reports/index.html" in text
    assert text.index("proposed_efficientnetb3") < text.index("modified_mobilenet")  # the better row first


def test_a_narrow_terminal_keeps_intervals_in_one_piece(
    reported: Path, numbers: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = terminal_summary(reported, None)
    assert max(map(len, text.splitlines())) <= 80
    for row in numbers.values():
        for protocol in ("subject", "image"):
            assert f"[{row[protocol]['auroc_low']:.3f}, {row[protocol]['auroc_high']:.3f}]" in text


def test_the_terminal_says_so_where_nothing_is_promoted(reported: Path) -> None:
    assert "Promoted: none" in terminal_summary(reported, None)


def test_the_terminal_names_the_command_where_nothing_ran(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="dvc repro"):
        terminal_summary(tmp_path / "reports", None)


def test_the_stage_writes_the_page_beside_the_outputs(ran: tuple[Path, Params], tmp_path: Path) -> None:
    root = Path(shutil.copytree(ran[0], tmp_path / "check out"))
    (root / "params.yaml").write_text(yaml.safe_dump(ran[1].model_dump(mode="json", by_alias=True)))
    script = CHECKOUT / "stages/report.py"
    subprocess.run([sys.executable, str(script)], cwd=root, check=True, capture_output=True)
    assert {"index.html", "summary.json", "plots"} <= {path.name for path in (root / "reports").iterdir()}
    shutil.rmtree(root / "results/modified_mobilenet-image")
    failed = subprocess.run([sys.executable, str(script)], cwd=root, capture_output=True, text=True)
    assert failed.returncode == 2
    assert failed.stderr.startswith("error: ")
    assert failed.stderr.count("\n") == 1


@pytest.mark.slow
def test_dvc_overlays_the_rows_in_one_plot(reported: Path, tmp_path: Path) -> None:
    dvc = [sys.executable, "-m", "dvc"]
    subprocess.run([*dvc, "init", "--no-scm", "-q"], cwd=tmp_path, check=True)
    shutil.copytree(CHECKOUT / ".dvc/plots", tmp_path / ".dvc/plots")
    shutil.copytree(reported, tmp_path / "reports")
    plots = yaml.safe_load((CHECKOUT / "dvc.yaml").read_text())["plots"]
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"plots": plots}))
    for plot in plots:
        (name,) = plot
        shown = subprocess.run(
            [*dvc, "plots", "show", name, "--show-vega"], cwd=tmp_path, check=True, capture_output=True, text=True
        )
        values = json.loads(shown.stdout)["data"]["values"]
        assert {value["row"] for value in values} == {"modified_mobilenet", "proposed_efficientnetb3"}, name
