"""The fast engine computes what was asked for, and ends, however often and under whatever load it is used."""

import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from leukoscope.features.engine import compiled, export

PASSES = """
import sys
from pathlib import Path
import numpy as np
from leukoscope.features.engine import PooledFeatures, converted_backbone

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


def test_what_conversion_leaves_behind_is_not_computed(tmp_path: Path) -> None:
    pixels = keras.Input((8, 8, 3))
    swished = keras.layers.Conv2D(4, 3, activation="swish")(pixels)
    model = keras.Model(pixels, keras.layers.GlobalAveragePooling2D()(swished))
    export(model, tmp_path / "model.xml")
    fast = compiled(tmp_path / "model.xml")
    assert len(fast.outputs) == 1
    pictures = np.random.default_rng(3).random((2, 8, 8, 3), np.float32)
    np.testing.assert_allclose(fast(pictures)[0], model.predict_on_batch(pictures), rtol=1e-5)
