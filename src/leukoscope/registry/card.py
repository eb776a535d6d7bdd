"""A registered version's model card: what it is, what it was trained and measured on, and what is not known of it.

The order is that of Mitchell et al. (2019), "Model Cards for Model Reporting". Its facts are kept with the version's
files, so the card can be written wherever the version is, and again when its words change.
"""

from __future__ import annotations

from leukoscope.artifacts.card import CardFacts
from leukoscope.artifacts.metrics import Estimate, Side
from leukoscope.config.rows import ModelSettings
from leukoscope.core import text
from leukoscope.core.cautions import RESEARCH_ONLY, Marks, cautions
from leukoscope.registry.ranking import Candidate
from leukoscope.stats.points import OperatingPoint

CARD = "model_card.md"
BEGIN, END = "<!-- leukoscope card: begin -->", "<!-- leukoscope card: end -->"

C_NMC = "Gupta and Gupta (2019), https://doi.org/10.7937/tcia.2019.dc64i46r, CC BY 3.0"

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


def card_facts(candidate: Candidate, combined: str, libraries: list[str]) -> CardFacts:
    """All that the card says of a candidate; `combined` says how its folds became one model."""
    decision = candidate.decision
    return CardFacts(
        row=decision.row,
        protocol=decision.protocol,
        mode=decision.mode,
        settings=decision.settings,
        parameters=decision.parameters,
        data=decision.data,
        split_hash=decision.split_hash,
        identity=decision.identity,
        weights_kind=decision.weights_kind,
        weights_identity=decision.weights_identity,
        members=list(decision.members or ()),
        folds=len(decision.folds),
        combination=combined,
        pooled=decision.pooled,
        training_images=len(decision.training_images),
        not_real=decision.not_real,
        mark=decision.mark,
        side=candidate.side,
        measured=dict(candidate.measured.content),
        libraries=libraries,
    )


def model_card(facts: CardFacts) -> str:
    """The card as Markdown."""
    parts = [_head(facts), _model(facts), _use(), _data(facts), _figures(facts), _limits(facts), _further(facts)]
    return "\n\n".join(parts) + "\n"


def _head(facts: CardFacts) -> str:
    of_row = {facts.row: facts.weights_kind}
    marked: Marks = {facts.row: {facts.protocol: facts.mark}} if facts.mark else {}
    said = [f"> **{one.word}.** {one.sentence}" for one in cautions(facts.data.kind, of_row, marked)]
    said.append(f"> **{RESEARCH_ONLY}**")
    return "\n".join([f"# Model card: {facts.row}, trained on '{facts.data.name}'", "", "\n>\n".join(said)])


def _model(facts: CardFacts) -> str:
    point = facts.pooled
    lines = [f"- What it is: {facts.combination}, identity `{facts.identity[:12]}`"]
    if isinstance(facts.settings, ModelSettings):
        lines += [
            f"- Backbone: {_backbone(facts, facts.settings)}",
            f"- Head: {HEADS[facts.settings.head]}",
            f"- Parameters: {text.millions(facts.parameters.total)}",
            f"- Training: {_training(facts, facts.settings)}",
        ]
    else:
        lines.append(f"- Members: {', '.join(facts.members)}, each with settings of its own in params.yaml")
    return "\n".join(
        [
            "## Model",
            "",
            *lines,
            "- Input: RGB pictures of one stained cell on black, uint8 [n, height, width, 3], at the optics that it "
            "was trained at: a cell's size is a cue, so nothing is rescaled to fit",
            "- Output: p(ALL) [n, 1], the share of two sigmoids",
            f"- Call: ALL where p > {point.threshold:.4f}, chosen on validation for specificity "
            f"{point.at_least:g} or more; {_band(point)}",
            f"- Made with: {', '.join(facts.libraries)}",
            "- Licence of the software: Apache-2.0; weights and data have licences of their own",
        ]
    )


def _backbone(facts: CardFacts, row: ModelSettings) -> str:
    taps = f", its layers {', '.join(row.taps)}" if row.taps else ""
    scale = " at a coarser scale" if row.beside and row.beside.shrink > 1 else ""
    beside = f" beside {row.beside.backbone}{scale}" if row.beside else ""
    return (
        f"{row.backbone}{beside}{taps}, {facts.weights_kind} weights (`{facts.weights_identity}`), the "
        f"centre {row.frame} pixels resized to {row.size}"
    )


def _training(facts: CardFacts, row: ModelSettings) -> str:
    how = "all layers" if facts.mode == "finetune" else "the head alone, on frozen features"
    views = f"{row.views} augmented view{'s' * (row.views != 1)} of each training image"
    val = {"kernel": "validation trains it too, once it has chosen the threshold"}
    return f"{how}; {views}; {val.get(row.head, 'stopped by the loss on validation')}"


def _band(point: OperatingPoint) -> str:
    if point.refer_band is None:
        return f"no refer band ({point.refer_reason})"
    low, high = point.refer_band
    level = text.percent(point.level).replace(".0 ", " ")
    return f"between {low:.4f} and {high:.4f} (the threshold's {level} interval) refer"


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


