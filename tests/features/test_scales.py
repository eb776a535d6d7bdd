"""One backbone at two scales before one head: its coarser branch sees the means of squares of the framed pixels."""

from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest

from leukoscope.config.rows import Branch, ModelSettings
from leukoscope.core.errors import ConfigError
from leukoscope.data.synthetic.cells import fixed_cells
from leukoscope.features.backbones import build_backbone, weights_identity, weights_of_row
from leukoscope.features.embedding import embed, pooled_features, read_features
from leukoscope.features.passes import BackbonePass, passes_of
from leukoscope.features.pooling import feature_model
from leukoscope.imaging.framing import frame_and_resize
from leukoscope.imaging.turns import seen, turns_of
from leukoscope.registry.runtime import Scorer, export_scoring
from leukoscope.training.assembly import joined_model, raw_model
from leukoscope.training.heads import build_head
from leukoscope.training.probabilities import predict
from leukoscope.training.task import TrainingData

FRAME, SIZE, SHRINK = 96, 96, 2  # without a resize, whose rounding differs a little from the saved model's
TAPS = ("conv_pw_3_relu",)
COARSE = Branch(backbone="mobilenet", weights="none", taps=TAPS, shrink=SHRINK)
ROW = ModelSettings(
    backbone="mobilenet",
    weights="none",
    frame=FRAME,
    size=SIZE,
    taps=TAPS,
    beside=COARSE,
    pooling="cell",
    colours="both",
    rotations=4,
    head="plain",
)
ALONE = ROW.model_copy(update={"beside": None})
OF_ONE = 2 * 2 * 128  # pictures, moments, channels


@pytest.fixture(scope="module")
def raw() -> np.ndarray:
    """Whole cells on their background, larger than the frame."""
    cells = [frame_and_resize(cell, 300, SIZE) for cell in fixed_cells(4, 5)]
    return np.pad(np.stack(cells), ((0, 0), (3, 3), (5, 5), (0, 0)))


@pytest.fixture(scope="module")
def framed(raw: np.ndarray) -> np.ndarray:
    return np.stack([frame_and_resize(picture, FRAME, SIZE) for picture in raw])


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


def remembered(row: ModelSettings, pictures: np.ndarray, store: Path) -> np.ndarray:
    """Features [pictures, turns, columns] by the memory of frozen passes."""
    hashes = np.array([f"{number:064x}" for number in range(len(pictures))])
    turns = [turns_of(row.rotations)[1:]] * len(pictures)
    return np.array(pooled_features(row.model_dump(), hashes, pictures, np.arange(len(pictures)), turns, False, store))


