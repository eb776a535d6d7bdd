"""Who trains, validates and tests: no honest leak, the leaky control alike in all but the leak."""

import numpy as np
import pandas as pd
import pytest

from leukoscope.config.params import Split
from leukoscope.core.errors import SplitError
from leukoscope.data.splits import leaks, make_splits, read_split, refuse_leaks
from tests.conftest import image_table, twenty_subjects


def with_prelim(images: pd.DataFrame) -> pd.DataFrame:
    prelim = image_table({"50": 1, "51": 1, "H50": 0, "H51": 0}, set_="prelim")
    return pd.concat([images, prelim], ignore_index=True)


def counts(splits: pd.DataFrame, images: pd.DataFrame, protocol: str) -> pd.DataFrame:
    rows = splits[splits["protocol"] == protocol].merge(images[["image_id", "label"]])
    return rows.groupby(["fold", "side", "label"]).size()


@pytest.mark.parametrize("folds", [1, 3, 5])
def test_no_group_is_on_both_sides_of_an_honest_split(folds: int) -> None:
    images = with_prelim(twenty_subjects())
    splits = make_splits(images, Split(folds=folds), ("subject", "official"))
    honest = splits[splits["protocol"].isin(["subject", "official"])].merge(images[["image_id", "group"]])
    used = honest[honest["side"] != "unused"]
    assert used.groupby(["protocol", "fold", "group"])["side"].nunique().max() == 1


def test_every_image_tests_once_and_validates_once(images: pd.DataFrame) -> None:
    splits = make_splits(images, Split(folds=5), ("subject", "image"))
    for protocol in ("subject", "image"):
        rows = splits[splits["protocol"] == protocol]
        for side in ("test", "val"):
            assert sorted(rows.loc[rows["side"] == side, "image_id"]) == sorted(images["image_id"])


@pytest.mark.parametrize("folds", [1, 5])
def test_the_image_protocol_differs_from_subject_in_nothing_but_the_leak(folds: int, images: pd.DataFrame) -> None:
    splits = make_splits(images, Split(folds=folds), ("subject", "image"))
    pd.testing.assert_series_equal(counts(splits, images, "subject"), counts(splits, images, "image"))
    fold = splits[(splits["protocol"] == "image") & (splits["fold"] == 0)]
    assert leaks(fold, images)["groups"] > 0
    with pytest.raises(SplitError, match="more than one side"):
        refuse_leaks(fold, images)


def test_the_paper_protocol_tests_on_1600_of_10661_images() -> None:
    subjects = {f"{number}": 1 for number in range(7)} | {f"H{number}": 0 for number in range(4)}
    images = image_table(subjects, per_subject=1000).iloc[:10661]
    splits = make_splits(images, Split(folds=1), ("paper",))
    sides = splits.loc[splits["protocol"] == "paper", "side"].value_counts()
    assert sides["test"] == sides["val"] == 1600


def test_paper_balance_resamples_to_the_share_asked(images: pd.DataFrame) -> None:
    splits = make_splits(images, Split(paper_balance=0.51), ("paper",))
    used = splits[(splits["protocol"] == "paper") & (splits["side"] != "unused")].merge(images[["image_id", "label"]])
    assert used["label"].mean() == pytest.approx(0.51, abs=0.01)


def test_copies_are_unused_under_honest_protocols_and_kept_under_leaky_ones(images: pd.DataFrame) -> None:
    first, copy = images.index[images["subject"] == "3"][:2]
    images.loc[copy, ["duplicate_of", "sha256"]] = images.loc[first, "image_id"], images.loc[first, "sha256"]
    splits = make_splits(images, Split(folds=3), ("subject", "image"))
    of_copy = splits[splits["image_id"] == images.loc[copy, "image_id"]].groupby("protocol")["side"].agg(set)
    assert of_copy["subject"] == {"unused"}
    assert "unused" not in of_copy["image"]


def test_twins_in_training_are_counted_under_leaky_protocols(images: pd.DataFrame) -> None:
    images["sha256"] = images["sha256"].where(images.index % 2 == 0, images["sha256"].shift(1))
    splits = make_splits(images, Split(folds=1), ("image",))
    fold = splits[splits["protocol"] == "paper"]
    pictures = images[["image_id", "sha256"]]
    test = fold[fold["side"] == "test"].merge(pictures)
    seen = fold[fold["side"].isin(["train", "val"])].merge(pictures)
    assert leaks(fold, images)["twins"] == test["sha256"].isin(seen["sha256"]).sum() > 0


def test_the_official_protocol_tests_on_the_preliminary_set_alone() -> None:
    images = with_prelim(twenty_subjects())
    splits = make_splits(images, Split(), ("official",)).merge(images[["image_id", "set"]])
    official = splits[splits["protocol"] == "official"]
    assert set(official.loc[official["side"] == "test", "set"]) == {"prelim"}
    assert set(official.loc[official["set"] == "prelim", "side"]) == {"test"}


def test_official_without_a_preliminary_set_is_an_error(images: pd.DataFrame) -> None:
    with pytest.raises(SplitError, match="preliminary set"):
        make_splits(images, Split(), ("subject", "official"))


def test_a_protocol_that_cannot_be_made_stops_only_those_who_ask_for_it() -> None:
    few = image_table({"1": 1, "2": 1, "H1": 0, "H2": 0}, per_subject=20)
    one_class = image_table({"50": 1, "51": 1}, set_="prelim")
    splits = make_splits(pd.concat([few, one_class], ignore_index=True), Split(folds=5), ("paper",))
    assert set(splits["protocol"]) == {"paper"}


def test_asking_for_one_more_protocol_changes_no_row() -> None:
    images = with_prelim(twenty_subjects())
    few = make_splits(images, Split(), ("subject",))
    pd.testing.assert_frame_equal(few, make_splits(images, Split(), ("subject", "image", "official", "paper")))


def test_unlabelled_images_are_in_no_split(images: pd.DataFrame) -> None:
    images.loc[::7, "label"] = pd.NA
    splits = make_splits(images, Split(folds=3), ("subject",))
    assert not set(splits["image_id"]) & set(images.loc[images["label"].isna(), "image_id"])


@pytest.mark.parametrize("hem", [0, 1, 2])
def test_too_few_groups_name_the_counts_and_the_setting(hem: int) -> None:
    images = image_table({"1": 1, "2": 1, "3": 1, "4": 1} | {f"H{number}": 0 for number in range(hem)})
    with pytest.raises(SplitError, match=rf"4 of ALL, {hem} of hem.*split\.folds"):
        make_splits(images, Split(folds=3), ("subject",))


def test_order_of_the_rows_does_not_matter(images: pd.DataFrame) -> None:
    shuffled = images.sample(frac=1, random_state=1)
    pd.testing.assert_frame_equal(
        make_splits(images, Split(folds=3), ("subject",)), make_splits(shuffled, Split(folds=3), ("subject",))
    )


def test_reading_a_split_that_was_made_leaky_is_refused(images: pd.DataFrame, tmp_path) -> None:
    splits = make_splits(images, Split(folds=3), ("subject",))
    splits.loc[splits.index[splits["protocol"] == "subject"][0], "side"] = "val"
    splits["side"] = np.where(splits["image_id"] == images["image_id"][1], "test", splits["side"])
    splits.to_parquet(tmp_path / "splits.parquet")
    with pytest.raises(SplitError, match="more than one side"):
        read_split(tmp_path / "splits.parquet", images, "subject")
