"""A stage that is started by hand, before those that it builds on."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

import pytest

from leukoscope.data.plan import write_plan
from tests.fixtures.stores import empty_checkout
from tests.fixtures.trained_rows import params, write_params

STAGES = Path(__file__).parents[2] / "stages"
ARGUMENTS = {
    "embed": ["a_row"],
    "train": ["a_row", "subject"],
    "evaluate": ["a_row", "subject"],
    "members": ["both"],
    "ensemble": ["both", "subject"],
}
WITHOUT_INPUTS = {"_stage", "fetch", "plan"}
NAMES = sorted(script.stem for script in STAGES.glob("*.py") if script.stem not in WITHOUT_INPUTS)


@pytest.mark.parametrize("planned", [False, True], ids=["nothing ran", "plan ran"])
@pytest.mark.parametrize("name", NAMES)
def test_a_stage_names_what_is_missing_in_one_line(
    name: str, planned: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = empty_checkout(tmp_path, monkeypatch)
    rows, ensembles = ("a_row", "b_row"), {"both": {"members": ["a_row", "b_row"]}}
    write_params(root, *rows, ensembles=ensembles)
    if planned:
        write_plan(params(*rows, ensembles=ensembles), root / "data/plan")
    there = set(root.rglob("*"))
    monkeypatch.syspath_prepend(STAGES)
    monkeypatch.setattr(sys, "argv", [f"{name}.py", *ARGUMENTS.get(name, [])])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(STAGES / f"{name}.py"), run_name="__main__")
    assert ended.value.code == 2
    said = re.fullmatch(r"error: (\S+) is (missing|not there): run (uv run )?dvc repro.*\n", capsys.readouterr().err)
    assert said
    assert not (root / said[1]).exists()
    assert set(root.rglob("*")) == there
