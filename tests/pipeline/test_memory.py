"""15,114 images, as many as C-NMC 2019 has, never need more than 2 GB of anonymous memory."""

import sys
from pathlib import Path

import pytest

from studies.growth import costs_of, generate, watched

IMAGES = 15_114
MOST = 2000  # MB

# A frozen row of the widest backbone with so many views that its features are larger than that. They are zeros, which
# take no room on disk.
WIDE = """
import sys
from pathlib import Path
import numpy as np
import pandas as pd
from leukoscope.config.params import Augment, Train
from leukoscope.config.rows import ModelSettings
from leukoscope.training.task import TrainingData
from leukoscope.training.training import Training

images, views, channels = int(sys.argv[1]), 17, 2048
np.lib.format.open_memmap("features.npy", "w+", np.float32, (images, views, channels)).flush()
names, labels = np.arange(images).astype(str), np.arange(images) % 2
sides = pd.DataFrame({"image_id": names, "fold": 0, "side": np.where(np.arange(images) % 5, "train", "val")})
data = TrainingData(names, names, labels, names, np.load("features.npy", mmap_mode="r"), None)
row = ModelSettings(backbone="resnet50", weights="none", views=views - 1)
(fold,) = Training(row, Train(epochs=1, batch_size=1000), Augment(), data, sides, Path("store")).folds()
assert len(fold.history) == 1
"""


@pytest.mark.slow
def test_every_stage_of_15114_images_stays_below_2_gb(tmp_path: Path) -> None:
    index = generate(tmp_path / "images", IMAGES, side=64)
    costs = costs_of(tmp_path / "checkout", tmp_path / "images", index, size=32)
    assert {name: cost.memory for name, cost in costs.items() if cost.memory > MOST} == {}
    assert (tmp_path / "checkout" / "models" / "finetuned-subject" / "fold_0.keras").exists()


@pytest.mark.slow
def test_training_on_features_larger_than_that_does_too(tmp_path: Path) -> None:
    _, _, memory = watched([sys.executable, "-c", WIDE, str(IMAGES)], tmp_path)
    assert (tmp_path / "features.npy").stat().st_size > MOST << 20
    assert memory < MOST
