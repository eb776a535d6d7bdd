"""model_card.json as a value: the recorded demo's is read and written byte for byte, and what is none is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from leukoscope.artifacts.card import CARD_FACTS, CardFacts
from leukoscope.core.errors import DataError

RECORDED = Path(__file__).parents[2] / "docs/demo_model_card.json"


def test_the_recorded_card_is_read_and_written_byte_for_byte(tmp_path: Path) -> None:
    facts = CardFacts.read(RECORDED)
    facts.write(tmp_path)
    assert (tmp_path / CARD_FACTS).read_bytes() == RECORDED.read_bytes()
    assert CardFacts.read(tmp_path / CARD_FACTS) == facts


def test_its_figures_are_those_of_the_side_that_ranks() -> None:
    facts, content = CardFacts.read(RECORDED), json.loads(RECORDED.read_text())
    auroc = facts.figures.estimate("auroc")
    assert (auroc.value, auroc.low, auroc.high) == tuple(
        content["measured"][name] for name in ("auroc", "auroc_low", "auroc_high")
    )
    assert facts.pooled.threshold == content["pooled"]["threshold"]


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda content: {**content, "price": 3}, "price"),
        (lambda content: {key: value for key, value in content.items() if key != "pooled"}, "pooled"),
        (lambda content: {**content, "pooled": {}}, "pooled.rule"),
        (lambda content: [], "valid dictionary"),
    ],
    ids=["a key", "no point", "an empty point", "a list"],
)
def test_a_file_that_is_no_card_is_refused_in_one_line(change: Any, where: str, tmp_path: Path) -> None:
    path = tmp_path / CARD_FACTS
    path.write_text(json.dumps(change(json.loads(RECORDED.read_text()))))
    refused(path, where)


def test_a_file_that_is_no_json_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / CARD_FACTS
    path.write_bytes(RECORDED.read_bytes()[:500])
    refused(path, "line")


def refused(path: Path, where: str) -> None:
    with pytest.raises(DataError, match=f"is not a version's {CARD_FACTS}: .*{where}") as raised:
        CardFacts.read(path)
    assert str(raised.value).startswith(str(path))
    assert "\n" not in str(raised.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError) as raised:
        CardFacts.read(tmp_path / CARD_FACTS)
    assert str(raised.value) == f"{tmp_path / CARD_FACTS} is not there"
