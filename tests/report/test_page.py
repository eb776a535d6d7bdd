"""What a reader of reports/index.html may rely on."""

from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from leukoscope.config.params import Params
from leukoscope.core.cautions import cautions
from leukoscope.core.errors import DataError
from leukoscope.core.files import write_json
from leukoscope.evaluation.comparison import leakage_gap
from leukoscope.report.page import write_report
from leukoscope.report.paper_tables import TABLE_V
from tests.report.conftest import build_checkout, make_images, make_params


class Page(HTMLParser):
    """The page's addresses, and the text of each cell of its tables."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.cells: list[str] = []
        self.in_cell = False
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "action")]
        if tag in ("td", "th"):
            self.cells.append("")
            self.in_cell = True

    def handle_endtag(self, tag: str) -> None:
        self.in_cell = self.in_cell and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.in_cell:
            self.cells[-1] += data


@pytest.fixture(scope="session")
def html(reported: Path) -> str:
    return (reported / "index.html").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def page(html: str) -> Page:
    return Page(html)


def test_the_page_says_what_the_version_flags_and_how_often_on_unseen_subjects(page: Page) -> None:
    said = " ".join(page.text.split())
    assert "Cells unlike those of training are flagged and not called. Its range: cells of 16,800 to 49,300" in said
    assert "it flags 1.6 % [0.4, 3.1] of the cells of 28 subjects that it was not taken from." in said


def copy_of(ran: tuple[Path, Params], target: Path) -> tuple[Path, Params]:
    return Path(shutil.copytree(ran[0], target / "checkout")), ran[1]


def test_the_page_warns_of_synthetic_cells_and_untrained_weights_before_any_number(page: Page) -> None:
    before_numbers = page.text[: page.text.index("Table V, beside")]
    assert "SYNTHETIC CELLS" in before_numbers
    assert "UNTRAINED WEIGHTS" in before_numbers
    assert "Research use only; not a diagnostic device." in before_numbers


def test_real_cells_and_trained_weights_raise_no_warning(ran: tuple[Path, Params], tmp_path: Path) -> None:
    root, params = copy_of(ran, tmp_path)
    write_json(root / "data/raw/source.json", {"name": "C-NMC-2019", "kind": "real"})
    for path in root.glob("models/*/decision.json"):
        write_json(path, {**json.loads(path.read_text()), "weights_kind": "imagenet"})
    write_report(params, root)
    page = Page((root / "reports/index.html").read_text())
    assert "C-NMC-2019" in page.text
    assert "SYNTHETIC CELLS" not in page.text
    assert "UNTRAINED WEIGHTS" not in page.text


def test_weights_that_may_not_be_imagenets_raise_a_warning_that_names_their_rows() -> None:
    assert cautions("real", {"one": "imagenet", "two": "imagenet"}, {}) == []
    (raised,) = cautions("real", {"one": "imagenet", "two": "file"}, {})
    assert (raised.word, raised.sentence.split(":")[0]) == (
        "WEIGHTS FROM A FILE",
        "The backbone of two starts from a file",
    )
    raised = cautions("real", {"one": "untrained", "both": "file, untrained"}, {})
    assert [caution.word for caution in raised] == ["UNTRAINED WEIGHTS", "WEIGHTS FROM A FILE"]
    assert raised[0].sentence.startswith("At least one backbone of one, both has random weights")
    assert raised[1].sentence.startswith("At least one backbone of both starts from a file")


def test_no_number_stands_without_its_interval(html: str) -> None:
    followed = re.findall(r"<b>[+−]?[\d.]+(?: %)?</b>\s*(<span class=\"interval\">\[)?", html)
    assert len(followed) > 20  # those drawn as lines too
    assert all(followed)


def test_a_number_without_an_interval_says_why(ran: tuple[Path, Params], tmp_path: Path) -> None:
    root, params = copy_of(ran, tmp_path)
    path = root / "results/modified_mobilenet-subject/metrics.json"
    metrics = json.loads(path.read_text())
    metrics["test"] |= {
        "auroc_low": None,
        "auroc_high": None,
        "interval_reason": "2 groups of hem",
    }
    write_json(path, metrics)
    write_report(params, root)
    assert "no interval: 2 groups of hem" in (root / "reports/index.html").read_text()
    numbers = json.loads((root / "reports/summary.json").read_text())["modified_mobilenet"]["subject"]
    assert "auroc" in numbers
    assert "auroc_low" not in numbers


def test_every_row_of_table_v_is_there_and_those_not_run_are_named(page: Page, ran: tuple[Path, Params]) -> None:
    for paper in TABLE_V:
        assert f"{paper.accuracy:.2f} %" in page.text
        assert (f"not in params.yaml (row {paper.row})" in page.text) == (paper.row not in ran[1].models)


def test_protocols_that_were_not_run_are_named(page: Page) -> None:
    assert re.search(r"Not measured: official, paper\.", page.text)


def test_frozen_rows_are_marked_wherever_they_stand_beside_the_study(page: Page, tmp_path: Path) -> None:
    assert "do not reproduce them" in page.text
    root = build_checkout(tmp_path / "paper", make_params(protocols=["paper"]), make_images())
    write_report(make_params(protocols=["paper"]), root)
    html = (root / "reports/index.html").read_text()
    for row in ("modified_mobilenet", "proposed_efficientnetb3"):
        name = row.replace("_", "_<wbr>")
        cells = re.search(rf"<code>{name}</code>(.*?)</tr>", html, re.S)[1].split("<td")
        assert "%" in cells[1]  # reported
        assert "not a reproduction" in cells[2]


@pytest.mark.parametrize("kept_of_all_layers", [False, True])
def test_a_finetuned_row_whose_head_alone_was_best_says_so(tmp_path: Path, kept_of_all_layers: bool) -> None:
    params = make_params(
        protocols=["paper"], models={"modified_mobilenet": {"backbone": "mobilenetv2", "mode": "finetune"}}
    )
    root = build_checkout(tmp_path / "finetuned", params, make_images())
    history = root / "results/modified_mobilenet-paper/history.csv"
    epochs = pd.read_csv(history)
    epochs["all_layers"] = (epochs["epoch"] > 3).astype(int)
    if not kept_of_all_layers:
        epochs.loc[epochs["all_layers"] == 1, "val_loss"] = 99.0
    epochs.to_csv(history, index=False)
    write_report(params, root)
    page = (root / "reports/index.html").read_text()
    assert ("<small>the head's alone</small>" not in page) == kept_of_all_layers
    table = pd.read_csv(root / "reports/table_v.csv").set_index("row")
    reasons = str(table.loc["modified_mobilenet", "not_a_reproduction"])
    assert ("no epoch of all layers kept" not in reasons) == kept_of_all_layers


def test_the_gap_is_the_evaluations(page: Page, ran: tuple[Path, Params]) -> None:
    root, params = ran
    sides = [
        pd.read_parquet(root / f"results/proposed_efficientnetb3-{name}/predictions.parquet")
        for name in ("image", "subject")
    ]
    gap = leakage_gap(*sides, params.evaluate)
    shown = f"{gap['gap']:+.3f} [{gap['gap_low']:+.3f}, {gap['gap_high']:+.3f}]".replace("-", "−")
    assert f"{shown}planted" in [" ".join(cell.split()) for cell in page.cells]


def test_a_leaky_protocol_shows_how_far_it_leaks_and_an_honest_one_that_it_does_not(
    page: Page, ran: tuple[Path, Params]
) -> None:
    cells = [" ".join(cell.split()) for cell in page.cells]
    subject = cells.index("subject", cells.index("of groups that also train or validate"))
    assert cells[subject + 3 : subject + 5] == ["0", "0"]
    image = cells.index("image leaky", subject)
    assert cells[image + 2] == cells[image + 3]  # all are of subjects that train
    images, splits = (pd.read_parquet(ran[0] / "data" / name) for name in ("images.parquet", "splits.parquet"))
    copy = images[images["duplicate_of"].notna()].iloc[0]
    tested = splits[(splits["protocol"] == "image") & (splits["side"] == "test")].set_index("image_id")["fold"]
    assert cells[image + 4] == ("0" if tested[copy["image_id"]] == tested[copy["duplicate_of"]] else "2")


def test_the_page_needs_nothing_but_itself(html: str, page: Page) -> None:
    assert page.addresses
    anchors = {f"#{name}" for name in re.findall(r'<section id="(\w+)">', html)}
    others = set(page.addresses) - anchors
    assert all(re.match(r"data:image/(png|jpeg);base64,", address) for address in others)
    assert not re.search(r"https?://|@import|url\((?!#)", html)


def test_the_same_inputs_give_the_same_bytes(ran: tuple[Path, Params], reported: Path, tmp_path: Path) -> None:
    root, params = copy_of(ran, tmp_path)
    write_report(params, root)
    for path in (reported / "index.html", reported / "summary.json", *sorted((reported / "plots").iterdir())):
        assert (root / "reports" / path.relative_to(reported)).read_bytes() == path.read_bytes(), path


def test_the_gates_and_the_ranking_are_told(page: Page) -> None:
    assert "proposed_efficientnetb3 under protocol subject was not promoted: the champion is better." in page.text
    assert "is 0.2100, not register.min_sensitivity 0.3 or more" in page.text


def test_subjects_that_share_a_cell_are_named(page: Page) -> None:
    assert "1 images are byte-identical copies" in page.text
    assert "Joined into one group: 1 + 2." in page.text


def test_results_beside_those_that_params_names_are_left_out(ran: tuple[Path, Params], tmp_path: Path) -> None:
    root, params = copy_of(ran, tmp_path)
    shutil.copytree(root / "results/modified_mobilenet-subject", root / "results/yesterday-subject")
    write_report(params, root)
    assert "yesterday" not in (root / "reports/index.html").read_text()


def test_a_row_without_a_result_is_refused_with_the_command_that_makes_it(
    ran: tuple[Path, Params], tmp_path: Path
) -> None:
    root, params = copy_of(ran, tmp_path)
    (root / "results/modified_mobilenet-image/metrics.json").unlink()
    with pytest.raises(DataError, match=r"modified_mobilenet-image/metrics\.json is missing: run dvc repro"):
        write_report(params, root)
    assert not (root / "reports/index.html").exists()


def test_results_of_different_images_are_not_put_into_one_table(ran: tuple[Path, Params], tmp_path: Path) -> None:
    root, params = copy_of(ran, tmp_path)
    path = root / "models/proposed_efficientnetb3-image/decision.json"
    decision = json.loads(path.read_text())
    write_json(path, {**decision, "data": {**decision["data"], "hash": "e" * 64}})
    with pytest.raises(DataError, match=r"proposed_efficientnetb3-image and .* are of different images"):
        write_report(params, root)
