"""Whatever the data: no honest split leaks, and what cannot be split says the counts and the fix."""

from __future__ import annotations

import re

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from leukoscope.config.params import HONEST_PROTOCOLS, Split
from leukoscope.config.rows import Protocol
from leukoscope.core.errors import SplitError
from leukoscope.data.quality.duplicates import assign_groups
from leukoscope.data.splits import leaks, make_splits
from tests.fixtures.properties import data_sets

PROTOCOLS: tuple[Protocol, ...] = ("subject", "image", "paper", "official")
settings_of_a_split = st.builds(Split, seed=st.integers(0, 99), folds=st.sampled_from([1, 3, 4, 5]))


def split_under(protocol: Protocol, images: pd.DataFrame, settings: Split) -> pd.DataFrame | None:
    """The protocol's rows; None where they cannot be made, and then one line says how many there are and what to do."""
    try:
        splits = make_splits(images, settings, (protocol,))
    except SplitError as error:
        said = str(error)
    else:
        return splits[splits["protocol"] == protocol]
    assert re.fullmatch(r".*(lower split\.folds|add subjects|at least 3 images|take it out of protocols).*", said)
    return None


@given(data=data_sets(fewest=4), settings=settings_of_a_split)
def test_no_split_that_is_called_honest_shares_a_group_or_a_picture(
    data: tuple[pd.DataFrame, pd.DataFrame], settings: Split
) -> None:
    images, _ = data
    for protocol in HONEST_PROTOCOLS:
        rows = split_under(protocol, images, settings)
        if rows is None:
            continue
        used = rows[rows["side"] != "unused"].merge(images.drop(columns="fold"), on="image_id")
        for column in ("group", "sha256"):
            assert used.groupby(["fold", column])["side"].nunique().max() == 1
        assert used["duplicate_of"].isna().all()
        assert used.groupby(["fold", "side"])["label"].nunique().min() == 2
        assert (used.groupby("fold")["side"].nunique() == 3).all()
        for _, fold in rows.groupby("fold"):
            assert leaks(fold, images) == {"groups": 0, "images_of_shared_groups": 0, "twins": 0}


@given(data=data_sets(fewest=4), settings=settings_of_a_split)
def test_every_picture_tests_once_and_the_leaky_control_has_the_same_counts(
    data: tuple[pd.DataFrame, pd.DataFrame], settings: Split
) -> None:
    images, _ = data
    honest = split_under("subject", images, settings)
    if honest is None or settings.folds == 1:
        return
    tested = honest.loc[honest["side"] == "test", "image_id"]
    first_copies = images[(images["set"] == "train") & images["duplicate_of"].isna()]
    assert sorted(tested) == sorted(first_copies["image_id"])
    control = split_under("image", images, settings)
    if control is not None and images["duplicate_of"].isna().all():
        counts = [
            rows.merge(images[["image_id", "label"]]).groupby(["fold", "side", "label"]).size()
            for rows in (honest, control)
        ]
        pd.testing.assert_series_equal(*counts)


@given(data=data_sets(most=12), settings=settings_of_a_split, order=st.randoms(use_true_random=False))
def test_the_order_of_images_decides_nothing(
    data: tuple[pd.DataFrame, pd.DataFrame], settings: Split, order: object
) -> None:
    images, _ = data
    rows = split_under("subject", images, settings)
    if rows is not None:
        shuffled = images.sample(frac=1, random_state=order.randrange(2**31))  # type: ignore[attr-defined]
        pd.testing.assert_frame_equal(rows, split_under("subject", shuffled, settings))


@given(data=data_sets(most=40))
def test_groups_are_the_subjects_that_pairs_connect(data: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    images, pairs = data
    subject = dict(zip(images["image_id"], images["subject"], strict=True))
    connected = {name: {name} for name in subject.values()}  # by the plainest way there is: until nothing changes
    joined = [(subject[first], subject[second]) for first, second in pairs[["first", "second"]].itertuples(index=False)]
    for _ in connected:
        for one, other in joined:
            both = connected[one] | connected[other]
            for name in both:
                connected[name] = connected[name] | both
    expected = ["+".join(sorted(connected[name], key=int)) for name in images["subject"]]
    assert list(images["group"]) == expected
    again = assign_groups(images.drop(columns=["group", "duplicate_of"]), pairs.iloc[::-1])
    assert list(again["group"]) == expected
