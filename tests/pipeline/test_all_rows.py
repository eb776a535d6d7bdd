"""Table V in one `dvc repro`: profile cnmc-frozen, all rows under an honest protocol and a leaky one, on few cells."""

import json
from pathlib import Path

import pytest

from leukoscope.config.table_v import ROWS
from tests.fixtures.checkout import tiny_checkout

pytestmark = pytest.mark.slow

# Those of C-NMC's own folds and of the study's split; tests/pipeline/test_pipeline.py has the other two.
PROTOCOLS = ["official", "paper"]
# InceptionV3 takes no smaller pictures. One split instead of three folds.
SMALL = {
    "model_defaults": {"weights": "none", "size": 75, "views": 0, "width": 8},
    "split": {"folds": 1},
    "train": {"epochs": 2},
}


def test_every_row_of_table_v_goes_through_its_protocols_in_one_repro(tmp_path: Path) -> None:
    checkout = tiny_checkout(tmp_path / "table v")
    difference = checkout.leukoscope("profile", "cnmc-frozen").stdout
    assert "+  weights: imagenet" in difference
    params = checkout.params()
    assert list(params["models"]) == list(ROWS)
    for section, values in SMALL.items():
        params[section] |= values
    params["protocols"] = PROTOCOLS
    params["register"]["protocol"] = PROTOCOLS[0]
    checkout.set_params(params)
    checkout.run("dvc", "repro")
    assert checkout.stale() == {}

    summary = json.loads((checkout.folder / "reports/summary.json").read_text())
    page = (checkout.folder / "reports/index.html").read_text()
    for row in ROWS:
        assert row in page
        for protocol in PROTOCOLS:
            metrics = json.loads((checkout.folder / f"results/{row}-{protocol}/metrics.json").read_text())
            assert 0 <= metrics["test"]["auroc"] <= 1
        assert set(PROTOCOLS) <= set(summary[row])
