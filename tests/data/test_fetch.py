"""Stage fetch's work: data/raw from a folder, an archive or drawn cells, whole or not at all."""

import json
import os
import shutil
from pathlib import Path

import pandas as pd
import pytest

from leukoscope.config.params import Fetch, Synthetic
from leukoscope.core.errors import ConfigError, DataError
from leukoscope.data.sources import fetch as fetching
from leukoscope.data.sources.catalogue import TABLE_I
from leukoscope.data.sources.fetch import fetch
from leukoscope.data.sources.layouts import ImageSet, find_images
from tests.fixtures.standin import picture_bytes, write_standin

FILES = [
    "C-NMC_Leukemia/training_data/fold_0/all/UID_4_1_1_all.bmp",
    "C-NMC_Leukemia/training_data/fold_1/hem/UID_H4_1_1_hem.bmp",
    "C-NMC_Leukemia/training_data/fold_2/hem/UID_h3_1_1_hem.bmp",
    "C-NMC_Leukemia/validation_data/C-NMC_test_prelim_phase_data/10.bmp",
    "C-NMC_Leukemia/validation_data/C-NMC_test_prelim_phase_data/9.bmp",
]
INDEX = f"""file,image_id,set,fold,label,subject
{FILES[0]},UID_4_1_1_all,train,0,1,4
{FILES[1]},UID_H4_1_1_hem,train,1,0,H4
{FILES[2]},UID_h3_1_1_hem,train,2,0,H3
{FILES[3]},prelim-10,prelim,,0,H49
{FILES[4]},prelim-9,prelim,,,
"""


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """Five images of C-NMC's names, one of them without a label."""
    folder = tmp_path / "source"
    for file in FILES:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(picture_bytes(file))
    (folder / "labels.csv").write_text("Patient_ID,new_names,labels\nUID_H49_2_1_hem.bmp,10.bmp,0\n")
    return folder


def snapshot(folder: Path) -> dict[str, tuple[bytes, int, int]]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_mode) for path in files}


def test_a_folder_becomes_raw_data_and_stays_as_it_was(tmp_path: Path, small: Path) -> None:
    before = snapshot(small)
    fetch(Fetch(source="folder", name="small", path=small), tmp_path / "data/raw")
    raw = tmp_path / "data/raw"
    assert snapshot(small) == before
    assert (raw / "index.csv").read_text() == INDEX
    assert json.loads((raw / "source.json").read_text()) == {
        "name": "small",
        "source": "folder",
        "kind": "real",
        "classes": {"1": "ALL", "0": "hem"},
        "cnmc_complete": False,
        "verified": None,
    }
    images = [path.relative_to(raw / "images").as_posix() for path in (raw / "images").rglob("*") if path.is_file()]
    assert sorted(images) == FILES
    assert all((raw / "images" / file).read_bytes() == (small / file).read_bytes() for file in FILES)
    assert sorted(path.name for path in raw.iterdir()) == ["images", "index.csv", "source.json"]


@pytest.mark.parametrize("kind", ["zip", "tar", "gztar", "bztar", "xztar"])
def test_an_archive_gives_what_its_folder_gives(tmp_path: Path, small: Path, kind: str) -> None:
    archive = Path(shutil.make_archive(str(tmp_path / "archive"), kind, small))
    before = archive.read_bytes()
    fetch(Fetch(source="archive", name="small", path=archive), tmp_path / "raw")
    assert (tmp_path / "raw/index.csv").read_text() == INDEX
    assert all((tmp_path / "raw/images" / file).read_bytes() == (small / file).read_bytes() for file in FILES)
    assert sorted(path.name for path in (tmp_path / "raw").iterdir()) == ["images", "index.csv", "source.json"]
    assert archive.read_bytes() == before