def _data(facts: CardFacts) -> str:
    measured, data = facts.figures, facts.data
    classes = [
        f"| {name} | {of.n:,} | {of.n_subjects} | {of.n_groups} | {of.n_groups_effective:.1f} |"
        for name, of in measured.classes.items()
    ]
    drawn = "drawn by a program, of made-up subjects" if data.kind == "synthetic" else "real images"
    return "\n".join(
        [
            "## Data",
            "",
            f"'{data.name}' ({drawn}; SHA-256 `{data.hash[:12]}`): {facts.training_images:,} images trained "
            f"it, in one fold or another. Measured on {measured.n:,} {SIDES[facts.side]}:",
            "",
            "| class | images | subjects | groups | effective groups |",
            "| --- | --- | --- | --- | --- |",
            *classes,
            "",
            "A group is one subject, or several that share a picture. Groups differ in size; the effective "
            "number is what intervals rest on.",
        ]
    )


def _figures(facts: CardFacts) -> str:
    measured, over = facts.figures, facts.figures.over_area
    rows = {
        "AUROC": _shown(measured.estimate("auroc")),
        **({"AUROC less that of the cell's area alone": _shown(over, signed=True)} if over else {}),
        "AUROC, every subject weighing the same": _shown(measured.estimate("auroc_by_group")),
        "area under precision and recall": _shown(measured.estimate("auprc")),
        "sensitivity at the thresholds": _shown(measured.at_threshold("sensitivity")),
        "specificity at the thresholds": _shown(measured.at_threshold("specificity")),
        "accuracy at p > 0.5": _shown(measured.estimate("accuracy")),
        "calibration slope (1 is right)": _shown(measured.calibration("raw", "slope")),
        "calibration intercept (0 is right)": _shown(measured.calibration("raw", "intercept"), signed=True),
        "calibration slope, scaled": _shown(measured.calibration("scaled", "slope")),
        "Brier score": _shown(measured.estimate("brier")),
    }
    for name, of in measured.classes.items():
        mean, worst = text.percent(of.subject_accuracy_mean), text.percent(of.subject_accuracy_min)
        rows[f"share right of a subject's cells, {name}"] = f"{mean} on average, {worst} of the worst subject"
    return "\n".join(
        [
            "## Figures",
            "",
            f"Protocol `{facts.protocol}`: {PROTOCOLS[facts.protocol]}. Intervals are "
            f"{text.percent(measured.interval_level).replace('.0 ', ' ')} and resample groups, never images. "
            f"They are those of {facts.folds} fold{'s' * (facts.folds > 1)}' models; their mean is served.",
            "",
            "| figure | value [interval] |",
            "| --- | --- |",
            *(f"| {name} | {value} |" for name, value in rows.items()),
        ]
    )


def _shown(estimate: Estimate, *, signed: bool = False) -> str:
    return text.with_interval(estimate, text.signed if signed else text.share)


def _limits(facts: CardFacts) -> str:
    measured, over = facts.figures, facts.figures.over_area
    said = []
    if measured.interval_reason:
        said.append(f"There are no intervals: {measured.interval_reason}.")
    elif measured.indicative:
        said.append("A class has fewer than 10 effective groups, so every figure is indicative.")
    if over is None:
        said.append("Its AUROC less that of the cell's area alone has no interval on validation images.")
    elif over.low is None or over.low <= 0:
        said.append("It is not shown to be better than the cell's area alone: that difference's interval includes 0.")
    if not _calibrated(measured):
        said.append("Its p is not shown to be a probability: read it as a score.")
    if facts.mark:
        said.append(f"It was {facts.mark}, so its figures are too good.")
    said += [
        "Nothing was tested outside of this data set: another laboratory's smears may look different in every respect.",
        "All cells of a subject have one class here, so it is not validated on mixed smears, and a share of cells "
        "called ALL is no diagnosis.",
        "Cells were cut out of their smears beforehand; what the segmentation missed was never seen.",
        "The data say nothing of age, sex, ethnicity or treatment, so no such group's figures are known.",
    ]
    return "\n".join(["## Limits", "", *(f"- {line}" for line in said)])


def _calibrated(measured: Side) -> bool:
    right = {"slope": 1, "intercept": 0}
    estimates = {name: measured.calibration("raw", name) for name in right}
    return all(
        estimate.low is not None and estimate.high is not None and estimate.low <= right[name] <= estimate.high
        for name, estimate in estimates.items()
    )


def _further(facts: CardFacts) -> str:
    reference = (
        "These cells are of no one. " if facts.data.kind == "synthetic" else f"Images of C-NMC 2019 are by {C_NMC}. "
    )
    return "\n".join(
        [
            "## Where from",
            "",
            f"{reference}`reports/index.html` has every figure of every model beside this one, "
            "and what carries its decisions; `CITATION.cff` says how to cite the software.",
        ]
    )
