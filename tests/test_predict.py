"""What is scored, and what must not be written over."""

from __future__ import annotations

from pathlib import Path

import pytest

from leukoscope.cli import predict
from leukoscope.errors import DataError
from leukoscope.prediction.sources import images_below
from tests.standin import picture_bytes


@pytest.mark.parametrize(("name", "fault"), [("a\udce9.png", "not UTF-8"), ("\x1b[2J.png", "a control character")])
def test_a_name_that_no_table_can_hold_is_an_error_in_a_folder_and_alone(tmp_path: Path, name: str, fault: str) -> None:
    (tmp_path / name).write_bytes(picture_bytes("a"))
    for asked in (tmp_path, tmp_path / name):
        with pytest.raises(DataError, match=rf"{fault}: rename it"):
            images_below([asked])


def test_links_that_lead_to_themselves_end_and_hidden_files_are_left_out(tmp_path: Path) -> None:
    for name in ("b/2.png", "a.PNG", ".cache/3.png", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(picture_bytes(name))
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "b/up").symlink_to(tmp_path)
    assert images_below([tmp_path, tmp_path / "a.PNG"]) == [tmp_path / "a.PNG", tmp_path / "b/2.png"]


def test_a_table_is_never_written_over_a_picture(tmp_path: Path) -> None:
    picture = tmp_path / "cell.png"
    picture.write_bytes(picture_bytes("a"))
    with pytest.raises(DataError, match=r"--csv .*cell\.png would put a table where a picture belongs"):
        predict([picture], csv=picture)
    assert picture.read_bytes() == picture_bytes("a")
