"""`leukoscope predict` as it reads, writes and tells; the version is loaded as the fixture has it."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from leukoscope.cli.scores import show
from leukoscope.core.errors import DataError, UserError
from leukoscope.prediction.command import Wanted, predict
from leukoscope.prediction.output import COLUMNS
from leukoscope.registry.champion import Champion
from tests.fixtures.raw_folders import encoded
from tests.prediction.conftest import decision, expected_p, trained_on

FIRST_COLUMNS = ["file", "subject", "p_all", "call", "flags", "version"]


def run(champion: Champion, *paths: Path, **wanted: Any) -> None:
    show(predict(paths, lambda: champion, Wanted(**wanted)), Wanted(**wanted))


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_csv_has_exactly_one_row_an_image(folder: Path, champion: Champion, tmp_path: Path, cells: dict) -> None:
    run(champion, folder, csv=tmp_path / "out" / "scores.csv")
    rows = rows_of(tmp_path / "out" / "scores.csv")
    assert list(rows[0]) == list(COLUMNS)
    assert list(rows[0])[:6] == FIRST_COLUMNS
    assert [row["file"] for row in rows] == [str(folder / name) for name in sorted(cells)]
    np.testing.assert_allclose(
        [float(row["p_all"]) for row in rows], [expected_p(cells[name]) for name in sorted(cells)], atol=1e-5
    )
    assert {row["subject"] for row in rows} == {"5", "H6"}
    assert {row["version"] for row in rows} == {"3"}
    assert {(row["flags"], row["seen"]) for row in rows} == {("", "no")}
    table = pd.read_csv(tmp_path / "out" / "scores.csv")
    assert table["refer"].dtype == bool


def test_json_lines_hold_what_the_csv_holds(folder: Path, champion: Champion, tmp_path: Path) -> None:
    (folder / "black.png").write_bytes(encoded(np.zeros((450, 450, 3), np.uint8), ".png"))
    run(champion, folder, csv=tmp_path / "s.csv", jsonl=tmp_path / "s.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "s.jsonl").read_text().splitlines()]
    for row, line in zip(rows_of(tmp_path / "s.csv"), lines, strict=True):
        assert list(line) == list(row)
        assert line["p_all"] == pytest.approx(float(row["p_all"]))
        assert ";".join(line["flags"]) == row["flags"]
        assert (line["call"] or "") == row["call"]
        assert {True: "true", False: "false", None: ""}[line["refer"]] == row["refer"]
    black = next(line for line in lines if line["file"].endswith("black.png"))
    assert (black["call"], black["flags"], black["subject"]) == (None, ["no-cell"], None)


def test_every_output_names_the_data_and_warns_of_synthetic_cells_and_untrained_weights(
    folder: Path, champion: Champion, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = champion.decision.data.model_copy(update={"name": "demo", "kind": "synthetic"})
    drawn = champion.decision.model_copy(update={"data": data, "weights_kind": "untrained"})
    untrained = replace(champion, decision=drawn)
    files = {name: tmp_path / name for name in ("csv", "jsonl", "subjects")}
    run(untrained, folder, **files)
    for path in files.values():
        for line in path.read_text().splitlines()[path.suffix != "jsonl" and path.name != "jsonl" :]:
            assert "demo (synthetic images)" in line
            assert "synthetic cells, untrained backbone: not for real cells" in line
    run(untrained, folder)
    assert "trained on 'demo' (synthetic images); synthetic cells, untrained backbone" in capsys.readouterr().out
    run(champion, folder)
    assert "trained on 'cells' (real images); research use only" in capsys.readouterr().out


def test_the_table_tells_calls_subjects_flags_and_what_they_rest_on(
    folder: Path, champion: Champion, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "black.png").write_bytes(encoded(np.zeros((450, 450, 3), np.uint8), ".png"))
    run(champion, folder)
    said = capsys.readouterr().out
    assert "9 images: 4 called ALL, 4 hem, 1 flagged and not called" in said
    assert "no-cell (1): nothing is brighter than the background" in said
    assert "share [95 % interval]" in said
    assert "No diagnosis: all cells of one subject share a class" in said
    assert f"ALL is called where p > {champion.threshold:.4f}; refer from" in said
    assert "it flags 1.6 % [1.0, 3.0] of the cells of 28 subjects" in said


def test_the_subjects_are_a_table_of_their_own(folder: Path, champion: Champion, tmp_path: Path) -> None:
    run(champion, folder, csv=tmp_path / "s.csv", subjects=tmp_path / "subjects.csv")
    scores, subjects = pd.read_csv(tmp_path / "s.csv"), pd.read_csv(tmp_path / "subjects.csv").set_index("subject")
    for subject, cells in scores.groupby("subject"):
        assert subjects.loc[subject, "cells"] == len(cells)
        assert subjects.loc[subject, "share_all"] == pytest.approx((cells["call"] == "ALL").mean())
        assert (
            subjects.loc[subject, "low"]
            < subjects.loc[subject, "share_all"] + 1e-9
            <= subjects.loc[subject, "high"] + 1e-6
        )


def test_subjects_are_asked_for_in_vain_where_no_name_carries_one(
    champion: Champion, folder: Path, tmp_path: Path
) -> None:
    shutil.copy(next(folder.iterdir()), tmp_path / "cell.png")
    with pytest.raises(DataError, match="no file's name carries a subject"):
        run(champion, tmp_path / "cell.png", subjects=tmp_path / "subjects.csv")


def test_bad_images_are_listed_and_the_rest_scored(
    folder: Path, champion: Champion, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "broken.png").write_bytes((folder / "UID_5_1_1_all.png").read_bytes()[:300])
    (folder / "empty.bmp").write_bytes(b"")
    run(champion, folder, csv=tmp_path / "s.csv")
    said = capsys.readouterr()
    assert said.err.count("not scored: ") == 2
    assert "broken.png: cut off or damaged" in said.err
    assert "empty.bmp: empty file" in said.err
    assert len(rows_of(tmp_path / "s.csv")) == 8
    assert "8 images" in said.out


def test_nothing_but_bad_images_is_an_error(champion: Champion, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match="none of the 1 images could be read"):
        run(champion, tmp_path)


def test_an_archive_gives_what_its_folder_gives(folder: Path, champion: Champion, tmp_path: Path) -> None:
    archive = Path(shutil.make_archive(str(tmp_path / "cells"), "gztar", folder))
    for path, out in ((folder, "folder.csv"), (archive, "archive.csv")):
        run(champion, path, csv=tmp_path / out)
    of_folder, of_archive = (pd.read_csv(tmp_path / name) for name in ("folder.csv", "archive.csv"))
    assert list(of_archive["file"]) == [str(archive / Path(file).name) for file in of_folder["file"]]
    pd.testing.assert_frame_equal(of_folder.drop(columns="file"), of_archive.drop(columns="file"))


def test_stdout_is_for_the_program_where_it_is_asked_for(
    folder: Path, champion: Champion, capsys: pytest.CaptureFixture[str]
) -> None:
    run(champion, folder, jsonl=Path("-"))
    said = capsys.readouterr()
    assert [json.loads(line)["version"] for line in said.out.splitlines()] == ["3"] * 8
    assert "research use only" in said.err


def test_images_of_training_are_marked_and_counted(
    folder: Path, champion: Champion, cells: dict[str, np.ndarray], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = (folder / "UID_5_1_1_all.png").read_bytes()
    knows = trained_on(champion, cells["UID_H6_2_1_hem.png"], files=(file,))
    run(knows, folder, csv=tmp_path / "s.csv")
    seen = {Path(row["file"]).stem: row["seen"] for row in rows_of(tmp_path / "s.csv")}
    assert {name: how for name, how in seen.items() if how != "no"} == {
        "UID_5_1_1_all": "file",
        "UID_H6_2_1_hem": "picture",
    }
    assert "2 of them were in training" in capsys.readouterr().out


def test_prevalence_and_scale_stand_in_every_row(
    folder: Path, champion: Champion, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(champion, folder, csv=tmp_path / "s.csv", prevalence=0.1, scale="0.11/0.1")
    table = pd.read_csv(tmp_path / "s.csv")
    assert list(table.columns) == [*COLUMNS, "scale", "prevalence", "p_at_prevalence"]
    assert set(table["scale"]) == {1.1}
    assert (table["p_at_prevalence"] < table["p_all"]).all()
    said = capsys.readouterr().out
    assert "resized by 1.1" in said
    assert "from a share of ALL of 0.500 to 0.1" in said


@pytest.mark.parametrize("prevalence", [0.0, 1.0, 7.0, -0.1, float("nan")])
def test_a_prevalence_that_is_none_is_one_clear_error(folder: Path, champion: Champion, prevalence: float) -> None:
    with pytest.raises(DataError, match="a share of ALL lies between 0 and 1"):
        run(champion, folder, prevalence=prevalence)


def test_a_version_registered_before_says_what_is_not_known(
    folder: Path, champion: Champion, capsys: pytest.CaptureFixture[str]
) -> None:
    old = replace(champion, training=None, decision=decision(champion.threshold, refer_low=None, refer_high=None))
    run(old, folder)
    said = capsys.readouterr().out
    assert "to refer: not known for this version" in said
    assert "refer band not known for this version" in said
    assert "training range of size and colour: not known for this version" in said
    with pytest.raises(UserError, match=r"not known for this version \(3\): run uv run dvc repro -f -s register"):
        run(old, folder, prevalence=0.5)


def test_a_table_is_never_written_over_a_picture(champion: Champion, tmp_path: Path) -> None:
    picture = tmp_path / "cell.png"
    picture.write_bytes(b"a picture")
    for wanted in (Wanted(csv=picture), Wanted(jsonl=picture), Wanted(subjects=picture)):
        with pytest.raises(DataError, match=r"cell\.png would put a table where a picture belongs"):
            predict([picture], lambda: champion, wanted)
    assert picture.read_bytes() == b"a picture"


def test_an_output_that_cannot_be_written_is_one_clear_error(folder: Path, champion: Champion, tmp_path: Path) -> None:
    def never() -> Champion:
        raise AssertionError("told only after the model was loaded")

    for wanted in (Wanted(csv=tmp_path), Wanted(csv=tmp_path / "a", jsonl=tmp_path / "a")):
        with pytest.raises(DataError):
            predict([folder], never, wanted)
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        run(champion, folder, csv=tmp_path / "file" / "s.csv")
