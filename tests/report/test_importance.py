"""What the page says of the parts of a row's features."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from leukoscope.artifacts.metrics import Estimate
from leukoscope.config.params import Params
from leukoscope.core.errors import DataError
from leukoscope.core.files import write_json
from leukoscope.features.cell_statistics import MEASURES
from leukoscope.features.pooling import COLOURS, NO_BACKBONE, STATISTICS, Part
from leukoscope.report.evidence import read_evidence
from leukoscope.report.forest import Axis, axis_of
from leukoscope.report.importance import CELLS, DIMENSIONS, WORDS, Carried, carried
from leukoscope.report.page import write_report


@pytest.fixture(scope="module")
def row(ran: tuple[Path, Params]) -> Carried:
    (found,) = carried(read_evidence(ran[1], ran[0]))
    return found


def test_the_part_that_costs_most_is_named_with_its_fall(row: Carried, reported: Path) -> None:
    assert (row.result.row, row.dimensions) == ("modified_mobilenet", ["tap"])
    assert (row.most.named, row.unshown) == ("layer late", ["layer early"])
    page = (reported / "index.html").read_text()
    assert f"with another subject's instead, AUROC falls by <b>{row.most.fall.value:.3f}</b>" in page.replace(
        "&#39;", "'"
    )
    assert "Of the layer early no fall is shown: the interval includes 0." in page
    assert f"falls in {row.losing} of {len(row.groups)} groups" in page
    assert row.hardest_hit["fall"] == row.groups["fall"].max() > 0


def test_the_cells_that_are_shown_are_those_that_move_most_one_of_each_subject(row: Carried) -> None:
    test = row.result.test_predictions().merge(row.result.importance("images.parquet").query("part == 'late'"))
    test["by"] = (test["p_all"] - test["p_exchanged"]).abs()
    for label, name in ((1, "ALL"), (0, "hem")):
        most = test[test["label"] == label].groupby("subject")["by"].max().nlargest(CELLS)
        shown = [cell for cell in row.moved if cell.name == name]
        assert [cell.subject for cell in shown] == most.index.tolist()
        assert [abs(cell.after - cell.before) for cell in shown] == pytest.approx(most.tolist())
        assert all(cell.uri.startswith("data:image/jpeg;base64,") for cell in shown)


def test_the_best_row_comes_first_and_ensembles_are_left_out(ran: tuple[Path, Params], tmp_path: Path) -> None:
    root = Path(shutil.copytree(ran[0], tmp_path / "checkout"))
    best = root / "results/proposed_efficientnetb3-subject/importance"  # registered.json's winner
    shutil.rmtree(best)
    shutil.copytree(root / "results/modified_mobilenet-subject/importance", best)
    rows = [of.result.row for of in carried(read_evidence(ran[1], root))]
    assert rows == ["proposed_efficientnetb3", "modified_mobilenet"]
    (best / "parts.csv").unlink()
    with pytest.raises(DataError, match=r"importance/parts\.csv is missing: run dvc repro"):
        carried(read_evidence(ran[1], root))


def test_a_page_without_parts_has_no_such_section(ran: tuple[Path, Params], tmp_path: Path) -> None:
    root = Path(shutil.copytree(ran[0], tmp_path / "checkout"))
    nothing = root / "results/proposed_efficientnetb3-subject/importance"
    shutil.rmtree(root / "results/modified_mobilenet-subject/importance")
    shutil.copytree(nothing, root / "results/modified_mobilenet-subject/importance")
    write_report(ran[1], root)
    page = (root / "reports/index.html").read_text()
    assert "What carries the decision" not in page
    assert "#importance" not in page


def test_where_nothing_is_shown_to_carry_the_page_says_so(ran: tuple[Path, Params], tmp_path: Path) -> None:
    root = Path(shutil.copytree(ran[0], tmp_path / "checkout"))
    path = root / "results/modified_mobilenet-subject/importance/parts.csv"
    parts = pd.read_csv(path)
    parts[["fall_low", "fall_high"]] = None
    parts.assign(interval_reason="2 groups of hem: too few to resample").to_csv(path, index=False)
    registered = json.loads((root / "reports/registered.json").read_text())
    write_json(root / "reports/registered.json", {**registered, "winner": None})
    write_report(ran[1], root)
    page = (root / "reports/index.html").read_text()
    assert "No part is shown to carry the decision: the largest fall, of the layer late, is" in page
    assert "no interval: 2 groups of hem: too few to resample" in page


def test_every_part_that_features_can_have_has_words() -> None:
    statistics = {name for names in STATISTICS.values() for name in names}
    pictures = {name for names in COLOURS.values() for name in names}
    assert set(WORDS) == statistics | pictures | set(MEASURES) | {NO_BACKBONE}
    assert set(DIMENSIONS) == set(Part._fields) - {"columns"}


def test_an_axis_holds_what_is_drawn_on_it() -> None:
    axis = axis_of(
        [Estimate(0.262, 0.179, 0.35, None), Estimate(0.01, -0.012, 0.02, None), Estimate(0, None, None, "few")]
    )
    assert axis.ticks() == [-0.1, 0, 0.1, 0.2, 0.3, 0.4]
    assert [axis.place(value) for value in (-0.1, -0.2, 0.15, 0.4)] == [0, 0, 50, 100]
    assert axis_of([Estimate(0.003, 0.001, 0.004, None)]).ticks() == [0, 0.01]
    assert Axis(0.5, 1.0, 0.1).ticks() == [0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
