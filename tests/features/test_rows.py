"""One contract for every row of Table V, and for MobileNet V1 as an option.

A row learns, saves, reloads without this package, takes raw pictures of any size, and OpenVINO's features are Keras's.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from leukoscope.config.rows import ModelSettings
from leukoscope.config.table_v import ROWS
from leukoscope.data.synthetic.cells import fixed_cells
from leukoscope.features.backbones import BACKBONES, batchnorms, build_backbone
from leukoscope.features.engine import PooledFeatures, converted_backbone
from leukoscope.imaging.framing import frame_and_resize
from leukoscope.training.assembly import pool, raw_model, trainable_model
from leukoscope.training.heads import build_head, compile_for_training

FRAME = 300
STEPS = 6
SMALL_STEP = 1e-5  # so that going downhill lowers the loss of an untrained network too; Table III's 0.003 overshoots
CONTRACT = {**ROWS, "modified_mobilenet_v1": {"backbone": "mobilenet"}}
QUICK = ("resnet18",)
HEAVY_ARE_SLOW = [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in CONTRACT]

# Reads lines of paths, a model and pictures, and answers with p(ALL) of each, in a Python that has neither this package
# nor KerasHub.
RELOAD = """
import sys
sys.modules["leukoscope"] = sys.modules["keras_hub"] = None
import keras, numpy as np
for line in sys.stdin:
    model, *pictures = line.rstrip("\\n").split("\\t")
    loaded = keras.saving.load_model(model, safe_mode=True)
    print(*(float(loaded(np.load(picture), training=False)[0, 0]) for picture in pictures), flush=True)
"""


def settings(name: str) -> ModelSettings:
    """A row as the contract takes it: untrained, finetuned, on the smallest pictures from 64 pixels on."""
    size = max(64, BACKBONES[CONTRACT[name]["backbone"]].smallest)
    return ModelSettings(**CONTRACT[name], weights="none", frame=FRAME, size=size, mode="finetune")


@cache
def cells(size: int) -> np.ndarray:
    return np.stack([frame_and_resize(cell, FRAME, size) for cell in fixed_cells(8, 11)])


@cache
def _built(name: str, size: int) -> tuple[keras.Model, list[np.ndarray]]:
    model = build_backbone(name, "none", FRAME, size)
    for norm in batchnorms(model):
        norm.trainable = False
    return model, model.get_weights()


def untrained(row: ModelSettings) -> keras.Model:
    """The row's backbone as it starts, batch norm frozen. Rows share one, since building it takes longest."""
    model, start = _built(row.backbone, row.size)
    model.set_weights(start)
    return model


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[subprocess.Popen]:
    with subprocess.Popen(
        [sys.executable, "-c", RELOAD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        process.stdin.close()


@pytest.fixture(scope="module")
def passes(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Pooled features of `cells` by the fast engine and by Keras, each [8, 2 * channels]."""
    folder = tmp_path_factory.mktemp("converted")

    @cache
    def fast(name: str, size: int) -> np.ndarray:
        engine = PooledFeatures(converted_backbone(name, "none", FRAME, size, folder / name), size)
        return engine.run([lambda cell=cell: cell for cell in cells(size)], lambda _: None)

    def both(row: ModelSettings) -> tuple[np.ndarray, np.ndarray]:
        feature_map = untrained(row)(cells(row.size).astype(np.float32), training=False)
        kerass = np.concatenate([pool(feature_map, "avg"), pool(feature_map, "max")], axis=1)
        return fast(row.backbone, row.size), kerass

    return both


def regularized_loss(model: keras.Model, pictures: np.ndarray, targets: np.ndarray) -> float:
    """The loss with every penalty and without dropout, whose noise is larger than what a few steps gain."""
    return float(model.compute_loss(x=pictures, y=targets, y_pred=model(pictures, training=False)))


@pytest.mark.parametrize("name", HEAVY_ARE_SLOW)
def test_a_row_learns_and_is_the_same_model_elsewhere(name: str, elsewhere: subprocess.Popen, tmp_path: Path) -> None:
    row = settings(name)
    keras.utils.set_random_seed(1)
    backbone = untrained(row)
    model = trainable_model(backbone, build_head(row, backbone.output.shape[-1]), row.pooling, "fold_0")
    compile_for_training(model, SMALL_STEP)
    pictures, targets = cells(row.size).astype(np.float32), np.eye(2, dtype=np.float32)[np.arange(8) % 2]
    before = regularized_loss(model, pictures, targets)
    for _ in range(STEPS):
        model.train_on_batch(pictures, targets)
    assert regularized_loss(model, pictures, targets) < before < 20

    raw = raw_model(row, [model])
    raw.save(tmp_path / "model.keras")
    raw_pictures = [fixed_cells(1, 12)[0], np.random.default_rng(0).integers(0, 256, (211, 333, 3), np.uint8)]
    assert raw_pictures[0].shape == (450, 450, 3)
    for number, picture in enumerate(raw_pictures):
        np.save(tmp_path / f"{number}.npy", picture[None])
    here = [float(raw(picture[None], training=False)[0, 0]) for picture in raw_pictures]
    elsewhere.stdin.write(f"{tmp_path}/model.keras\t{tmp_path}/0.npy\t{tmp_path}/1.npy\n")
    elsewhere.stdin.flush()
    there = [float(p) for p in elsewhere.stdout.readline().split()]
    assert there == pytest.approx(here, abs=1e-6)
    assert all(0 < p < 1 for p in here)


@pytest.mark.parametrize("name", HEAVY_ARE_SLOW)
def test_a_rows_fast_features_are_kerass(name: str, passes: Any) -> None:
    row = settings(name)
    fast, kerass = passes(row)
    channels = fast.shape[1] // 2
    columns = slice(0, channels) if row.pooling == "avg" else slice(channels, None)
    np.testing.assert_allclose(fast[:, columns], kerass[:, columns], atol=1e-4 * np.abs(kerass).max())
    assert kerass[:, columns].std(axis=0).max() > 0.01


def test_every_backbone_of_the_table_is_under_the_contract() -> None:
    assert {row["backbone"] for row in CONTRACT.values()} == set(BACKBONES)
