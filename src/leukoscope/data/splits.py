"""The four protocols: which image trains, validates and tests, and the check that no honest split leaks.

subject   grouped, stratified folds over the labelled training images: fold f tests, the next one validates
image     the same folds, fold sizes and class counts, but images are dealt instead of groups (leaky: the control)
paper     one random 70/15/15 split by image, as the study's test set of 1,600 images implies (leaky: as printed)
official  C-NMC's training folds train and validate (grouped), the preliminary set tests
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold, train_test_split

from leukoscope.config.params import HONEST_PROTOCOLS, Split
from leukoscope.config.rows import Protocol
from leukoscope.core.errors import SplitError

SIDES = ("train", "val", "test", "unused")
HELD_OUT_SHARE = 0.15  # of a single split's images, for val and for test each
SHUFFLES = 20  # grouped folds are a greedy deal, so the most even of several is kept


def make_splits(images: pd.DataFrame, settings: Split, protocols: tuple[Protocol, ...]) -> pd.DataFrame:
    """Split `images` (images.parquet) under every protocol that the data allow.

    Returns image_id, protocol, fold, side, sorted by protocol, fold and image_id. All possible protocols are made,
    so that asking for one more changes no other's rows. Raises SplitError where one of `protocols` cannot be made.
    """
    labelled = images[images["label"].notna()].sort_values("image_id", ignore_index=True)
    tables = []
    for protocol in get_args(Protocol):
        try:
            tables.append(_protocol_rows(protocol, labelled, settings))
        except SplitError:
            if protocol in protocols:
                raise
    return pd.concat(tables, ignore_index=True).sort_values(["protocol", "fold", "image_id"], ignore_index=True)


def _protocol_rows(protocol: Protocol, labelled: pd.DataFrame, settings: Split) -> pd.DataFrame:
    training = labelled[labelled["set"] == "train"].reset_index(drop=True)
    if protocol == "official":
        used = pd.concat([training, labelled[labelled["set"] == "prelim"]], ignore_index=True)
        sides = [_official_sides(used, settings)]
    elif protocol == "paper":
        used, sides = training, [_paper_sides(training, settings)]
    else:
        used, sides = training, _subject_sides(training, settings)
        if protocol == "image":
            sides = _deal_images(sides, training, settings.seed)
    if protocol in HONEST_PROTOCOLS:
        sides = _hide_copies(sides, used)
    rows = _long(protocol, used, sides)
    for _, fold in rows.groupby("fold"):
        _require_both_classes(fold, labelled)
        if protocol in HONEST_PROTOCOLS:
            refuse_leaks(fold, labelled)
    return rows


def read_split(path: Path, images: pd.DataFrame, protocol: Protocol) -> pd.DataFrame:
    """One protocol's rows of splits.parquet. Raises SplitError if it is absent, or honest in name and leaky in fact."""
    splits = pd.read_parquet(path)
    rows = splits[splits["protocol"] == protocol].reset_index(drop=True)
    if rows.empty:
        raise SplitError(
            f"{path} has no protocol '{protocol}': it has {', '.join(sorted(splits['protocol'].unique()))}"
        )
    if protocol in HONEST_PROTOCOLS:
        for _, fold in rows.groupby("fold"):
            refuse_leaks(fold, images)
    return rows


def leaks(fold: pd.DataFrame, images: pd.DataFrame) -> dict[str, int]:
    """Count what one fold's test side shares with its train and val sides.

    Returns `groups` (groups on both sides), `images_of_shared_groups` (test images whose group also trains or
    validates) and `twins` (test images whose very bytes, or near-identical picture, also train or validate).
    """
    columns = images.set_index("image_id")[["group", "sha256", "duplicate_of"]]
    joined = fold.join(columns, on="image_id")
    joined["picture"] = joined["duplicate_of"].fillna(joined["image_id"])
    seen, test = joined[joined["side"].isin(["train", "val"])], joined[joined["side"] == "test"]
    shared_groups = test["group"].isin(set(seen["group"].dropna()))
    twins = test["sha256"].isin(set(seen["sha256"])) | test["picture"].isin(set(seen["picture"]))
    return {
        "groups": int(test.loc[shared_groups, "group"].nunique()),
        "images_of_shared_groups": int(shared_groups.sum()),
        "twins": int(twins.sum()),
    }


