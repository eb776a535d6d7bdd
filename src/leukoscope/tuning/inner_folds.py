"""The folds inside a study: grouped, over the train and val sides of one fold of a protocol, dealt several times."""

from __future__ import annotations

import numpy as np
import pandas as pd

from leukoscope.config.params import Tune
from leukoscope.core.errors import ConfigError, SplitError

DEALS = 100  # of which the most even is kept


def rows_of_fold(split: pd.DataFrame, fold: int, sides: tuple[str, ...]) -> pd.DataFrame:
    """image_id, fold and side of the named sides of `fold`; `split` has one protocol's rows.

    Raises ConfigError where the protocol has no such fold.
    """
    folds = sorted(split["fold"].unique().tolist())
    if fold not in folds:
        named = ", ".join(str(one) for one in folds)
        raise ConfigError(f"tune.fold is {fold} and protocol {split['protocol'].iloc[0]} has the folds {named}")
    chosen = (split["fold"] == fold) & split["side"].isin(sides)
    return split.loc[chosen, ["image_id", "fold", "side"]].reset_index(drop=True)


def inner_folds(images: pd.DataFrame, settings: Tune) -> pd.DataFrame:
    """Folds number 0 to `folds` * `repeats` - 1: image_id, fold, side (train, or val: the side that stops and scores).

    Whole groups are dealt, of each class as many to each fold as to the others, under every protocol: a leaky deal
    would rank settings by how well they remember subjects. Raises SplitError where a class has fewer groups than folds.
    """
    tables = []
    for repeat in range(settings.repeats):
        fold_of = _dealt(images, settings.folds, np.random.default_rng([settings.seed, repeat]))
        for fold in range(settings.folds):
            sides = np.where(fold_of == fold, "val", "train")
            number = np.int8(repeat * settings.folds + fold)
            tables.append(pd.DataFrame({"image_id": images["image_id"], "fold": number, "side": sides}))
    return pd.concat(tables, ignore_index=True)


def _dealt(images: pd.DataFrame, folds: int, rng: np.random.Generator) -> np.ndarray:
    """A fold for each image: of some random deals of the groups the one whose folds have the most even counts.

    scikit-learn's StratifiedGroupKFold deals in the order of the groups' sizes whatever its seed, so its repeats hardly
    differ where every group has another size.
    """
    labels = images["label"].to_numpy(int)
    groups, group_of = np.unique(images["group"].to_numpy(), return_inverse=True)
    class_of = np.rint([labels[group_of == group].mean() for group in range(len(groups))]).astype(int)
    per_class = np.bincount(class_of, minlength=2)
    if per_class.min() < folds:
        raise SplitError(
            f"tune.folds: {folds} needs at least {folds} groups of subjects in each class and the fold's train and val "
            f"sides have {per_class[1]} of ALL and {per_class[0]} of hem: lower tune.folds or add subjects"
        )
    best, least = np.zeros(0), np.inf
    wanted = np.bincount(labels, minlength=2) / folds
    for _ in range(DEALS):
        fold_of_group = np.empty(len(groups), int)
        for of_class in (np.flatnonzero(class_of == label) for label in (0, 1)):
            fold_of_group[rng.permutation(of_class)] = np.arange(len(of_class)) % folds
        fold_of = fold_of_group[group_of]
        counts = np.array([np.bincount(labels[fold_of == fold], minlength=2) for fold in range(folds)])
        unevenness = np.abs(counts - wanted).max(axis=0) @ (1 / wanted)
        if unevenness < least:
            best, least = fold_of, unevenness
    return best
