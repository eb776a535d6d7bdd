"""Files into a new folder without a second copy of their bytes."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from dvc_objects.fs.system import reflink

from leukoscope.data.sources.linking import link_files, move_files
from tests.fixtures.standin import picture_bytes


@pytest.fixture
def pairs(tmp_path: Path) -> list[tuple[Path, Path]]:
    """600 files, which is more than one batch, and where they shall go."""
    found = []
    for number in range(600):
        source = tmp_path / "source" / f"{number}.bmp"
        source.parent.mkdir(exist_ok=True)
        source.write_bytes(b"%d" % number)
        found.append((source, tmp_path / "target" / str(number % 7) / f"{number}.bmp"))
    return found


def can_reflink(folder: Path) -> bool:
    (folder / "a").write_bytes(picture_bytes("a"))
    try:
        reflink(str(folder / "a"), str(folder / "b"))
    except OSError:
        return False
    return True


def test_links_hold_the_source_s_bytes_and_take_no_room(tmp_path: Path, pairs: list[tuple[Path, Path]]) -> None:
    link_files(pairs)
    assert [new.read_bytes() for _, new in pairs] == [old.read_bytes() for old, _ in pairs]
    if not can_reflink(tmp_path):
        assert all(new.samefile(old) for old, new in pairs)


def test_a_link_to_a_link_is_a_file_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "a.bmp").write_bytes(b"x")
    (tmp_path / "link.bmp").symlink_to("a.bmp")
    link_files([(tmp_path / "link.bmp", tmp_path / "target/a.bmp")])
    assert not (tmp_path / "target/a.bmp").is_symlink()
    assert (tmp_path / "target/a.bmp").read_bytes() == b"x"


if Path("/dev/shm").is_dir():  # a file system of its own

    def test_files_cross_file_systems(tmp_path: Path) -> None:
        with TemporaryDirectory(dir="/dev/shm") as other:
            pairs = [(Path(other) / name, tmp_path / name) for name in ("1.bmp", "2.bmp", "3.bmp")]
            for source, _ in pairs:
                source.write_bytes(picture_bytes(source.name))
            link_files(pairs)
            assert [new.read_bytes() for _, new in pairs] == [picture_bytes(old.name) for old, _ in pairs]


def test_moved_files_are_gone_from_where_they_were(pairs: list[tuple[Path, Path]]) -> None:
    move_files(pairs)
    assert [new.read_bytes() for _, new in pairs] == [b"%d" % number for number in range(600)]
    assert not any(old.exists() for old, _ in pairs)