def overlap(study: pd.DataFrame, split: pd.DataFrame, images: pd.DataFrame) -> dict[str, int]:
    """Count what the test side of `split`, over all folds, shares with the train and val sides of one fold, `study`.

    Returns `tested_groups` (groups on both) and `tested_images` (test images of these groups). The two may be of
    different protocols: a study of a row's values sees one fold of one, and the row is tested under others.
    """
    seen = study[study["side"].isin(["train", "val"])]
    shared = leaks(pd.concat([seen, split[split["side"] == "test"]]), images)
    return {"tested_groups": shared["groups"], "tested_images": shared["images_of_shared_groups"]}


def refuse_leaks(fold: pd.DataFrame, images: pd.DataFrame) -> None:
    """Raise SplitError if a group or a picture of `fold` stands on two of its sides."""
    used = fold[fold["side"] != "unused"].join(images.set_index("image_id")[["group", "sha256"]], on="image_id")
    for column, what in (("group", "group"), ("sha256", "picture")):
        sides = used.groupby(column)["side"].nunique()
        if (sides > 1).any():
            raise SplitError(
                f"{(sides > 1).sum()} {what}(s) stand on more than one side of fold {fold['fold'].iloc[0]} of protocol "
                f"'{fold['protocol'].iloc[0]}', {what} {sides.index[sides > 1][0]} first: run dvc repro -f split"
            )


def _groups_per_class(images: pd.DataFrame) -> dict[int, int]:
    return {label: images.loc[images["label"] == label, "group"].nunique() for label in (0, 1)}


def _grouped_folds(images: pd.DataFrame, folds: int, seed: int, why: str) -> np.ndarray:
    """A fold number for each image, whole groups together: the most even of several stratified deals."""
    groups = _groups_per_class(images)
    if min(groups.values()) < folds:
        counts = ", ".join(
            f"{n} of {'ALL' if label == 1 else 'hem'}" for label, n in sorted(groups.items(), reverse=True)
        )
        raise SplitError(
            f"{why} needs at least {folds} groups of subjects in each class and there are {counts}: "
            "lower split.folds (1 makes one 70/15/15 split) or add subjects"
        )
    labels = images["label"].to_numpy(int)
    wanted = np.bincount(labels, minlength=2) / folds
    best: tuple[float, np.ndarray] | None = None
    for shuffle in range(SHUFFLES):
        dealer = StratifiedGroupKFold(folds, shuffle=True, random_state=seed + shuffle)
        fold_of = np.empty(len(images), int)
        for fold, (_, test) in enumerate(dealer.split(labels, labels, images["group"])):
            fold_of[test] = fold
        counts_in = np.array([np.bincount(labels[fold_of == fold], minlength=2) for fold in range(folds)])
        if (counts_in == 0).any():
            continue
        unevenness = float((np.abs(counts_in - wanted) / wanted).max())
        if best is None or unevenness < best[0]:
            best = unevenness, fold_of
    if best is None:
        raise SplitError(
            f"{why}: no deal of the groups gives every fold both classes: lower split.folds or add subjects"
        )
    return best[1]


def _subject_sides(training: pd.DataFrame, settings: Split) -> list[np.ndarray]:
    """The side of each training image in each fold, copies of one picture going with their group."""
    if settings.folds == 1:
        per_class = min(_groups_per_class(training).values())
        folds = max(3, min(round(1 / HELD_OUT_SHARE), per_class))
        fold_of = _grouped_folds(training, folds, settings.seed, "one grouped 70/15/15 split")
        return [_sides(fold_of, test=0, val=1)]
    fold_of = _grouped_folds(training, settings.folds, settings.seed, f"split.folds: {settings.folds}")
    return [_sides(fold_of, test=fold, val=(fold + 1) % settings.folds) for fold in range(settings.folds)]


def _sides(fold_of: np.ndarray, *, test: int, val: int) -> np.ndarray:
    return np.select([fold_of == test, fold_of == val], ["test", "val"], "train")


