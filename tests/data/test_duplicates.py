"""Copies are found in whatever form they come back, cells that look alike are not, and groups follow."""

import os
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from leukoscope.core.errors import DataError
from leukoscope.data.quality.audit import audit
from leukoscope.data.quality.duplicates import assign_groups, find_duplicates
from leukoscope.data.quality.likeness import TURNS, turned, turned_hashes
from leukoscope.data.quality.manifest import build_manifest
from leukoscope.imaging.cell import find_cell, perceptual_hash, portrait
from leukoscope.imaging.reading import read_rgb
from tests.fixtures.raw_folders import COPIES, Shot, drawn, photographed_again, write_raw


def found(raw: Path, shots: list[Shot]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The pairs, and the images with their groups."""
    images, bad = build_manifest(write_raw(raw, shots))
    assert not bad
    pairs = find_duplicates(images, lambda file: read_rgb(raw / "images" / file))
    return pairs, assign_groups(images, pairs)


def kinds(pairs: pd.DataFrame) -> set[tuple[str, str, str]]:
    return set(pairs[["first", "second", "kind"]].itertuples(index=False, name=None))


def subjects_cells(subjects: list[str], seeds: list[int], **more: object) -> list[Shot]:
    """A cell for each subject; equal seeds are equal cells."""
    return [
        Shot(f"{subject}_{number}.png", drawn(seed), 1, subject, **more)
        for number, (subject, seed) in enumerate(zip(subjects, seeds, strict=True))
    ]


@pytest.mark.parametrize("turn", range(TURNS))
def test_the_hash_of_a_turned_picture_follows_from_its_hash(turn: int) -> None:
    picture = drawn(5)
    plain, bent = (perceptual_hash(portrait(find_cell(image))) for image in (picture, turned(picture, turn)))
    differing = int(np.bitwise_count(turned_hashes([plain])[turn, 0] ^ turned_hashes([bent])[0, 0]))
    assert differing <= 1  # a coefficient of nearly 0 may change its sign in rounding


@pytest.mark.parametrize("way", COPIES)
def test_a_copy_is_found_however_it_was_processed(tmp_path: Path, way: str) -> None:
    suffix, process = COPIES[way]
    originals = [Shot(f"a{seed}.png", drawn(seed), 1, "1") for seed in range(4)]
    copies = [Shot(f"b{seed}{suffix}", process(drawn(seed)), 1, "2") for seed in range(4)]
    pairs, images = found(tmp_path, originals + copies)
    assert kinds(pairs) == {(f"a{seed}", f"b{seed}", "near") for seed in range(4)}
    assert set(images["group"]) == {"1+2"}
    assert images.set_index("image_id")["duplicate_of"].dropna().to_dict() == {f"b{s}": f"a{s}" for s in range(4)}


def test_the_same_cell_in_another_photograph_joins_its_subjects_but_is_no_copy(tmp_path: Path) -> None:
    shots = [Shot("a.png", drawn(1), 1, "1"), Shot("b.png", photographed_again(drawn(1)), 1, "2")]
    pairs, images = found(tmp_path, shots)
    assert kinds(pairs) == {("a", "b", "same-cell")}
    assert set(images["group"]) == {"1+2"}
    assert images["duplicate_of"].isna().all()


def test_cells_that_look_alike_are_not_joined(tmp_path: Path) -> None:
    seeds = list(range(100, 140))
    pairs, images = found(tmp_path, subjects_cells([str(seed) for seed in seeds], seeds))
    assert pairs.empty
    assert images["group"].nunique() == len(seeds)


def test_outlines_prove_nothing_without_texture(tmp_path: Path) -> None:
    picture = np.zeros((300, 300, 3), np.uint8)
    colours = [(90, 40, 110), (100, 50, 100), (80, 45, 120)]
    shots = [
        Shot(f"{number}.png", cv2.circle(picture.copy(), (150, 150), 80, colour, cv2.FILLED), 1, str(number))
        for number, colour in enumerate(colours)
    ]
    assert found(tmp_path, shots)[0].empty


def test_each_later_copy_is_paired_with_the_first(tmp_path: Path) -> None:
    pairs, images = found(tmp_path, subjects_cells(["1", "2", "3", "4"], [8, 8, 8, 9]))
    assert kinds(pairs) == {("1_0", "2_1", "identical"), ("1_0", "3_2", "identical")}
    assert sorted(set(images["group"])) == ["1+2+3", "4"]


def test_training_images_are_first_copies_before_those_of_the_test_sets(tmp_path: Path) -> None:
    shots = [Shot("a.png", drawn(1), None, None, "final"), Shot("b.png", drawn(1), 1, "9", "prelim")]
    pairs, images = found(tmp_path, [*shots, Shot("c.png", drawn(1), 1, "1", "train")])
    assert kinds(pairs) == {("c", "a", "identical"), ("c", "b", "identical")}
    assert images.set_index("image_id")["group"].fillna("").to_dict() == {"a": "", "b": "1+9", "c": "1+9"}


def test_groups_chain_over_subjects_and_are_named_in_natural_order(tmp_path: Path) -> None:
    shots = subjects_cells(["10", "9", "9", "H2"], [1, 1, 2, 2]) + subjects_cells(["7"], [3])
    _, images = found(tmp_path, shots)
    assert sorted(set(images["group"])) == ["7", "9+10+H2"]


def test_one_subject_with_copies_of_its_own_keeps_its_name(tmp_path: Path) -> None:
    pairs, images = found(tmp_path, subjects_cells(["H10", "H10"], [4, 4]))
    assert len(pairs) == 1
    assert set(images["group"]) == {"H10"}


def test_without_duplicates_the_table_is_empty_and_typed(tmp_path: Path) -> None:
    pairs, images = found(tmp_path, subjects_cells(["1"], [1]))
    assert list(pairs.columns) == ["first", "second", "kind", "correlation", "distance"]
    assert (len(pairs), pairs["distance"].dtype) == (0, float)
    assert list(images["group"]) == ["1"]


def test_the_audit_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"validation\.json is missing: run dvc repro validate"):
        audit(tmp_path)


@pytest.mark.cnmc
@pytest.mark.slow
def test_on_real_images_no_picture_is_a_copy_and_every_planted_copy_is_found(tmp_path: Path) -> None:
    files = sorted(Path(os.environ["LEUKOSCOPE_CNMC"]).rglob("UID_*"))[::25]
    shots = [Shot(f"{file.stem}.png", read_rgb(file), 1, file.stem) for file in files]
    before, _ = found(tmp_path / "before", shots)
    assert set(before["kind"]) <= {"same-cell"}
    for way, (suffix, process) in COPIES.items():
        copies = [Shot(f"{shot.subject}-copy{suffix}", process(shot.picture), 1, shot.subject) for shot in shots]
        pairs, _ = found(tmp_path / way, shots + copies)
        pairs = pairs[pairs["second"] == pairs["first"] + "-copy"]
        assert len(pairs) == len(shots), way
        assert (pairs["kind"] == "near").mean() > 0.97, way
