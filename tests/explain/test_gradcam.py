"""Grad-CAM maps of saved models: the paper's where pooling is a mean, on the cue that was learned, turned back."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest

from leukoscope.config.rows import ModelSettings
from leukoscope.data.synthetic.cells import fixed_cells
from leukoscope.explain.gradcam import FOR_ALL, FOR_HEM, Explainer, overlay, rank_correlation
from leukoscope.features.keras_loading import load_saved
from leukoscope.training.assembly import joined_model, raw_model, trainable_model
from leukoscope.training.heads import build_head

FRAME = SIZE = 96
ROW = ModelSettings(
    backbone="tiny", weights="none", frame=FRAME, size=SIZE, mode="finetune", head="plain", pooling="avg"
)
SPOT = 12  # pixels of a spot's side


def backbone(size: int = SIZE, channels: int = 12) -> keras.Model:
    """Four convolutions without biases: from pixels to maps of a sixteenth of their side, 0 where all is black."""
    pixels = keras.Input((size, size, 3))
    x = keras.layers.Rescaling(1 / 255)(pixels)
    for _ in range(4):
        x = keras.layers.Conv2D(channels, 3, strides=2, padding="same", activation="relu", use_bias=False)(x)
    return keras.Model(pixels, x, name="tiny")


def fold(row: ModelSettings = ROW, number: int = 0) -> keras.Model:
    keras.utils.set_random_seed(10 + number)
    network = keras.Input((row.size, row.size, 3))
    inner = keras.Model(network, backbone(row.size)(network))
    return trainable_model(inner, build_head(row, 12), row.pooling, f"fold_{number}")


def saved(model: keras.Model, folder: Path) -> keras.Model:
    model.save(folder / "model.keras")
    return load_saved(folder / "model.keras")


def spotted(images: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cells, with a spot in those that are ALL: pictures, labels, and where each spot's upper left corner would be."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:FRAME, :FRAME]
    inside = (np.hypot(x - 48, y - 48) < 44)[..., None]
    labels = np.arange(images) % 2
    corners = random.integers(24, 72 - SPOT, (images, 2))
    pictures = inside * random.integers(70, 110, (images, FRAME, FRAME, 3))
    for picture, label, (top, left) in zip(pictures, labels, corners, strict=True):
        picture[top : top + SPOT, left : left + SPOT] += label * np.array((120, -40, 100))
    return pictures.astype(np.uint8), labels, corners


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> keras.Model:
    """A registered model's like, which learned the colour of the spot."""
    row = ROW.model_copy(update={"pooling": "max"})
    model = fold(row)
    pictures, labels, _ = spotted(160, seed=1)
    model.compile(keras.optimizers.Adam(0.005), keras.losses.BinaryCrossentropy())
    model.fit(pictures.astype(np.float32), np.eye(2)[labels], batch_size=16, epochs=8, verbose=0)
    return saved(raw_model(row, [model]), tmp_path_factory.mktemp("trained"))


def test_the_map_lies_on_the_cue_that_was_learned(trained: keras.Model) -> None:
    pictures, labels, corners = spotted(20, seed=2)
    heat, p_all = Explainer(trained).explain(pictures)
    assert ((p_all > 0.5) == labels).all()
    place = SIZE // 6  # of the last map; its strides look down and to the right by up to half of one
    for of, (top, left) in zip(heat[labels == 1], corners[labels == 1], strict=True):
        row, column = np.unravel_index(of.argmax(), of.shape)
        assert top - place <= row <= top + SPOT
        assert left - place <= column <= left + SPOT
        on_it = of[max(0, top - place) : top + SPOT + place, max(0, left - place) : left + SPOT + place]
        assert on_it.size < 0.22 * of.size
        assert np.maximum(on_it, 0).sum() > 0.4 * np.maximum(of, 0).sum()


def test_models_with_shuffled_weights_give_other_maps(trained: keras.Model) -> None:
    pictures, _, _ = spotted(6, seed=2)
    explainer = Explainer(trained)
    heat = explainer.heat_maps(pictures)
    found = [
        rank_correlation(*three)
        for seed in range(1, 6)
        for three in zip(pictures, heat, explainer.randomised(seed).heat_maps(pictures), strict=True)
    ]
    assert np.mean(found) < 0.5
    again = Explainer(trained).heat_maps(pictures)
    assert min(rank_correlation(*three) for three in zip(pictures, heat, again, strict=True)) > 0.999


def test_where_pooling_is_a_mean_the_map_is_the_papers(tmp_path: Path) -> None:
    framed = fold()
    (picture,) = fixed_cells(1, 5)[:, 177:273, 177:273]
    inner, head = framed.layers[1], framed.get_layer("head")
    maps = inner.predict(picture[None].astype(np.float32), verbose=0)[0].astype(np.float64)
    kernel, bias = (weights.astype(np.float64) for weights in head.get_layer("sigmoids").get_weights())
    hem, positive = 1 / (1 + np.exp(-(maps.mean(axis=(0, 1)) @ kernel + bias)))
    p_all = positive / (hem + positive)
    logit_slope = (1 - positive) * kernel[:, 1] - (1 - hem) * kernel[:, 0]  # of log(positive / hem), by channel
    expected = cv2.resize((maps * logit_slope).sum(axis=-1), (FRAME, FRAME), interpolation=cv2.INTER_LINEAR)
    heat, (said,) = Explainer(saved(raw_model(ROW, [framed]), tmp_path)).explain(picture[None])
    assert said == pytest.approx(p_all, abs=1e-6)
    np.testing.assert_allclose(heat[0], expected / np.abs(expected).max(), atol=1e-4)


