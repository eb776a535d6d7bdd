"""Where `compute.gpus` is set, models run on Keras: the values of OpenVINO but for the last bits.

The nodes say that they have a GPU, and Ray gives it away; TensorFlow finds none there and computes on the processor.
"""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest

from leukoscope.cluster.embedding import engine_of
from leukoscope.cluster.prediction import run_of
from leukoscope.config.params import Augment, Compute
from leukoscope.config.rows import ModelSettings
from leukoscope.features.embedding import HERE, Engine, embed, read_features
from leukoscope.imaging.draws import draw_table
from leukoscope.imaging.framing import centre_frame
from leukoscope.prediction.places import stored_below
from leukoscope.prediction.shards import Job, shards_of
from leukoscope.registry.champion import Version
from leukoscope.registry.files import MODEL_FILE
from tests.fixtures.nodes import Cluster
from tests.prediction.conftest import FRAME, GAIN, decision

pytestmark = [pytest.mark.slow, pytest.mark.ray]

SIZE = 64
ROW = ModelSettings(backbone="mobilenetv2", weights="none", size=SIZE, views=1, statistics=["area"]).model_dump()


@pytest.fixture
def on_a_gpu(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Compute:
    for name, value in cluster.environment.items():
        monkeypatch.setenv(name, value)
    return Compute(engine="ray", address=cluster.address, gpus=1)


def test_features_are_openvino_s_and_are_remembered_apart(on_a_gpu: Compute, tmp_path: Path) -> None:
    count = 20
    images = pd.DataFrame({"image_id": [f"{n}" for n in range(count)], "sha256": [f"{n:064x}" for n in range(count)]})
    np.save(tmp_path / "packed.npy", np.random.default_rng(7).integers(0, 255, (count, SIZE, SIZE, 3), np.uint8))
    packed = np.load(tmp_path / "packed.npy", mmap_mode="r")

    def features(engine: Engine, name: str) -> np.ndarray:
        embed(ROW, images, packed, draw_table(images, Augment(), 1), False, tmp_path, tmp_path / name, engine)
        found, _ = read_features(tmp_path / name)
        assert found is not None
        return np.array(found)

    here, there = features(HERE, "here"), features(engine_of(on_a_gpu), "there")
    assert len(np.unique(there[..., -1])) > 1
    np.testing.assert_allclose(there, here, rtol=1e-4, atol=1e-4)
    assert len(list((tmp_path / "features").glob("*/vectors"))) == 4  # of two passes, on two engines


def test_p_is_the_saved_model_s(on_a_gpu: Compute, cells: dict[str, np.ndarray], folder: Path, tmp_path: Path) -> None:
    pixels = keras.Input((FRAME, FRAME, 3))
    mean = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(GAIN)(pixels))
    (tmp_path / "version" / MODEL_FILE).parent.mkdir(parents=True)
    model = keras.Model(pixels, mean)
    model.save(tmp_path / "version" / MODEL_FILE)
    job = Job(Version(decision(0.5), "1"), str(tmp_path / "scores"))
    shards = shards_of(stored_below([str(folder)]), job)
    list(run_of(on_a_gpu)(shards, job, tmp_path / "version"))
    scores = pd.read_parquet(tmp_path / "scores")
    assert len(scores) == len(cells)
    for row in scores.to_dict("records"):
        framed = centre_frame(cells[Path(row["file"]).name], FRAME)
        assert row["p_all"] == pytest.approx(model.predict_on_batch(framed[None].astype(np.float32))[0, 0], abs=1e-6)
