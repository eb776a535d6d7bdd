"""The main table as a CSV and as Markdown."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

from leukoscope.config.params import Params
from leukoscope.core.errors import DataError
from leukoscope.report.markdown import BEGIN, END, markdown_table, put_into
from leukoscope.report.paper_tables import TABLE_V


@pytest.fixture(scope="module")
def records(reported: Path) -> dict[str, dict[str, str]]:
    with (reported / "table_v.csv").open(newline="") as file:
        return {record["row"]: record for record in csv.DictReader(file)}


def test_the_csv_has_every_row_of_table_v_with_its_printed_accuracy_and_both_baselines(
    records: dict[str, dict[str, str]],
) -> None:
    for printed in TABLE_V:
        assert float(records[printed.row]["reported_accuracy"]) == pytest.approx(printed.accuracy / 100)
    assert {"always_the_more_common_class", "cell_area_alone"} < set(records)
    assert not records["vgg16"]["mode"]  # not run


def test_the_csv_says_what_metrics_json_and_decision_json_say(
    records: dict[str, dict[str, str]], ran: tuple[Path, Params]
) -> None:
    record = records["modified_mobilenet"]
    metrics = json.loads((ran[0] / "results/modified_mobilenet-subject/metrics.json").read_text())
    decision = json.loads((ran[0] / "models/modified_mobilenet-subject/decision.json").read_text())
    wanted = {
        **{f"honest_accuracy{end}": metrics["test"][f"accuracy{end}"] for end in ("", "_low", "_high")},
        **{f"honest_auroc{end}": metrics["test"][f"auroc{end}"] for end in ("", "_low", "_high")},
        **{f"over_area{end}": metrics["test"]["over_area"][f"gap{end}"] for end in ("", "_low", "_high")},
        "honest_train_accuracy": metrics["train"]["accuracy"],
        "parameters": decision["parameters"]["total"],
        "trainable_parameters": decision["parameters"]["trainable"],
    }
    assert {name: float(record[name]) for name in wanted} == pytest.approx(wanted, rel=1e-5)
    assert record["paper_accuracy"] == ""  # the protocol was not run
    assert (record["mode"], record["weights"], record["honest_protocol"]) == ("frozen", "untrained", "subject")


def test_the_epochs_to_the_best_are_the_median_over_folds(
    records: dict[str, dict[str, str]], ran: tuple[Path, Params]
) -> None:
    with (ran[0] / "results/modified_mobilenet-subject/history.csv").open(newline="") as file:
        history = [{name: float(value) for name, value in epoch.items()} for epoch in csv.DictReader(file)]
    best = [
        min((epoch for epoch in history if epoch["fold"] == fold), key=lambda epoch: epoch["val_loss"])["epoch"]
        for fold in (0, 1, 2)
    ]
    assert float(records["modified_mobilenet"]["epochs_to_best"]) == sorted(best)[1]


def test_the_markdown_says_first_what_its_numbers_are_not_and_leaves_out_what_was_not_run(
    reported: Path, records: dict[str, dict[str, str]]
) -> None:
    text = markdown_table(reported / "table_v.csv")
    assert text.startswith("> **SYNTHETIC CELLS.**")
    assert "UNTRAINED WEIGHTS" in text
    assert "| Modified MobileNet | 95.87 % |" in text
    assert "leakage gap (planted)" in text
    assert "VGG" not in text
    assert "`paper`" not in text
    for name, record in records.items():
        line = next((line for line in text.splitlines() if line.startswith(f"| {record['name']} |")), "")
        not_above = record["over_area"] != "" and float(record["over_area_low"]) <= 0
        assert ("(not above cell area)" in line) == not_above, name
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len(table) == 2 + 2 + 2
    assert len({line.count("|") for line in table}) == 1


def test_the_table_goes_between_the_markers_and_nothing_else_changes(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    put_into("| new |\n", readme)
    assert readme.read_text() == f"before\n{BEGIN}\n| new |\n{END}\nafter\n"
    put_into("| new |\n", readme)
    assert readme.read_text().count("| new |") == 1


def test_a_file_without_markers_is_refused_and_left_alone(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("no place\n")
    with pytest.raises(DataError, match="has no place for it: put the lines"):
        put_into("| new |\n", readme)
    assert readme.read_text() == "no place\n"


def test_the_command_prints_the_table(reported: Path) -> None:
    command = [sys.executable, "-m", "leukoscope", "table", "--csv", str(reported / "table_v.csv")]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert printed == markdown_table(reported / "table_v.csv")
    missing = subprocess.run([*command[:-1], "nowhere.csv"], check=False, capture_output=True, text=True)
    assert (missing.returncode, missing.stderr) == (2, "error: nowhere.csv is missing: run dvc repro\n")