def _deal_images(sides: list[np.ndarray], training: pd.DataFrame, seed: int) -> list[np.ndarray]:
    """The same sides with the same counts in each class, but dealt to single images.

    One shuffle serves all folds, so each image still tests once and validates once.
    """
    rng = np.random.default_rng(seed)
    dealt_from = np.arange(len(training))
    for label in (0, 1):
        of_class = np.flatnonzero(training["label"].to_numpy(int) == label)
        dealt_from[of_class] = rng.permutation(of_class)
    return [fold[dealt_from] for fold in sides]


def _paper_sides(training: pd.DataFrame, settings: Split) -> np.ndarray:
    labels = training["label"].to_numpy(int)
    kept = np.arange(len(labels))
    if settings.paper_balance is not None:
        kept = _rebalanced(labels, settings.paper_balance, settings.seed)
    held_out = math.ceil(HELD_OUT_SHARE * len(kept))
    if min(np.bincount(labels[kept], minlength=2)) < 3:
        raise SplitError("protocol 'paper' needs at least 3 images of each class for its 70/15/15 split")
    rest, test = train_test_split(kept, test_size=held_out, stratify=labels[kept], random_state=settings.seed)
    _, val = train_test_split(rest, test_size=held_out, stratify=labels[rest], random_state=settings.seed)
    sides = np.full(len(labels), "unused", dtype=object)
    sides[kept] = "train"
    sides[val], sides[test] = "val", "test"
    return sides


def _rebalanced(labels: np.ndarray, share_all: float, seed: int) -> np.ndarray:
    """Positions of the largest random subset in which `share_all` of the images are ALL."""
    rng = np.random.default_rng(seed)
    positives, negatives = (rng.permutation(np.flatnonzero(labels == label)) for label in (1, 0))
    total = min(len(positives) / share_all, len(negatives) / (1 - share_all))
    return np.sort(np.concatenate([positives[: int(total * share_all)], negatives[: int(total * (1 - share_all))]]))


def _official_sides(images: pd.DataFrame, settings: Split) -> np.ndarray:
    """Sides of training and preliminary images. A training group that also tests is left out."""
    training, prelim = images[images["set"] == "train"], images[images["set"] == "prelim"]
    if prelim.empty:
        raise SplitError(
            "protocol 'official' tests on the labelled preliminary set and the data have none: "
            "take it out of protocols in params.yaml, or fetch that set with its label file"
        )
    folds = max(2, min(5, *_groups_per_class(training).values()))
    fold_of = _grouped_folds(training, folds, settings.seed, "protocol 'official'")
    sides = np.where(fold_of == 0, "val", "train").astype(object)
    sides[training["group"].isin(set(prelim["group"])).to_numpy()] = "unused"
    return np.concatenate([sides, np.full(len(prelim), "test", dtype=object)])


def _hide_copies(sides: list[np.ndarray], images: pd.DataFrame) -> list[np.ndarray]:
    copies = images["duplicate_of"].notna().to_numpy()
    return [np.where(copies, "unused", fold) for fold in sides]


def _long(protocol: str, images: pd.DataFrame, sides: list[np.ndarray]) -> pd.DataFrame:
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "image_id": images["image_id"],
                    "protocol": protocol,
                    "fold": np.int8(fold),
                    "side": pd.Series(side, dtype="str"),
                }
            )
            for fold, side in enumerate(sides)
        ],
        ignore_index=True,
    )


def _require_both_classes(rows: pd.DataFrame, labelled: pd.DataFrame) -> None:
    protocol, fold = rows["protocol"].iloc[0], rows["fold"].iloc[0]
    labels = rows["image_id"].map(labelled.set_index("image_id")["label"]).astype(int)
    counts = pd.crosstab(rows["side"], labels).reindex(index=["train", "val", "test"], columns=[0, 1], fill_value=0)
    for side, (hem, positive) in counts.iterrows():
        if not hem or not positive:
            raise SplitError(
                f"protocol '{protocol}', fold {fold}: the {side} side has {positive} ALL and {hem} hem images and "
                "needs both classes: lower split.folds or add subjects"
            )
