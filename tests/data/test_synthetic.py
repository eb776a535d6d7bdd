"""Synthetic cells: what the folder holds, what the classes and subjects differ in, and that it can be repeated."""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from leukoscope.config.params import Synthetic
from leukoscope.data.synthetic.cells import PRELIM, PRELIM_LABELS, draw_cells, fixed_cells
from leukoscope.data.synthetic.drawing import draw_cell, place
from leukoscope.data.synthetic.traits import ALL, HEM, TRAITS, Differences, cell_traits, subject_means
from leukoscope.imaging.reading import read_rgb

SETTINGS = Synthetic(
    subjects_all=7,
    subjects_hem=6,
    images_per_subject=8,
    prelim_subjects=5,
    prelim_images_per_subject=3,
    final_images=5,
)
SMALL = Synthetic(
    subjects_all=4,
    subjects_hem=3,
    images_per_subject=4,
    prelim_subjects=2,
    prelim_images_per_subject=1,
    final_images=2,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("synthetic")
    draw_cells(SETTINGS, target)
    return target / "C-NMC_Leukemia"


@pytest.fixture(scope="module")
def training(folder: Path) -> pd.DataFrame:
    files = sorted((folder / "training_data").rglob("*.png"))
    return pd.DataFrame(
        {
            "file": [file.name for file in files],
            "fold": [int(file.parent.parent.name.removeprefix("fold_")) for file in files],
            "label": [file.parent.name for file in files],
            "subject": [file.name.split("_")[1] for file in files],
            "sha256": [hashlib.sha256(file.read_bytes()).hexdigest() for file in files],
        }
    )


def hashes(folder: Path) -> dict[str, str]:
    files = (file for file in folder.rglob("*") if file.is_file())
    return {str(f.relative_to(folder)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def cells_of(label: int, strength: float, subjects: int, per_subject: int) -> list[list[np.ndarray]]:
    means = subject_means(label, subjects, Differences(strength), np.random.default_rng((1, label)))
    return [
        [
            draw_cell(cell_traits(label, mean, rng), label, rng)
            for rng in (np.random.default_rng((2, label, number, index)) for index in range(per_subject))
        ]
        for number, mean in enumerate(means)
    ]


def f_ratio(values: np.ndarray) -> float:
    """Between-subject over within-subject mean square of [subjects, cells]; 1 on average if subjects do not differ."""
    between = values.shape[1] * values.mean(axis=1).var(ddof=1)
    return float(between / values.var(axis=1, ddof=1).mean())


def test_training_images_are_as_many_as_asked_for_and_named_after_fold_class_and_subject(
    training: pd.DataFrame,
) -> None:
    assert len(training) == (7 + 6) * 8
    assert training["file"].str.fullmatch(r"UID_(H|h)?\d+_\d+_\d+_(all|hem)\.png").all()
    assert (training["file"].str.extract(r"_(all|hem)\.png")[0] == training["label"]).all()
    assert (training["subject"].str.upper().str.startswith("H") == (training["label"] == "hem")).all()
    assert training["subject"].nunique() == 7 + 6


def test_every_fold_has_both_classes_and_no_subject_is_in_two(training: pd.DataFrame) -> None:
    assert set(zip(training["fold"], training["label"], strict=True)) == {
        (fold, label) for fold in (0, 1, 2) for label in ("all", "hem")
    }
    assert (training.groupby("subject")["fold"].nunique() == 1).all()


def test_subjects_have_unequal_numbers_of_images(training: pd.DataFrame) -> None:
    counts = training.groupby("subject").size()
    assert counts.min() >= 2
    assert counts.max() >= 2 * counts.min()


def test_cells_stand_on_pure_black_in_the_middle(folder: Path) -> None:
    for file in sorted(folder.rglob("*.png"))[::4]:
        picture = read_rgb(file)
        side = 600 if "testing_data" in str(file) else 450
        assert picture.shape == (side, side, 3)
        assert not picture[:8].any()
        assert not picture[:, -8:].any()
        rows, columns = np.nonzero(picture.any(axis=2))
        assert 8_000 < len(rows) < 90_000
        assert abs((rows.min() + rows.max()) / 2 - side / 2) < 20
        assert abs((columns.min() + columns.max()) / 2 - side / 2) < 20


def test_one_patient_returns_byte_for_byte_in_another_fold_under_another_id(training: pd.DataFrame) -> None:
    first, second = training[training["subject"] == "20"], training[training["subject"] == "21"]
    shared = set(first["sha256"]) & set(second["sha256"])
    assert len(shared) >= 2
    assert set(first["fold"]) == {0}
    assert 0 not in set(second["fold"])
    others = training[~training["sha256"].isin(shared)]
    assert others["sha256"].is_unique


def test_names_hold_the_traps_of_the_real_set(training: pd.DataFrame) -> None:
    subjects = set(training["subject"])
    assert {"h3", "4", "H4", "20", "21"} <= subjects
    assert "H3" not in subjects


def test_preliminary_labels_name_every_image_and_only_new_subjects(folder: Path, training: pd.DataFrame) -> None:
    labels = pd.read_csv(folder / PRELIM_LABELS)
    assert list(labels.columns) == ["Patient_ID", "new_names", "labels"]
    assert len(labels) == 5 * 3
    assert sorted(labels["new_names"]) == sorted(file.name for file in (folder / PRELIM).iterdir())
    named = labels["Patient_ID"].str.extract(r"UID_(H?\d+)_\d+_\d+_(all|hem)\.png")
    assert ((named[1] == "all") == (labels["labels"] == 1)).all()
    assert labels.groupby("labels").size().to_dict().keys() == {0, 1}
    assert named[0].nunique() == 5
    assert not set(named[0]) & set(training["subject"])


def test_final_images_are_numbered_and_without_labels(folder: Path) -> None:
    names = {file.name for file in (folder / "testing_data").rglob("*") if file.is_file()}
    assert names == {f"{number}.png" for number in range(1, 6)}


def test_bytes_do_not_depend_on_the_number_of_workers(tmp_path: Path) -> None:
    draw_cells(SMALL, tmp_path / "one", workers=1)
    draw_cells(SMALL, tmp_path / "three", workers=3)
    assert hashes(tmp_path / "one") == hashes(tmp_path / "three")


def test_another_seed_draws_other_cells(tmp_path: Path) -> None:
    draw_cells(SMALL, tmp_path / "seven")
    draw_cells(SMALL.model_copy(update={"seed": 8}), tmp_path / "eight")
    images = [
        {value for name, value in hashes(tmp_path / seed).items() if name[-4:] == ".png"} for seed in ("seven", "eight")
    ]
    assert not images[0] & images[1]


def test_drawing_again_leaves_nothing_of_what_was_there(tmp_path: Path) -> None:
    stale = tmp_path / "C-NMC_Leukemia" / "training_data" / "fold_0" / "all" / "UID_99_1_1_all.png"
    stale.parent.mkdir(parents=True)
    stale.write_bytes(b"old")
    draw_cells(SMALL, tmp_path)
    assert not stale.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["C-NMC_Leukemia"]


def test_the_smallest_settings_give_both_classes(tmp_path: Path) -> None:
    draw_cells(Synthetic(subjects_all=2, subjects_hem=2, images_per_subject=2, final_images=0), tmp_path)
    files = [file.name for file in (tmp_path / "C-NMC_Leukemia" / "training_data").rglob("*.png")]
    assert len(files) == 8
    assert {name.split("_")[1] for name in files} == {"4", "20", "h3", "H4"}


def test_blasts_are_larger_on_average_but_the_classes_overlap() -> None:
    area = {
        label: np.array([(cell.any(axis=2)).sum() for cells in cells_of(label, 1, 8, 10) for cell in cells])
        for label in (ALL, HEM)
    }
    blast_is_larger = (area[ALL][:, None] > area[HEM][None, :]).mean()  # the AUROC of the area
    assert 0.74 < blast_is_larger < 0.90
    assert area[HEM].max() > np.median(area[ALL])


@pytest.mark.parametrize("label", [ALL, HEM])
def test_subjects_differ_by_their_strength_alone(label: int) -> None:
    ratios = {}
    for strength in (0, 1):
        cells = cells_of(label, strength, 10, 8)
        red = np.array([[cell[..., 0][cell.any(axis=2)].mean() for cell in subject] for subject in cells])
        ratios[strength] = f_ratio(red)
    assert ratios[0] < 2.5  # the 99th percentile of F(9, 70) is 2.7
    assert ratios[1] > 4


def test_traits_have_the_class_mean_whatever_the_strength() -> None:
    rng = np.random.default_rng(0)
    alike = subject_means(ALL, 12, Differences(0), rng)
    assert (alike == alike[0]).all()
    differing = subject_means(ALL, 12, Differences(1), rng)
    np.testing.assert_allclose(differing.mean(axis=0), alike[0], atol=1e-12)
    doubled = subject_means(ALL, 12, Differences(2), np.random.default_rng(3)) - alike[0]
    np.testing.assert_allclose(
        doubled, 2 * (subject_means(ALL, 12, Differences(1), np.random.default_rng(3)) - alike[0]), atol=1e-12
    )
    assert differing.shape == (12, len(TRAITS))


def test_a_drawn_cell_is_cropped_to_its_outline() -> None:
    rng = np.random.default_rng(5)
    cell = draw_cell(cell_traits(ALL, subject_means(ALL, 1, Differences(1), rng)[0], rng), ALL, rng)
    lit = cell.any(axis=2)
    assert cell.dtype == np.uint8
    assert lit[0].any()
    assert lit[-1].any()
    assert lit[:, 0].any()
    assert lit[:, -1].any()
    assert (place(cell, 450, rng) > 0).any(axis=2).sum() == lit.sum()


def test_even_enormous_cells_fit_the_picture() -> None:
    rng = np.random.default_rng(6)
    traits = subject_means(ALL, 1, Differences(0), rng)[0]
    traits[TRAITS.index("log_area")] = np.log(400_000)
    assert place(draw_cell(traits, ALL, rng), 450, rng).shape == (450, 450, 3)


def test_fixed_cells_are_the_same_every_time_and_all_different() -> None:
    cells = fixed_cells(12, seed=3)
    assert cells.shape == (12, 450, 450, 3)
    assert cells.dtype == np.uint8
    assert len({cell.tobytes() for cell in cells}) == 12
    np.testing.assert_array_equal(cells, fixed_cells(12, seed=3))
    np.testing.assert_array_equal(cells[:5], fixed_cells(5, seed=3))
    assert not np.array_equal(cells, fixed_cells(12, seed=4))
