"""The folds inside a study never look beyond their fold, keep groups whole, and differ from deal to deal."""

import numpy as np
import pandas as pd
import pytest

from leukoscope.config.params import Split, Tune
from leukoscope.core.errors import ConfigError, SplitError
from leukoscope.data.splits import make_splits
from leukoscope.tuning.inner_folds import inner_folds, rows_of_fold
from tests.conftest import image_table, twenty_subjects

SEEN = ("train", "val")


@pytest.fixture(scope="module")
def uneven() -> pd.DataFrame:
    """Subjects with from 3 to 40 images, as C-NMC has."""
    rng = np.random.default_rng(1)
    tables = [
        image_table({f"{'' if label else 'H'}{number}": label}, int(rng.integers(3, 40)))
        for label, count in ((1, 15), (0, 9))
        for number in range(count)
    ]
    return pd.concat(tables).sort_values("image_id", ignore_index=True)


@pytest.mark.parametrize("protocol", ["subject", "image"])
def test_no_image_of_the_test_side_is_among_them(protocol: str) -> None:
    images = twenty_subjects()
    split = make_splits(images, Split(folds=5), ("subject",))
    split = split[split["protocol"] == protocol]
    rows = rows_of_fold(split, 2, SEEN)
    tested = set(split.loc[(split["fold"] == 2) & (split["side"] == "test"), "image_id"])
    assert tested
    assert not tested & set(rows["image_id"])
    assert set(rows["image_id"]) | tested == set(images["image_id"])


def test_groups_are_whole_and_every_image_scores_once_in_a_deal(uneven: pd.DataFrame) -> None:
    folds = inner_folds(uneven, Tune(folds=3, repeats=4))
    known = folds.join(uneven.set_index("image_id")[["group", "label"]], on="image_id")
    assert (known.groupby(["fold", "group"])["side"].nunique() == 1).all()
    for repeat in range(4):
        scored = folds[folds["fold"].isin(range(3 * repeat, 3 * repeat + 3)) & (folds["side"] == "val")]
        assert sorted(scored["image_id"]) == list(uneven["image_id"])
    counts = known[known["side"] == "val"].groupby(["fold", "label"], observed=True).size().unstack()
    wanted = uneven["label"].value_counts() / 3
    assert ((counts - wanted).abs() / wanted < 0.2).all().all()


def test_deals_of_subjects_of_different_sizes_differ(uneven: pd.DataFrame) -> None:
    folds = inner_folds(uneven, Tune(folds=3, repeats=4))
    scored = folds[folds["side"] == "val"]
    of_fold = {fold: frozenset(rows["image_id"]) for fold, rows in scored.groupby("fold")}
    assert len(set(of_fold.values())) == 12
    assert inner_folds(uneven, Tune(folds=3, repeats=4)).equals(folds)
    assert not inner_folds(uneven, Tune(folds=3, repeats=4, seed=8)).equals(folds)


def test_too_few_groups_are_counted() -> None:
    with pytest.raises(SplitError, match=r"12 of ALL and 8 of hem: lower tune.folds"):
        inner_folds(twenty_subjects(), Tune(folds=9))


def test_a_fold_that_the_protocol_lacks_is_named() -> None:
    split = make_splits(twenty_subjects(), Split(folds=3), ("subject",))
    with pytest.raises(ConfigError, match=r"tune.fold is 3 and protocol subject has the folds 0, 1, 2"):
        rows_of_fold(split[split["protocol"] == "subject"], 3, SEEN)
