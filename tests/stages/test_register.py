"""The register stage as DVC runs it."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from leukoscope.registry import loading, versions
from tests.fixtures.stores import checkout_with_store
from tests.fixtures.trained_rows import images, splits, write_params, write_row

STAGES = Path(__file__).parents[2] / "stages"


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = checkout_with_store(tmp_path, monkeypatch)
    (root / "data").mkdir()
    images().to_parquet(root / "data/images.parquet", index=False)
    splits().to_parquet(root / "data/splits.parquet", index=False)
    return root


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """The stage in this process, which has TensorFlow already; returns what it printed."""

    def run() -> str:
        monkeypatch.syspath_prepend(STAGES)
        monkeypatch.setattr(sys, "argv", ["register.py"])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(STAGES / "register.py"), run_name="__main__")
        said = capsys.readouterr()
        assert ended.value.code == 0, said.err
        return said.out

    return run


def test_the_stage_writes_its_verdicts_and_makes_a_champion(checkout: Path, stage: Callable[[], str]) -> None:
    decision = write_row(checkout, "a_row", skill=3)
    write_params(checkout, "a_row")
    assert "version 1 of leukoscope-cells is champion" in stage()
    written = checkout / "reports/registered.json"
    assert json.loads(written.read_text())["winner"]["identity"] == decision.identity
    assert versions.champion("cells").identity == decision.identity


def test_an_experiment_in_a_copy_registers_in_the_real_checkout(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: Callable[[], str]
) -> None:
    copy = tmp_path / "temporary copy"
    copy.mkdir()
    (checkout / "data").rename(copy / "data")
    write_row(copy, "a_row", skill=3)
    write_params(copy, "a_row")
    monkeypatch.chdir(copy)
    monkeypatch.setenv("DVC_ROOT", str(checkout))
    monkeypatch.setenv("DVC_EXP_NAME", "brave-cell")
    assert "version 1 of leukoscope-cells is a candidate" in stage()
    assert versions.champion_or_none("cells") is None
    assert not (copy / "mlruns").exists()
    assert loading.load_champion("cells", 1).decision.row == "a_row"


def test_a_protocol_that_is_not_made_is_one_line_and_exit_code_2(checkout: Path) -> None:
    write_params(checkout, "a_row", register={"protocol": "official"})
    command = [sys.executable, str(STAGES / "register.py")]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("error: params.yaml: register.protocol is official")
    assert done.stderr.count("\n") == 1
    assert not (checkout / "reports/registered.json").exists()
