"""The suites on tables: what fails is said with its severity and its files."""

from pathlib import Path

import pandas as pd
import pytest

from leukoscope.data.quality.expectations import Finding, Suite, check, cnmc_2019, content

SOUND = {
    "file": "a.png",
    "black": 0.84,
    "cells": 1,
    "cell_area": 32_000.0,
    "red": 69.0,
    "green": 30.0,
    "blue": 80.0,
    "size": "450x450",
    "expected_size": "450x450",
    "label": 1,
    "cell_label": None,
    "subject_labels": 1.0,
}
ODD = {
    "black": (0.02, "not mostly black"),
    "cells": (2, "not one cell on black"),
    "cell_area": (300.0, "a cell of unusual area"),
    "green": (200.0, "unusual mean green of the cell"),
    "size": ("300x200", "not 450x450 (600x600 in the final set)"),
    "cell_label": (0, "another photograph of this cell has the other label"),
    "subject_labels": (2.0, "of a subject with images of both classes"),
}


def findings(tmp_path: Path, *rows: dict) -> list[Finding]:
    table = pd.DataFrame(rows).astype({"label": "Int8", "cell_label": "Int8"})
    return check([Suite("content", content(), table, "file")], tmp_path / "docs")


def test_each_odd_value_is_a_warning_that_names_its_file(tmp_path: Path) -> None:
    odd = [SOUND | {"file": f"{column}.png", column: value} for column, (value, _) in ODD.items()]
    found = findings(tmp_path, SOUND, *odd)
    assert {(finding.severity, finding.says, finding.files) for finding in found} == {
        ("warning", says, (f"{column}.png",)) for column, (_, says) in ODD.items()
    }


def test_a_finding_is_one_line_with_its_first_files(tmp_path: Path) -> None:
    (finding,) = findings(tmp_path, SOUND, *(SOUND | {"file": f"{number}.png", "cells": 0} for number in range(5)))
    assert str(finding) == "5 images: not one cell on black (0.png, 1.png, 2.png, ...)"


def test_the_data_docs_open_at_index_html_ask_no_server_for_a_logo_and_repeat_byte_for_byte(tmp_path: Path) -> None:
    pages = []
    for run in ("first", "second"):
        findings(tmp_path / run, SOUND, SOUND | {"file": "odd.png", "cells": 2})
        docs = tmp_path / run / "docs"
        pages.append({file.relative_to(docs): file.read_bytes() for file in docs.rglob("*") if file.is_file()})
    assert pages[0] == pages[1]
    html = {name: page.decode() for name, page in pages[0].items() if name.suffix == ".html"}
    assert "content" in html[Path("index.html")]
    assert any("odd.png" in page for page in html.values())
    assert not any("great-expectations-web-assets" in page for page in html.values())


@pytest.mark.parametrize(
    ("found", "severities"), [((7272, 106), []), ((7271, 106), ["critical"]), ((7272, 9), ["warning"])]
)
def test_a_count_that_table_i_does_not_have_is_named(
    tmp_path: Path, found: tuple[int, int], severities: list[str]
) -> None:
    whats = ["ALL images in train", "pairs of byte-identical images"]
    counts = pd.DataFrame({"what": whats, "found": found, "expected": [7272, 106], "severity": ["critical", "warning"]})
    table = pd.DataFrame([dict(zip(whats, found, strict=True))])
    failed = check([Suite("cnmc-2019", cnmc_2019(counts), table, None)], tmp_path / "docs")
    assert [finding.severity for finding in failed] == severities
    for finding in failed:
        assert str(finding) in (
            "C-NMC 2019 has 7272 ALL images in train, not 7271",
            "C-NMC 2019 has 106 pairs of byte-identical images, not 9",
        )


def test_a_rule_that_cannot_be_checked_is_our_error_and_not_a_pass(tmp_path: Path) -> None:
    table = pd.DataFrame([SOUND]).drop(columns="black")
    with pytest.raises(RuntimeError, match="not mostly black"):
        check([Suite("content", content(), table, "file")], tmp_path / "docs")
