"""Which images a folder holds, whatever its layout."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from leukoscope.config.params import Fetch
from leukoscope.core.errors import DataError
from leukoscope.data.sources.layouts import ImageSet, find_images
from tests.fixtures.standin import picture_bytes

UIDS = ("UID_4_1_1_all", "UID_4_1_2_all", "UID_H4_1_1_hem", "UID_h3_2_1_hem")
LABELS = """Patient_ID,new_names,labels
UID_57_29_1_all.bmp,1.bmp,1
UID_H49_2_1_hem.bmp,2.bmp,0
UID_57_3_1_all.bmp,3.bmp,1
"""
KAGGLE = (
    "C-NMC_Leukemia/training_data/fold_0/{class}",
    "C-NMC_Leukemia/validation_data/C-NMC_test_prelim_phase_data",
    "C-NMC_Leukemia/validation_data/C-NMC_test_prelim_phase_data_labels.csv",
    "C-NMC_Leukemia/testing_data/C-NMC_test_final_phase_data",
)
TCIA = (
    "PKG - C-NMC 2019/C-NMC_training_data/fold_0/{class}",
    "PKG - C-NMC 2019/C-NMC_test_prelim_phase_data",
    "PKG - C-NMC 2019/C-NMC_test_prelim_phase_data/C-NMC_test_prelim_phase_data_labels.csv",
    "PKG - C-NMC 2019/C-NMC_test_final_phase_data",
)
DOUBLED = (
    "C-NMC 2019 (PKG)/C-NMC_training_data/fold_0/fold_0/{class}",
    "C-NMC 2019 (PKG)/C-NMC_test_prelim_phase_data/C-NMC_test_prelim_phase_data",
    "C-NMC 2019 (PKG)/C-NMC_test_prelim_phase_data/labels/prelim.csv",
    "C-NMC 2019 (PKG)/C-NMC_test_final_phase_data/C-NMC_test_final_phase_data",
)
RENAMED = ("train/fold_0/{class}/images", "prelim", "labels.csv", "test/final")

Write = Callable[..., None]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a picture of its own, or the given text, to paths below the test's folder."""

    def write_files(*paths: str, text: str | None = None) -> None:
        for path in paths:
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_bytes(picture_bytes(path) if text is None else text.encode())

    return write_files


def find(root: Path, **settings: object) -> ImageSet:
    return find_images(root, Fetch(source="folder", path=root, **settings), "the folder")


def write_cnmc(write: Write, layout: tuple[str, str, str, str], suffix: str = ".bmp") -> None:
    train, prelim, labels, final = layout
    write(*(f"{train}/{uid}{suffix}".replace("{class}", uid[-3:]) for uid in UIDS))
    write(f"{prelim}/1{suffix}", f"{prelim}/2{suffix}", f"{final}/1{suffix}")
    write(labels, text=LABELS)


@pytest.mark.parametrize("suffix", [".bmp", ".BMP", ".png", ".jpg", ".JPEG", ".tif", ".Tiff"])
@pytest.mark.parametrize("layout", [KAGGLE, TCIA, DOUBLED, RENAMED])
def test_every_layout_of_c_nmc_gives_the_same_images(tmp_path: Path, write: Write, layout: tuple, suffix: str) -> None:
    write_cnmc(write, layout, suffix)
    found = find(tmp_path)
    assert found.cnmc
    assert found.classes == {1: "ALL", 0: "hem"}
    assert {image.image_id: image[3:] for image in found.images} == {
        "UID_4_1_1_all": ("train", 0, 1, "4"),
        "UID_4_1_2_all": ("train", 0, 1, "4"),
        "UID_H4_1_1_hem": ("train", 0, 0, "H4"),
        "UID_h3_2_1_hem": ("train", 0, 0, "H3"),
        "prelim-1": ("prelim", None, 1, "57"),
        "prelim-2": ("prelim", None, 0, "H49"),
        "final-1": ("final", None, None, None),
    }
    assert [image.file for image in found.images] == sorted(
        path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob(f"*{suffix}")
    )


def test_without_labels_the_preliminary_images_are_unlabelled(tmp_path: Path, write: Write) -> None:
    write_cnmc(write, KAGGLE)
    (tmp_path / KAGGLE[2]).unlink()
    prelim = [image for image in find(tmp_path).images if image.set == "prelim"]
    assert [(image.label, image.subject) for image in prelim] == [(None, None)] * 2


