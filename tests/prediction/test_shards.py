"""Predictions in shards: parquet files that are whole or not there, from and to anywhere that fsspec reaches."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from leukoscope.cli.scores import show_shards, unreadable
from leukoscope.core.errors import DataError
from leukoscope.prediction import shards
from leukoscope.prediction.command import Wanted, predict, predict_shards, write
from leukoscope.prediction.output import COLUMNS
from leukoscope.prediction.shards import NOT_SCORED, run_here
from leukoscope.registry.champion import Champion, Version
from leukoscope.registry.runtime import SCORING_FILE
from tests.fixtures.raw_folders import encoded
from tests.fixtures.stores import free_port
from tests.prediction.conftest import expected_p


@pytest.fixture
def version(champion: Champion) -> Version:
    return Version(champion.decision, champion.version, champion.training)


@pytest.fixture
def files(tmp_path: Path, model_file: Path) -> Path:
    """The folder of the version's files."""
    shutil.copytree(model_file.parent, (tmp_path / "version" / SCORING_FILE).parent)
    return tmp_path / "version"


@pytest.fixture(autouse=True)
def three_pictures_a_shard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "PICTURES", 3)


def run(version: Version, files: Path, urls: list[str], folder: str, **wanted: Any) -> None:
    show_shards(predict_shards(urls, lambda: (version, files), folder, Wanted(**wanted), run_here, unreadable))


def test_shards_hold_what_the_csv_holds_with_every_digit(
    folder: Path, champion: Champion, version: Version, files: Path, tmp_path: Path, cells: dict
) -> None:
    (folder / "black.png").write_bytes(encoded(np.zeros((450, 450, 3), np.uint8), ".png"))
    wanted = Wanted(jsonl=tmp_path / "s.jsonl", prevalence=0.2)
    write(predict([folder], lambda: champion, wanted), wanted)
    run(version, files, [str(folder)], str(tmp_path / "out"), prevalence=0.2)
    assert len(list((tmp_path / "out").iterdir())) == 3
    table = pq.read_table(tmp_path / "out")
    assert table.column_names == [*COLUMNS, "prevalence", "p_at_prevalence"]
    rows = table.to_pylist()
    lines = [json.loads(line) for line in (tmp_path / "s.jsonl").read_text().splitlines()]
    probabilities = ("p_all", "p_at_prevalence")
    assert [row | {name: round(row[name], 6) for name in probabilities} for row in rows] == lines
    exact = {row["file"]: row["p_all"] for row in rows}
    for name, picture in cells.items():
        assert exact[str(folder / name)] == pytest.approx(expected_p(picture), abs=1e-6)


