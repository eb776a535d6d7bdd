"""The model card: what it says of a registered version, and that the checked-in one is the demo's."""

from __future__ import annotations

import copy
import re
import subprocess
import sys
from pathlib import Path

import pytest

from leukoscope.artifacts.card import CardFacts
from leukoscope.config.rows import Protocol
from leukoscope.core.cautions import TESTED
from leukoscope.registry.card import BEGIN, END, PROTOCOLS, card_facts, model_card
from leukoscope.registry.ranking import rank
from tests.fixtures.trained_rows import tuned_by_study, write_ensemble, write_row

CHECKOUT = Path(__file__).resolve().parents[2]
RECORDED = CHECKOUT / "docs/demo_model_card.json"


@pytest.fixture(scope="module")
def facts() -> CardFacts:
    return CardFacts.read(RECORDED)


def test_the_checked_in_card_is_the_recorded_demos() -> None:
    """Mend it with: leukoscope card --facts docs/demo_model_card.json --into docs/model_card.md."""
    page = (CHECKOUT / "docs/model_card.md").read_text(encoding="utf-8")
    assert page.split(BEGIN)[1].split(END)[0].removeprefix("\n") == model_card(CardFacts.read(RECORDED))


def test_the_checked_in_card_says_that_it_is_of_synthetic_cells_and_untrained_weights() -> None:
    page = (CHECKOUT / "docs/model_card.md").read_text(encoding="utf-8")
    assert "SYNTHETIC CELLS" in page
    assert "UNTRAINED WEIGHTS" in page
    assert "Research use only" in page


def test_every_figure_has_an_interval_or_says_that_there_is_none(facts: CardFacts) -> None:
    card = model_card(facts)
    rows = re.findall(r"^\| (?!figure|class|ALL|hem|---|share right)(.+?) \| (.+?) \|$", card, re.MULTILINE)
    assert len(rows) >= 10
    assert all(re.search(r"\[.+, .+\]", value) for _, value in rows)
    no_interval = {"auroc_low": None, "auroc_high": None, "interval_reason": "2 groups of hem: too few"}
    without = facts.model_copy(update={"measured": {**facts.measured, **no_interval}})
    assert "| AUROC | 0.808 (no interval) |" in model_card(without)
    assert "There are no intervals: 2 groups of hem: too few." in model_card(without)


def test_real_data_are_cited_and_carry_no_label_of_synthetic_ones(facts: CardFacts) -> None:
    data = facts.data.model_copy(update={"kind": "real"})
    card = model_card(facts.model_copy(update={"data": data, "weights_kind": "imagenet"}))
    assert "10.7937/tcia.2019.dc64i46r, CC BY 3.0" in card
    assert "SYNTHETIC" not in card
    assert "UNTRAINED" not in card


def test_limits_are_those_of_the_figures(facts: CardFacts) -> None:
    measured = copy.deepcopy(facts.measured)
    measured["indicative"] = False
    measured["over_area"] |= {"gap_low": 0.05, "gap_high": 0.2}
    measured["calibration"]["raw"] |= {
        "slope_low": 0.9,
        "slope_high": 1.1,
        "intercept_low": -0.1,
        "intercept_high": 0.1,
    }
    good = facts.model_copy(update={"measured": measured})
    for sentence in ("every figure is indicative", "than the cell's area alone: that", "read it as a score"):
        assert sentence in model_card(facts)
        assert sentence not in model_card(good)


def of_candidate(root: Path, name: str, protocol: Protocol = "subject") -> str:
    (candidate,) = rank([name], protocol, root)
    return model_card(card_facts(candidate, "mean of 3 finetuned models", ["keras==3"]))


def test_tuned_values_and_ensembles_say_what_they_are(tmp_path: Path) -> None:
    write_row(tmp_path, "tuned", skill=2, tuned=tuned_by_study(3))
    write_row(tmp_path, "other", skill=2, seed=1)
    write_ensemble(tmp_path, "both", "tuned", "other")
    assert TESTED.upper() in of_candidate(tmp_path, "tuned")
    assert f"It was {TESTED}, so its figures are too good." in of_candidate(tmp_path, "tuned")
    assert "- Members: other, tuned" in of_candidate(tmp_path, "both")


def test_where_validation_ranks_no_difference_from_cell_area_is_claimed(tmp_path: Path) -> None:
    write_row(tmp_path, "a_row", skill=3, protocol="official")
    card = of_candidate(tmp_path, "a_row", "official")
    assert "| AUROC less" not in card
    assert "- Its AUROC less that of the cell's area alone has no interval" in card


def test_every_protocol_has_words() -> None:
    from leukoscope.config.params import HONEST_PROTOCOLS, LEAKY_PROTOCOLS

    assert set(PROTOCOLS) == {*HONEST_PROTOCOLS, *LEAKY_PROTOCOLS}


def test_the_command_writes_between_the_markers_and_names_a_file_without_them(tmp_path: Path) -> None:
    def card(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "leukoscope", "card", "--facts", str(RECORDED), *words]
        return subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)

    page = tmp_path / "card.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    assert card("--into", str(page)).returncode == 0
    assert page.read_text().startswith(f"before\n{BEGIN}\n# Model card: ")
    assert page.read_text().endswith(f"{END}\nafter\n")
    page.write_text("nothing\n")
    ran = card("--into", str(page))
    assert (ran.returncode, BEGIN in ran.stderr) == (2, True)
    (tmp_path / "facts.json").write_text("[")
    broken = subprocess.run(
        [sys.executable, "-m", "leukoscope", "card", "--facts", str(tmp_path / "facts.json")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (broken.returncode, broken.stderr.count("\n")) == (2, 1)
