"""A version to score with: a real model on OpenVINO whose p is plain arithmetic, and cells to score."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from leukoscope.artifacts.decision import DataSet, Decision
from leukoscope.artifacts.training_cells import TrainingCells, fingerprint
from leukoscope.imaging.cell import find_cell
from leukoscope.imaging.framing import centre_frame
from leukoscope.registry.champion import Champion
from leukoscope.registry.runtime import Scorer
from tests.fixtures.decisions import decision_at, point
from tests.fixtures.raw_folders import drawn, encoded

FRAME = 300
GAIN = 4 / 255  # p is the mean of the framed picture's red, times this: some 0.3 to 0.6 for drawn cells


def expected_p(picture: np.ndarray) -> float:
    return float(centre_frame(picture, FRAME)[..., 0].mean() * GAIN)


@pytest.fixture(scope="session")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model as OpenVINO's IR."""
    import openvino as ov
    from openvino import opset13 as ops

    pixels = ops.parameter([-1, FRAME, FRAME, 3], np.float32)
    mean = ops.reduce_mean(pixels, np.array([1, 2]), keep_dims=False)
    red = ops.gather(mean, np.array([0]), np.array(1))
    path = tmp_path_factory.mktemp("model") / "model.xml"
    ov.save_model(ov.Model([ops.multiply(red, np.float32(GAIN))], [pixels]), path, compress_to_fp16=False)
    return path


@pytest.fixture(scope="session")
def scorer(model_file: Path) -> Scorer:
    return Scorer(model_file, FRAME, 1)


@pytest.fixture(scope="session")
def cells() -> dict[str, np.ndarray]:
    """Eight drawn cells by file name: two subjects' with C-NMC names, four cells each."""
    names = [
        f"UID_{subject}_{number}_1_{label}" for subject, label in (("5", "all"), ("H6", "hem")) for number in "1234"
    ]
    return {f"{name}.png": drawn(number, int(name.endswith("all"))) for number, name in enumerate(names)}


@pytest.fixture
def folder(tmp_path: Path, cells: dict[str, np.ndarray]) -> Path:
    """The cells as files in a folder of their own."""
    path = tmp_path / "my cells"
    path.mkdir()
    for name, picture in cells.items():
        (path / name).write_bytes(encoded(picture, ".png"))
    return path


def decision(threshold: float, **pooled: Any) -> Decision:
    """decision.json of a version that calls at this threshold; it was trained on no picture that anyone has."""
    decided = point(threshold, (threshold - 0.02, threshold + 0.02)).model_copy(update=pooled)
    real = {"data": DataSet(name="cells", kind="real", hash="d" * 64), "weights_kind": "imagenet"}
    return decision_at(decided, FRAME, "a_row").model_copy(update=real)


@pytest.fixture
def champion(scorer: Scorer, cells: dict[str, np.ndarray]) -> Champion:
    """A version that calls the four lower p hem; all cells are inside its training range, and none was in training."""
    low, high = sorted(expected_p(picture) for picture in cells.values())[3:5]
    ends = {"area": (1000.0, 90_000.0), "red": (20.0, 200.0), "green": (5.0, 200.0), "blue": (20.0, 200.0)}
    unseen = {"rate": 0.016, "rate_low": 0.01, "rate_high": 0.03, "n_subjects": 28}
    return Champion(decision((low + high) / 2), "3", TrainingCells(ends, unseen, 0.5, []), model=scorer)


def trained_on(champion: Champion, *pictures: np.ndarray, files: tuple[bytes, ...] = ()) -> Champion:
    """The same version, had it been trained on these pictures and files."""
    found = [find_cell(picture) for picture in pictures]
    prints = [fingerprint(cell.area, cell.colour) for cell in found if cell]
    assert champion.training
    known = {hashlib.sha256(data).hexdigest(): "0" for data in files}
    about = champion.decision.model_copy(update={"training_images": known})
    training = champion.training
    cells = TrainingCells(training.range, training.unseen, training.prevalence, prints)
    return Champion(about, champion.version, cells, model=champion.model)
