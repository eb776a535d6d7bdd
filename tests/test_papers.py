"""The paper trail: licence, citation and checklists say what the repository has."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
CHECKLIST = (ROOT / "docs/checklist.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def items(title: str) -> list[str]:
    section = CHECKLIST.split(f"\n## {title}\n")[1].split("\n## ")[0]
    return re.findall(r"^\| (\d+[a-g]?) \|", section, re.MULTILINE)


def test_every_item_of_tripod_ai_is_answered_once_and_in_order() -> None:
    parts = {
        3: "abc",
        5: "ab",
        6: "abc",
        8: "abc",
        9: "abc",
        12: "abcdefg",
        18: "abcdef",
        20: "abc",
        23: "ab",
        27: "abc",
    }
    assert items("TRIPOD+AI") == [f"{item}{part}" for item in range(1, 28) for part in parts.get(item, [""])]


def test_every_item_of_claim_is_answered_once_and_in_order() -> None:
    assert items("CLAIM") == [str(item) for item in range(1, 45)]


def test_the_licence_is_one_everywhere() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert PROJECT["license"] == citation["license"] == "Apache-2.0"
    assert "Apache License" in (ROOT / "LICENSE").read_text()[:200]
    assert citation["version"] == PROJECT["version"]
    data = next(one for one in citation["references"] if one["type"] == "data")
    assert (data["doi"], data["license"]) == ("10.7937/tcia.2019.dc64i46r", "CC-BY-3.0")


DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_of_a_document_leads_somewhere(document: Path) -> None:
    """Files that are linked are there, and have the heading that a link names."""
    for target in re.findall(r"\]\((?!https?://)([^)]+)\)", document.read_text(encoding="utf-8")):
        name, _, heading = target.partition("#")
        file = (document.parent / name) if name else document
        assert file.exists(), f"{document.name}: {target}"
        if heading:
            headings = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = {re.sub(r"[^\w -]", "", words.lower()).replace(" ", "-") for words in headings}
            assert heading in slugs, f"{document.name}: {target}"
