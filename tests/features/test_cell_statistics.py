"""A cell's area, shape and colour: what they measure, what weight heads give them, and the same numbers everywhere."""

import math
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest

from leukoscope.config.rows import ModelSettings
from leukoscope.data.synthetic.cells import fixed_cells
from leukoscope.features.cell_statistics import MEASURES, column_weights, statistics_columns, statistics_model
from leukoscope.features.embedding import embed, pooled_features, read_features
from leukoscope.features.pooling import parts_of_columns
from leukoscope.imaging.cell import find_cell
from leukoscope.imaging.framing import frame_and_resize
from leukoscope.imaging.turns import seen, turns_of
from leukoscope.registry.runtime import Scorer, export_scoring
from leukoscope.training.assembly import joined_model, raw_model
from leukoscope.training.fitting import History, Vectors
from leukoscope.training.heads import build_head
from leukoscope.training.kernel import fit_kernel_head
from leukoscope.training.probabilities import predict
from leukoscope.training.task import TrainingData

FRAME, SIZE = 300, 72
ALL = ("area", "shape", "colour")
ROW = ModelSettings(
    backbone="mobilenet",
    weights="none",
    frame=FRAME,
    size=SIZE,
    taps=("conv_pw_3_relu",),
    pooling="cell",
    statistics=ALL,
    rotations=4,
    head="plain",
)
OF_BACKBONE = 2 * 128
COLUMNS = OF_BACKBONE + 9


@pytest.fixture(scope="module")
def raw() -> np.ndarray:
    return np.stack(fixed_cells(6, 5))


@pytest.fixture(scope="module")
def framed(raw: np.ndarray) -> np.ndarray:
    return np.stack([frame_and_resize(picture, FRAME, SIZE) for picture in raw])


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


def measured(pictures: np.ndarray, *names: str, frame: int | None = None) -> np.ndarray:
    """The statistics in their own units: float64 [n, columns]."""
    size = pictures.shape[1]
    found = statistics_model(names, frame or size, size).predict(pictures.astype(np.float32), verbose=0)
    usual = np.concatenate([MEASURES[name].usual for name in names])
    return found * np.concatenate([MEASURES[name].deviation for name in names]) + usual


def ellipse(across: float, down: float, angle: float = 0.0, side: int = 300) -> np.ndarray:
    """A filled ellipse of these semi-axes, turned by `angle` degrees, off the centre: uint8 [1, side, side, 3]."""
    y, x = np.mgrid[:side, :side] - np.array([140.0, 155.0])[:, None, None]
    cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    inside = ((cosine * x + sine * y) / across) ** 2 + ((cosine * y - sine * x) / down) ** 2 < 1
    return np.where(inside[..., None], np.uint8([90, 40, 110]), np.uint8(0))[None]


def test_area_and_colour_are_those_that_validation_measures(raw: np.ndarray) -> None:
    native = np.stack([frame_and_resize(picture, FRAME, FRAME) for picture in raw])
    values = measured(native, "area", "colour")
    for picture, (area, *colour) in zip(native, values, strict=True):
        cell = find_cell(picture)
        assert cell is not None
        assert area == pytest.approx(math.log(cell.area), abs=1e-4)
        assert colour[:3] == pytest.approx(cell.colour, abs=1e-2)
        assert colour[3:] == pytest.approx(cell.pixels[cell.mask > 0].std(axis=0), abs=1e-2)


def test_area_is_in_native_pixels_whatever_the_size(raw: np.ndarray, framed: np.ndarray) -> None:
    native = np.stack([frame_and_resize(picture, FRAME, FRAME) for picture in raw])
    at_native = measured(native, "area")
    np.testing.assert_allclose(measured(framed, "area", frame=FRAME), at_native, atol=0.05)
    assert np.ptp(at_native) > 0.3


@pytest.mark.parametrize("angle", [0, 20, 45, 70])
def test_shape_is_that_of_a_known_ellipse(angle: float) -> None:
    axes, circularity = measured(ellipse(80, 50, angle), "shape")[0]
    assert axes == pytest.approx(50 / 80, abs=2e-3)
    bulge = ((80 - 50) / (80 + 50)) ** 2  # Ramanujan's perimeter
    perimeter = math.pi * (80 + 50) * (1 + 3 * bulge / (10 + math.sqrt(4 - 3 * bulge)))
    assert circularity == pytest.approx(4 * math.pi * math.pi * 80 * 50 / perimeter**2, abs=0.03)


