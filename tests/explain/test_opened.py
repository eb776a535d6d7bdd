"""A saved model cut at the maps that it pools: the same p, through every kind of row and every backbone."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from leukoscope.config.rows import Branch, ModelSettings
from leukoscope.data.synthetic.cells import fixed_cells
from leukoscope.explain.opened import opened
from leukoscope.features.backbones import BACKBONES, build_backbone
from leukoscope.features.cell_statistics import statistics_model
from leukoscope.features.keras_loading import load_saved
from leukoscope.features.pooling import feature_model, shrunk
from leukoscope.imaging.framing import frame_and_resize
from leukoscope.training.assembly import joined_model, raw_model, trainable_model
from leukoscope.training.fitting import Vectors
from leukoscope.training.heads import build_head
from tests.training.test_kernel import fitted

SIZE = 75  # InceptionV3 takes no less
FROZEN = ModelSettings(
    backbone="mobilenet",
    weights="none",
    frame=300,
    size=64,
    taps=("conv_pw_2_relu", "conv_pw_4_relu"),
    beside=Branch(backbone="mobilenetv2", weights="none", taps=("block_1_expand_relu",), shrink=2),
    pooling="cell",
    colours="both",
    statistics=("area",),
    rotations=4,
    head="kernel",
)
FINETUNED = ModelSettings(backbone="mobilenetv2", weights="none", frame=200, size=32, mode="finetune", rotations=8)


def kernel_heads(row: ModelSettings) -> list[keras.Model]:
    """A head on features of drawn cells, of the first view alone."""
    cells = np.stack([frame_and_resize(cell, row.frame, row.size) for cell in fixed_cells(12, 1)]).astype(np.float32)
    found = []
    for one in row.branches:
        network = build_backbone(one.backbone, "none", row.frame, one.side(row.size), one.taps)
        features = feature_model(network, (row.pooling,), row.colours)
        found.append(features.predict(shrunk(cells, one.shrink), verbose=0))
    columns = np.concatenate(
        [*found, statistics_model(row.statistics, row.frame, row.size).predict(cells, verbose=0)], 1
    )
    vectors = Vectors(columns[:, None], np.arange(12) % 2, np.arange(12).astype(str))
    return [fitted(row, vectors, vectors)[0]]


def finetuned_fold(row: ModelSettings) -> keras.Model:
    backbone = build_backbone(row.backbone, "none", row.frame, row.size)
    return trainable_model(backbone, build_head(row, backbone.output.shape[-1]), row.pooling, "fold_0")


def test_a_saved_model_is_cut_at_every_map_that_it_pools(tmp_path: Path) -> None:
    keras.utils.set_random_seed(3)
    members = {"frozen": (FROZEN, kernel_heads(FROZEN)), "finetuned": (FINETUNED, [finetuned_fold(FINETUNED)])}
    joined_model(members).save(tmp_path / "model.keras")
    model = load_saved(tmp_path / "model.keras")
    front, tail, cut = opened(model)
    pictures = keras.ops.convert_to_tensor(fixed_cells(2, 5), "float32")
    maps = keras.tree.flatten(front(pictures))
    found = [(*one.shape[:2], about.crop, about.whole) for one, about in zip(maps, cut, strict=True)]
    frozen = [(8, places, (300, 300), False) for places in (16, 8, 16)]  # two taps, and that of the second backbone
    assert sorted(found) == sorted([*frozen, *frozen, (16, 1, (200, 200), True)])
    expected = np.asarray(model(pictures))
    np.testing.assert_allclose(tail([pictures, *maps]), expected, atol=1e-6)
    for changed in range(len(maps)):
        others = [one * 1.2 if number == changed else one for number, one in enumerate(maps)]
        assert np.abs(np.asarray(tail([pictures, *others])) - expected).max() > 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("name", BACKBONES)
def test_every_backbone_is_cut_at_its_last_map(name: str, tmp_path: Path) -> None:
    row = ModelSettings(backbone=name, weights="none", frame=300, size=SIZE)
    backbone = build_backbone(name, "none", 300, SIZE)
    columns = feature_model(backbone, ("max",), "raw").output.shape[-1]
    raw_model(row, [build_head(row, columns)]).save(tmp_path / "model.keras")
    model = load_saved(tmp_path / "model.keras")
    front, tail, cut = opened(model)
    pictures = keras.ops.convert_to_tensor(fixed_cells(1, 5), "float32")
    (last,) = keras.tree.flatten(front(pictures))
    assert last.shape[1:] == backbone.output.shape[1:]
    assert [(one.crop, one.whole) for one in cut] == [((300, 300), True)]
    np.testing.assert_allclose(tail([pictures, last]), model(pictures), atol=1e-6)


def test_a_model_that_pools_no_map_is_refused() -> None:
    numbers = keras.Input((4,))
    with pytest.raises(ValueError, match="pools no map"):
        opened(keras.Model(numbers, keras.layers.Dense(1)(numbers)))