def test_what_is_there_already_is_not_computed_again(
    folder: Path, version: Version, files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    run(version, files, [str(folder)], str(out))
    first, lost, last = sorted(out.iterdir())
    whole, kept = lost.read_bytes(), [path.stat().st_mtime_ns for path in (first, last)]
    lost.unlink()
    run(version, files, [str(folder)], str(out))
    assert "3 images scored; 2 of 3 shards were there" in capsys.readouterr().err
    assert lost.read_bytes() == whole
    assert [path.stat().st_mtime_ns for path in (first, last)] == kept


@pytest.mark.parametrize("what", ["scale", "version", "a picture"])
def test_scores_of_something_else_in_the_folder_are_refused(
    what: str, folder: Path, version: Version, files: Path, tmp_path: Path, cells: dict
) -> None:
    run(version, files, [str(folder)], str(tmp_path / "out"))
    wanted = {"scale": "1.5"} if what == "scale" else {}
    if what == "version":
        version = replace(version, decision=version.decision.model_copy(update={"identity": "another"}))
    if what == "a picture":
        (folder / sorted(cells)[0]).write_bytes(encoded(np.zeros((450, 450, 3), np.uint8), ".png"))
    with pytest.raises(DataError, match=r"holds \d parquet files of other pictures, options or another version"):
        run(version, files, [str(folder)], str(tmp_path / "out"), **wanted)


def test_an_archive_is_a_shard_of_its_own(folder: Path, version: Version, files: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "packed.zip", "w") as archive:
        for path in sorted(folder.iterdir()):
            archive.write(path, f"inside/{path.name}")
    run(version, files, [str(tmp_path / "packed.zip")], str(tmp_path / "of archive"))
    run(version, files, [str(folder)], str(tmp_path / "of files"))
    (shard,) = (tmp_path / "of archive").iterdir()
    packed, plain = pd.read_parquet(shard), pd.read_parquet(tmp_path / "of files")
    assert list(packed["file"]) == [f"{tmp_path}/packed.zip/inside/{Path(name).name}" for name in plain["file"]]
    pd.testing.assert_series_equal(packed["p_all"], plain["p_all"], check_exact=True)


def test_an_image_that_does_not_read_is_told_and_noted(
    folder: Path, version: Version, files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "UID_5_0_1_all.png").write_bytes(b"no picture")
    run(version, files, [str(folder)], str(tmp_path / "out"))
    assert "not scored: " in capsys.readouterr().err
    first, *_ = sorted((tmp_path / "out").iterdir())
    (line,) = json.loads(pq.read_metadata(first).metadata[NOT_SCORED])
    assert "UID_5_0_1_all.png: not a picture" in line
    assert len(pd.read_parquet(tmp_path / "out")) == 8


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An empty bucket on an S3 server of the test's own."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", port := free_port(), verbose=False)
    server.start()
    for name, value in (
        ("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}"),
        ("AWS_ACCESS_KEY_ID", "somebody"),
        ("AWS_SECRET_ACCESS_KEY", "a secret"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
    ):
        monkeypatch.setenv(name, value)
    boto3.client("s3").create_bucket(Bucket="cells")
    yield "s3://cells"
    server.stop()


@pytest.fixture
def gs(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An empty bucket on a Google Cloud Storage server of the test's own."""
    from gcp_storage_emulator.server import create_server

    server = create_server("127.0.0.1", port := free_port(), in_memory=True, default_bucket="cells")
    server.start()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")  # it would ask Google what kind of bucket it is
    yield "gs://cells"
    server.stop()


@pytest.fixture(params=["s3", "gs"])
def bucket(request: pytest.FixtureRequest) -> str:
    """An empty bucket on a server of its store's kind."""
    address: str = request.getfixturevalue(request.param)
    return address


def test_pictures_and_scores_lie_in_a_bucket_as_well(
    bucket: str, folder: Path, version: Version, files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import fsspec

    store, _ = fsspec.core.url_to_fs(bucket, skip_instance_cache=True)
    store.put([str(path) for path in folder.iterdir()], f"{bucket}/in/", recursive=False)
    store.pipe_file(f"{bucket}/in/.hidden.png", b"no picture")
    run(version, files, [f"{bucket}/in"], f"{bucket}/out")
    run(version, files, [str(folder)], str(tmp_path / "out"))
    parts = [pd.read_parquet(io.BytesIO(store.cat_file(name))) for name in sorted(store.ls(f"{bucket}/out"))]
    there = pd.concat(parts, ignore_index=True)
    here = pd.read_parquet(tmp_path / "out")
    assert list(there["file"]) == [f"{bucket}/in/{Path(name).name}" for name in here["file"]]
    pd.testing.assert_frame_equal(there.drop(columns="file"), here.drop(columns="file"), check_exact=True)
    capsys.readouterr()
    run(version, files, [f"{bucket}/in"], f"{bucket}/out")
    assert "0 images scored; 3 of 3 shards were there" in capsys.readouterr().err


@pytest.mark.parametrize("url", ["s3://nothing-here/in", "gs://nothing-here/in", "nowhere://a/b", "no such folder"])
@pytest.mark.usefixtures("s3", "gs")
def test_what_cannot_be_reached_is_one_line(url: str, version: Version, files: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=url):
        run(version, files, [url], str(tmp_path / "out"))


def test_shards_stand_in_place_of_tables(folder: Path, version: Version, files: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="--parquet stands in place of --csv"):
        run(version, files, [str(folder)], str(tmp_path / "out"), csv=tmp_path / "s.csv")