def test_preliminary_labels_may_lie_elsewhere(tmp_path: Path, write: Write) -> None:
    write_cnmc(write, KAGGLE)
    elsewhere = tmp_path / "elsewhere.csv"
    (tmp_path / KAGGLE[2]).rename(elsewhere)
    found = find_images(tmp_path / "C-NMC_Leukemia", Fetch(labels=elsewhere), "the folder")
    assert [image.label for image in found.images if image.set == "prelim"] == [1, 0]


def test_images_without_a_fold_folder_have_no_fold(tmp_path: Path, write: Write) -> None:
    write(*(f"{uid}.png" for uid in UIDS))
    assert {image.fold for image in find(tmp_path).images} == {None}


def test_what_nothing_is_known_about_is_passed_over_and_counted(tmp_path: Path, write: Write) -> None:
    write_cnmc(write, KAGGLE)
    write("C-NMC_Leukemia/12.bmp", "C-NMC_Leukemia/training_data/fold_0/montage.png")
    found = find(tmp_path)
    assert (len(found.images), found.ignored) == (7, 2)


def test_hidden_files_do_not_exist(tmp_path: Path, write: Write) -> None:
    write_cnmc(write, KAGGLE)
    write("__MACOSX/fold_0/all/UID_9_1_1_all.bmp", ".cache/UID_9_1_1_all.bmp")
    write(f"{KAGGLE[1]}/._1.bmp", text="fork")
    found = find(tmp_path)
    assert (len(found.images), found.ignored) == (7, 0)


def test_a_tree_that_was_unpacked_twice_counts_once(tmp_path: Path, write: Write) -> None:
    write_cnmc(write, KAGGLE)
    for image in find(tmp_path).images:
        copy = tmp_path / "copy" / image.file
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(image.source.read_bytes())
    found = find(tmp_path)
    assert (len(found.images), found.repeated) == (7, 7)
    assert all(image.file.startswith("C-NMC_Leukemia/") for image in found.images)


def test_one_name_with_two_contents_is_an_error_that_names_both(tmp_path: Path, write: Write) -> None:
    write_cnmc(write, RENAMED)
    write("again/UID_4_1_1_all.png")
    with pytest.raises(
        DataError, match=r"UID_4_1_1_all twice .*: again/UID_4_1_1_all\.png and train/fold_0/all/images/UID_4"
    ):
        find(tmp_path)


def test_a_link_that_leads_back_up_ends(tmp_path: Path, write: Write) -> None:
    write_cnmc(write, KAGGLE)
    (tmp_path / "C-NMC_Leukemia/loop").symlink_to(tmp_path)
    assert len(find(tmp_path).images) == 7


def test_a_name_that_a_terminal_would_act_upon_is_an_error_that_spells_it_out(tmp_path: Path, write: Write) -> None:
    write_cnmc(write, KAGGLE)
    for name in ("\x1b[2J.bmp", "a\n1.bmp"):
        (tmp_path / name).touch()
        with pytest.raises(DataError, match=r"its name holds a control character: rename it") as error:
            find(tmp_path)
        assert ascii(name)[1:-1] in str(error.value)
        (tmp_path / name).unlink()


def test_a_pipe_among_the_images_is_passed_over(tmp_path: Path, write: Write) -> None:
    write_cnmc(write, KAGGLE)
    os.mkfifo(tmp_path / "9.bmp")
    assert len(find(tmp_path).images) == 7


def test_links_that_lead_to_themselves_end(tmp_path: Path, write: Write) -> None:
    write_cnmc(write, KAGGLE)
    for name, target in (("a", "b"), ("b", "a"), ("notes.csv", "notes.csv")):
        (tmp_path / name).symlink_to(target)
    assert len(find(tmp_path).images) == 7


@pytest.mark.parametrize("target", ["nowhere.bmp", "9.bmp"])
def test_an_image_that_is_a_broken_link_is_named(tmp_path: Path, write: Write, target: str) -> None:
    write_cnmc(write, KAGGLE)
    (tmp_path / "9.bmp").symlink_to(target)
    with pytest.raises(DataError, match=r"/9\.bmp is a link that leads to no file"):
        find(tmp_path)