@pytest.mark.parametrize("rotations", [4, 8])
def test_the_map_of_a_turned_picture_is_the_map_turned(rotations: int, tmp_path: Path) -> None:
    row = ROW.model_copy(update={"rotations": rotations})
    explainer = Explainer(saved(raw_model(row, [fold(row)]), tmp_path))
    (picture,) = fixed_cells(1, 5)[:, 177:273, 177:273]
    heat = explainer.heat_maps(picture[None])[0]
    assert np.abs(heat - np.rot90(heat)).max() > 0.05
    np.testing.assert_allclose(explainer.heat_maps(np.rot90(picture)[None])[0], np.rot90(heat), atol=1e-4)
    mirrored = explainer.heat_maps(picture[None, :, ::-1])[0]
    if rotations == 8:
        np.testing.assert_allclose(mirrored, heat[:, ::-1], atol=1e-4)
    else:
        assert np.abs(mirrored - heat[:, ::-1]).max() > 0.01


def mixed(whole: np.ndarray, parts: Sequence[np.ndarray]) -> np.ndarray:
    """What of a map is not a sum of the others' positive multiples."""
    flat = np.stack([part.ravel() for part in parts], axis=1)
    shares, *_ = np.linalg.lstsq(flat, whole.ravel(), rcond=None)
    assert (shares > 0).all()
    return whole.ravel() - flat @ shares


def test_folds_and_members_of_other_frames_are_summed_where_they_look(tmp_path: Path) -> None:
    wider = ROW.model_copy(update={"frame": 160})
    near, wide = [fold(ROW, 0), fold(ROW, 1)], [fold(wider, 2)]
    picture = fixed_cells(1, 5)[:, 145:305, 145:305]
    whole = Explainer(saved(joined_model({"near": (ROW, near), "wide": (wider, wide)}), tmp_path)).heat_maps(picture)[0]
    rows = [(ROW, near[:1]), (ROW, near[1:]), (wider, wide)]
    parts = [Explainer(raw_model(row, folds)).heat_maps(picture)[0] for row, folds in rows]
    assert np.abs(mixed(whole, parts)).max() < 1e-4
    outside = np.ones((160, 160), bool)
    outside[32:128, 32:128] = False
    assert not parts[0][outside].any()
    assert parts[2][outside].any()


@pytest.mark.parametrize("shape", [(450, 450), (451, 450), (60, 200), (97, 77)])
def test_a_map_covers_a_picture_of_any_size(shape: tuple[int, int], tmp_path: Path) -> None:
    explainer = Explainer(raw_model(ROW, [fold()]))
    height, width = shape
    picture = np.zeros((*shape, 3), np.uint8)
    picture[max(0, height // 2 - 48) : height // 2 + 48, max(0, width // 2 - 48) : width // 2 + 48] = 90
    (heat,) = explainer.heat_maps(picture[None])
    assert heat.shape == shape
    assert heat.dtype == np.float32
    assert np.abs(heat).max() == 1
    looked_at = np.flatnonzero(np.abs(heat).max(axis=1) > 0)
    assert len(looked_at) == min(height, FRAME)


def test_no_picture_and_no_evidence_are_maps_too() -> None:
    network = fold()
    network.get_layer("head").set_weights([np.zeros((12, 2)), np.zeros(2)])
    explainer = Explainer(raw_model(ROW, [network]))
    heat, p_all = explainer.explain(fixed_cells(2, 5))
    assert not heat.any()
    assert p_all == pytest.approx([0.5, 0.5])
    assert explainer.heat_maps(np.zeros((0, 450, 450, 3), np.uint8)).shape == (0, 450, 450)


def test_calls_at_once_give_what_each_gives_alone() -> None:
    explainer = Explainer(raw_model(ROW, [fold()]))
    cells = fixed_cells(8, 5)
    with ThreadPoolExecutor(4) as pool:
        at_once = list(pool.map(lambda cell: explainer.explain(cell[None]), cells))
    heat, p_all = explainer.explain(cells)
    np.testing.assert_array_equal(np.concatenate([one.heat for one in at_once]), heat)
    np.testing.assert_array_equal(np.concatenate([one.p_all for one in at_once]), p_all)


def test_an_overlay_is_grey_where_nothing_speaks_and_in_the_classes_colours_elsewhere() -> None:
    picture = np.full((4, 4, 3), (120, 60, 140), np.uint8)
    heat = np.zeros((4, 4), np.float32)
    heat[0], heat[1] = 1, -1
    drawn = overlay(picture, heat)
    assert np.ptp(drawn[2:].astype(int), axis=-1).max() == 0
    grey = int(drawn[2, 0, 0])
    for row, colour in zip(drawn, (FOR_ALL, FOR_HEM), strict=False):
        np.testing.assert_allclose(row[0], grey + 0.75 * (np.array(colour) - grey), atol=1)
