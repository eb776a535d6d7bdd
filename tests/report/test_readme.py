"""The README's table is what the command makes of the demo's recorded one."""

from __future__ import annotations

from pathlib import Path

from leukoscope.report.markdown import BEGIN, END, markdown_table

CHECKOUT = Path(__file__).resolve().parents[2]
RECORDED = CHECKOUT / "docs/demo_table_v.csv"


def test_the_readmes_table_is_the_recorded_demos() -> None:
    """Mend it with: leukoscope table --csv docs/demo_table_v.csv --into README.md."""
    readme = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    shown = readme.split(BEGIN)[1].split(END)[0].removeprefix("\n")
    assert shown == markdown_table(RECORDED)


def test_the_readmes_numbers_say_that_they_are_of_synthetic_cells_and_untrained_weights() -> None:
    block = (CHECKOUT / "README.md").read_text(encoding="utf-8").split(BEGIN)[1].split(END)[0]
    assert "SYNTHETIC CELLS" in block
    assert "UNTRAINED WEIGHTS" in block
