"""Values tuned on tested groups are marked wherever the row's numbers stand, and nowhere else."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest

from leukoscope.artifacts.decision import Decision
from leukoscope.config.params import Params
from leukoscope.core.cautions import cautions
from leukoscope.core.errors import DataError
from leukoscope.evaluation.result_folder import write_result
from leukoscope.report.markdown import markdown_table
from leukoscope.report.page import write_report
from leukoscope.report.terminal import terminal_summary
from tests.fixtures.trained_rows import tuned_by_study
from tests.report.conftest import join_rows, make_params

TUNED, OTHER = "modified_mobilenet", "proposed_efficientnetb3"
WORDS = "tuned on tested groups"


@pytest.fixture(scope="module")
def reports(ran: tuple[Path, Params], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder reports/ of a row whose study saw what `subject` tests, not what `image` does, and its mean."""
    root = Path(shutil.copytree(ran[0], tmp_path_factory.mktemp("tuned") / "checkout"))
    for protocol, tested in (("subject", 5), ("image", 0)):
        folder = root / f"models/{TUNED}-{protocol}"
        Decision.read(folder).model_copy(update={"tuned": tuned_by_study(tested)}).write(folder)
    params = make_params(model_defaults={"weights": "none"}, ensembles={"both": {"members": [TUNED, OTHER]}})
    join_rows(root, params, "both")
    write_report(params, root)
    return root / "reports"


def lines_of(text: str, row: str) -> list[str]:
    return [line for line in text.splitlines() if row in line]


def test_the_page_marks_each_number_of_the_row_under_that_protocol(reports: Path) -> None:
    html = (reports / "index.html").read_text()
    before_numbers = re.sub(r"<[^>]+>", "", html[: html.index("Table V, beside")])
    assert f"{WORDS.upper()} {TUNED} under subject; both under subject: " in before_numbers
    of_two = {"headline": 3, "comparisons": 1, "protocols": 1, "metrics": 5, "subjects": 1}  # the row and the mean
    for section, marks in of_two.items():
        content = html.split(f'<section id="{section}">')[1].split("</section>")[0]
        of_pairs = 4 if section == "comparisons" else 0  # both are in two of the three pairs
        assert content.count(f">{WORDS}</span>") == 2 * marks + of_pairs, section
    parts = html.split('<section id="importance">')[1].split("</section>")[0]
    assert parts.count(f">{WORDS}</span>") == 1  # of the row, whose features have parts
    assert f"{TUNED} ({WORDS}), unseen subjects: ROC curve" in html
    assert f"{TUNED}, split by image: leaky: ROC curve" in html
    other = html.split('<tr><th scope="row">Proposed EfficientNetB3')[1].split("</tr>")[0]
    assert WORDS not in other


def test_a_tuned_row_is_no_reproduction(reports: Path) -> None:
    with (reports / "table_v.csv").open(newline="") as file:
        records = {record["row"]: record for record in csv.DictReader(file)}
    assert records[TUNED]["not_a_reproduction"].endswith("tuned values")
    assert "tuned values" not in records[OTHER]["not_a_reproduction"]


def test_the_csv_and_the_markdown_mark_the_numbers(reports: Path) -> None:
    with (reports / "table_v.csv").open(newline="") as file:
        records = {record["row"]: record for record in csv.DictReader(file)}
    assert [records[TUNED][name] for name in ("honest_mark", "gap_mark")] == [WORDS, WORDS]
    assert [records[OTHER][name] for name in ("honest_mark", "gap_mark")] == ["", ""]
    text = markdown_table(reports / "table_v.csv")
    assert f"> **{WORDS.upper()}.** {TUNED} under subject; both under subject: " in text
    (tuned,), (other,) = lines_of(text, "| Modified MobileNet |"), lines_of(text, "| Proposed EfficientNetB3 |")
    assert tuned.count(f"({WORDS})") == 3  # accuracy, AUROC and gap
    assert WORDS not in other


def test_the_terminal_marks_the_numbers(reports: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = json.loads((reports / "summary.json").read_text())[TUNED]
    intervals = [(f"{of['auroc_low']:.3f}", f"{of['auroc_high']:.3f}") for of in (numbers["subject"], numbers["image"])]
    for width in (80, 110):
        monkeypatch.setenv("COLUMNS", str(width))
        text = terminal_summary(reports, None)
        assert f"{WORDS.upper()}: both under subject; {TUNED} under subject: " in " ".join(text.split())
        assert text.count("tested groups") == 4  # of both, under subject and in the gap
        for low, high in intervals:
            assert f"[{low}, {high}]" in text
    (reports.parent / f"models/{OTHER}-image/decision.json").rename(reports / "aside.json")
    with pytest.raises(DataError, match=rf"{OTHER}-image/decision\.json is missing: run dvc repro"):
        terminal_summary(reports, None)
    (reports / "aside.json").rename(reports.parent / f"models/{OTHER}-image/decision.json")


def test_comparisons_and_plots_carry_the_mark(reports: Path) -> None:
    pairs = json.loads((reports / "comparisons.json").read_text())
    both = {TUNED: WORDS, "both": WORDS}
    expected = {(TUNED, OTHER): {TUNED: WORDS}, (TUNED, "both"): both, (OTHER, "both"): {"both": WORDS}}
    assert {(pair["a"], pair["b"]): pair["marks"] for pair in pairs["subject"]} == expected
    assert not any("marks" in pair for pair in pairs["image"])
    for name in ("roc.csv", "history.csv", "auroc.csv"):
        plotted = pd.read_csv(reports / "plots" / name)
        rows = set(zip(plotted["row"], plotted["protocol"], strict=True))
        means = set() if name == "history.csv" else {(f"both ({WORDS})", "subject"), ("both", "image")}
        of_rows = {(f"{TUNED} ({WORDS})", "subject"), (TUNED, "image"), (OTHER, "subject"), (OTHER, "image")}
        assert rows == of_rows | means


def test_without_tuned_values_nothing_of_it_is_said(reported: Path) -> None:
    for name in ("index.html", "table_v.csv", "comparisons.json", "plots/auroc.csv"):
        assert not re.search(r"tuned|_mark\b|\"marks", (reported / name).read_text()), name


def test_metrics_json_and_figures_say_it(reports: Path, ran: tuple[Path, Params], tmp_path: Path) -> None:
    images = pd.read_parquet(ran[0] / "data/images.parquet")
    predictions = pd.read_parquet(ran[0] / f"results/{TUNED}-subject/predictions.parquet")
    written = {}
    for root in (ran[0], reports.parent):
        decision = Decision.read(root / f"models/{TUNED}-subject")
        folder = tmp_path / root.name
        written[root] = write_result(folder, decision, predictions, images, ran[1].evaluate).content
        assert json.loads((folder / "metrics.json").read_text()) == written[root]
    assert written[reports.parent] == {**written[ran[0]], "mark": WORDS}
    drawn = [(tmp_path / root.name / "figures/roc.png").read_bytes() for root in written]
    assert drawn[0] != drawn[1]


def test_a_study_of_other_data_raises_its_own_caution() -> None:
    (raised,) = cautions("real", {"one": "imagenet"}, {"one": {"subject": "tuned on other data or another split"}})
    assert raised.word == "TUNED ON OTHER DATA OR ANOTHER SPLIT"
    assert raised.sentence.startswith("one under subject: the study that chose these rows' values may have seen")