def test_a_ragged_outline_is_less_circular_and_no_more_elongated() -> None:
    disc = ellipse(60, 60)
    ragged = disc.copy()
    ragged[:, ::6] = 0
    (round_axes, round_), (ragged_axes, ragged_) = measured(np.concatenate([disc, ragged]), "shape")
    assert round_ == pytest.approx(1, abs=0.02)
    assert ragged_ < 0.3
    assert (round_axes, ragged_axes) == pytest.approx((1, 1), abs=0.02)


def test_turns_leave_the_statistics_alone(framed: np.ndarray) -> None:
    values = measured(framed, *ALL)
    assert (values.std(axis=0) > 1e-3).all()
    for turn in turns_of(8)[1:]:
        np.testing.assert_allclose(measured(seen(framed, turn, keep_black=False), *ALL), values, atol=1e-3)


def test_a_picture_without_a_cell_has_finite_statistics() -> None:
    values = measured(np.zeros((1, SIZE, SIZE, 3), np.uint8), *ALL)
    np.testing.assert_allclose(values[0, [0, *range(3, 6)]], 0, atol=1e-4)
    assert np.isfinite(values).all()


def spread(points: np.ndarray) -> np.ndarray:
    """Half the mean squared distance of two points along each column."""
    return points.var(axis=0)


@pytest.mark.parametrize("share", [0.05, 0.2, 0.6])
def test_the_statistics_have_their_share_of_the_squared_distance(share: float) -> None:
    row = ROW.model_copy(update={"statistics": ("area", "colour"), "statistics_share": share})
    own = len(statistics_columns(row.statistics))
    rng = np.random.default_rng(0)
    features = (rng.normal(size=(200, 1, 300)) * rng.uniform(0.1, 50, 300)).astype(np.float32)
    keras.utils.set_random_seed(1)
    table_iii = build_head(row.model_copy(update={"head": "regularized"}), 300)
    table_iii.get_layer("batch_norm").set_weights(
        [np.ones(300), np.zeros(300), features[:, 0].mean(axis=0), features[:, 0].var(axis=0)]
    )
    seen_by_hidden = keras.Model(table_iii.input, table_iii.get_layer("hidden").input).predict(
        features[:, 0], verbose=0
    )
    variances = spread(seen_by_hidden)
    assert variances[-own:].sum() / variances.sum() == pytest.approx(share, rel=0.01)


def test_a_row_without_statistics_has_the_head_that_it_had() -> None:
    plain = ROW.model_copy(update={"statistics": ()})
    np.testing.assert_array_equal(column_weights(plain, 40), np.ones(40))
    for head in ("regularized", "plain"):
        layers = build_head(plain.model_copy(update={"head": head}), 40).operations
        assert "Multiply" not in [type(layer).__name__ for layer in layers]


def remembered(row: ModelSettings, pictures: np.ndarray, store: Path) -> np.ndarray:
    hashes = np.array([f"{number:064x}" for number in range(len(pictures))])
    turns = [turns_of(row.rotations)[1:]] * len(pictures)
    everyone = np.arange(len(pictures))
    return np.array(pooled_features(row.model_dump(), hashes, pictures, everyone, turns, False, store))


def test_statistics_follow_the_backbones_columns_and_share_its_pass(framed: np.ndarray, tmp_path: Path) -> None:
    features = remembered(ROW, framed, tmp_path)
    without = remembered(ROW.model_copy(update={"statistics": ()}), framed, tmp_path)
    assert features.shape == (6, 4, COLUMNS)
    np.testing.assert_array_equal(features[..., :OF_BACKBONE], without)
    kerass = statistics_model(ALL, FRAME, SIZE).predict(framed.astype(np.float32), verbose=0)
    np.testing.assert_allclose(features[:, 0, OF_BACKBONE:], kerass, atol=1e-4)
    assert len(list((tmp_path / "features").iterdir())) == 2  # one pass over the backbone, one for the statistics
    remembered(ROW.model_copy(update={"statistics": ("area",)}), framed, tmp_path)
    assert len(list((tmp_path / "features").iterdir())) == 3


