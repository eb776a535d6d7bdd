"""A saved model takes a raw picture: framing, resizing and rescaling are inside it, as pack and embed do them."""

import subprocess
import sys
from pathlib import Path
from typing import Literal

import keras
import numpy as np
import pytest

from leukoscope.config.rows import ModelSettings
from leukoscope.features.backbones import build_backbone
from leukoscope.imaging.framing import frame_and_resize
from leukoscope.imaging.turns import seen, turns_of
from leukoscope.training.assembly import frame_layers, joined_model, raw_model, trainable_model
from leukoscope.training.heads import build_head
from leukoscope.training.probabilities import predict
from leukoscope.training.task import TrainingData

SHAPES = [(450, 450), (451, 450), (600, 600), (120, 333), (301, 77)]
FROZEN = ModelSettings(backbone="mobilenetv2", weights="none", frame=300, size=64)


def smooth_picture(shape: tuple[int, int], seed: int = 0) -> np.ndarray:
    y, x = np.mgrid[: shape[0], : shape[1]]
    waves = [np.sin(x / (7 + seed) + channel) + np.cos(y / 11 + channel) for channel in range(3)]
    return (127 + 60 * np.stack(waves, axis=-1)).astype(np.uint8)


def lopsided_picture(seed: int) -> np.ndarray:
    """A square picture that none of its turns repeats."""
    y, x = np.mgrid[:300, :300]
    brightness = np.hypot(x - 110, 1.4 * (y - 170)) < 80 + 10 * seed
    return (smooth_picture((300, 300), seed) * (0.2 + 0.8 * brightness[..., None]) * (x / 300)[..., None]).astype(
        np.uint8
    )


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("frame", "size"), [(300, 224), (450, 224), (300, 300), (301, 128)])
def test_the_model_frames_a_picture_as_pack_does(shape: tuple[int, int], frame: int, size: int) -> None:
    picture = smooth_picture(shape)
    inputs = keras.Input((None, None, 3))
    framed = keras.Model(inputs, frame_layers(inputs, frame, size)).predict(picture[None], verbose=0)[0]
    difference = np.abs(framed - frame_and_resize(picture, frame, size))
    # Values that lie on a half may round either way.
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.005


@pytest.fixture(scope="module")
def heads() -> list[keras.Model]:
    keras.utils.set_random_seed(5)
    return [build_head(FROZEN, 1280, f"fold_{fold}") for fold in range(3)]


def test_a_raw_model_is_the_mean_of_its_folds(heads: list[keras.Model], tmp_path: Path) -> None:
    picture = smooth_picture((450, 450))
    backbone = build_backbone("mobilenetv2", "none", 300, 64)
    pooled = backbone.predict(frame_and_resize(picture, 300, 64)[None], verbose=0).max(axis=(1, 2))
    sigmoids = [head.predict(pooled, verbose=0)[0] for head in heads]
    expected = np.mean([positive / (hem + positive) for hem, positive in sigmoids])
    model = raw_model(FROZEN, heads)
    assert model.predict(picture[None], verbose=0) == pytest.approx(expected, abs=1e-4)
    called = keras.ops.convert_to_numpy(model(picture[None].astype(np.float32)))
    assert called == pytest.approx(expected, abs=1e-4)  # nothing drops because a layer before it holds to be training


def test_rotations_are_averaged_inside_the_model(heads: list[keras.Model], tmp_path: Path) -> None:
    raw_model(FROZEN.model_copy(update={"rotations": 8}), heads).save(tmp_path / "model.keras")
    model = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    picture, other = lopsided_picture(0), lopsided_picture(3)
    orbit = np.stack([np.rot90(start, quarters) for start in (picture, picture[:, ::-1]) for quarters in range(4)])
    each = raw_model(FROZEN, heads).predict(orbit, verbose=0)
    assert np.ptp(each) > 1e-3
    p = model.predict(np.stack([*orbit, other]), verbose=0)
    assert p[:8] == pytest.approx(np.full((8, 1), each.mean()), abs=1e-4)
    assert p[8] == pytest.approx(model.predict(other[None], verbose=0)[0], abs=1e-6)


