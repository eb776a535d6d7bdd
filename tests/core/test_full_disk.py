"""A disk that fills up while something is written: a real one, of a megabyte, and processes of their own.

A write into a mapped file on a full disk kills its process, so none of it may happen in the tests' own.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.fixtures.raw_folders import encoded

pytestmark = pytest.mark.mounts

SRC = Path(__file__).parents[2] / "src"
HEAD = """
import sys
from pathlib import Path
import numpy as np
from leukoscope.core.files import new_file, write_json
from leukoscope.core.errors import run_reporting_errors

def write(much):
"""
FOOT = """
sys.exit(run_reporting_errors(lambda: write(sys.argv[1] == "much")))
"""
# Each writes an earlier result that fits, and later one that does not.
WRITERS = {
    "packed arrays": """
    import pandas as pd
    from leukoscope.data.pack import pack_images
    images = pd.DataFrame({"image_id": ["a"], "file": ["a.png"], "sha256": ["0"]})
    pack_images(images, Path(sys.argv[2]), [(64, 2000 if much else 64)], Path("packed"))
    """,
    "features": """
    from leukoscope.core.files import new_folder
    from leukoscope.core.arrays import new_array
    with new_folder(Path("features")) as part:
        new_array(part / "features.npy", np.float32, (1000, 2, 500 if much else 5))[:] = 1
    """,
    "gathered features": """
    from leukoscope.training.training import gathered
    write_json("fold.json", {})
    gathered(np.ones((1000, 2, 500 if much else 5), np.float32), np.arange(1000), 2, Path("scratch"))[:] = 2
    """,
    "remembered vectors": """
    from leukoscope.features.memory import write_shard
    write_shard(Path("vectors"), [bytes(32)], np.ones((1, 10**6 if much else 10), np.float32))
    """,
    "a table": """
    import pandas as pd
    with new_file(Path("splits.parquet")) as part:
        pd.DataFrame({"p": np.random.default_rng(1).random(10**6 if much else 10)}).to_parquet(part)
    """,
    "what says no more than that writing failed": """
    with new_file(Path("model.bin")) as part:
        if not much:
            part.write_bytes(bytes(10))
            return
        try:
            part.write_bytes(bytes(2 * 10**6))
        except OSError:
            pass
        raise RuntimeError("basic_ios::clear: iostream error")  # as OpenVINO has it
    """,
}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize("what", WRITERS)
def test_a_full_disk_is_one_line_and_earlier_results_stay(
    small_disk: Callable[[int], Path], tmp_path: Path, what: str
) -> None:
    disk = small_disk(1 << 20)
    (tmp_path / "images").mkdir()
    (tmp_path / "images/a.png").write_bytes(encoded(np.full((64, 64, 3), 90, np.uint8), ".png"))

    def write(how_much: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", HEAD + WRITERS[what] + FOOT, how_much, str(tmp_path)]
        environment = {**os.environ, "PYTHONPATH": str(SRC)}
        return subprocess.run(command, cwd=disk, env=environment, capture_output=True, text=True)

    little = write("little")
    assert little.returncode == 0, little.stderr
    before = contents(disk)
    assert before
    much = write("much")
    assert much.returncode == 2, much.stderr
    assert much.stderr.startswith("error: the disk is full: nothing half-written was left behind; make room")
    assert much.stderr.count("\n") == 1
    assert contents(disk) == before
