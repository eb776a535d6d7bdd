"""The validate stage as DVC runs it, and the whole C-NMC 2019 in stand-ins."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from leukoscope.config.params import Fetch, Validate
from leukoscope.core.errors import DataError
from leukoscope.data.quality.validation import validate
from leukoscope.data.sources.fetch import fetch
from tests.fixtures.raw_folders import Shot, sound_shots, write_raw
from tests.fixtures.standin import write_standin

STAGE = Path(__file__).parents[2] / "stages/validate.py"


def run_stage(folder: Path, shots: list[Shot]) -> subprocess.CompletedProcess[str]:
    write_raw(folder / "data/raw", shots)
    (folder / "params.yaml").write_text(yaml.safe_dump({"models": {"row": {"backbone": "MobileNetV2"}}}))
    return subprocess.run(
        [sys.executable, STAGE], cwd=folder, env=os.environ, capture_output=True, text=True, timeout=120
    )


def test_the_stage_writes_the_table_and_the_report_and_says_so_in_a_few_lines(tmp_path: Path) -> None:
    done = run_stage(tmp_path, sound_shots())
    assert done.returncode == 0, done.stderr
    assert done.stdout == "12 images of 2 ALL and 2 hem groups of subjects; pairs that show the same: none\n"
    assert "Calculating Metrics" not in done.stderr
    assert len(pd.read_parquet(tmp_path / "data/images.parquet")) == 12
    assert (tmp_path / "reports/validation/index.html").exists()


def test_an_error_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    done = run_stage(tmp_path, [])
    assert done.returncode == 2
    assert done.stderr == "error: data/raw/index.csv lists no image: look at fetch.path in params.yaml\n"
    assert not (tmp_path / "data/images.parquet").exists()


@pytest.mark.slow
def test_the_complete_set_has_106_pairs_and_66_training_groups(tmp_path: Path) -> None:
    write_standin(tmp_path / "standin")
    raw, images_file, report = tmp_path / "raw", tmp_path / "images.parquet", tmp_path / "validation"
    fetch(Fetch(source="folder", name="cnmc", path=tmp_path / "standin"), raw)
    summary = validate(raw, Validate(), images_file, report)
    assert summary.pairs == {"identical": 106}
    assert "not" not in " ".join(w for w in summary.warnings if "C-NMC 2019" in w)
    images = pd.read_parquet(images_file)
    training = images[images["set"] == "train"]
    assert training.groupby("label")["group"].nunique().to_dict() == {1: 44, 0: 22}
    assert sorted(g for g in training["group"].unique() if "+" in g) == ["20+21", "51+75+78", "H2+H4+H5+H6", "H3+H10"]

    index = pd.read_csv(raw / "index.csv", dtype=str, keep_default_na=False)
    index.loc[index["image_id"] == "prelim-1", "label"] = "0"
    index.to_csv(raw / "index.csv", index=False)
    with pytest.raises(DataError, match="C-NMC 2019 has 1219 ALL images in prelim, not 1218"):
        validate(raw, Validate(), images_file, report)
    assert {f["suite"] for f in json.loads((report / "validation.json").read_text())["findings"]} >= {"cnmc-2019"}