def test_what_a_row_consists_of_names_its_statistics(framed: np.ndarray, store: Path, tmp_path: Path) -> None:
    images = pd.DataFrame({"image_id": ["a", "b"], "sha256": ["1" * 64, "2" * 64]})
    draws = pd.DataFrame({"image_id": [], "view": []})
    row = {**ROW.model_dump(include={"backbone", "weights", "frame", "size", "taps", "beside", "pooling", "colours"})}
    row |= {"statistics": list(ALL), "views": 0, "rotations": 1, "mode": "frozen"}
    embed(row, images, framed[:2], draws, False, store, tmp_path / "features")
    features, about = read_features(tmp_path / "features")
    assert features is not None
    assert [
        (part.backbone, part.tap, part.statistic, part.columns) for part in parts_of_columns(about, about["maps"])
    ] == [
        ("mobilenet", "conv_pw_3_relu", "mean", slice(0, 128)),
        ("mobilenet", "conv_pw_3_relu", "deviation", slice(128, OF_BACKBONE)),
        ("cell", "pixels", "area", slice(OF_BACKBONE, OF_BACKBONE + 1)),
        ("cell", "pixels", "shape", slice(OF_BACKBONE + 1, OF_BACKBONE + 3)),
        ("cell", "pixels", "colour", slice(OF_BACKBONE + 3, COLUMNS)),
    ]
    assert features.shape == (2, 1, about["channels"])
    told = [(layer["kind"], layer["output"], layer["detail"]) for layer in about["layers"][-3:]]
    assert told == [
        ("MeanAndDeviation", [OF_BACKBONE], "conv_pw_3_relu"),
        ("Statistics", [9], "area, shape, colour, of the framed pixels"),
        ("Concatenate", [COLUMNS], "mobilenet, statistics"),
    ]


@pytest.mark.parametrize("head", ["regularized", "kernel"])
def test_evaluation_the_saved_model_and_openvino_say_the_same(
    head: str, raw: np.ndarray, framed: np.ndarray, store: Path, tmp_path: Path
) -> None:
    keras.utils.set_random_seed(3)
    row = ROW.model_copy(update={"head": head, "statistics_share": 0.5})
    features = remembered(row, framed, store)
    everyone, labels = np.arange(6), np.arange(6) % 2
    if head == "kernel":
        side = Vectors(features[:, :1], labels, everyone.astype(str))
        trained = fit_kernel_head(row, side, side, "fold_0", History(0, lambda epoch: None, lambda epoch: None))
    else:
        trained = build_head(row, COLUMNS, "fold_0")
        last = trained.layers[-1]
        before = keras.Model(trained.input, last.input).predict(features[:, 0], verbose=0)
        last.bias.assign(-before.mean(axis=0) @ np.asarray(last.kernel))  # a random head is sure of itself otherwise
    data = TrainingData(everyone, everyone, labels, everyone, features, None)
    expected = predict(trained.predict_on_batch, row, data, everyone)
    assert np.ptp(expected) > 1e-3
    raw_model(row, [trained]).save(tmp_path / "model.keras")
    model = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    assert model.predict(raw, verbose=0)[:, 0] == pytest.approx(expected, abs=2e-3)
    export_scoring(model, FRAME, tmp_path / "model.xml")
    native = [frame_and_resize(picture, FRAME, FRAME) for picture in raw]
    assert list(Scorer(tmp_path / "model.xml", FRAME, 4).p_all(native)) == pytest.approx(expected, abs=2e-3)


def test_members_of_an_ensemble_share_a_backbone_beside_different_statistics() -> None:
    area = ROW.model_copy(update={"statistics": ("area",)})
    members = {
        "all": (ROW, [build_head(ROW, COLUMNS, "fold_0")]),
        "area": (area, [build_head(area, OF_BACKBONE + 1, "fold_0")]),
    }
    layers = joined_model(members).layers
    assert [layer.name for layer in layers if layer.name.startswith("mobilenet")] == ["mobilenet_0"]
