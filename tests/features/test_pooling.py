"""A row's vectors are what plain arithmetic makes of its taps' maps, in Keras, on OpenVINO and in a saved model."""

from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import pytest

from leukoscope.config.rows import ModelSettings
from leukoscope.core.errors import ConfigError
from leukoscope.data.synthetic.cells import fixed_cells
from leukoscope.features.backbones import build_backbone, trunk_of
from leukoscope.features.embedding import pooled_features
from leukoscope.features.engine import PooledFeatures, converted_backbone
from leukoscope.features.inside_cell import inside_cell, on_grid, shares
from leukoscope.features.pooling import (
    TARGET_DEVIATION,
    TARGET_MEAN,
    feature_model,
    normalized_colours,
    parts_of_columns,
)
from leukoscope.imaging.framing import frame_and_resize
from leukoscope.imaging.turns import seen, turns_of
from leukoscope.registry.runtime import Scorer, export_scoring
from leukoscope.training.assembly import joined_model, raw_model
from leukoscope.training.heads import build_head
from leukoscope.training.probabilities import predict
from leukoscope.training.task import TrainingData

SIZE = 72  # 18 places of 4 pixels, 9 of 8
TAPS = ("conv_pw_3_relu", "conv_pw_5_relu")
ROW = ModelSettings(
    backbone="mobilenet", weights="none", frame=300, size=SIZE, taps=TAPS, pooling="cell", colours="both", rotations=4
)
COLUMNS = 2 * 2 * (128 + 256)  # pictures, moments, channels


@pytest.fixture(scope="module")
def cells() -> np.ndarray:
    """Four cells, and a picture without one: uint8 [5, size, size, 3]."""
    framed = [frame_and_resize(cell, 300, SIZE) for cell in fixed_cells(4, 5)]
    return np.stack([*framed, np.zeros((SIZE, SIZE, 3), np.uint8)])


@pytest.fixture(scope="module")
def backbone() -> keras.Model:
    return build_backbone("mobilenet", "none", 300, SIZE, TAPS)


def by_hand(pictures: np.ndarray, backbone: keras.Model) -> Iterator[np.ndarray]:
    """Moments over the cell of both pictures' maps, one picture after another, in float64."""
    for picture in pictures.astype(np.float64):
        inside = picture.max(axis=-1) > 16
        cell = picture[inside]
        normalized = np.zeros_like(picture)
        if len(cell):
            moved = (cell - cell.mean(axis=0)) / cell.std(axis=0) * TARGET_DEVIATION + TARGET_MEAN
            normalized[inside] = np.clip(moved, 0, 255)
        columns = []
        for shown in (picture, normalized):
            for one in backbone.predict(shown[None].astype(np.float32), verbose=0):
                step = SIZE // one.shape[1]
                weights = inside.reshape(one.shape[1], step, one.shape[2], step).mean(axis=(1, 3)).ravel()
                values = one[0].astype(np.float64).reshape(len(weights), -1)
                if weights.any():
                    mean = np.average(values, axis=0, weights=weights)
                    columns += [mean, np.sqrt(np.average((values - mean) ** 2, axis=0, weights=weights))]
                else:
                    columns += [np.zeros(values.shape[1])] * 2
        yield np.concatenate(columns)


def test_vectors_are_the_moments_of_the_taps_maps_over_the_cell(cells: np.ndarray, backbone: keras.Model) -> None:
    assert trunk_of(backbone).layers[-1].name == TAPS[-1]  # nothing behind the last tap is computed
    whole = build_backbone("mobilenet", "none", 300, SIZE)
    of_whole = keras.Model(trunk_of(whole).input, [trunk_of(whole).get_layer(tap).output for tap in TAPS])
    for cut, expected in zip(backbone(cells / 255), of_whole(whole.layers[1](cells / 255)), strict=True):
        np.testing.assert_array_equal(cut, expected)
    vectors = feature_model(backbone, ["cell"], "both").predict(cells, verbose=0)
    assert vectors.shape == (5, COLUMNS)
    expected = np.stack(list(by_hand(cells, backbone)))
    np.testing.assert_allclose(vectors, expected, atol=1e-3)
    assert expected[:4].std(axis=0).max() > 0.1


