"""The same pipeline on original C-NMC images with real ImageNet weights, where environment variables name them."""

import json
import os
from pathlib import Path

import pandas as pd
import pytest

from tests.fixtures.checkout import tiny_checkout

pytestmark = [pytest.mark.slow, pytest.mark.cnmc, pytest.mark.imagenet]


def test_original_images_go_from_a_folder_to_results(tmp_path: Path) -> None:
    checkout = tiny_checkout(tmp_path / "real cells")
    params = checkout.params()
    params["fetch"] |= {
        "source": "folder",
        "name": "cnmc-mini",
        "path": os.environ["LEUKOSCOPE_CNMC"],
        "verify": True,
    }
    params["model_defaults"] |= {"weights": os.environ["LEUKOSCOPE_WEIGHTS"], "size": 128}
    params["protocols"] = ["subject", "paper"]
    params["models"] = {
        "mobilenetv2": {"backbone": "mobilenetv2", "head": "plain", "pooling": "avg"},
        "modified_mobilenet": {"backbone": "mobilenetv2"},
        "mobilenetv2_finetuned": {"backbone": "mobilenetv2", "head": "plain", "pooling": "avg", "mode": "finetune"},
        "modified_mobilenet_finetuned": {"backbone": "mobilenetv2", "mode": "finetune"},
    }
    params["train"] |= {"epochs": 2}
    checkout.set_params(params)
    checkout.run("dvc", "repro")
    source = json.loads((checkout.folder / "data/raw/source.json").read_text())
    assert source["kind"] == "real"
    assert source["verified"] == {"matched": 68, "unknown": 0, "mismatched": []}
    images = pd.read_parquet(checkout.folder / "data/images.parquet")
    assert images["label"].value_counts().to_dict() == {1: 36, 0: 32}
    for row, settings in params["models"].items():
        for protocol in params["protocols"]:
            results = checkout.folder / f"results/{row}-{protocol}"
            assert 0 <= json.loads((results / "metrics.json").read_text())["test"]["auroc"] <= 1
            assert pd.read_parquet(results / "predictions.parquet")["p_all"].std() > 0.01
            decision = json.loads((checkout.folder / f"models/{row}-{protocol}/decision.json").read_text())
            assert decision["weights_kind"] == "file"
            assert decision["mode"] == settings.get("mode", "frozen")
    page = (checkout.folder / "reports/index.html").read_text()
    assert "SYNTHETIC CELLS" not in page
    assert "UNTRAINED WEIGHTS" not in page
    assert all(row in page for row in params["models"])