def test_a_linked_folder_is_read(tmp_path: Path, write: Write) -> None:
    write_cnmc(write, KAGGLE)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/cnmc").symlink_to(tmp_path / "C-NMC_Leukemia")
    assert len(find(tmp_path / "mine").images) == 7


def test_own_folders_are_class_subject_image(tmp_path: Path, write: Write) -> None:
    write("wrapped/AML/p1/1.png", "wrapped/AML/p1/scan 2/2.tif", "wrapped/normal/p1/1.jpg", "wrapped/cover.png")
    found = find(tmp_path, positive="aml")
    assert not found.cnmc
    assert found.classes == {1: "AML", 0: "normal"}
    assert [(image.file, image.image_id, *image[3:]) for image in found.images] == [
        ("wrapped/AML/p1/1.png", "wrapped/AML/p1/1", "train", None, 1, "AML/p1"),
        ("wrapped/AML/p1/scan 2/2.tif", "wrapped/AML/p1/scan 2/2", "train", None, 1, "AML/p1"),
        ("wrapped/normal/p1/1.jpg", "wrapped/normal/p1/1", "train", None, 0, "normal/p1"),
    ]
    assert found.ignored == 1


def test_one_class_folder_in_two_cases_is_one_class(tmp_path: Path, write: Write) -> None:
    write("all/p1/1.png", "ALL/p1/2.png", "hem/p1/1.png")
    assert {image.subject for image in find(tmp_path).images} == {"ALL/p1", "hem/p1"}


def test_files_that_differ_in_their_extension_alone_keep_it_in_their_id(tmp_path: Path, write: Write) -> None:
    write("all/p1/1.png", "all/p1/1.jpg", "all/p1/2.png", "hem/p1/1.png")
    assert [image.image_id for image in find(tmp_path).images] == [
        "all/p1/1-jpg",
        "all/p1/1-png",
        "all/p1/2",
        "hem/p1/1",
    ]


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        ([], "the folder holds no images .*; looked for C-NMC names .*<class>/<subject>/<image>"),
        (["aml/p1/1.png", "hem/p1/1.png"], r"has no folder 'all' \(fetch\.positive\); looked for C-NMC"),
        (["all/p1/1.png"], r"need two classes, one of them fetch\.positive \(all\); found all$"),
        (["all/p/1.png", "hem/p/1.png", "aml/p/1.png"], "need two classes.*; found all, aml, hem"),
        (
            ["all/1.png", "hem/p1/1.png"],
            r"all/1\.png has no subject; put it in <class>/<subject>/ or use fetch\.labels",
        ),
        (["fold_0/all/UID_4_1_1_all.bmp"], r"training images of one class only \(ALL\)"),
        ([f"{KAGGLE[3]}/1.bmp", f"{KAGGLE[1]}/1.bmp"], "no training images, only the sets final, prelim"),
        (["fold_0/hem/UID_4_1_1_all.bmp"], r"fold_0/hem/UID_4_1_1_all\.bmp: the name says ALL, the folder hem"),
    ],
)
def test_what_cannot_be_used_says_why_in_one_line(tmp_path: Path, write: Write, paths: list[str], message: str) -> None:
    write(*paths)
    with pytest.raises(DataError, match=message) as error:
        find(tmp_path)
    assert "\n" not in str(error.value)


def test_c_nmc_has_one_positive_class(tmp_path: Path, write: Write) -> None:
    write_cnmc(write, KAGGLE)
    with pytest.raises(
        DataError, match=r"fetch\.positive is hem, but the folder holds C-NMC, whose positive class is all"
    ):
        find(tmp_path, positive="hem")


if sys.platform == "linux":  # other systems' file names are Unicode

    def test_a_name_that_is_not_utf_8_is_an_error(tmp_path: Path, write: Write) -> None:
        write_cnmc(write, KAGGLE)
        (tmp_path / "b\udce9b\udce9.png").write_bytes(b"x")
        with pytest.raises(DataError, match="its name is not UTF-8: rename it"):
            find(tmp_path)


LISTING = "file,label,subject\na/1.png,Sick,p1\na/2.png,sick,p2\nb/1.png,well,p1\n"


