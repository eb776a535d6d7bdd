"""A part of the features is another subject's: what the row says then, and whose they are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from leukoscope.config.params import Split
from leukoscope.config.rows import ModelSettings, Protocol
from leukoscope.data.splits import make_splits
from leukoscope.evaluation.exchanged import REPEATS, exchanged_predictions, other_subjects, shares
from leukoscope.features.pooling import parts_of_columns
from leukoscope.training.heads import build_head
from leukoscope.training.inputs import RowInputs
from leukoscope.training.saved_folds import fold_predictions, save_fold
from leukoscope.training.task import TrainedFold, TrainingData
from tests.conftest import image_table

ROW = ModelSettings(backbone="mobilenet", taps=("near", "far"), pooling="cell", head="plain", rotations=4)
MAPS = [2, 3]
FOLDS = 3
DECIDES = slice(4, 7)  # the means of `far`


@pytest.fixture(scope="module")
def images() -> pd.DataFrame:
    """Few subjects, and of hem so few that a fold tests one: 8 cells each, one subject with 40."""
    cells = [image_table({name: label}, 8) for name, label in {"1": 1, "2": 1, "3": 1, "4": 1}.items()]
    cells += [image_table({name: 0}, count) for name, count in {"H1": 40, "H2": 8, "H3": 8}.items()]
    return pd.concat(cells, ignore_index=True).sort_values("image_id", ignore_index=True)


def inputs(images: pd.DataFrame, row: ModelSettings = ROW, protocol: Protocol = "subject") -> RowInputs:
    """A row's features of which one part alone tells the class."""
    random = np.random.default_rng(3)
    features = random.normal(size=(len(images), 4, 10)).astype(np.float32)
    features[:, :, DECIDES] += 3 * (2 * images["label"].to_numpy(int) - 1)[:, None, None]
    labels = images["label"].to_numpy(int)
    data = TrainingData(
        images["image_id"].to_numpy(), images["sha256"].to_numpy(), labels, images["group"].to_numpy(), features, None
    )
    splits = make_splits(images, Split(folds=FOLDS), [protocol])
    about = {**row.model_dump(mode="json"), "maps": MAPS, "weights_identity": "w", "weights_kind": "k"}
    return RowInputs("a_row", protocol, row, images, splits[splits["protocol"] == protocol], data, about, {}, None)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two folds whose heads read the deciding part and nothing else."""
    folder = tmp_path_factory.mktemp("trained")
    for fold in range(FOLDS):
        head = build_head(ROW, 10, f"fold_{fold}")
        kernel = np.zeros((10, 2), np.float32)
        kernel[DECIDES] = [[-1, 1]]
        head.set_weights([kernel, np.zeros(2, np.float32)])
        save_fold(TrainedFold(fold, head, []), folder)
    return folder


def test_columns_are_divided_along_each_dimension_in_which_parts_differ() -> None:
    divided = shares(parts_of_columns(ROW.model_dump(), MAPS))
    assert [(share.dimension, share.name, np.flatnonzero(share.columns).tolist()) for share in divided] == [
        ("tap", "near", [0, 1, 2, 3]),
        ("tap", "far", [4, 5, 6, 7, 8, 9]),
        ("statistic", "mean", [0, 1, 4, 5, 6]),
        ("statistic", "deviation", [2, 3, 7, 8, 9]),
    ]
    with_statistics = {**ROW.model_dump(), "taps": ("near",), "colours": "both", "statistics": ("area", "colour")}
    divided = shares(parts_of_columns(with_statistics, [2]))
    assert [(share.dimension, share.name, int(share.columns.sum())) for share in divided] == [
        ("backbone", "mobilenet", 8),
        ("backbone", "cell", 7),
        ("colours", "raw", 4),
        ("colours", "normalized", 4),
        ("statistic", "mean", 4),
        ("statistic", "deviation", 4),
        ("statistic", "area", 1),
        ("statistic", "colour", 6),
    ]
    assert shares(parts_of_columns({**ROW.model_dump(), "taps": (), "pooling": "avg"}, [7])) == []


def test_one_backbone_at_two_scales_is_divided_by_scale_and_so_are_its_layers() -> None:
    beside = {"backbone": "mobilenet", "weights": "none", "taps": ("near",), "shrink": 2}
    divided = shares(parts_of_columns({**ROW.model_dump(), "pooling": "avg", "beside": beside}, [*MAPS, 4]))
    assert [(share.dimension, share.name, np.flatnonzero(share.columns).tolist()) for share in divided] == [
        ("backbone", "mobilenet", [0, 1, 2, 3, 4]),
        ("backbone", "mobilenet at 1/2 scale", [5, 6, 7, 8]),
        ("tap", "near", [0, 1]),
        ("tap", "far", [2, 3, 4]),
        ("tap", "near at 1/2 scale", [5, 6, 7, 8]),
    ]


def test_only_what_the_row_reads_costs_it_anything(images: pd.DataFrame, trained: Path) -> None:
    row = inputs(images)
    folds = [fold_predictions(trained, row, row.split[row.split["fold"] == fold]) for fold in range(FOLDS)]
    tested = pd.concat(of[of["side"] == "test"] for of in folds)
    right = np.where(tested["label"] == 1, 1, -1)
    assert np.all(right * (tested["p_all"] - 0.5) > 0.4)
    said = {one.part: one for one in exchanged_predictions(trained, row, seed=7)}
    assert {part: one.columns for part, one in said.items()} == {"near": 4, "far": 6, "mean": 5, "deviation": 5}
    for one in said.values():
        np.testing.assert_allclose(one.as_is, tested["p_all"], atol=1e-6)
    for unread in ("near", "deviation"):
        np.testing.assert_allclose(said[unread].p_all, np.tile(tested["p_all"], (REPEATS, 1)), atol=1e-6)
    # whole pictures come over, all turns of one: p is as sure as before, of a class that is drawn anew
    share_all = (tested["label"] == 1).mean()
    for read in ("far", "mean"):
        np.testing.assert_array_equal(said[read].p_all, said["far"].p_all)
        assert np.all(np.abs(said[read].p_all - 0.5) > 0.4)
        for label in (0, 1):
            called_all = said[read].p_all[:, tested["label"] == label] > 0.5
            assert called_all.mean() == pytest.approx(share_all, abs=0.1)


def test_the_same_seed_exchanges_the_same_images(images: pd.DataFrame, trained: Path) -> None:
    first, again, other = (exchanged_predictions(trained, inputs(images), seed) for seed in (7, 7, 8))
    np.testing.assert_array_equal(first[1].p_all, again[1].p_all)
    assert np.abs(first[1].p_all - other[1].p_all).max() > 0.5


def test_an_image_gets_what_another_subjects_untrained_image_has(images: pd.DataFrame) -> None:
    row = inputs(images)
    groups, labels = row.data.groups, row.data.labels
    for fold in range(FOLDS):
        sides = row.split[row.split["fold"] == fold]
        tested, val, train = (row.data.positions(sides, side) for side in ("test", "val", "train"))
        random = np.random.default_rng(fold)
        drawn = np.stack([other_subjects(row.data, tested, val, 0.4, random) for _ in range(300)])
        assert np.all(groups[drawn] != groups[tested])
        assert not np.isin(drawn, train).any()
        np.testing.assert_allclose((labels[drawn] == 1).mean(axis=0), 0.4, atol=0.15)  # 5 deviations
        hem = groups[drawn][:, labels[tested] == 1]
        _, times = np.unique(hem[np.char.startswith(hem.astype(str), "H")], return_counts=True)
        assert times.max() < 1.2 * times.min()  # one group like another, however many images they have


def test_rows_and_protocols_without_it_give_nothing(images: pd.DataFrame, trained: Path) -> None:
    finetuned = ModelSettings(backbone="mobilenet", mode="finetune")
    assert exchanged_predictions(trained, inputs(images, finetuned), 7) == []
    assert exchanged_predictions(trained, inputs(images, protocol="image"), 7) == []
    whole = inputs(images, ModelSettings(backbone="mobilenet"))
    assert exchanged_predictions(trained, replace(whole, features={**whole.features, "maps": [10]}), 7) == []
