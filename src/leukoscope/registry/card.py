"""A registered version's model card: what it is, what it was trained and measured on, and what is not known of it.

The order is that of Mitchell et al. (2019), "Model Cards for Model Reporting". Its facts are kept with the version's
files, so the card can be written wherever the version is, and again when its words change.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from leukoscope.artifacts.decision import mark, marks, not_real
from leukoscope.core import text
from leukoscope.core.cautions import RESEARCH_ONLY, cautions
from leukoscope.core.errors import DataError
from leukoscope.registry.ranking import Candidate

CARD_FACTS = "model_card.json"
CARD = "model_card.md"
BEGIN, END = "<!-- leukoscope card: begin -->", "<!-- leukoscope card: end -->"

C_NMC = "Gupta and Gupta (2019), https://doi.org/10.7937/tcia.2019.dc64i46r, CC BY 3.0"

Facts = Mapping[str, Any]

PROTOCOLS = {
    "subject": "grouped, stratified folds: no subject is on both sides, subjects that share a picture count as one, "
    "and the figures are over the pooled predictions for images that each fold had not seen",
    "official": "C-NMC 2019's folds train and validate, grouped by subject",
    "image": "folds dealt by image: the same subjects are on both sides, so the figures leak",
    "paper": "one random split by image: the same subjects are on both sides, so the figures leak",
}
SIDES = {"test": "images that were tested", "val": "validation images, which also chose the epoch and the threshold"}
HEADS = {
    "regularized": "Table III's dense layer with its three penalties and dropout, two sigmoids",
    "plain": "one dense layer with two sigmoids",
    "kernel": "a support-vector machine, calibrated on groups that it was not fitted on, as layers",
}


def card_facts(candidate: Candidate, combined: str, libraries: list[str]) -> dict[str, Any]:
    """All that the card says of a candidate, as JSON; `combined` says how its folds became one model."""
    decision = candidate.decision
    kept = ("row", "protocol", "mode", "settings", "parameters", "data", "split_hash", "identity", "weights_kind")
    return {
        **{name: decision[name] for name in kept if name in decision},
        "weights_identity": decision.get("weights_identity"),
        "members": list(decision.get("members", ())),
        "folds": len(decision["folds"]),
        "combination": combined,
        "pooled": decision["pooled"],
        "training_images": len(decision.get("training_images", ())),
        "not_real": not_real(decision),
        "mark": mark(decision),
        "side": candidate.side,
        "measured": candidate.measured,
        "libraries": libraries,
    }


def read_facts(path: Path) -> dict[str, Any]:
    """The facts that `card_facts` gave, from their file. Raises DataError where it is none."""
    try:
        facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path} is not there") from None
    except ValueError as error:
        raise DataError(f"{path} is not a version's {CARD_FACTS}: {error}") from None
    return facts


def model_card(facts: Facts) -> str:
    """The card as Markdown."""
    parts = [_head(facts), _model(facts), _use(), _data(facts), _figures(facts), _limits(facts), _further(facts)]
    return "\n\n".join(parts) + "\n"


def _head(facts: Facts) -> str:
    of_row = {facts["row"]: facts["weights_kind"]}
    marked = {facts["row"]: {facts["protocol"]: facts["mark"]}} if facts["mark"] else marks([])
    said = [f"> **{one.word}.** {one.sentence}" for one in cautions(facts["data"]["kind"], of_row, marked)]
    said.append(f"> **{RESEARCH_ONLY}**")
    return "\n".join([f"# Model card: {facts['row']}, trained on '{facts['data']['name']}'", "", "\n>\n".join(said)])


def _model(facts: Facts) -> str:
    settings, point = facts["settings"], facts["pooled"]
    lines = [f"- What it is: {facts['combination']}, identity `{facts['identity'][:12]}`"]
    if not facts["members"]:
        lines += [
            f"- Backbone: {_backbone(facts, settings)}",
            f"- Head: {HEADS[settings['head']]}",
            f"- Parameters: {text.millions(facts['parameters']['total'])}",
            f"- Training: {_training(facts, settings)}",
        ]
    else:
        lines.append(f"- Members: {', '.join(facts['members'])}, each with settings of its own in params.yaml")
    return "\n".join(
        [
            "## Model",
            "",
            *lines,
            "- Input: RGB pictures of one stained cell on black, uint8 [n, height, width, 3], at the optics that it "
            "was trained at: a cell's size is a cue, so nothing is rescaled to fit",
            "- Output: p(ALL) [n, 1], the share of two sigmoids",
            f"- Call: ALL where p > {point['threshold']:.4f}, chosen on validation for specificity "
            f"{point['at_least']:g} or more; {_band(point)}",
            f"- Made with: {', '.join(facts['libraries'])}",
            "- Licence of the software: Apache-2.0; weights and data have licences of their own",
        ]
    )


def _backbone(facts: Facts, settings: Mapping[str, Any]) -> str:
    taps = f", its layers {', '.join(settings['taps'])}" if settings["taps"] else ""
    second = settings["beside"] or {}
    scale = " at a coarser scale" if second.get("shrink", 1) > 1 else ""
    beside = f" beside {second['backbone']}{scale}" if second else ""
    frame, size = settings["frame"], settings["size"]
    return (
        f"{settings['backbone']}{beside}{taps}, {facts['weights_kind']} weights (`{facts['weights_identity']}`), the "
        f"centre {frame} pixels resized to {size}"
    )


def _training(facts: Facts, settings: Mapping[str, Any]) -> str:
    how = "all layers" if facts["mode"] == "finetune" else "the head alone, on frozen features"
    views = f"{settings['views']} augmented view{'s' * (settings['views'] != 1)} of each training image"
    val = {"kernel": "validation trains it too, once it has chosen the threshold"}
    return f"{how}; {views}; {val.get(settings['head'], 'stopped by the loss on validation')}"


def _band(point: Mapping[str, Any]) -> str:
    if point["refer_low"] is None:
        return f"no refer band ({point['refer_reason']})"
    level = text.percent(point["level"]).replace(".0 ", " ")
    return f"between {point['refer_low']:.4f} and {point['refer_high']:.4f} (the threshold's {level} interval) refer"


def _use() -> str:
    return "\n".join(
        [
            "## Intended use",
            "",
            "- For: research into classifying single cells as leukemic blasts (ALL) or healthy ones (hem), and into "
            "what such figures are worth on subjects that a model has not seen",
            "- Not for: diagnosis, screening, triage or any decision about a person; smears of mixed cells; other "
            "leukemias; children or adults unlike those of the data; other stains, microscopes or segmentations",
        ]
    )


def _data(facts: Facts) -> str:
    measured, data = facts["measured"], facts["data"]
    classes = [
        f"| {name} | {of['n']:,} | {of['n_subjects']} | {of['n_groups']} | {of['n_groups_effective']:.1f} |"
        for name, of in measured["classes"].items()
    ]
    drawn = "drawn by a program, of made-up subjects" if data["kind"] == "synthetic" else "real images"
    return "\n".join(
        [
            "## Data",
            "",
            f"'{data['name']}' ({drawn}; SHA-256 `{data['hash'][:12]}`): {facts['training_images']:,} images trained "
            f"it, in one fold or another. Measured on {measured['n']:,} {SIDES[facts['side']]}:",
            "",
            "| class | images | subjects | groups | effective groups |",
            "| --- | --- | --- | --- | --- |",
            *classes,
            "",
            "A group is one subject, or several that share a picture. Groups differ in size; the effective "
            "number is what intervals rest on.",
        ]
    )


def _figures(facts: Facts) -> str:
    measured, point = facts["measured"], facts["measured"]["at_threshold"]
    over = measured.get("over_area")  # of the test side alone
    raw, scaled = (measured["calibration"][stage] for stage in ("raw", "scaled"))
    rows = {
        "AUROC": _estimate(measured, "auroc"),
        **({"AUROC less that of the cell's area alone": _estimate(over, "gap", signed=True)} if over else {}),
        "AUROC, every subject weighing the same": _estimate(measured, "auroc_by_group"),
        "area under precision and recall": _estimate(measured, "auprc"),
        "sensitivity at the thresholds": _estimate(point, "sensitivity"),
        "specificity at the thresholds": _estimate(point, "specificity"),
        "accuracy at p > 0.5": _estimate(measured, "accuracy"),
        "calibration slope (1 is right)": _estimate(raw, "slope"),
        "calibration intercept (0 is right)": _estimate(raw, "intercept", signed=True),
        "calibration slope, scaled": _estimate(scaled, "slope"),
        "Brier score": _estimate(measured, "brier"),
    }
    for name, of in measured["classes"].items():
        mean, worst = text.percent(of["subject_accuracy_mean"]), text.percent(of["subject_accuracy_min"])
        rows[f"share right of a subject's cells, {name}"] = f"{mean} on average, {worst} of the worst subject"
    return "\n".join(
        [
            "## Figures",
            "",
            f"Protocol `{facts['protocol']}`: {PROTOCOLS[facts['protocol']]}. Intervals are "
            f"{text.percent(measured['interval_level']).replace('.0 ', ' ')} and resample groups, never images. "
            f"They are those of {facts['folds']} fold{'s' * (facts['folds'] > 1)}' models; their mean is served.",
            "",
            "| figure | value [interval] |",
            "| --- | --- |",
            *(f"| {name} | {value} |" for name, value in rows.items()),
        ]
    )


def _estimate(holder: Mapping[str, Any], name: str, *, signed: bool = False) -> str:
    show = text.signed if signed else text.share
    value, low, high = (holder[key] for key in (name, f"{name}_low", f"{name}_high"))
    interval = "" if value is None else " (no interval)" if low is None else f" [{show(low)}, {show(high)}]"
    return show(value) + interval


def _limits(facts: Facts) -> str:
    measured, over = facts["measured"], facts["measured"].get("over_area")
    said = []
    if measured["interval_reason"]:
        said.append(f"There are no intervals: {measured['interval_reason']}.")
    elif measured["indicative"]:
        said.append("A class has fewer than 10 effective groups, so every figure is indicative.")
    if over is None:
        said.append("Its AUROC less that of the cell's area alone has no interval on validation images.")
    elif over["gap_low"] is None or over["gap_low"] <= 0:
        said.append("It is not shown to be better than the cell's area alone: that difference's interval includes 0.")
    if not _calibrated(measured["calibration"]["raw"]):
        said.append("Its p is not shown to be a probability: read it as a score.")
    if facts["mark"]:
        said.append(f"It was {facts['mark']}, so its figures are too good.")
    said += [
        "Nothing was tested outside of this data set: another laboratory's smears may look different in every respect.",
        "All cells of a subject have one class here, so it is not validated on mixed smears, and a share of cells "
        "called ALL is no diagnosis.",
        "Cells were cut out of their smears beforehand; what the segmentation missed was never seen.",
        "The data say nothing of age, sex, ethnicity or treatment, so no such group's figures are known.",
    ]
    return "\n".join(["## Limits", "", *(f"- {line}" for line in said)])


def _calibrated(stage: Mapping[str, Any]) -> bool:
    right = {"slope": 1, "intercept": 0}
    return all(
        stage[f"{name}_low"] is not None and stage[f"{name}_low"] <= value <= stage[f"{name}_high"]
        for name, value in right.items()
    )


def _further(facts: Facts) -> str:
    reference = (
        "These cells are of no one. "
        if facts["data"]["kind"] == "synthetic"
        else f"Images of C-NMC 2019 are by {C_NMC}. "
    )
    return "\n".join(
        [
            "## Where from",
            "",
            f"{reference}`reports/index.html` has every figure of every model beside this one, "
            "and what carries its decisions; `CITATION.cff` says how to cite the software.",
        ]
    )
