"""Images, subjects and copies at random, as hypothesis draws and shrinks them."""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd
from hypothesis import strategies as st

from leukoscope.data.duplicates import PAIR_COLUMNS, assign_groups
from tests.conftest import image_table


class Subject(NamedTuple):
    """A person: labels of the training images, and of the preliminary ones."""

    training: list[int]
    prelim: list[int]


labels = st.lists(st.integers(0, 1), min_size=1, max_size=4)
one_label = st.tuples(st.integers(0, 1), st.integers(1, 5)).map(lambda drawn: [drawn[0]] * drawn[1])
subjects = st.builds(
    Subject, training=st.one_of(one_label, one_label, one_label, labels), prelim=st.one_of(st.just([]), one_label)
)
# Two images by number, and whether they are one picture or two photographs of one cell.
pairs = st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6), st.sampled_from(["identical", "same-cell"])))


@st.composite
def data_sets(draw: st.DrawFn, fewest: int = 1, most: int = 24) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A table as in images.parquet, grouped, and the pairs that joined its subjects."""
    people = draw(st.lists(subjects, min_size=fewest, max_size=most))
    images = pd.concat(
        [
            image_table({f"{number}": 0}, len(own), set_).assign(label=pd.array(own, "Int8"))
            for number, person in enumerate(people)
            for set_, own in (("train", person.training), ("prelim", person.prelim))
            if own
        ],
        ignore_index=True,
    )
    table = _pairs(draw(pairs), images)
    sha256 = images.set_index("image_id")["sha256"].to_dict()
    for first, second in table.loc[table["kind"] == "identical", ["first", "second"]].itertuples(index=False):
        sha256[second] = sha256[first]
    images = images.assign(sha256=images["image_id"].map(sha256))
    return assign_groups(images.drop(columns=["group", "duplicate_of"]), table), table


def _pairs(drawn: list[tuple[int, int, str]], images: pd.DataFrame) -> pd.DataFrame:
    """A copy names its first picture, which is no copy itself, and has its label: validation refuses another."""
    names, label = list(images["image_id"]), dict(zip(images["image_id"], images["label"], strict=True))
    first_of: dict[str, str] = {}
    rows = []
    for one, other, kind in drawn:
        first, second = names[one % len(names)], names[other % len(names)]
        taken = {*first_of, *first_of.values()}
        if first == second or (kind == "identical" and (second in taken or first in first_of)):
            continue
        if kind == "identical":
            if label[first] != label[second]:
                continue
            first_of[second] = first
        rows.append((first, second, kind, 1.0, 0.0))
    return pd.DataFrame(rows, columns=PAIR_COLUMNS)
