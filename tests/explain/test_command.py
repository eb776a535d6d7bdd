"""`leukoscope explain` through the command line, of versions in a real registry."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from leukoscope.cli.commands import main
from leukoscope.data.synthetic.cells import fixed_cells
from leukoscope.evaluation.figures import ORANGE
from leukoscope.explain import explainer
from leukoscope.explain.command import caption
from leukoscope.prediction.command import score_files
from leukoscope.prediction.pictures import Picture
from leukoscope.prediction.scoring import concluded, prepare
from leukoscope.prediction.sources import images_below
from leukoscope.registry import loading
from leukoscope.registry.promotion import register
from tests.fixtures.stores import checkout_with_store
from tests.fixtures.trained_rows import images, params, splits, write_params, write_row


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with two versions, of which the second is the champion, and pictures of cells; no results."""
    with pytest.MonkeyPatch.context() as patch:
        checkout = checkout_with_store(tmp_path_factory.mktemp("made"), patch)
        for seed, row in enumerate(("first", "second")):
            write_row(checkout, row, skill=2 + seed, seed=seed)
            register(params(row), images(), splits(("subject",)))
        write_params(checkout, "first", "second")
        for left in ("models", "results"):
            shutil.rmtree(checkout / left)
        (checkout / "cells/other").mkdir(parents=True)
        for number, cell in enumerate(fixed_cells(2, 5)):
            Image.fromarray(cell).save(checkout / f"cells/cell {number}.png")
        shutil.copy(checkout / "cells/cell 0.png", checkout / "cells/other/cell 0.png")
        (checkout / "discs").mkdir()
        Image.fromarray(discs(32)).save(checkout / "discs/ordinary.png")
        Image.fromarray(discs(32, 90)).save(checkout / "discs/two.png")
        return checkout


def discs(*middles: int) -> np.ndarray:
    """Cells on black of about the size and colour that `trained_rows.images` names, at these columns."""
    picture = np.zeros((64, 128, 3), np.uint8) if len(middles) > 1 else np.zeros((64, 64, 3), np.uint8)
    rows, columns = np.indices(picture.shape[:2])
    for middle in middles:
        picture[(rows - 32) ** 2 + (columns - middle) ** 2 < 25**2] = (80, 35, 90)
    return picture


@pytest.fixture(autouse=True)
def checkout(made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(made)
    return made


def leukoscope(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr("sys.argv", ["leukoscope", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_each_image_has_a_picture_of_its_own_and_the_answer_of_predict(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out = tmp_path / "a new folder"
    assert leukoscope(monkeypatch, "explain", "cells", "discs", "--out", str(out)) == 0
    said = capsys.readouterr()
    names = [f"{name}.png" for name in ("cell 0-version-2", "cell 1-version-2", "cell 0-version-2-2")]
    names += ["ordinary-version-2.png", "two-version-2.png"]
    assert sorted(path.name for path in out.iterdir()) == sorted(names)
    with images_below([Path("cells"), Path("discs")]) as files:
        scores, _ = score_files(files, loading.load_champion("cells"))
    lines = said.out.splitlines()
    assert lines[0].split() == ["file", "p_all", "call", "flags", "version", "picture"]
    for line, score, name in zip(lines[1:], scores, names, strict=True):
        answer = f"{score.p_all:.3f} {score.call or 'not called'} {', '.join(score.flags)}".strip()
        assert line.startswith(score.file)
        assert f"{answer} 2 " in " ".join(line.split())
        assert line.endswith(name)
    assert [score.call is None for score in scores] == [True, True, True, False, True]
    assert "several-cells" in scores[-1].flags
    assert "  several-cells (1): more than one sizeable piece" in said.err
    assert "second, version 2, trained on 'cells' (synthetic images)" in said.err
    assert "synthetic cells, untrained backbone: not for real cells" in said.err


def test_a_call_in_the_refer_band_says_refer_and_a_flagged_picture_says_why_it_is_not_called() -> None:
    version = explainer.load_explainer("cells")
    band = version.refer_band
    assert band is not None
    whole, two = (prepare(Picture("a folder/a.png", picture), version) for picture in (discs(32), discs(32, 90)))
    inside = caption(concluded(whole, band[0], version), version)
    assert (inside.name, inside.answer) == ("a.png", f"called {inside.call}, refer")
    assert caption(concluded(whole, 1.0, version), version).answer == "called ALL"
    flagged = caption(concluded(two, 1.0, version), version)
    assert (flagged.call, flagged.numbers) == (None, "p(ALL) 1.000")
    assert flagged.answer == "not called: several-cells, outside-frame"


def test_the_picture_shows_the_cell_beside_its_map_and_warns_in_orange(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert leukoscope(monkeypatch, "explain", "cells/cell 0.png", "--version", "1", "--out", str(tmp_path)) == 0
    with Image.open(tmp_path / "cell 0-version-1.png") as picture:
        drawn = np.asarray(picture.convert("RGB")).astype(int)
    height, width = drawn.shape[:2]
    assert (height, width) == (712, 1125)
    left, right = drawn[200:500, 60:480], drawn[200:500, 560:970]
    cell = fixed_cells(1, 5)[0][193:257, 193:257].astype(int)
    np.testing.assert_allclose(left.mean(axis=(0, 1)), cell.mean(axis=(0, 1)), atol=15)
    assert np.abs(right.mean(axis=(0, 1)) - left.mean(axis=(0, 1))).max() > 10
    orange = [int(ORANGE[at : at + 2], 16) for at in (1, 3, 5)]
    assert (np.abs(drawn[-60:] - orange).max(axis=-1) < 10).sum() > 200


def test_a_sanity_check_adds_the_map_of_shuffled_weights(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert leukoscope(monkeypatch, "explain", "cells/cell 0.png", "--sanity", "--out", str(tmp_path)) == 0
    said = capsys.readouterr()
    assert said.out.splitlines()[0].split() == ["file", "p_all", "call", "flags", "version", "random", "picture"]
    assert "of the same model with shuffled weights" in said.err
    with Image.open(tmp_path / "cell 0-version-2.png") as picture:
        assert picture.width > 1500


def test_what_is_no_picture_is_told_and_the_rest_explained(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "broken.png").write_bytes(b"no picture")
    words = ["explain", str(tmp_path / "broken.png"), "cells/cell 1.png", "--out", str(tmp_path / "out")]
    assert leukoscope(monkeypatch, *words) == 0
    said = capsys.readouterr()
    assert "not explained: " in said.err
    assert "broken.png: not a picture that can be read" in said.err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["cell 1-version-2.png"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere.png"], "nowhere.png is not there"),
        (["cells/cell 0.png", "--version", "9"], "has no version 9: it has 1, 2"),
        (["params.yaml"], "none of the 1 images could be read"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert leukoscope(monkeypatch, "explain", *words) == 2
    assert message in capsys.readouterr().err.splitlines()[-1]