def means_of_squares(pictures: np.ndarray, side: int) -> np.ndarray:
    """Whole grey levels [n, size / side, size / side, 3] by plain arithmetic."""
    n, size = pictures.shape[:2]
    squares = pictures.reshape(n, size // side, side, size // side, side, 3).astype(np.float64)
    return np.rint(squares.mean(axis=(2, 4)))


def test_the_coarser_columns_are_what_the_backbone_gives_of_the_averaged_pictures(
    framed: np.ndarray, store: Path
) -> None:
    features = remembered(ROW, framed, store)
    assert features.shape == (4, 4, 2 * OF_ONE)
    np.testing.assert_array_equal(features[..., :OF_ONE], remembered(ALONE, framed, store))
    assert len(set((store / "features").iterdir())) == 2  # and nothing computed twice
    small = feature_model(build_backbone("mobilenet", "none", FRAME, SIZE // SHRINK, TAPS), ["cell"], "both")
    for at, turn in enumerate(turns_of(ROW.rotations)):
        shown = means_of_squares(seen(framed, turn, keep_black=False), SHRINK)
        expected = small.predict(shown, verbose=0)
        np.testing.assert_allclose(features[:, at, OF_ONE:], expected, rtol=1e-4, atol=1e-3)
    assert np.abs(features[..., OF_ONE:] - features[..., :OF_ONE]).max() > 0.1


def test_every_scale_has_its_own_memory_and_usual_rows_keep_theirs() -> None:
    kinds = [one.kind for one in passes_of(ROW)]
    assert kinds[1] == {**kinds[0], "shrink": SHRINK, "weights": weights_identity("mobilenet", "none", SIZE // SHRINK)}
    assert set(kinds[0]) == {"weights", "frame", "size", "taps", "poolings", "colours"}
    plain = ModelSettings(backbone="mobilenet", weights="none", frame=FRAME, size=SIZE)
    assert set(BackbonePass(plain, plain.branches[0]).kind) == {"weights", "frame", "size"}
    assert weights_of_row(ROW) == " + ".join(kind["weights"] for kind in kinds)


def test_what_a_row_consists_of_tells_its_scales(framed: np.ndarray, store: Path, tmp_path: Path) -> None:
    images = pd.DataFrame({"image_id": list("abcd"), "sha256": [f"{number:064x}" for number in range(4)]})
    row = {**ROW.model_dump(mode="json"), "views": 0, "rotations": 1}
    embed(row, images, framed, pd.DataFrame({"image_id": [], "view": []}), False, store, tmp_path / "features")
    _, about = read_features(tmp_path / "features")
    side = SIZE // SHRINK
    told = [(layer["kind"], layer["output"], layer["detail"]) for layer in about["layers"]]
    assert told[0] == ("Rescaling", [SIZE, SIZE, 3], "")
    assert told[3:5] == [
        ("AveragePool", [side, side, 3], "means of 2 × 2, of the framed pixels"),
        ("Rescaling", [side, side, 3], ""),
    ]
    assert told[-1] == ("Concatenate", [2 * OF_ONE], "mobilenet, mobilenet at 1/2 scale")
    assert about["maps"] == [128, 128]


def test_evaluation_the_saved_model_and_openvino_say_the_same(
    raw: np.ndarray, framed: np.ndarray, store: Path, tmp_path: Path
) -> None:
    keras.utils.set_random_seed(3)
    head = build_head(ROW, 2 * OF_ONE, "fold_0")
    features = remembered(ROW, framed, store)
    last = head.layers[-1]
    last.bias.assign(-features.mean(axis=(0, 1)) @ np.asarray(last.kernel))  # a random head is sure of itself otherwise
    everyone = np.arange(4)
    data = TrainingData(everyone, everyone, everyone, everyone, features, None)
    expected = predict(head.predict_on_batch, ROW, data, everyone)
    assert np.ptp(expected) > 1e-3
    raw_model(ROW, [head]).save(tmp_path / "model.keras")
    model = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    assert [one.name for one in model.layers if one.name.startswith("mobilenet")] == ["mobilenet_0", "mobilenet_1"]
    assert model.predict(raw, verbose=0)[:, 0] == pytest.approx(expected, abs=1e-4)
    export_scoring(model, FRAME, tmp_path / "model.xml")
    assert list(Scorer(tmp_path / "model.xml", FRAME, 4).p_all(framed)) == pytest.approx(expected, abs=1e-4)


def test_members_of_an_ensemble_share_a_scale_and_nothing_across_scales() -> None:
    thirds = ROW.model_copy(update={"beside": COARSE.model_copy(update={"shrink": 3})})
    members = {
        "halves": (ROW, [build_head(ROW, 2 * OF_ONE, "fold_0")]),
        "again": (ROW, [build_head(ROW, 2 * OF_ONE, "fold_0")]),
        "thirds": (thirds, [build_head(thirds, 2 * OF_ONE, "fold_0")]),
        "alone": (ALONE, [build_head(ALONE, OF_ONE, "fold_0")]),
    }
    model = joined_model(members)
    sides = {one.name: one.input.shape[1] for one in model.layers if one.name.startswith("mobilenet")}
    assert sides == {"mobilenet_0": SIZE, "mobilenet_1": SIZE // 2, "mobilenet_2": SIZE // 3}
    assert sum(type(one).__name__ == "AveragePool" for one in model.operations) == 2


def test_a_shrunk_picture_that_is_too_small_is_told_in_its_own_pixels(tmp_path: Path) -> None:
    row = ROW.model_copy(update={"beside": Branch(backbone="inceptionv3", weights="none", shrink=2)})
    with pytest.raises(
        ConfigError, match=r"inceptionv3 takes pictures of 75 pixels .* is shown 48: mend size or besid"
    ):
        passes_of(row)[1].converted(tmp_path / "ir")
