"""Figures 1 and 2: cells of the data at hand, the pipeline of dvc.yaml, the model as it is saved."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import yaml

from leukoscope.artifacts.layers import LayerFacts
from leukoscope.config.params import Params
from leukoscope.config.rows import Branch
from leukoscope.features.architecture import unweighted
from leukoscope.report.drawings import BOX, HEIGHT, WIDTH, Pipeline, draw_model, draw_pipeline
from leukoscope.report.evidence import Result, read_evidence
from leukoscope.report.pictures import SUBJECTS, sample_cells

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return draw_pipeline(CHECKOUT / "dvc.yaml")


def with_beside(result: Result, beside: Branch, layers: list[LayerFacts]) -> Result:
    """The result of a row that looks at the cell with another backbone besides."""
    settings = result.decision.row_settings.model_copy(update={"beside": beside})
    return replace(result, decision=result.decision.model_copy(update={"settings": settings, "layers": layers}))


def test_every_stage_of_the_pipeline_is_drawn_once_and_boxes_do_not_overlap(pipeline: Pipeline) -> None:
    stages = yaml.safe_load((CHECKOUT / "dvc.yaml").read_text())["stages"]
    assert sorted(box.name for box in pipeline.boxes) == sorted(stages)
    assert {box.name: box.description for box in pipeline.boxes} == {name: of["desc"] for name, of in stages.items()}
    for box in pipeline.boxes:
        assert BOX / 2 <= box.x <= WIDTH - BOX / 2
        for other in pipeline.boxes:
            assert box is other or abs(box.x - other.x) >= BOX or abs(box.y - other.y) > HEIGHT


def test_a_stage_stands_below_what_it_waits_for(pipeline: Pipeline) -> None:
    y = {box.name: box.y for box in pipeline.boxes}
    for earlier, later in (("fetch", "validate"), ("split", "train"), ("plan", "pack"), ("register", "report")):
        assert y[earlier] < y[later]


def test_an_arrow_that_a_longer_way_implies_is_left_out(tmp_path: Path) -> None:
    stages = {
        "first": {"outs": ["a"]},
        "second": {"deps": ["a/part"], "outs": [{"b": {"cache": False}}]},
        "third": {"deps": ["a", "b"], "outs": ["c"]},
    }
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}, sort_keys=False))
    drawn = draw_pipeline(tmp_path / "dvc.yaml")
    assert [box.name for box in drawn.boxes] == ["first", "second", "third"]
    assert len(drawn.arrows) == 2


def test_the_model_is_drawn_from_the_picture_to_p_with_every_layer_and_weight(ran: tuple[Path, Params]) -> None:
    result = read_evidence(ran[1], ran[0]).results["modified_mobilenet", "subject"]
    boxes = draw_model(result)
    decision = json.loads((ran[0] / "models/modified_mobilenet-subject/decision.json").read_text())
    assert [box.title for box in boxes] == [
        "picture", "frame", "input scaling", "mobilenetv2", "global max pooling", "batch normalization", "dense",
        "dropout", "dense", "p(ALL)",
    ]  # fmt: skip
    assert sum(box.parameters for box in boxes) == decision["parameters"]["total"]
    assert {box.title: box.state for box in boxes}["mobilenetv2"] == "frozen"
    assert boxes[6].detail == "relu, kernel L2 0.016, activity L1 0.006, bias L1 0.006"
    assert "mean of 3 folds' models" in boxes[-1].detail


def test_each_of_two_backbones_is_drawn_with_its_name_and_its_own_weights(ran: tuple[Path, Params]) -> None:
    result = read_evidence(ran[1], ran[0]).results["modified_mobilenet", "subject"]
    scaling, network, pooling, *head = result.layers
    framed: LayerFacts = {**network, "detail": "of the framed pixels"}
    drawn = with_beside(
        result,
        Branch(backbone="efficientnetb3", weights="imagenet"),
        [scaling, network, pooling, framed, pooling, *head],
    )
    first, second = (box for box in draw_model(drawn) if "layers, weights" in box.detail)
    assert (first.title, second.title) == ("mobilenetv2", "efficientnetb3")
    assert first.detail.endswith("weights: untrained")
    assert second.detail.endswith("weights: imagenet, of the framed pixels")


def test_a_backbone_at_two_scales_is_drawn_twice_with_what_shrinks_its_picture(ran: tuple[Path, Params]) -> None:
    result = read_evidence(ran[1], ran[0]).results["modified_mobilenet", "subject"]
    scaling, network, pooling, *head = result.layers
    size = result.decision.row_settings.size
    shrunk = unweighted("AveragePool", "shrunk", (size // 2, size // 2, 3), "means of 2 × 2, of the framed pixels")
    drawn = with_beside(
        result,
        Branch(backbone="mobilenetv2", weights="none", taps=(), shrink=2),
        [scaling, network, pooling, shrunk, network, pooling, *head],
    )
    boxes = draw_model(drawn)
    assert [box.title for box in boxes[3:8]] == [
        "mobilenetv2", "global max pooling", "shrunk", "mobilenetv2 at 1/2 scale", "global max pooling",
    ]  # fmt: skip
    assert (boxes[5].detail, boxes[5].output) == (shrunk["detail"], f"{size // 2} × {size // 2} × 3")


def test_sample_cells_are_of_different_training_subjects_of_both_classes(ran: tuple[Path, Params]) -> None:
    images = pd.read_parquet(ran[0] / "data/images.parquet")
    samples = sample_cells(images, ran[0] / "data/raw/images", 300)
    for name, label in (("ALL", 1), ("hem", 0)):
        subjects = [sample.subject for sample in samples if sample.name == name]
        assert len(set(subjects)) == len(subjects) == SUBJECTS
        assert set(subjects) <= set(images.loc[(images["set"] == "train") & (images["label"] == label), "subject"])
    assert samples == sample_cells(images.sample(frac=1, random_state=0), ran[0] / "data/raw/images", 300)
