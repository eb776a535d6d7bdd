"""What train and evaluate refuse when they are handed a leak: real tables, tampered with, and the real stages."""

from __future__ import annotations

import re
import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from leukoscope.config.rows import Protocol
from leukoscope.core.checkout import trained
from leukoscope.data.splits import read_split
from leukoscope.training.inputs import DATA_COLUMNS, table_hash
from tests.fixtures.stores import empty_checkout
from tests.fixtures.trained_rows import write_params, write_row
from tests.training.test_inputs import write_data

STAGES = Path(__file__).parents[2] / "stages"
HONEST: tuple[Protocol, ...] = ("subject", "official")


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = empty_checkout(tmp_path, monkeypatch)
    write_params(root, "a_row")
    write_data(root)
    monkeypatch.syspath_prepend(STAGES)
    return root


def said_by(
    stage: str, protocol: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[object, str]:
    """The exit code of a stage in this process, and its stderr."""
    monkeypatch.setattr(sys, "argv", [f"{stage}.py", "a_row", protocol])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(STAGES / f"{stage}.py"), run_name="__main__")
    return ended.value.code, capsys.readouterr().err


def of_side(root: Path, protocol: Protocol, side: str) -> pd.DataFrame:
    splits = pd.read_parquet(root / "data/splits.parquet")
    return splits[(splits["protocol"] == protocol) & (splits["fold"] == 0) & (splits["side"] == side)]


def move_an_image(root: Path, protocol: Protocol) -> str:
    """One picture of a tested group into the train side."""
    splits = pd.read_parquet(root / "data/splits.parquet")
    splits.loc[of_side(root, protocol, "test").index[0], "side"] = "train"
    splits.to_parquet(root / "data/splits.parquet", index=False)
    return r"1 group\(s\) stand on more than one side of fold 0"


def copy_a_picture(root: Path, protocol: Protocol) -> str:
    """The bytes of a tested picture under the name of one that trains, in groups that were not joined."""
    images = pd.read_parquet(root / "data/images.parquet").set_index("image_id", drop=False)
    tested, trains = (of_side(root, protocol, side)["image_id"].iloc[0] for side in ("test", "train"))
    images.loc[trains, "sha256"] = images.loc[tested, "sha256"]
    images.to_parquet(root / "data/images.parquet", index=False)
    return r"1 picture\(s\) stand on more than one side of fold 0"


@pytest.mark.parametrize("protocol", HONEST)
@pytest.mark.parametrize("leak", [move_an_image, copy_a_picture])
@pytest.mark.parametrize("stage", ["train", "evaluate"])
def test_a_group_or_a_picture_on_two_sides_is_refused(
    stage: str,
    leak: Callable[[Path, Protocol], str],
    protocol: Protocol,
    checkout: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = leak(checkout, protocol)
    code, said = said_by(stage, protocol, monkeypatch, capsys)
    assert code == 2
    assert re.fullmatch(rf"error: {words} of protocol '{protocol}', .* first: run dvc repro -f split\n", said)
    assert not (checkout / "models").exists()
    assert not (checkout / "results").exists()


def write_model(root: Path, protocol: Protocol, trained_on: str, split_hash: str | None = None) -> None:
    """decision.json of a model whose fold 0 was trained on the pictures of a side."""
    images = pd.read_parquet(root / "data/images.parquet")
    rows = of_side(root, protocol, trained_on)
    split = read_split(root / "data/splits.parquet", images, protocol)
    decided = write_row(root / "elsewhere", "a_row", skill=2, data_hash=table_hash(images[DATA_COLUMNS]))
    about = {
        "protocol": protocol,
        "split_hash": split_hash or table_hash(split),
        "training_images": dict.fromkeys(images.set_index("image_id").loc[rows["image_id"], "sha256"], "0"),
    }
    decided.model_copy(update=about).write(trained("a_row", protocol, root))


@pytest.mark.parametrize("protocol", HONEST)
def test_a_model_that_was_trained_on_what_it_would_be_tested_on_is_refused(
    protocol: Protocol, checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_model(checkout, protocol, "test")
    tested = len(of_side(checkout, protocol, "test"))
    code, said = said_by("evaluate", protocol, monkeypatch, capsys)
    assert code == 2
    assert f"fold 0, was trained on {tested} of the images that it would be tested on" in said
    assert not (checkout / "results").exists()


def test_a_model_of_another_split_is_refused_under_any_protocol(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for protocol in ("subject", "image"):
        write_model(checkout, protocol, "train", split_hash="0" * 64)
        code, said = said_by("evaluate", protocol, monkeypatch, capsys)
        assert (code, said) == (
            2,
            f"error: the model of a_row-{protocol} was trained on another split: run dvc repro to train it on these\n",
        )