def test_an_archive_may_hold_the_table_that_labels_it(tmp_path: Path) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    for name in ("1.png", "2.png"):
        (folder / name).write_bytes(picture_bytes(name))
    (folder / "labels.csv").write_text("file,label,subject\n1.png,sick,p1\n2.png,well,p1\n")
    archive = Path(shutil.make_archive(str(tmp_path / "own"), "zip", folder))
    own = Fetch(source="archive", name="own", path=archive, labels="labels.csv", positive="sick")
    fetch(own, tmp_path / "raw")
    assert (tmp_path / "raw/index.csv").read_text().splitlines()[1:] == ["1.png,1,train,,1,p1", "2.png,2,train,,0,p1"]
    assert json.loads((tmp_path / "raw/source.json").read_text())["classes"] == {"1": "sick", "0": "well"}


def test_an_archive_s_table_outside_it_never_moves_the_images_beside_that_table(tmp_path: Path, small: Path) -> None:
    archive = Path(shutil.make_archive(str(tmp_path / "archive"), "tar", small))
    (tmp_path / "mine").mkdir()
    for name in ("1.png", "2.png"):
        (tmp_path / "mine" / name).write_bytes(picture_bytes(name))
    (tmp_path / "mine/labels.csv").write_text("file,label,subject\n1.png,all,p1\n2.png,hem,p2\n")
    fetch(Fetch(source="archive", path=archive, labels=tmp_path / "mine/labels.csv"), tmp_path / "raw")
    assert (tmp_path / "mine/1.png").read_bytes() == (tmp_path / "raw/images/1.png").read_bytes()


def test_a_second_fetch_replaces_the_first_whole(tmp_path: Path, small: Path) -> None:
    settings = Fetch(source="folder", path=small)
    fetch(settings, tmp_path / "raw")
    (small / FILES[0]).rename((small / FILES[0]).with_name("UID_5_1_1_all.bmp"))
    fetch(settings, tmp_path / "raw")
    held = {path.name for path in (tmp_path / "raw/images").rglob("*.bmp")}
    assert "UID_5_1_1_all.bmp" in held
    assert "UID_4_1_1_all.bmp" not in held


def test_a_failed_fetch_leaves_the_raw_data_as_it_was(tmp_path: Path, small: Path) -> None:
    fetch(Fetch(source="folder", path=small), tmp_path / "raw")
    before = snapshot(tmp_path / "raw")
    shutil.copy(small / FILES[0], small / "UID_4_1_1_hem.bmp")
    with pytest.raises(DataError):
        fetch(Fetch(source="folder", path=small), tmp_path / "raw")
    assert snapshot(tmp_path / "raw") == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["raw", "source"]


@pytest.mark.parametrize("source", ["folder", "archive"])
def test_a_missing_path_is_named(tmp_path: Path, source: str) -> None:
    with pytest.raises(DataError, match=r"^fetch\.path: .*/nowhere does not exist$"):
        fetch(Fetch(source=source, path=tmp_path / "nowhere"), tmp_path / "raw")


def test_a_file_for_a_folder_and_a_folder_for_an_archive_say_what_to_set(tmp_path: Path, small: Path) -> None:
    with pytest.raises(DataError, match=r"is a file; if it is an archive, set fetch\.source: archive"):
        fetch(Fetch(source="folder", path=small / "labels.csv"), tmp_path / "raw")
    with pytest.raises(DataError, match=r"is a folder; set fetch\.source: folder"):
        fetch(Fetch(source="archive", path=small), tmp_path / "raw")


@pytest.mark.parametrize("source", ["folder", "archive"])
def test_a_pipe_for_an_archive_is_not_waited_for(tmp_path: Path, source: str) -> None:
    os.mkfifo(tmp_path / "cells.zip")
    with pytest.raises(DataError, match=r"cells\.zip is neither a file nor a folder"):
        fetch(Fetch(source=source, name="small", path=tmp_path / "cells.zip"), tmp_path / "data/raw")