@pytest.mark.parametrize(("mode", "rotations"), [("frozen", 8), ("finetune", 4)])
def test_what_evaluation_measures_is_what_the_model_with_rotations_says(
    heads: list[keras.Model], mode: Literal["frozen", "finetune"], rotations: Literal[4, 8]
) -> None:
    row = FROZEN.model_copy(update={"rotations": rotations, "mode": mode, "views": 2})
    pictures = np.stack([lopsided_picture(seed) for seed in range(3)])
    packed = np.stack([frame_and_resize(picture, 300, 64) for picture in pictures])
    backbone = build_backbone("mobilenetv2", "none", 300, 64)
    views = [seen(packed, turn, keep_black=False).astype(np.float32) for turn in turns_of(rotations)]
    by_turn = [backbone.predict(view, verbose=0).max(axis=(1, 2)) for view in views]
    augmented = [np.full_like(by_turn[0], np.nan)] * 2
    features = np.stack([by_turn[0], *augmented, *by_turn[1:]], axis=1)
    everyone = np.arange(3)
    data = TrainingData(everyone, everyone, everyone, everyone, features, packed)
    fold = heads[0] if mode == "frozen" else trainable_model(backbone, heads[0], row.pooling, "fold_0")
    expected = raw_model(row, [fold]).predict(pictures, verbose=0)[:, 0]
    assert predict(fold.predict_on_batch, row, data, everyone) == pytest.approx(expected, abs=1e-4)


def test_a_saved_model_loads_in_safe_mode_without_this_package(heads: list[keras.Model], tmp_path: Path) -> None:
    model = raw_model(FROZEN, heads)
    model.save(tmp_path / "model.keras")
    picture = smooth_picture((450, 450))[None]
    np.save(tmp_path / "picture.npy", picture)
    script = (
        "import sys; sys.modules['leukoscope'] = None\n"
        "import keras, numpy as np\n"
        "model = keras.saving.load_model('model.keras', safe_mode=True)\n"
        "np.save('p.npy', model.predict(np.load('picture.npy'), verbose=0))\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True, capture_output=True)
    assert np.load(tmp_path / "p.npy") == pytest.approx(model.predict(picture, verbose=0), abs=1e-6)


def test_finetuned_folds_join_into_one_raw_model() -> None:
    row = FROZEN.model_copy(update={"mode": "finetune"})
    folds = []
    for fold in range(2):
        backbone = build_backbone("mobilenetv2", "none", 300, 64)
        folds.append(trainable_model(backbone, build_head(row, 1280), row.pooling, f"fold_{fold}"))
    picture = smooth_picture((450, 450))
    sigmoids = [fold.predict(frame_and_resize(picture, 300, 64)[None], verbose=0)[0] for fold in folds]
    expected = np.mean([positive / (hem + positive) for hem, positive in sigmoids])
    assert raw_model(row, folds).predict(picture[None], verbose=0) == pytest.approx(expected, abs=1e-4)


@pytest.mark.slow
def test_members_of_an_ensemble_share_their_backbone_and_their_frames(heads: list[keras.Model], tmp_path: Path) -> None:
    plain = FROZEN.model_copy(update={"pooling": "avg", "head": "plain"})
    wider = FROZEN.model_copy(update={"frame": 450})
    keras.utils.set_random_seed(6)
    backbone = build_backbone("mobilenetv2", "none", 300, 64)
    tuned = FROZEN.model_copy(update={"mode": "finetune"})
    finetuned = [trainable_model(backbone, build_head(tuned, 1280), tuned.pooling, "fold_0")]
    members = {
        "modified": (FROZEN, heads),
        "plain": (plain, [build_head(plain, 1280, f"fold_{fold}") for fold in range(3)]),
        "wider": (wider, [build_head(wider, 1280, f"fold_{fold}") for fold in range(3)]),
        "tuned": (tuned, finetuned),
    }
    model = joined_model(members)
    assert [layer.name for layer in model.layers if layer.name.startswith("mobilenetv2")] == [
        "mobilenetv2_0",
        "mobilenetv2_1",
    ]
    assert sum(isinstance(layer, keras.layers.CenterCrop) for layer in model.layers) == 2
    model.save(tmp_path / "joined.keras")
    loaded = keras.saving.load_model(tmp_path / "joined.keras", safe_mode=True)
    picture = smooth_picture((451, 450))[None]
    of_members = [raw_model(*member).predict(picture, verbose=0) for member in members.values()]
    assert np.ptp(of_members) > 1e-3
    np.testing.assert_allclose(loaded.predict(picture, verbose=0), np.mean(of_members, axis=0), atol=1e-6)
