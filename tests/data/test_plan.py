"""What the plan writes down, so that a change reruns what it concerns and nothing else."""

import pytest

from leukoscope.config.params import Params
from leukoscope.config.rows import Branch, ModelSettings
from leukoscope.data.plan import embedding, pictures

ROW = ModelSettings(backbone="mobilenetv2", views=2, rotations=4)


@pytest.mark.parametrize(
    "change", [{"class_weight": "balanced"}, {"sampling": "group"}, {"dropout": 0.5}, {"statistics_share": 0.5}]
)
def test_what_concerns_training_alone_is_not_embedded_again(change: dict) -> None:
    assert embedding(ROW.model_copy(update=change)) == embedding(ROW)


@pytest.mark.parametrize(
    "change",
    [
        {"rotations": 8},
        {"views": 3},
        {"size": 96},
        {"weights": "none"},
        {"taps": ("a",)},
        {"colours": "both"},
        {"statistics": ("area",)},
        {"beside": Branch(backbone="mobilenet", weights="none")},
    ],
)
def test_what_a_backbone_is_shown_is_embedded_anew(change: dict) -> None:
    assert embedding(ROW.model_copy(update=change)) != embedding(ROW)


def test_a_coarser_scale_is_embedded_anew_of_the_same_packed_pictures() -> None:
    rows = [{**ROW.model_dump(), "beside": {"backbone": "mobilenet", "weights": "none", "shrink": n}} for n in (1, 2)]
    assert embedding(ModelSettings(**rows[0])) != embedding(ModelSettings(**rows[1]))
    packs = [pictures(Params(models={"a_row": row}))["packs"] for row in rows]
    assert packs == [[[ROW.frame, ROW.size]]] * 2


def test_a_row_that_finetunes_makes_its_own_views_and_rotations() -> None:
    tuned = ROW.model_copy(update={"mode": "finetune"})
    assert embedding(tuned) == embedding(tuned.model_copy(update={"views": 0, "rotations": 8}))