def test_a_file_that_vanishes_while_it_is_fetched_is_named(
    tmp_path: Path, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def find_and_lose(*words: object) -> ImageSet:
        found = find_images(*words)  # type: ignore[arg-type]
        (small / FILES[1]).unlink()
        return found

    monkeypatch.setattr(fetching, "find_images", find_and_lose)
    with pytest.raises(DataError, match=rf"{FILES[1]} cannot be read \(no such file.*: it went while it was fetched"):
        fetch(Fetch(source="folder", name="small", path=small), tmp_path / "data/raw")
    assert not (tmp_path / "data/raw").exists()


@pytest.mark.parametrize("target", ["source/C-NMC_Leukemia/raw", "source", "."])
def test_raw_data_are_never_written_into_or_over_their_source(tmp_path: Path, small: Path, target: str) -> None:
    before = snapshot(small)
    with pytest.raises(DataError, match="lie inside each other"):
        fetch(Fetch(source="folder", path=small), tmp_path / target)
    assert snapshot(small) == before


def test_a_relative_path_starts_at_the_checkout_also_inside_an_experiment(
    tmp_path: Path, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "copy").mkdir()
    monkeypatch.chdir(tmp_path / "copy")
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    assert fetch(Fetch(source="folder", path=Path("source"))).images == 5
    assert (tmp_path / "copy/data/raw/index.csv").read_text() == INDEX


def test_verifying_other_bytes_fails_and_says_so(tmp_path: Path, small: Path) -> None:
    with pytest.raises(DataError, match=r"^6 of 6 files differ from C-NMC 2019's SHA-256 list: UID_4_1_1_all\.bmp"):
        fetch(Fetch(source="folder", path=small, verify=True), tmp_path / "raw")


def test_verifying_images_that_c_nmc_does_not_name_counts_them(tmp_path: Path) -> None:
    for name in ("all/p1/1.png", "hem/p1/1.png"):
        (tmp_path / "own" / name).parent.mkdir(parents=True)
        (tmp_path / "own" / name).write_bytes(picture_bytes(name))
    fetch(Fetch(source="folder", path=tmp_path / "own", verify=True), tmp_path / "raw")
    verified = json.loads((tmp_path / "raw/source.json").read_text())["verified"]
    assert verified == {"matched": 0, "unknown": 2, "mismatched": []}


def test_synthetic_cells_cannot_be_verified(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"set fetch\.verify: false"):
        fetch(Fetch(verify=True), tmp_path / "raw")


def test_synthetic_cells_have_every_set_and_say_that_they_are_synthetic(tmp_path: Path) -> None:
    few = Synthetic(
        subjects_all=2,
        subjects_hem=2,
        images_per_subject=2,
        prelim_subjects=2,
        prelim_images_per_subject=1,
        final_images=1,
    )
    summary = fetch(Fetch(synthetic=few), tmp_path / "raw")
    source = json.loads((tmp_path / "raw/source.json").read_text())
    assert (source["kind"], source["cnmc_complete"]) == ("synthetic", False)
    index = pd.read_csv(tmp_path / "raw/index.csv", dtype={"subject": "str"})
    assert len(index) == summary.images
    assert index.groupby("set")["label"].nunique().to_dict() == {"train": 2, "prelim": 2, "final": 0}
    assert all((tmp_path / "raw/images" / file).stat().st_size > 0 for file in index["file"])


def test_the_complete_set_is_recognised_and_has_table_1_s_numbers(tmp_path: Path) -> None:
    write_standin(tmp_path / "cnmc", size=8)
    summary = fetch(Fetch(source="folder", name="cnmc", path=tmp_path / "cnmc"), tmp_path / "raw")
    assert summary.cnmc_complete
    assert str(summary).startswith(
        "cnmc: 15114 images (train 7272 ALL, train 3389 hem, prelim 1219 ALL, prelim 648 hem, final 2586 unlabelled)"
    )
    index = pd.read_csv(tmp_path / "raw/index.csv", dtype={"subject": "str"})
    for set_, row in list(TABLE_I.items())[:2]:
        subjects = index[index["set"] == set_].groupby("label")["subject"].nunique()
        assert subjects.to_dict() == {0: row.subjects_hem, 1: row.subjects_all}
    contents = {(tmp_path / "raw/images" / file).read_bytes() for file in index["file"]}
    assert len(contents) == len(index) - 106  # the stand-in repeats C-NMC's byte-identical pairs, and nothing else
    (tmp_path / "cnmc" / index["file"][0]).unlink()
    assert not fetch(Fetch(source="folder", path=tmp_path / "cnmc"), tmp_path / "raw").cnmc_complete
