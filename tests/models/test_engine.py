"""The fast engine comes to an end, however often and under whatever load it is used."""

import subprocess
import sys
from pathlib import Path

import pytest

PASSES = """
import sys
from pathlib import Path
import numpy as np
from leukoscope.models.engine import PooledFeatures, converted_backbone

path = converted_backbone("mobilenetv2", "none", 300, 64, Path(sys.argv[1]))
pictures = np.random.default_rng(0).integers(0, 256, (97, 64, 64, 3)).astype(np.uint8)
seen = set()
for _ in range(40):
    done = []
    engine = PooledFeatures(path, 64)
    seen.add(engine.run([lambda picture=picture: picture for picture in pictures], done.append).tobytes())
    assert sum(done) == 97
assert len(seen) == 1
"""


@pytest.mark.slow
def test_forty_engines_in_one_process_end_and_agree_to_the_last_bit(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", PASSES, str(tmp_path)], check=True, timeout=400)
