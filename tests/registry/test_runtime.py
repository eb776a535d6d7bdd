"""A registered model on OpenVINO says what its Keras form says of the raw pictures."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from leukoscope.config.rows import ModelSettings
from leukoscope.data.synthetic.cells import fixed_cells
from leukoscope.features.backbones import build_backbone
from leukoscope.imaging.framing import centre_frame
from leukoscope.registry.runtime import KerasScorer, Scorer, export_scoring
from leukoscope.training.assembly import joined_model, trainable_model
from leukoscope.training.heads import build_head

PLAIN = ModelSettings(backbone="mobilenetv2", weights="none", frame=300, size=64)
TURNED = PLAIN.model_copy(update={"rotations": 8})
WIDER = PLAIN.model_copy(update={"frame": 450, "pooling": "avg", "head": "plain"})
FINETUNED = PLAIN.model_copy(update={"mode": "finetune", "rotations": 4})


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    """Cells whole, cut to less than the frame, to odd sides, and set into a larger picture."""
    whole = list(fixed_cells(9, 3))
    larger = np.pad(whole[4], ((80, 71), (33, 90), (0, 0)))
    return [*whole, whole[0][100:340, 60:400], whole[1][:301, :77], whole[2][1:, :449], larger]


def member(row: ModelSettings, folds: int) -> tuple[ModelSettings, list[keras.Model]]:
    """A row with folds' models of random weights, as training saves them."""
    keras.utils.set_random_seed(row.frame + folds)
    heads = [build_head(row, 1280, f"fold_{fold}") for fold in range(folds)]
    if row.mode == "frozen":
        return row, heads
    backbones = [build_backbone(row.backbone, "none", row.frame, row.size) for _ in heads]
    return row, [
        trainable_model(backbone, head, row.pooling, head.name) for backbone, head in zip(backbones, heads, strict=True)
    ]


@pytest.mark.parametrize(
    "members",
    [
        {"turned": (TURNED, 2)},
        pytest.param({"plain": (PLAIN, 2), "wider": (WIDER, 2), "tuned": (FINETUNED, 1)}, marks=pytest.mark.slow),
    ],
    ids=["rotations", "an ensemble"],
)
def test_p_is_that_of_keras(members: dict[str, tuple[ModelSettings, int]], pictures: list, tmp_path: Path) -> None:
    model = joined_model({name: member(*made) for name, made in members.items()})
    frame = max(row.frame for row, _ in members.values())
    export_scoring(model, frame, tmp_path / "model.xml")
    expected = [float(model.predict_on_batch(picture[None].astype(np.float32))[0, 0]) for picture in pictures]
    scorer = Scorer(tmp_path / "model.xml", frame, max(row.rotations for row, _ in members.values()))
    p_all = list(scorer.p_all(centre_frame(picture, frame) for picture in pictures))
    assert np.ptp(expected) > 1e-3
    np.testing.assert_allclose(p_all, expected, rtol=0, atol=1e-5)
    model.save(tmp_path / "model.keras")
    on_keras = KerasScorer(tmp_path / "model.keras").p_all(centre_frame(picture, frame) for picture in pictures)
    np.testing.assert_allclose(list(on_keras), expected, rtol=0, atol=1e-5)
    alone = [next(scorer.p_all([centre_frame(picture, frame)])) for picture in pictures]
    assert p_all == alone
