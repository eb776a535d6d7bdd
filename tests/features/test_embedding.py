"""Frozen features: Keras's own values, computed once, whoever asks again."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from leukoscope.config.params import Augment
from leukoscope.features.backbones import build_backbone
from leukoscope.features.embedding import embed, read_features, reference_pack
from leukoscope.features.engine import PooledFeatures
from leukoscope.features.memory import FeatureStore, vector_key, write_shard
from leukoscope.imaging.augmentation import apply_draw
from leukoscope.imaging.draws import draw_table, draws_of

ROW = {
    "backbone": "mobilenetv2",
    "weights": "none",
    "frame": 300,
    "size": 64,
    "taps": (),
    "views": 2,
    "rotations": 1,
    "pooling": "max",
    "colours": "raw",
    "mode": "frozen",
}
SIZE = 64


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


@pytest.fixture
def few(images: pd.DataFrame) -> pd.DataFrame:
    return images.iloc[:21].reset_index(drop=True)


@pytest.fixture
def packed(few: pd.DataFrame, cell: np.ndarray) -> np.ndarray:
    views = draws_of(draw_table(few, Augment(seed=99), 1))
    return np.stack([apply_draw(cell[48:176:2, 48:176:2].copy(), view) for view in views])


def embedded(row: dict, images: pd.DataFrame, packed: np.ndarray, store: Path, folder: Path) -> np.ndarray:
    draws = draw_table(images, Augment(), 2)
    embed(row, images, packed, draws, False, store, folder)
    features, _ = read_features(folder)
    assert features is not None
    return np.array(features)


def test_features_are_kerass_own(few: pd.DataFrame, packed: np.ndarray, store: Path, tmp_path: Path) -> None:
    model = build_backbone("mobilenetv2", "none", 300, SIZE)
    draws = draws_of(draw_table(few, Augment(), 2))
    for pooling, reduce in {"max": np.max, "avg": np.mean}.items():
        features = embedded({**ROW, "pooling": pooling}, few, packed, store, tmp_path / pooling)
        assert features.shape == (21, 3, 1280)
        assert read_features(tmp_path / pooling)[1]["maps"] == [1280]
        for image in (0, 7, 20):
            pictures = [packed[image], *(apply_draw(packed[image], view) for view in draws[2 * image : 2 * image + 2])]
            expected = reduce(model.predict(np.stack(pictures).astype(np.float32), verbose=0), axis=(1, 2))
            np.testing.assert_allclose(features[image], expected, atol=1e-4 * np.abs(expected).max())


def test_turns_come_after_the_augmented_views(
    few: pd.DataFrame, packed: np.ndarray, store: Path, tmp_path: Path
) -> None:
    features = embedded({**ROW, "rotations": 8}, few, packed, store, tmp_path / "turned")
    plain = embedded(ROW, few, packed, store, tmp_path / "plain")
    np.testing.assert_array_equal(features[:, :3], plain)
    assert features.shape == (21, 3 + 7, 1280)
    square = packed[5]
    orbit = [np.rot90(start, quarters) for start in (square, square[:, ::-1]) for quarters in range(4)]
    assert len({view.tobytes() for view in orbit}) == 8
    model = build_backbone("mobilenetv2", "none", 300, SIZE)
    expected = model.predict(np.stack(orbit[1:]).astype(np.float32), verbose=0).max(axis=(1, 2))
    np.testing.assert_allclose(features[5, 3:], expected, atol=1e-4 * np.abs(expected).max())


def test_a_second_pass_computes_nothing(
    few: pd.DataFrame, packed: np.ndarray, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = embedded(ROW, few, packed, store, tmp_path / "first")
    monkeypatch.setattr(PooledFeatures, "run", lambda *_: pytest.fail("computed what was there already"))
    np.testing.assert_array_equal(first, embedded(ROW, few, packed, store, tmp_path / "second"))
    fewer = embedded({**ROW, "views": 1}, few.iloc[5:9].reset_index(drop=True), packed[5:9], store, tmp_path / "third")
    np.testing.assert_array_equal(fewer, first[5:9, :2])


def test_a_vector_does_not_depend_on_its_neighbours(
    few: pd.DataFrame, packed: np.ndarray, store: Path, tmp_path: Path
) -> None:
    together = embedded(ROW, few, packed, store, tmp_path / "together")
    alone = embedded(
        ROW, few.iloc[[4]].reset_index(drop=True), packed[[4]], tmp_path / "another store", tmp_path / "alone"
    )
    np.testing.assert_array_equal(alone[0], together[4])


def test_a_shard_without_its_keys_is_computed_again(tmp_path: Path) -> None:
    key = vector_key("ab" * 32, None, False)
    write_shard(tmp_path, [key], np.ones((1, 4), np.float32))
    assert key in FeatureStore(tmp_path)
    next(tmp_path.glob("*.keys.npy")).unlink()  # what a kill between the two files leaves
    assert key not in FeatureStore(tmp_path)


def test_a_row_that_finetunes_keeps_a_hash_of_its_pictures(packed: np.ndarray, tmp_path: Path) -> None:
    row = {**ROW, "mode": "finetune"}
    hashes = []
    for pictures in (packed, packed, packed + 1):
        reference_pack(row, pictures, tmp_path / "features")
        hashes.append(json.loads((tmp_path / "features/features.json").read_text())["pictures_sha256"])
    assert hashes[0] == hashes[1] != hashes[2]
