"""What the curves of cost by number of images are made of."""

import subprocess
import sys
from pathlib import Path

import pytest

from studies.growth import Cost, table, watched


def test_a_peak_of_memory_is_seen_and_a_mapped_file_is_none(tmp_path: Path) -> None:
    megabytes = 200
    own = f"import time; x = bytearray({megabytes} << 20); x[::4096] = bytes(len(x) // 4096); time.sleep(0.1); del x"
    with (tmp_path / "file").open("wb") as file:
        file.truncate(megabytes << 20)
    mapped = "import mmap; f = open('file', 'r+b'); x = mmap.mmap(f.fileno(), 0); x[::4096] = bytes(len(x) // 4096)"
    costs = [watched([sys.executable, "-c", program], tmp_path) for program in (own, mapped)]
    assert megabytes < costs[0][2] < megabytes + 50
    assert costs[1][2] < 50
    assert all(0 < processor < 5 for processor, _, _ in costs)


def test_a_stage_that_fails_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        watched([sys.executable, "-c", "raise SystemExit(2)"], tmp_path)


def test_the_table_says_what_an_image_more_costs() -> None:
    costs = [Cost(1_000, 3.0, 2.0, 100.4), Cost(5_000, 7.0, 5.0, 120), Cost(15_000, 37.0, 20.0, 160)]
    *_, row = table({"pack": costs}).splitlines()
    assert row == "| pack | 3.0 s (2.0) | 7.0 s (5.0) | 37.0 s (20.0) | 1.00 ms, then 3.00 ms | 100, 120, 160 |"
