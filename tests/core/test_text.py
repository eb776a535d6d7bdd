"""How numbers and tables are written."""

from __future__ import annotations

from leukoscope.artifacts.metrics import Estimate
from leukoscope.core.text import NOT_DEFINED, aligned, hundredths, percent, signed, with_interval


def test_a_table_aligns_its_columns_and_leaves_out_the_empty_ones() -> None:
    rows = [
        {"file": "a.png", "note": "", "p": "0.5", "flags": ""},
        {"file": "longer.png", "note": "", "p": "12.25", "flags": "colour"},
    ]
    assert aligned(rows, left={"file", "flags"}).splitlines() == [
        "file            p  flags",
        "a.png         0.5",
        "longer.png  12.25  colour",
    ]


def test_a_number_stands_with_its_interval_or_with_the_fact_that_it_has_none() -> None:
    assert with_interval(Estimate(0.8531, 0.801, 0.91, None)) == "0.853 [0.801, 0.910]"
    assert with_interval(Estimate(0.8531, 0.801, 0.91, None), percent, hundredths) == "85.3 % [80.1, 91.0]"
    assert with_interval(Estimate(-0.041, -0.06, 0.02, None), signed) == "−0.041 [−0.060, +0.020]"
    assert with_interval(Estimate(0.8531, None, None, "few groups")) == "0.853 (no interval)"
    assert with_interval(Estimate(0.8531, None, None, "few groups"), none="") == "0.853"
    assert with_interval(Estimate(None, None, None, "one class")) == NOT_DEFINED
