"""The arithmetic from what is measured of scaling to what 10 million cells would take."""

from __future__ import annotations

import pytest

from studies.scale import even, plan, steady
from studies.ten_million import LAYOUTS, Figures, Memory, Paces, Plan, Shards, bound, in_one_place, spread, tables

FIGURES = Figures(
    cores=Paces("products", [100.0], [199.0]),
    embed=Paces("images", [100.0, 110.0, 90.0], [190.0, 220.0, 200.0]),
    tune=Paces("trials", [0.5], [0.9]),
    transactions=[60.0],
    connections=2,
    shards=[Shards(100, 9.0, 3.0, 20.0), Shards(1_000, 18.0, 6.6, 40.0)],
    memory=[Memory(1_000, 230.0, 1_500.0, 200.0, 10.0), Memory(11_000, 240.0, 1_600.0, 220.0, 60.0)],
    plan=Plan(900.0, 300.0, 400.0),
)
SINGLE, ARCHIVES, LARGE = LAYOUTS


def test_a_ratio_is_the_median_of_rounds() -> None:
    assert FIGURES.embed.ratio == 2  # of 1.9, 2.0 and 2.22
    assert FIGURES.pace == 100


def test_a_shard_and_a_picture_cost_what_one_more_adds() -> None:
    assert FIGURES.driver == pytest.approx(0.010)
    assert FIGURES.head == pytest.approx(0.004)
    assert FIGURES.reading == pytest.approx(0.005)


def test_eight_times_the_machines_divide_what_can_be_divided() -> None:
    few, many = ([part.seconds for part in spread(FIGURES, machines)] for machines in (8, 64))
    assert few == pytest.approx([8 * seconds for seconds in many])
    assert few[0] == pytest.approx(10_000_000 / 100 / 128)


def test_what_stays_in_one_place_shrinks_with_the_number_of_objects_and_of_shards() -> None:
    single, archives, large = ([part.seconds for part in in_one_place(FIGURES, layout)] for layout in LAYOUTS)
    assert single[1:3] == archives[1:3] == pytest.approx([39_063 * 0.010, 39_063 * 0.004])
    assert (single[0], archives[0]) == pytest.approx((10_000 * 0.1, 40 * 0.1))
    assert large[1] == pytest.approx(4_883 * 0.010)


def test_the_longest_part_bends_first() -> None:
    assert bound(FIGURES, SINGLE, 64) == (pytest.approx(1_000 + 10_000_000 / 5_500), "GETs of one prefix")
    assert bound(FIGURES, ARCHIVES, 64)[1] == "the driver"
    assert bound(FIGURES, LARGE, 64)[1] == "the cores"
    assert bound(FIGURES, LARGE, 8) == (pytest.approx(0.5 + 10_000_000 * 0.015 / 128), "the cores")


def test_the_tables_show_the_arithmetic() -> None:
    shown = tables(FIGURES)
    assert "10,000,000 / (100/s x 1,024 cores) = 98 s" in shown
    assert "| 1,000 | 18.0 s | 10.0 ms | 6.6 s | 4.0 ms | 40.0 s |" in shown


def test_a_worker_s_pace_is_that_of_the_trials_after_its_first() -> None:
    assert steady([30.0, 32.0, 34.0]) == 0.5
    assert steady([30.0]) == 0
    assert [even(number) for number in (4, 5)] == [4, 4]


def test_a_plan_weighs_some_hundred_bytes_an_image() -> None:
    measured = plan(2_000)
    assert 100 < measured.store < measured.driver < 2_000
    assert 100 < measured.vector < 2_000