def test_each_part_of_the_columns_is_what_its_tap_gives_alone(cells: np.ndarray, backbone: keras.Model) -> None:
    vectors = feature_model(backbone, ["cell"], "both").predict(cells, verbose=0)
    maps = dict(zip(TAPS, backbone.outputs, strict=True))
    parts = parts_of_columns(ROW.model_dump(), [one.shape[-1] for one in backbone.outputs])
    assert [part.columns.stop for part in parts[:-1]] == [part.columns.start for part in parts[1:]]
    assert (parts[0].columns.start, parts[-1].columns.stop, len(parts)) == (0, COLUMNS, 8)
    for part in parts:
        tap = keras.Model(backbone.input, maps[part.tap])
        alone = feature_model(tap, ["cell"], part.colours).predict(cells, verbose=0)
        half = {"mean": 0, "deviation": 1}[part.statistic]
        np.testing.assert_allclose(vectors[:, part.columns], np.split(alone, 2, axis=1)[half], rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(("pooling", "reduce"), [("avg", np.mean), ("max", np.max)])
def test_taps_are_pooled_as_a_last_map_is(
    pooling: str, reduce: np.ufunc, cells: np.ndarray, backbone: keras.Model
) -> None:
    expected = [reduce(one, axis=(1, 2)) for one in backbone.predict(cells, verbose=0)]
    vectors = feature_model(backbone, [pooling], "raw").predict(cells, verbose=0)
    np.testing.assert_allclose(vectors, np.concatenate(expected, axis=1), rtol=1e-5, atol=1e-6)


def test_openvino_computes_the_same(cells: np.ndarray, backbone: keras.Model, tmp_path: Path) -> None:
    of_row = {"taps": ROW.taps, "pooling": ROW.pooling, "colours": ROW.colours}
    path = converted_backbone("mobilenet", "none", 300, SIZE, tmp_path / "ir", **of_row)
    fast = PooledFeatures(path, SIZE).run([lambda cell=cell: cell for cell in cells], lambda done: None)
    kerass = feature_model(backbone, ["cell"], "both").predict(cells, verbose=0)
    assert np.isfinite(kerass).all()
    np.testing.assert_allclose(fast, kerass, rtol=1e-4, atol=1e-3)


def test_the_cells_weights_turn_with_the_picture(cells: np.ndarray) -> None:
    lopsided = cells.copy()
    lopsided[:, : SIZE // 3] = 0
    for grid in (18, 9, 7):
        weights = np.asarray(on_grid(inside_cell(lopsided), grid, grid))
        assert weights[4].max() == 0
        assert weights.mean(axis=(1, 2, 3)) == pytest.approx((lopsided.max(axis=-1) > 16).mean(axis=(1, 2)), abs=1e-6)
        for turn in turns_of(8)[1:]:
            of_turned = np.asarray(on_grid(inside_cell(seen(lopsided, turn, keep_black=False)), grid, grid))
            np.testing.assert_allclose(of_turned, seen(weights, turn, keep_black=False), atol=1e-6)
            assert np.abs(of_turned - weights).max() > 0.1


def test_shares_split_a_pixel_that_lies_across_two_parts() -> None:
    np.testing.assert_allclose(shares(2, 3), [[2 / 3, 1 / 3, 0], [0, 1 / 3, 2 / 3]], rtol=1e-6)


def test_normalized_colours_do_not_know_the_stain(cells: np.ndarray) -> None:
    cell = cells[:1].astype(np.float32)
    inside = np.asarray(inside_cell(cell))
    restained = np.where(inside, 0.7 * cell + np.float32([40, 30, 35]), 0)
    normalized = [np.asarray(normalized_colours(picture, inside)) for picture in (cell, restained)]
    np.testing.assert_allclose(*normalized, atol=0.01)
    assert not normalized[0][inside[..., 0] == 0].any()


def test_an_unknown_tap_is_told_with_its_neighbours() -> None:
    with pytest.raises(ConfigError, match=r"no layer 'conv_pw_5_rel' with a map to tap: near it are conv_pw_5_relu"):
        build_backbone("mobilenet", "none", 300, SIZE, ["conv_pw_5_rel"])


def remembered(row: ModelSettings, cells: np.ndarray, store: Path) -> np.ndarray:
    """Features [cells, turns, columns] by the memory of frozen passes."""
    hashes = np.array([f"{number:064x}" for number in range(len(cells))])
    shown = [turns_of(row.rotations)[1:]] * len(cells)
    return np.array(pooled_features(row.model_dump(), hashes, cells, np.arange(len(cells)), shown, False, store))


def test_a_pass_is_remembered_by_what_it_reads(cells: np.ndarray, tmp_path: Path) -> None:
    plain = ModelSettings(backbone="mobilenet", weights="none", frame=300, size=SIZE)
    rows = [ROW, *(ROW.model_copy(update=change) for change in ({"taps": TAPS[:1]}, {"colours": "raw"})), plain]
    rows += [row.model_copy(update={"pooling": "avg"}) for row in (ROW, plain)]
    rows += [ROW.model_copy(update={"pooling": "max"})]
    columns = [remembered(row, cells[:2], tmp_path).shape[-1] for row in rows]
    assert columns == [COLUMNS, 2 * 2 * 128, COLUMNS // 2, 1024, COLUMNS // 2, 1024, COLUMNS // 2]
    # Averages and maxima are of one pass.
    assert len(list((tmp_path / "features").iterdir())) == 5


def test_evaluation_the_saved_model_and_openvino_say_the_same(cells: np.ndarray, tmp_path: Path) -> None:
    keras.utils.set_random_seed(3)
    row = ROW.model_copy(update={"head": "plain"})
    head = build_head(row, COLUMNS, "fold_0")
    everyone = np.arange(4)
    raw_pictures = np.stack(fixed_cells(4, 5))
    features = remembered(row, cells[:4], tmp_path / "store")
    last = head.layers[-1]
    last.bias.assign(-features.mean(axis=(0, 1)) @ np.asarray(last.kernel))  # a random head is sure of itself otherwise
    data = TrainingData(everyone, everyone, everyone, everyone, features, None)
    measured = predict(head.predict_on_batch, row, data, everyone)
    raw_model(row, [head]).save(tmp_path / "model.keras")
    model = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    assert np.ptp(measured) > 1e-3
    assert model.predict(raw_pictures, verbose=0)[:, 0] == pytest.approx(measured, abs=2e-3)
    export_scoring(model, 300, tmp_path / "model.xml")
    framed = [frame_and_resize(picture, 300, 300) for picture in raw_pictures]
    assert list(Scorer(tmp_path / "model.xml", 300, 4).p_all(framed)) == pytest.approx(measured, abs=2e-3)


def test_rows_of_an_ensemble_share_what_they_share() -> None:
    other_head = ROW.model_copy(update={"head": "plain"})
    other_taps = ROW.model_copy(update={"taps": TAPS[:1]})
    members = {
        "one": (ROW, [build_head(ROW, COLUMNS, "fold_0")]),
        "head": (other_head, [build_head(other_head, COLUMNS, "fold_0")]),
        "taps": (other_taps, [build_head(other_taps, 2 * 2 * 128, "fold_0")]),
    }
    layers = joined_model(members).layers
    assert [layer.name for layer in layers if layer.name.startswith("mobilenet")] == ["mobilenet_0", "mobilenet_1"]
