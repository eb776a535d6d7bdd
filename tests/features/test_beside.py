"""Two backbones before one head: a pass of each, joined columns, and one saved model with both branches."""

from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest

from leukoscope.artifacts.decision import Parameters, parameters_of
from leukoscope.cli.words import of_weights
from leukoscope.config.params import Params
from leukoscope.config.rows import Branch, ModelSettings
from leukoscope.data.synthetic.cells import fixed_cells
from leukoscope.features.architecture import whole_row
from leukoscope.features.backbones import build_backbone, weights_identity, weights_of_row
from leukoscope.features.embedding import embed, pooled_features, read_features
from leukoscope.features.inventory import starts
from leukoscope.features.pooling import parts_of_columns
from leukoscope.features.weights import kinds_of_row
from leukoscope.imaging.framing import frame_and_resize
from leukoscope.imaging.turns import turns_of
from leukoscope.registry.runtime import Scorer, export_scoring
from leukoscope.training.assembly import joined_model, raw_model
from leukoscope.training.heads import build_head
from leukoscope.training.probabilities import predict
from leukoscope.training.task import TrainingData

FRAME, SIZE = 300, 72
FIRST, SECOND = ("conv_pw_3_relu",), ("block_1_expand_relu", "block_3_expand_relu")
ROW = ModelSettings(
    backbone="mobilenet",
    weights="none",
    frame=FRAME,
    size=SIZE,
    taps=FIRST,
    beside=Branch(backbone="mobilenetv2", weights="none", taps=SECOND),
    pooling="cell",
    colours="both",
    statistics=("area",),
    rotations=4,
    head="plain",
)
ALONE = ROW.model_copy(update={"beside": None, "statistics": ()})
OTHER_ALONE = ALONE.model_copy(update={"backbone": "mobilenetv2", "taps": SECOND})
OF_FIRST = 2 * 2 * 128  # pictures, moments, channels
OF_SECOND = 2 * 2 * (96 + 144)
COLUMNS = OF_FIRST + OF_SECOND + 1


@pytest.fixture(scope="module")
def raw() -> np.ndarray:
    return np.stack(fixed_cells(5, 5))


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
    everyone = np.arange(len(pictures))
    return np.array(pooled_features(row.model_dump(), hashes, pictures, everyone, turns, False, store))


def test_each_backbone_has_its_own_pass_which_rows_share(framed: np.ndarray, store: Path) -> None:
    features = remembered(ROW, framed, store)
    assert features.shape == (5, 4, COLUMNS)
    passes = set((store / "features").iterdir())
    assert len(passes) == 3  # two backbones, and the statistics
    np.testing.assert_array_equal(features[..., :OF_FIRST], remembered(ALONE, framed, store))
    np.testing.assert_array_equal(features[..., OF_FIRST:-1], remembered(OTHER_ALONE, framed, store))
    assert set((store / "features").iterdir()) == passes
    turned_around = ROW.model_copy(
        update={
            "backbone": "mobilenetv2",
            "taps": SECOND,
            "beside": Branch(backbone="mobilenet", weights="none", taps=FIRST),
        }
    )
    again = remembered(turned_around, framed, store)
    np.testing.assert_array_equal(again[..., :OF_SECOND], features[..., OF_FIRST:-1])
    assert set((store / "features").iterdir()) == passes


