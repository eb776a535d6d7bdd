"""The stage validate on whole folders: what stops it, what only warns, and what it writes."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from leukoscope.cli.words import of_audit
from leukoscope.config.params import Validate
from leukoscope.core.errors import DataError
from leukoscope.data.quality.audit import audit
from leukoscope.data.quality.manifest import SCHEMA
from leukoscope.data.quality.validation import ValidationSummary, validate
from tests.fixtures.raw_folders import Shot, drawn, encoded, photographed_again, resized, sound_shots, write_raw

STRICT = Validate(strict=True)


def run(folder: Path, shots: list[Shot], settings: Validate | None = None) -> ValidationSummary:
    raw = write_raw(folder / "raw", shots)
    return validate(raw, settings or Validate(), folder / "images.parquet", folder / "reports/validation")


def refused(folder: Path, shots: list[Shot], settings: Validate | None = None) -> str:
    """The message of a run that must fail; the report is written all the same, and no images.parquet."""
    (folder / "images.parquet").parent.mkdir(parents=True, exist_ok=True)
    (folder / "images.parquet").write_text("of an earlier run")
    with pytest.raises(DataError) as error:
        run(folder, shots, settings)
    assert not (folder / "images.parquet").exists()
    assert (folder / "reports/validation/index.html").exists()
    assert json.loads((folder / "reports/validation/validation.json").read_text())["findings"]
    assert "\n" not in str(error.value)
    return str(error.value)


def test_sound_images_pass_with_one_row_each(tmp_path: Path) -> None:
    summary = run(tmp_path, sound_shots(), STRICT)
    assert (summary.images, summary.bad, summary.warnings) == (12, 0, ())
    assert summary.groups == {"ALL": 2, "hem": 2}
    images = pd.read_parquet(tmp_path / "images.parquet")
    assert list(images.columns) == SCHEMA.names
    assert list(images["image_id"]) == sorted(Path(shot.file).stem for shot in sound_shots())


def test_the_same_data_give_the_same_bytes(tmp_path: Path) -> None:
    outputs = []
    for name in ("first", "second"):
        run(tmp_path / name, [*sound_shots(), Shot("copy.png", drawn(0), 1, "2")])
        written = [tmp_path / name / "images.parquet", *(tmp_path / name / "reports").rglob("*")]
        outputs.append([(file.relative_to(tmp_path / name), file.read_bytes()) for file in written if file.is_file()])
    assert sorted(outputs[0]) == sorted(outputs[1])


def test_unreadable_images_are_tolerated_up_to_max_bad(tmp_path: Path) -> None:
    shots = [*sound_shots(), Shot("empty.png", b"", 1, "1"), Shot("cut.bmp", encoded(drawn(1), ".bmp")[:9999], 1, "1")]
    summary = run(tmp_path / "two", shots, Validate(max_bad=2))
    assert (summary.images, summary.bad) == (12, 2)
    assert "cut.bmp: cut off or damaged" in summary.warnings
    message = refused(tmp_path / "one", shots, Validate(max_bad=1))
    assert "2 images: cannot be read (cut.bmp, empty.png)" in message
    assert "validate.max_bad: 1" in message
    report = json.loads((tmp_path / "one/reports/validation/validation.json").read_text())
    assert {image["file"]: image["reason"] for image in report["bad"]} == {
        "cut.bmp": "cut off or damaged",
        "empty.png": "empty file",
    }


def without_hem(shots: list[Shot]) -> list[Shot]:
    return [shot for shot in shots if shot.label == 1]


def unreadable(shots: list[Shot]) -> list[Shot]:
    return [shot._replace(picture=b"") for shot in shots]


def without_subjects(shots: list[Shot]) -> list[Shot]:
    return [shots[0]._replace(subject=None), *shots[1:]]


def a_copy_with_the_other_label(shots: list[Shot]) -> list[Shot]:
    return [*shots, Shot("twin.png", shots[0].picture, 0, "H1")]


def a_jpeg_with_the_other_label(shots: list[Shot]) -> list[Shot]:
    return [*shots, Shot("twin.jpg", shots[0].picture[:, ::-1], 0, "H1")]


def one_id_with_both_labels(shots: list[Shot]) -> list[Shot]:
    return [*shots, Shot("a/cell.png", drawn(90), 1, "1"), Shot("b/cell.png", drawn(91), 0, "H1")]


def a_name_of_the_other_class(shots: list[Shot]) -> list[Shot]:
    return [shots[0]._replace(label=0, subject="H1"), *shots[1:]]


def an_unknown_set(shots: list[Shot]) -> list[Shot]:
    return [*shots, Shot("new.png", drawn(92), 1, "1", "holdout")]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (without_hem, "readable training images of both classes are needed"),
        (unreadable, "12 images: cannot be read"),
        (without_subjects, "1 image: labelled, but of no subject (UID_1_0_1_all.png)"),
        (
            a_copy_with_the_other_label,
            "2 images: a copy of this picture has the other label (UID_1_0_1_all.png, twin.png)",
        ),
        (
            a_jpeg_with_the_other_label,
            "2 images: a copy of this picture has the other label (UID_1_0_1_all.png, twin.jpg)",
        ),
        (one_id_with_both_labels, "2 images: image_id is not unique (a/cell.png, b/cell.png)"),
        (a_name_of_the_other_class, "1 image: the name says another class than the label (UID_1_0_1_all.png)"),
        (an_unknown_set, "1 image: set is not train, prelim or final (new.png)"),
    ],
)
def test_what_contradicts_itself_stops_the_pipeline(
    tmp_path: Path, spoil: Callable[[list[Shot]], list[Shot]], message: str
) -> None:
    assert message in refused(tmp_path, spoil(sound_shots()))


def test_odd_content_warns_and_stops_only_when_strict(tmp_path: Path) -> None:
    odd = [
        Shot("small.png", resized(drawn(93), 0.3), 1, "1"),
        Shot("white.png", np.maximum(drawn(94), 240), 1, "1"),
        Shot("empty.png", np.zeros((450, 450, 3), np.uint8), 1, "2"),
    ]
    summary = run(tmp_path / "lax", [*sound_shots(), *odd])
    assert "2 images: not mostly black (empty.png, white.png)" in summary.warnings
    assert "1 image: not 450x450 (600x600 in the final set) (small.png)" in summary.warnings
    assert "not mostly black" in refused(tmp_path / "strict", [*sound_shots(), *odd], STRICT)


def test_a_folder_called_all_says_nothing_where_no_folder_is_called_hem(tmp_path: Path) -> None:
    shots = [shot._replace(file=f"all/{number}.png") for number, shot in enumerate(sound_shots())]
    assert not run(tmp_path / "alone", shots).warnings
    shots[0] = shots[0]._replace(file="hem/0.png")
    assert "the name says another class" in refused(tmp_path / "both", shots)


def test_the_audit_tells_who_was_joined_and_why(tmp_path: Path) -> None:
    shots = [
        *sound_shots(),
        Shot("copy.png", drawn(0), 1, "2"),
        Shot("again.png", photographed_again(drawn(21, 0)), 0, "H2"),
        Shot("own.jpg", drawn(1), 1, "1"),
    ]
    run(tmp_path, shots)
    table = pd.read_csv(tmp_path / "reports/validation/duplicates.csv", dtype=str)
    assert list(table["kind"]) == ["identical", "same-cell", "near"]  # those that join subjects come first
    assert list(table["group"]) == ["1+2", "H1+H2", "1+2"]
    text = of_audit(audit(tmp_path / "reports"))
    for part in (
        "15 images",
        "1 identical pairs, 1 of them between different subjects",
        "1 near pairs, 0 of them between different subjects",
        "1 same-cell pairs, 1 of them between different subjects",
        "1 ALL, 1 hem",
        "one group: subjects H1, H2",
    ):
        assert part in text


@pytest.mark.parametrize("content", [None, "{", '{"classes": {}}'])
def test_a_missing_or_malformed_source_is_one_line(tmp_path: Path, content: str | None) -> None:
    raw = write_raw(tmp_path / "raw", sound_shots()[:1])
    (raw / "source.json").unlink()
    if content is not None:
        (raw / "source.json").write_text(content)
    with pytest.raises(DataError, match=r"source\.json .*: run dvc repro fetch"):
        validate(raw, Validate(), tmp_path / "images.parquet", tmp_path / "validation")
