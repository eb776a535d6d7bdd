"""What a version says of decoded pictures: p, call, refer, flags, subject, seen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from leukoscope.core.errors import DataError
from leukoscope.prediction.pictures import Picture, decoded, subject_of
from leukoscope.prediction.scoring import FLAGS, Score, prepare, score_pictures, score_prepared
from leukoscope.registry.champion import Champion
from tests.fixtures.raw_folders import encoded
from tests.prediction.conftest import decision, expected_p, trained_on


def scored(cells: dict[str, np.ndarray], champion: Champion, **options: float) -> list[Score]:
    return list(score_pictures((Picture(name, pixels) for name, pixels in cells.items()), champion, **options))


def test_each_picture_has_its_own_p_in_the_order_they_came(cells: dict[str, np.ndarray], champion: Champion) -> None:
    scores = scored(cells, champion)
    assert [score.file for score in scores] == list(cells)
    np.testing.assert_allclose(
        [score.p_all for score in scores], [expected_p(one) for one in cells.values()], atol=1e-5
    )


def test_all_is_called_above_the_threshold_and_hem_at_or_below(
    cells: dict[str, np.ndarray], champion: Champion
) -> None:
    scores = scored(cells, champion)
    assert {score.call for score in scores} == {"ALL", "hem"}
    assert all((score.call == "ALL") == (score.p_all > champion.threshold) for score in scores)
    at_it = replace(champion, decision=decision(scores[0].p_all))
    assert scored(cells, at_it)[0].call == "hem"


def test_inside_the_refer_band_a_person_should_look(cells: dict[str, np.ndarray], champion: Champion) -> None:
    scores = scored(cells, champion)
    p = sorted(score.p_all for score in scores)
    banded = replace(champion, decision=decision(p[3], refer_low=p[2], refer_high=p[4]))
    assert [score.refer for score in scored(cells, banded)] == [p[2] <= score.p_all <= p[4] for score in scores]


def test_a_version_without_a_refer_band_says_neither_yes_nor_no(
    cells: dict[str, np.ndarray], champion: Champion
) -> None:
    few = replace(
        champion, decision=decision(champion.threshold, refer_low=None, refer_high=None, refer_reason="2 groups of hem")
    )
    old = replace(champion, decision=decision(champion.threshold, refer_low=None, refer_high=None))
    for version in (few, old):
        assert {score.refer for score in scored(cells, version)} == {None}
        assert {score.call for score in scored(cells, version)} == {"ALL", "hem"}


def test_what_is_flagged_has_its_p_and_no_call(cells: dict[str, np.ndarray], champion: Champion) -> None:
    name, cell = next(iter(cells.items()))
    odd = {"black.png": np.zeros_like(cell), name: cell, "two.png": np.hstack([cell, cell])}
    black, fine, two = scored(odd, champion)
    assert (black.flags, black.call, black.refer, black.p_all) == (("no-cell",), None, None, 0)
    assert (fine.flags, fine.call is None) == ((), False)
    assert two.call is None
    assert set(two.flags) <= set(FLAGS)


def test_a_cell_outside_the_training_range_is_flagged_where_the_range_is_known(
    cells: dict[str, np.ndarray], champion: Champion
) -> None:
    assert champion.training
    narrow = replace(champion.training, range={**champion.training.range, "area": (1.0, 2.0)})
    flagged = scored(cells, replace(champion, training=narrow))
    assert {(score.flags, score.call) for score in flagged} == {(("size",), None)}
    unknown = scored(cells, replace(champion, training=None))
    assert {score.flags for score in unknown} == {()}


def test_a_picture_of_the_training_set_is_marked_as_seen(cells: dict[str, np.ndarray], champion: Champion) -> None:
    first, second, third = list(cells.values())[:3]
    file = encoded(first, ".png")
    knows = trained_on(champion, first, second, files=(file,))
    pictures = [decoded(file, "a.png"), decoded(encoded(second, ".bmp"), "b.bmp"), Picture("c", third)]
    assert [score.seen for score in score_pictures(pictures, knows)] == ["file", "picture", "no"]
    assert [score.seen for score in score_pictures(pictures[:1], replace(knows, training=None))] == ["file"]


def test_scale_enlarges_the_picture_before_the_model(cells: dict[str, np.ndarray], champion: Champion) -> None:
    native = scored(cells, champion)
    doubled = scored(cells, champion, scale=1.1)
    ratio = np.array([score.p_all for score in doubled]) / [score.p_all for score in native]
    np.testing.assert_allclose(ratio, 1.21, rtol=0.05)  # as much more of the frame is cell


def test_a_picture_is_known_to_be_of_training_at_any_scale(cells: dict[str, np.ndarray], champion: Champion) -> None:
    assert {score.seen for score in scored(cells, trained_on(champion, *cells.values()), scale=0.5)} == {"picture"}


def test_prevalence_reweighs_p_beside_the_model_s_own_and_changes_no_call(
    cells: dict[str, np.ndarray], champion: Champion
) -> None:
    plain, reweighed = scored(cells, champion), scored(cells, champion, prevalence=0.1)
    assert [(one.p_all, one.call, one.refer) for one in plain] == [
        (one.p_all, one.call, one.refer) for one in reweighed
    ]
    odds = [one.p_all / (1 - one.p_all) / 9 for one in plain]  # from a share of 1/2 to 1/10
    np.testing.assert_allclose([one.p_at_prevalence for one in reweighed], [odd / (1 + odd) for odd in odds], rtol=1e-6)


def test_pictures_are_taken_as_the_model_has_room_for_them(cells: dict[str, np.ndarray], champion: Champion) -> None:
    taken = 0

    def endless() -> Iterator[Picture]:
        nonlocal taken
        while True:
            taken += 1
            yield Picture("again", next(iter(cells.values())))

    next(score_pictures(endless(), champion))
    assert taken < 400


def test_pictures_prepared_elsewhere_give_the_same(cells: dict[str, np.ndarray], champion: Champion) -> None:
    prepared = [prepare(Picture(name, pixels), champion) for name, pixels in cells.items()]
    assert list(score_prepared(prepared, champion)) == scored(cells, champion)


@pytest.mark.parametrize(
    "pixels", [np.zeros((5, 5)), np.zeros((5, 5, 3)), np.zeros((5, 5, 4), np.uint8), np.zeros((0, 5, 3), np.uint8)]
)
def test_an_array_that_is_no_picture_is_refused(pixels: np.ndarray) -> None:
    with pytest.raises(DataError, match=r"uint8 \[height, width, 3\], RGB"):
        Picture("odd", pixels)


@pytest.mark.parametrize(
    ("name", "subject"),
    [("UID_H4_1_2_hem.bmp", "H4"), ("a/b.zip/UID_12_1_2_all.png", "12"), ("7.png", None), ("UID_H4_1_2_all.png", None)],
)
def test_a_subject_is_what_a_c_nmc_name_says(name: str, subject: str | None) -> None:
    assert subject_of(name) == subject
