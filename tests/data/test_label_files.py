"""The CSV files that give labels."""

from pathlib import Path

import pytest

from leukoscope.core.errors import DataError
from leukoscope.data.sources.label_files import Listed, is_listing, is_prelim, read_listing, read_prelim

OFFICIAL = "Patient_ID,new_names,labels\n"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return tmp_path / "labels.csv"


def test_preliminary_labels_give_subject_and_class(table: Path) -> None:
    table.write_text(OFFICIAL + "UID_57_29_1_all.bmp,1.bmp,1\nUID_H49_2_1_hem.bmp,1002.bmp,0\n")
    assert read_prelim([table]) == {"prelim-1": ("57", 1), "prelim-1002": ("H49", 0)}


def test_a_table_saved_by_a_spreadsheet_reads_the_same(table: Path) -> None:
    table.write_bytes(b"\xef\xbb\xbfPatient_ID, new_names ,LABELS\r\nUID_57_29_1_all.bmp,1.bmp,1\r\n\r\n")
    assert is_prelim(table)
    assert read_prelim([table]) == {"prelim-1": ("57", 1)}


TEXT = "File,Label,Subject\na/1.png,sick,p1\na/2.png,well,p2\n"
SAVED = {
    "with a BOM": TEXT.encode("utf-8-sig"),
    "with CRLF": TEXT.replace("\n", "\r\n").encode(),
    "with semicolons": TEXT.replace(",", ";").encode(),
    "as a spreadsheet does": f"{TEXT}\n".replace(",", ";").replace("\n", "\r\n").encode("utf-8-sig"),
}


@pytest.mark.parametrize("how", SAVED)
def test_a_listing_reads_the_same_however_it_was_saved(table: Path, how: str) -> None:
    table.write_bytes(SAVED[how])
    assert is_listing(table)
    assert read_listing(table) == [Listed("a/1.png", "sick", "p1"), Listed("a/2.png", "well", "p2")]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("UID_57_29_1_all.bmp,1.bmp,0", r"labels\.csv, line 2: UID_57_29_1_all\.bmp is ALL, but its label is 0"),
        ("UID_57_29_1_all.bmp,1.bmp,2", "line 2: expected a row such as"),
        ("57,1.bmp,1", "line 2: expected a row such as"),
        ("UID_57_29_1_all.bmp,1.bmp", "line 2: 2 values for 3 columns"),
        ("UID_57_29_1_all.bmp,1.bmp,1\nUID_H4_29_1_hem.bmp,1.bmp,0", "line 3: 1.bmp has two different labels"),
    ],
)
def test_a_malformed_preliminary_row_is_named(table: Path, row: str, message: str) -> None:
    table.write_text(OFFICIAL + row + "\n")
    with pytest.raises(DataError, match=message):
        read_prelim([table])


def test_a_listing_gives_file_class_and_person(table: Path) -> None:
    table.write_text("subject,label,file,note\np1,AML,a\\1.png,x\np 2, normal ,./a/2.png,\n")
    assert is_listing(table)
    assert read_listing(table) == [Listed("a/1.png", "AML", "p1"), Listed("a/2.png", "normal", "p 2")]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("a.png,,p1", "line 2: label is empty"),
        ("a.png,x,", "line 2: subject is empty"),
        ("../a.png,x,p1", r"line 2: \.\./a\.png must be a path below fetch\.path"),
        ("/a.png,x,p1", "must be a path below"),
        (r"C:\cells\a.png,x,p1", "must be a path below"),
        ("a.png,x,p1\n./a.png,y,p1", "line 3: ./a.png is listed twice"),
        ('"a\nb.png",x,p1', "line 3: file holds a control character"),
        ("a.png,x,p\0001", "line 2: subject holds a control character"),
        ("", "lists no images"),
    ],
)
def test_a_malformed_listing_is_named(table: Path, rows: str, message: str) -> None:
    table.write_text(f"file,label,subject\n{rows}\n")
    with pytest.raises(DataError, match=message):
        read_listing(table)


def test_a_column_that_comes_twice_is_named(table: Path) -> None:
    table.write_text("file,label,subject,Label\na.png,x,p1,y\n")
    with pytest.raises(DataError, match=r"labels\.csv has two columns called label: keep one of them"):
        read_listing(table)


def test_any_other_table_is_told_the_columns_it_needs(table: Path) -> None:
    table.write_text("image,class\na.png,x\n")
    with pytest.raises(DataError, match=r"labels\.csv needs the columns file, label, subject"):
        is_listing(table)


def test_a_table_in_another_encoding_is_an_error_only_if_it_is_ours(table: Path) -> None:
    table.write_bytes("Größe,Länge\n".encode("latin-1"))
    assert not is_prelim(table)
    table.write_bytes("file,label,subject\nä.png,x,p1\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"labels\.csv is not a readable CSV file"):
        read_listing(table)
