"""The images that paths name: files, folders, archives."""

from __future__ import annotations

import os
import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest

from leukoscope.core.errors import DataError
from leukoscope.prediction.sources import images_below


def names(*paths: Path) -> list[str]:
    with images_below(paths) as files:
        return [file.name for file in files]


def test_files_folders_and_archives_come_in_order_and_once(tmp_path: Path) -> None:
    for name in ("b/2.png", "b/1.BMP", "b/.hidden/3.png", "b/notes.txt", "a.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    packed = Path(shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path / "b"))
    found = names(tmp_path / "a.png", tmp_path / "b", tmp_path / "b/2.png", packed)
    expected = ["a.png", "b/1.BMP", "b/2.png", "packed.zip/1.BMP", "packed.zip/2.png"]
    assert found == [str(tmp_path / name) for name in expected]


@pytest.mark.parametrize("name", ["cells.zip", "cells.tar", "cells.tar.gz", "cells.tgz", "cells"])
def test_an_archive_is_known_by_its_name_or_its_content(tmp_path: Path, name: str) -> None:
    (tmp_path / "1.png").write_bytes(b"picture")
    if "zip" in name:
        with zipfile.ZipFile(tmp_path / name, "w") as zipped:
            zipped.write(tmp_path / "1.png", "in/1.png")
    else:
        with tarfile.open(tmp_path / name, "w:gz" if "gz" in name else "w") as tar:
            tar.add(tmp_path / "1.png", "in/1.png")
    with images_below([tmp_path / name]) as files:
        assert [(file.name, file.path.read_bytes()) for file in files] == [
            (str(tmp_path / name / "in/1.png"), b"picture")
        ]
        unpacked = files[0].path
    assert not unpacked.exists()


def test_an_archive_that_is_damaged_or_points_outside_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cut.zip").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(DataError, match=r"cut\.zip is not a whole zip or tar archive"):
        names(tmp_path / "cut.zip")
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as zipped:
        zipped.writestr("../evil.png", b"x")
    with pytest.raises(DataError, match="points outside the folder"):
        names(tmp_path / "evil.zip")


def test_what_is_not_there_and_what_holds_no_image_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nope\.png is not there"):
        names(tmp_path / "nope.png")
    with pytest.raises(DataError, match="no image"):
        names(tmp_path)


def test_a_name_that_is_no_utf_8_can_be_shown_and_written(tmp_path: Path) -> None:
    odd = os.fsencode(tmp_path) + b"/caf\xe9.png"
    with open(odd, "wb") as file:  # noqa: PTH123
        file.write(b"x")
    (name,) = names(tmp_path)
    assert name.endswith("caf\\xe9.png")
    name.encode()


def test_what_a_terminal_would_act_upon_is_spelled_out(tmp_path: Path) -> None:
    (tmp_path / "\x1b[2J.png").write_bytes(b"x")
    assert [Path(name).name for name in names(tmp_path)] == ["\\x1b[2J.png"]


def test_links_that_lead_to_themselves_end_and_hidden_files_are_left_out(tmp_path: Path) -> None:
    for name in ("b/2.png", "a.PNG", ".cache/3.png", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "b/up").symlink_to(tmp_path)
    assert names(tmp_path, tmp_path / "a.PNG") == [str(tmp_path / "a.PNG"), str(tmp_path / "b/2.png")]


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "cells")
    assert names(tmp_path / "cells") == [str(tmp_path / "cells")]  # reading says what it is
