"""What a benchmark says of two ways of doing one thing."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

import benchmarks.__main__ as runner
from benchmarks.measuring import Measured, Reach, duration, side_by_side, speed


def test_a_speeds_ratio_is_how_often_ours_fits_into_the_peers_time() -> None:
    measured = speed("reading", 100, "images", ours=[1.0, 2.0, 1.0], peer=[3.0, 8.0, 5.0], reach=Reach(4))
    assert (measured.ours, measured.peer, measured.unit) == (100, 20, "images/s")
    assert measured.ratio == 4  # the median of 3, 4 and 5, each of one round
    assert measured.reached
    assert str(measured) == "reading: ours 100 images/s, peer 20 images/s, ratio 4"


def test_a_duration_is_held_against_the_peers_where_there_is_a_most() -> None:
    at_most = duration("status", ours=[3.0], peer=[2.0], reach=Reach(1.4, at_most=True))
    at_least = duration("status", ours=[2.0], peer=[3.0], reach=Reach(1.4))
    assert (at_most.ratio, at_most.reached) == (1.5, False)
    assert (at_least.ratio, at_least.reached) == (1.5, True)


def test_what_is_not_reached_says_what_bounds_it() -> None:
    measured = Measured("writing", 10, 20, "images/s", 0.5, Reach(2), "the disk takes 12 images/s")
    assert str(measured).endswith("ratio 0.5: NOT REACHED (at least 2); the disk takes 12 images/s")


def test_a_figure_alone_is_held_against_a_limit_of_its_own() -> None:
    limit = Reach(5, at_most=True, unit="min")
    assert Measured("demo", 4.6, None, "min", None, limit).reached
    assert not Measured("demo", 5.1, None, "min", None, limit).reached
    assert Measured("help", 4.6, 2.0, "min", 2.3, limit).reached
    assert Measured("demo", 4.6, None, "min", None, limit).as_json()["reach"] == "at most 5 min"
    with pytest.raises(ValueError, match="nothing to hold against at least 5"):
        _ = Measured("demo", 4.6, None, "min", None, Reach(5)).reached


def test_ways_take_turns() -> None:
    called: list[str] = []
    ours, peer = side_by_side(2, lambda: called.append("ours"), lambda: (called.append("peer"), time.sleep(0.02)))
    assert called == ["ours", "peer", "ours", "peer"]
    assert min(peer) >= 0.02 > max(ours)


def test_a_run_of_one_benchmark_leaves_the_records_of_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "RESULTS", tmp_path / "results.json")
    first, second = runner.NAMES[:2]
    runner._keep(second, [{"name": "b", "ratio": 1}])
    runner._keep(first, [{"name": "a", "ratio": 1}])
    runner._keep(second, [{"name": "b", "ratio": 2}, {"name": "c", "ratio": 3}])
    records = json.loads((tmp_path / "results.json").read_text())
    assert [(record["benchmark"], record["name"], record["ratio"]) for record in records] == [
        (first, "a", 1),
        (second, "b", 2),
        (second, "c", 3),
    ]
