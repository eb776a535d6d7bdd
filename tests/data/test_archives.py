"""Unpacking archives that others made."""

import io
import os
import stat
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from leukoscope.core.errors import DataError
from leukoscope.data.sources.archives import unpack
from tests.fixtures.standin import picture_bytes

TAR_MODES = {"tar": "w", "tar.gz": "w:gz", "tar.bz2": "w:bz2", "tar.xz": "w:xz"}
CONTENT = {f"set/all/p1/{number}.bmp": picture_bytes(str(number)) for number in range(4)} | {"set/labels.csv": b"a,b\n"}


def pack(path: Path, members: dict[str, bytes]) -> Path:
    if path.name.endswith(".zip"):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zipped:
            for name, content in members.items():
                zipped.writestr(name, content)
    else:
        with tarfile.open(path, TAR_MODES[path.name.split(".", 1)[1]]) as tar:
            for name, content in members.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return path


def unpacked(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(params=["zip", *TAR_MODES])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


def test_images_and_tables_come_out_as_they_went_in(tmp_path: Path, kind: str) -> None:
    other = {"set/readme.txt": b"x", "__MACOSX/set/._1.bmp": b"x", "set/.cache/2.bmp": b"x", "run.sh": b"x"}
    unpack(pack(tmp_path / f"a.{kind}", CONTENT | other), tmp_path / "out", "a")
    assert unpacked(tmp_path / "out") == CONTENT


def test_the_archive_s_name_does_not_matter(tmp_path: Path, kind: str) -> None:
    pack(tmp_path / f"a.{kind}", CONTENT).rename(tmp_path / "download")
    unpack(tmp_path / "download", tmp_path / "out", "download")
    assert unpacked(tmp_path / "out") == CONTENT


@pytest.mark.parametrize("name", ["../x.bmp", "/x.bmp", "a/../../x.bmp", "..\\x.bmp", "C:\\x.bmp", "../x.sh"])
def test_an_archive_that_points_outside_is_refused_whole(tmp_path: Path, kind: str, name: str) -> None:
    pack(tmp_path / f"a.{kind}", {name: b"x"} | CONTENT)
    with pytest.raises(DataError, match=r"a is not safe to unpack: its member .* points outside"):
        unpack(tmp_path / f"a.{kind}", tmp_path / "out", "a")
    assert not (tmp_path / "x.bmp").exists()
    assert unpacked(tmp_path / "out") == {}


@pytest.mark.parametrize("type_", [tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_a_tar_s_links_and_devices_never_reach_the_disk(tmp_path: Path, type_: bytes) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        info = tarfile.TarInfo("link.bmp")
        info.type, info.linkname = type_, "/etc/passwd"
        tar.addfile(info)
    unpack(tmp_path / "a.tar", tmp_path / "out", "a")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_file_cannot_be_written_through_a_linked_folder(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        link = tarfile.TarInfo("folder")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path / "elsewhere")
        tar.addfile(link)
        info = tarfile.TarInfo("folder/x.bmp")
        info.size = 1
        tar.addfile(info, io.BytesIO(b"x"))
    unpack(tmp_path / "a.tar", tmp_path / "out", "a")
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert unpacked(tmp_path / "out") == {"folder/x.bmp": b"x"}


def test_a_zip_s_links_never_reach_the_disk(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as zipped:
        info = zipfile.ZipInfo("link.bmp")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        zipped.writestr(info, "/etc/passwd")
    unpack(tmp_path / "a.zip", tmp_path / "out", "a")
    assert list((tmp_path / "out").iterdir()) == []


def test_equal_files_that_tar_stored_as_hard_links_are_all_there(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set/1.bmp").write_bytes(picture_bytes("a"))
    os.link(tmp_path / "set/1.bmp", tmp_path / "set/2.bmp")
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        tar.add(tmp_path / "set", "set")
        assert any(member.islnk() for member in tar.getmembers())
    unpack(tmp_path / "a.tar", tmp_path / "out", "a")
    assert unpacked(tmp_path / "out") == {f"set/{number}.bmp": picture_bytes("a") for number in (1, 2)}


def test_a_hard_link_to_a_file_outside_is_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        info = tarfile.TarInfo("1.bmp")
        info.type, info.linkname = tarfile.LNKTYPE, "/etc/passwd"
        tar.addfile(info)
    with pytest.raises(DataError, match="not safe to unpack"):
        unpack(tmp_path / "a.tar", tmp_path / "out", "a")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.8])
def test_a_truncated_archive_is_one_clear_error(tmp_path: Path, kind: str, share: float) -> None:
    path = pack(tmp_path / f"a.{kind}", {name: os.urandom(20_000) for name in CONTENT})
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    message = r"^a is not a whole zip or tar archive \(.*\); fetch it again, or name another$"
    with pytest.raises(DataError, match=message):
        unpack(path, tmp_path / "out", "a")


@pytest.mark.parametrize("members", [1, 2, 3])
def test_a_tar_cut_between_two_members_is_noticed(tmp_path: Path, members: int) -> None:
    path = pack(tmp_path / "a.tar", CONTENT)
    with tarfile.open(path) as tar:
        end = tar.getmembers()[members].offset
    path.write_bytes(path.read_bytes()[:end])
    with pytest.raises(DataError, match="unexpected end of data"):
        unpack(path, tmp_path / "out", "a")


def test_a_zip64_and_a_tar_with_holes_come_out_as_they_went_in(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as zipped, zipped.open("a.bmp", "w", force_zip64=True) as member:
        member.write(b"cell")
    unpack(tmp_path / "a.zip", tmp_path / "zip", "a")
    assert unpacked(tmp_path / "zip") == {"a.bmp": b"cell"}
    (tmp_path / "set").mkdir()
    with (tmp_path / "set/a.bmp").open("wb") as file:
        file.write(b"cell")
        file.truncate(1_000_000)
    subprocess.run(["tar", "--sparse", "-cf", tmp_path / "a.tar", "-C", tmp_path / "set", "."], check=True)
    assert (tmp_path / "a.tar").stat().st_size < 100_000
    unpack(tmp_path / "a.tar", tmp_path / "tar", "a")
    assert unpacked(tmp_path / "tar") == {"a.bmp": b"cell".ljust(1_000_000, b"\0")}


def test_a_tar_whose_holes_are_no_numbers_is_one_clear_error(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo("a.bmp")
        info.size, info.pax_headers = 512, {"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}
        tar.addfile(info, io.BytesIO(b"\x89PNG\r\n".ljust(512)))
    with pytest.raises(DataError, match="not a whole zip or tar archive"):
        unpack(tmp_path / "a.tar", tmp_path / "out", "a")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a\n1.bmp", r"of its member b'a\\n1.bmp', its name holds a control character: rename it and pack it again"),
        ("a\udce9.bmp", r"of its member b'a\\xe9.bmp', its name is not UTF-8: rename it and pack it again"),
        ("n" * 300 + ".bmp", r"a cannot be unpacked: n{300}\.bmp: File name too long"),
        ("set/all/p1/0.bmp/1.bmp", r"a cannot be unpacked: set/all/p1/0\.bmp: (File exists|Not a directory)"),
    ],
)
def test_a_member_s_name_that_cannot_be_used_is_named(tmp_path: Path, name: str, message: str) -> None:
    pack(tmp_path / "a.tar", {**CONTENT, name: b"x"})
    with pytest.raises(DataError, match=message):
        unpack(tmp_path / "a.tar", tmp_path / "out", "a")


def test_a_flipped_bit_in_a_zip_is_noticed(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.zip", CONTENT)
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 16
    path.write_bytes(content)
    with pytest.raises(DataError, match="not a whole zip or tar archive"):
        unpack(path, tmp_path / "out", "a")


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 and more", b"\x1f\x8b and more"])
def test_what_is_no_archive_is_one_clear_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(DataError, match=r"^a is not a whole zip or tar archive"):
        unpack(tmp_path / "a", tmp_path / "out", "a")


def test_an_archive_larger_than_the_disk_is_refused_before_it_fills_it(tmp_path: Path) -> None:
    info = tarfile.TarInfo("1.bmp")
    info.size = 2**60
    (tmp_path / "a.tar").write_bytes(info.tobuf() + bytes(10_240))
    with pytest.raises(DataError, match=r"a needs 1152921504\.6 GB unpacked, but .* GB free"):
        unpack(tmp_path / "a.tar", tmp_path / "out", "a")


def test_an_encrypted_zip_says_what_to_do(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.zip", {"1.bmp": b"x"})
    content = bytearray(path.read_bytes())
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + flags] |= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a is encrypted: unpack it by hand and name the folder"):
        unpack(path, tmp_path / "out", "a")


def bomb(path: Path, name: str) -> Path:
    """An archive of 110 MB of zeros under one name, a thousandth of it on the disk."""
    return pack(path, {name: bytes(110_000_000)})


@pytest.mark.parametrize(("kind_", "name"), [("zip", "1.bmp"), ("tar.gz", "1.bmp"), ("tar.xz", "notes.txt")])
def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, kind_: str, name: str) -> None:
    path = bomb(tmp_path / f"a.{kind_}", name)
    with pytest.raises(DataError, match=r"a would unpack to more than 100 times its own size \(0\.1 GB\)"):
        unpack(path, tmp_path / "out", "a")
    assert unpacked(tmp_path / "out") == {}


def test_a_zip_that_says_less_than_it_holds_writes_no_more_than_it_said(tmp_path: Path) -> None:
    path = bomb(tmp_path / "a.zip", "1.bmp")
    content = bytearray(path.read_bytes())
    for signature, field in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):  # the sizes that zipfile goes by
        at = content.index(signature) + field
        content[at : at + 4] = (1000).to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(DataError, match="not a whole zip or tar archive"):
        unpack(path, tmp_path / "out", "a")
    assert sum(map(len, unpacked(tmp_path / "out").values())) <= 1000


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("again", ["set/1.bmp", "./set/1.bmp", "set\\1.bmp"])
def test_a_second_copy_of_a_member_must_be_the_same_file(tmp_path: Path, kind: str, again: str) -> None:
    def twice(second: bytes) -> None:
        path = tmp_path / f"a.{kind}"
        if kind == "zip":
            with zipfile.ZipFile(path, "w") as zipped:
                zipped.writestr("set/1.bmp", b"one")
                zipped.writestr(again, second)
        else:
            with tarfile.open(path, TAR_MODES[kind]) as tar:
                for name, content in (("set/1.bmp", b"one"), (again, second)):
                    info = tarfile.TarInfo(name)
                    info.size = len(content)
                    tar.addfile(info, io.BytesIO(content))

    twice(b"one")
    unpack(tmp_path / f"a.{kind}", tmp_path / "equal", "a")
    assert unpacked(tmp_path / "equal") == {"set/1.bmp": b"one"}
    for other in (b"two", b"one and more", b""):
        twice(other)
        with pytest.raises(DataError, match=r"a holds 1\.bmp twice in one folder, with different bytes"):
            unpack(tmp_path / f"a.{kind}", tmp_path / f"differ {len(other)}", "a")
