"""What the path of a C-NMC image says."""

import pytest

from leukoscope.core.errors import DataError
from leukoscope.data.sources.names import CnmcName, parse_path, parse_uid

TRAIN = "C-NMC_Leukemia/training_data/fold_0"
PRELIM = "C-NMC_Leukemia/validation_data/C-NMC_test_prelim_phase_data"
FINAL = "C-NMC_Leukemia/testing_data/C-NMC_test_final_phase_data"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (f"{TRAIN}/all/UID_4_1_2_all.bmp", CnmcName("UID_4_1_2_all", "train", 0, 1, "4")),
        (f"{TRAIN}/hem/UID_H4_1_2_hem.bmp", CnmcName("UID_H4_1_2_hem", "train", 0, 0, "H4")),
        (f"{PRELIM}/12.bmp", CnmcName("prelim-12", "prelim")),
        (f"{FINAL}/12.bmp", CnmcName("final-12", "final")),
        (f"{PRELIM}/C-NMC_test_prelim_phase_data/012.PNG", CnmcName("prelim-12", "prelim")),
        ("C-NMC 2019 (PKG)/fold_2/all/UID_13_1_1_all.bmp", CnmcName("UID_13_1_1_all", "train", 2, 1, "13")),
        ("fold_1/fold_1/all/UID_30_1_1_all.tif", CnmcName("UID_30_1_1_all", "train", 1, 1, "30")),
        ("UID_30_1_1_all.jpeg", CnmcName("UID_30_1_1_all", "train", None, 1, "30")),
        (f"{PRELIM}/UID_57_29_1_all.bmp", CnmcName("UID_57_29_1_all", "prelim", None, 1, "57")),
    ],
)  # fmt: skip
def test_a_path_says_set_fold_label_and_subject(path: str, expected: CnmcName) -> None:
    assert parse_path(path) == expected


def test_the_subject_written_h3_is_h3_of_the_complete_list() -> None:
    name = parse_path("fold_2/hem/UID_h3_1_1_hem.bmp")
    assert name == CnmcName("UID_h3_1_1_hem", "train", 2, 0, "H3")


def test_subjects_4_and_h4_are_two_people() -> None:
    assert parse_uid("UID_4_1_1_all") == ("4", 1)
    assert parse_uid("UID_H4_1_1_hem") == ("H4", 0)


@pytest.mark.parametrize(
    "path", ["12.bmp", "all/p1/12.png", f"{TRAIN}/all/12.bmp", "finally/12.bmp", f"{PRELIM}/a12.bmp"]
)
def test_a_number_outside_a_test_phase_says_nothing(path: str) -> None:
    assert parse_path(path) is None


def test_a_test_phase_given_as_the_root_still_counts() -> None:
    assert parse_path("7.bmp", root="C-NMC_test_final_phase_data") == CnmcName("final-7", "final")


def test_a_project_called_final_is_not_the_final_test() -> None:
    assert parse_path("all/p1/12.png", root="final_project") is None


def test_a_fold_given_as_the_root_still_counts() -> None:
    name = parse_path("hem/UID_H7_1_1_hem.bmp", root="fold_0")
    assert name is not None
    assert name.fold == 0


def test_a_name_in_the_other_class_s_folder_is_an_error_that_names_it() -> None:
    with pytest.raises(DataError, match=r"fold_0/hem/UID_4_1_2_all\.bmp: the name says ALL, the folder hem"):
        parse_path("fold_0/hem/UID_4_1_2_all.bmp")


@pytest.mark.parametrize("stem", ["UID_H4_1_2_all", "UID_4_1_2_hem"])
def test_a_subject_of_the_other_class_is_an_error(stem: str) -> None:
    with pytest.raises(DataError, match=stem):
        parse_uid(stem)
