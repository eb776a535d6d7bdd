"""Pictures of discs whose size and brightness tell their class, small enough to finetune on in a moment."""

import numpy as np
import pandas as pd

from leukoscope.models.training import TrainingData


def pictures(images: pd.DataFrame, size: int = 32) -> TrainingData:
    """Pictures whose cells are larger and brighter in class 1."""
    y, x = np.mgrid[:size, :size]
    labels = images["label"].to_numpy(int)
    rng = np.random.default_rng(1)
    radius = 7 + 4 * labels + rng.normal(size=len(labels))
    inside = (x - size / 2) ** 2 + (y - size / 2) ** 2 < radius[:, None, None] ** 2
    packed = (inside[..., None] * (90 + 60 * labels)[:, None, None, None] * np.array([0.9, 0.4, 1.0])).astype(np.uint8)
    known = (images[name].to_numpy() for name in ("image_id", "sha256"))
    return TrainingData(*known, labels, images["group"].to_numpy(), None, packed)