def test_what_a_row_consists_of_and_where_its_columns_come_from(
    framed: np.ndarray, store: Path, tmp_path: Path
) -> None:
    images = pd.DataFrame({"image_id": list("abcde"), "sha256": [f"{number:064x}" for number in range(5)]})
    known = {"backbone", "weights", "frame", "size", "taps", "beside", "pooling", "colours", "statistics", "mode"}
    row = {**ROW.model_dump(mode="json", include=known), "views": 0, "rotations": 1}
    embed(row, images, framed, pd.DataFrame({"image_id": [], "view": []}), False, store, tmp_path / "features")
    features, about = read_features(tmp_path / "features")
    assert features is not None
    np.testing.assert_array_equal(features[:, 0], remembered(ROW, framed, store)[:, 0])

    layers = whole_row(about["layers"], build_head(ROW, COLUMNS))
    kinds = [layer["kind"] for layer in layers]
    of_backbone = ["Rescaling", "Functional", "MeanAndDeviation"]
    assert kinds == [*of_backbone, *of_backbone, "Statistics", "Concatenate", "Multiply", "Dense"]
    assert layers[3]["detail"] == "of the framed pixels"
    assert (layers[7]["output"], layers[7]["detail"]) == ([COLUMNS], "mobilenet, mobilenetv2, statistics")
    networks = [build_backbone("mobilenet", "none", FRAME, SIZE, FIRST)]
    networks.append(build_backbone("mobilenetv2", "none", FRAME, SIZE, SECOND))
    head = build_head(ROW, COLUMNS).count_params()
    assert parameters_of(layers) == Parameters(
        total=sum(network.count_params() for network in networks) + head, trainable=head
    )

    parts = parts_of_columns(about, about["maps"])
    assert [part.columns.stop for part in parts[:-1]] == [part.columns.start for part in parts[1:]]
    assert parts[-1].columns.stop == COLUMNS
    named = [(part.backbone, part.tap, part.colours, part.statistic) for part in parts]
    assert named[:5] == [
        ("mobilenet", FIRST[0], "raw", "mean"),
        ("mobilenet", FIRST[0], "raw", "deviation"),
        ("mobilenet", FIRST[0], "normalized", "mean"),
        ("mobilenet", FIRST[0], "normalized", "deviation"),
        ("mobilenetv2", SECOND[0], "raw", "mean"),
    ]
    assert len(named) == 4 + 8 + 1
    assert named[-1] == ("cell", "pixels", "raw", "area")


def test_evaluation_the_saved_model_and_openvino_say_the_same(
    raw: np.ndarray, framed: np.ndarray, store: Path, tmp_path: Path
) -> None:
    keras.utils.set_random_seed(3)
    head = build_head(ROW, COLUMNS, "fold_0")
    features = remembered(ROW, framed, store)
    last = head.layers[-1]
    before = keras.Model(head.input, last.input).predict(features[:, 0], verbose=0)
    last.bias.assign(-before.mean(axis=0) @ np.asarray(last.kernel))  # a random head is sure of itself otherwise
    everyone = np.arange(5)
    expected = predict(
        head.predict_on_batch, ROW, TrainingData(everyone, everyone, everyone, everyone, features, None), everyone
    )
    assert np.ptp(expected) > 1e-3
    raw_model(ROW, [head]).save(tmp_path / "model.keras")
    model = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    assert model.predict(raw, verbose=0)[:, 0] == pytest.approx(expected, abs=2e-3)
    export_scoring(model, FRAME, tmp_path / "model.xml")
    native = [frame_and_resize(picture, FRAME, FRAME) for picture in raw]
    assert list(Scorer(tmp_path / "model.xml", FRAME, 4).p_all(native)) == pytest.approx(expected, abs=2e-3)


def test_members_of_an_ensemble_share_a_branch_wherever_it_stands() -> None:
    members = {
        "both": (ROW, [build_head(ROW, COLUMNS, "fold_0")]),
        "other": (OTHER_ALONE, [build_head(OTHER_ALONE, OF_SECOND, "fold_0")]),
    }
    networks = [layer.name for layer in joined_model(members).layers if layer.name.startswith("mobilenet")]
    assert networks == ["mobilenet_0", "mobilenetv2_1"]


def test_weights_are_those_of_both_and_untrained_where_either_is() -> None:
    identity = [weights_identity(branch.backbone, branch.weights, SIZE) for branch in ROW.branches]
    assert weights_of_row(ROW) == " + ".join(identity)
    assert weights_of_row(ALONE) == identity[0]
    assert kinds_of_row(ALONE.model_copy(update={"weights": "imagenet"})) == "imagenet"
    assert kinds_of_row(ROW.model_copy(update={"weights": "imagenet"})) == "imagenet, untrained"
    assert kinds_of_row(ROW) == "untrained"


def test_the_weights_of_both_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    beside = {"backbone": "resnet50", "weights": "nowhere.weights.h5"}
    text = of_weights(starts(Params(models={"a_row": {"backbone": "mobilenet", "size": 128, "beside": beside}})))
    listed = [line.split() for line in text.splitlines()]
    assert [words[1:] for words in listed if words[:1] == ["a_row"]] == [
        ["mobilenet", "at", "128", "imagenet,", "to", "be", "downloaded"],
        ["resnet50", "at", "128", "nowhere.weights.h5,", "MISSING"],
    ]
    assert any(words[:2] == ["resnet50", "128"] for words in listed)
