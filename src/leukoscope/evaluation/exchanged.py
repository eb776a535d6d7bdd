"""What a row says of its test images when a part of their features is another subject's: how much that part decides."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from leukoscope.config.params import HONEST_PROTOCOLS
from leukoscope.core.progress import Work, progress
from leukoscope.evaluation.importance import Exchanged
from leukoscope.features.pooling import NO_BACKBONE, Part, parts_of_columns
from leukoscope.training.inputs import RowInputs
from leukoscope.training.probabilities import predict
from leukoscope.training.saved_folds import fold_numbers, fold_sigmoids
from leukoscope.training.task import TrainingData

REPEATS = 4
DIMENSIONS = ("backbone", "tap", "colours", "statistic")  # of a Part, along which the columns are divided
CELLS_AT_ONCE = 256  # whose features are in memory


class Share(NamedTuple):
    """The columns, bool [columns of a vector], that have one value along one dimension of the parts."""

    dimension: str
    name: str
    columns: np.ndarray


def shares(parts: Sequence[Part]) -> list[Share]:
    """Each dimension along which `parts` differ, divided into its values; none where a row has one part.

    Statistics of the cell have no layer and no picture of their own.
    """
    found: list[Share] = []
    for dimension in DIMENSIONS:
        divided = [part for part in parts if part.backbone != NO_BACKBONE or dimension in ("backbone", "statistic")]
        names = list(dict.fromkeys(getattr(part, dimension) for part in divided))
        for name in names if len(names) > 1 else []:
            columns = np.zeros(parts[-1].columns.stop, bool)
            for part in divided:
                columns[part.columns] |= getattr(part, dimension) == name
            found.append(Share(dimension, name, columns))
    return found


def exchanged_predictions(trained: Path, inputs: RowInputs, seed: int) -> list[Exchanged]:
    """For each of a row's `shares`, what the folds saved in `trained` say of their test images with it exchanged.

    Empty for a row that finetunes, whose features consist of one part, or under a protocol where subjects are on both
    sides. An image's exchanged columns are another image's, of every turn that turn's, and are drawn anew in each
    repeat (`other_subjects`); every share is exchanged with the same images. The models are those that val's images had
    no part in, since exchanged columns come from there too. Its other columns stay, so what they also
    tell is not missed: the shares of a row that says everything twice all cost nothing.
    """
    if inputs.row.mode == "finetune" or inputs.protocol not in HONEST_PROTOCOLS:
        return []
    divided = shares(parts_of_columns(inputs.features, inputs.features["maps"]))
    if not divided:
        return []
    folds = fold_numbers(trained)
    tested = inputs.split[inputs.split["fold"].isin(folds) & (inputs.split["side"] == "test")]
    with progress("importance", len(tested), "images") as work:
        said = [_of_fold(trained, inputs, divided, fold, seed, work) for fold in folds]
    as_is, of_shares = (np.concatenate(of_folds, axis=-1) for of_folds in zip(*said, strict=True))
    return [
        Exchanged(share.dimension, share.name, int(share.columns.sum()), p_all, as_is)
        for share, p_all in zip(divided, of_shares, strict=True)
    ]


def _of_fold(
    trained: Path, inputs: RowInputs, divided: Sequence[Share], fold: int, seed: int, work: Work
) -> tuple[np.ndarray, np.ndarray]:
    """p(ALL) [tested] of a fold's test images by image_id, and with shares exchanged [shares, repeats, tested]."""
    data, sides = inputs.data, inputs.split[inputs.split["fold"] == fold]
    tested, val = (data.positions(sides, side) for side in ("test", "val"))
    tested = tested[np.argsort(data.image_ids[tested])]
    share_all = float(np.mean(data.labels[data.positions(inputs.split, "test")] == 1))
    random = np.random.Generator(np.random.PCG64([seed, fold]))
    others = np.stack([other_subjects(data, tested, val, share_all, random) for _ in range(REPEATS)])
    sigmoids = fold_sigmoids(trained, fold, knows_val=False)
    as_is, p_all = np.empty(len(tested)), np.empty((len(divided), REPEATS, len(tested)))
    for start in range(0, len(tested), CELLS_AT_ONCE):
        at = slice(start, start + CELLS_AT_ONCE)
        as_is[at] = predict(sigmoids, inputs.row, data, tested[at])
        p_all[:, :, at] = list(_of_cells(sigmoids, inputs, divided, tested[at], others[:, at]))
        work(len(tested[at]))
    return as_is, p_all


def _of_cells(
    sigmoids: Callable[[np.ndarray], np.ndarray],
    inputs: RowInputs,
    divided: Sequence[Share],
    cells: np.ndarray,
    others: np.ndarray,
) -> Iterator[list[np.ndarray]]:
    """For each share p(ALL) [cells] of each repeat; `others` is [repeats, cells]."""
    vectors = inputs.data.vectors()
    own, foreign = vectors[cells], [vectors[of_repeat] for of_repeat in others]
    for share in divided:
        mixed = (np.where(share.columns, theirs, own) for theirs in foreign)
        yield [
            predict(sigmoids, inputs.row, replace(inputs.data, features=one), np.arange(len(cells))) for one in mixed
        ]


def other_subjects(
    data: TrainingData, tested: np.ndarray, val: np.ndarray, share_all: float, random: np.random.Generator
) -> np.ndarray:
    """For each image at `tested` the position of one that neither is of its group nor was trained on.

    Images of a subject are alike, so one that is exchanged within its subject keeps much of what it said; and where a
    fold tests few subjects, leaving out one's own would leave more of the other class, which tells the class again.
    Hence the other's class is drawn first, ALL with the chance `share_all` whatever the image and its fold, then one of
    the class's other groups, all alike, then one of its images of that class. `val` holds groups that are not tested,
    so there is always one.
    """
    pool = np.concatenate([tested, val])
    of_class = (random.random(len(tested)) < share_all).astype(int)
    drawn = np.empty(len(tested), np.int64)
    for label in (0, 1):
        members = pool[data.labels[pool] == label]
        by_group = {group: members[data.groups[members] == group] for group in np.unique(data.groups[members])}
        for group in np.unique(data.groups[tested]):
            others = [images for name, images in by_group.items() if name != group]
            for at in np.flatnonzero((data.groups[tested] == group) & (of_class == label)):
                drawn[at] = random.choice(others[random.integers(len(others))])
    return drawn