@pytest.mark.parametrize("place", ["labels.csv", "tables/labels.csv"])
def test_a_table_names_the_images_and_their_people(tmp_path: Path, write: Write, place: str) -> None:
    write("a/1.png", "a/2.png", "b/1.png", "b/2.png")
    write(place, text=LISTING)
    found = find(tmp_path, labels=place, positive="SICK")
    assert found.classes == {1: "Sick", 0: "well"}
    assert [(image.image_id, image.label, image.subject) for image in found.images] == [
        ("a/1", 1, "p1"),
        ("a/2", 1, "p2"),
        ("b/1", 0, "p1"),
    ]
    assert found.ignored == 1


def test_a_table_may_lie_beside_its_images_and_not_in_the_folder(tmp_path: Path, write: Write) -> None:
    write("other/a/1.png", "other/a/2.png", "other/b/1.png", "folder/x.png")
    write("other/labels.csv", text=LISTING)
    found = find_images(tmp_path / "folder", Fetch(labels=tmp_path / "other/labels.csv", positive="sick"), "the folder")
    assert [image.source.relative_to(tmp_path).as_posix() for image in found.images] == [
        "other/a/1.png",
        "other/a/2.png",
        "other/b/1.png",
    ]


@pytest.mark.parametrize(
    ("listing", "positive", "message"),
    [
        (LISTING, "sick", r"labels\.csv lists 1 images that are not there, such as b/1\.png"),
        (LISTING.replace("b/1.png,well", "a/2.txt,well"), "sick", "lists a/2.txt, which is not one of"),
        (LISTING, "ALL", r"labels\.csv: need two classes, one of them fetch\.positive \(ALL\); found Sick, well"),
        (LISTING + "a/3.png,ill,p1\n", "sick", "need two classes.*; found Sick, well, ill"),
    ],
)
def test_a_table_that_cannot_be_used_says_why(
    tmp_path: Path, write: Write, listing: str, positive: str, message: str
) -> None:
    write("a/1.png", "a/2.png")
    write("a/2.txt", text="x")
    write("labels.csv", text=listing)
    with pytest.raises(DataError, match=message):
        find(tmp_path, labels="labels.csv", positive=positive)


def test_a_missing_table_is_named(tmp_path: Path, write: Write) -> None:
    write("a/1.png")
    with pytest.raises(DataError, match=r"fetch\.labels: none\.csv is neither here nor in the folder"):
        find(tmp_path, labels="none.csv")


@pytest.mark.parametrize(
    ("first", "second"),
    [("p1", "P1"), ("4", "04"), ("H4", "h004"), ("clinic 1/p7", "clinic 01/P07"), ("Straße", "STRASSE")],
)
def test_ids_that_may_be_one_persons_are_an_error_that_names_both(
    tmp_path: Path, write: Write, first: str, second: str
) -> None:
    write("a/1.png", "a/2.png", "b/1.png")
    write("labels.csv", text=f"file,label,subject\na/1.png,sick,{first}\na/2.png,sick,{second}\nb/1.png,well,q\n")
    with pytest.raises(DataError, match=r"the subjects '.*' and '.*' differ by case or leading zeros alone") as error:
        find(tmp_path, labels="labels.csv", positive="sick")
    assert repr(first) in str(error.value)
    assert repr(second) in str(error.value)


def test_ids_of_c_nmc_with_leading_zeros_are_one_persons_too(tmp_path: Path, write: Write) -> None:
    write("fold_0/all/UID_4_1_1_all.bmp", "fold_1/all/UID_04_1_2_all.bmp", "fold_0/hem/UID_H4_1_1_hem.bmp")
    with pytest.raises(DataError, match="the subjects '04' and '4' differ"):
        find(tmp_path)


def test_ids_that_differ_by_more_are_two_people(tmp_path: Path, write: Write) -> None:
    rows = "".join(
        f"a/{number}.png,{'sick' if number % 2 else 'well'},{subject}\n"
        for number, subject in enumerate(["4", "40", "104", "H4", "0", "p10", "p1"])
    )
    write(*(f"a/{number}.png" for number in range(7)))
    write("labels.csv", text=f"file,label,subject\n{rows}")
    assert len(find(tmp_path, labels="labels.csv", positive="sick").images) == 7


def test_rows_without_an_image_and_images_without_a_row_are_counted(tmp_path: Path, write: Write) -> None:
    write_cnmc(write, KAGGLE)
    write(f"{KAGGLE[1]}/77.bmp")
    found = find(tmp_path)
    assert found.unmatched == 1  # 3.bmp of the labels
    assert [image.image_id for image in found.images if image.set == "prelim" and image.label is None] == ["prelim-77"]
