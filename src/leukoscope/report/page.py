"""reports/index.html: one file, readable offline, on a phone and on paper, that says where each number is from."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined

from leukoscope.atomic import new_file, write_json
from leukoscope.config import Params, Protocol
from leukoscope.evaluation.metrics import CLASSES
from leukoscope.evaluation.protocols import PROTOCOLS
from leukoscope.evaluation.results import FEW_EFFECTIVE_GROUPS
from leukoscope.report import data_facts, paper_tables
from leukoscope.report.cautions import RESEARCH_ONLY, cautions
from leukoscope.report.evidence import Estimate, Evidence, read_evidence
from leukoscope.report.pictures import data_uris
from leukoscope.report.summary import summarise, write_plots

FIGURE_TITLES = {
    "confusion": "confusion matrix of the test images",
    "accuracy": "accuracy per epoch",
    "loss": "loss per epoch",
    "roc": "ROC curve",
    "subjects": "accuracy of each test subject",
    "calibration": "calibration",
}


SHOWN_PAIRS = 12  # of duplicates.csv; the file has them all


class TableRow(NamedTuple):
    """A row of the headline table: of the study, of ours, or both."""

    paper: paper_tables.PaperRow | None
    row: str | None


class Drawn(NamedTuple):
    """A figure of a row's result: its caption and its picture as a data URI."""

    caption: str
    uri: str


class Scale:
    """Places on the AUROC axis, in percent of its width."""

    def __init__(self, evidence: Evidence) -> None:
        lows = [low for result in evidence.results.values() if (low := result.estimate("auroc").low) is not None]
        lows += [bar for of in evidence.baselines.values() if (bar := of["cell_area"]["auroc_low"]) is not None]
        self.start = min([0.5, *(int(low * 10) / 10 for low in lows)])

    def place(self, auroc: float) -> float:
        """Where a value stands; values below the axis's start stand at its start."""
        return round(max(0.0, 100 * (auroc - self.start) / (1 - self.start)), 2)

    def ticks(self) -> list[float]:
        """The axis's round values."""
        return [tenth / 10 for tenth in range(round(self.start * 10), 11)]


def share(value: float | None) -> str:
    """An area or a share, as 0.853."""
    return "not defined" if value is None else f"{value:.3f}"


def percent(value: float | None) -> str:
    """A share, as 85.3 %."""
    return "not defined" if value is None else f"{100 * value:.1f} %"


def hundredths(value: float) -> str:
    """A bound beside a percentage, as 85.3."""
    return f"{100 * value:.1f}"


def signed(value: float | None) -> str:
    """A difference, as +0.041, with a proper minus sign."""
    return "not defined" if value is None else f"{value:+.3f}".replace("-", "−")


def table_rows(params: Params) -> list[TableRow]:
    """All rows of Table V in its order, then those of params.yaml that it does not have."""
    of_paper = [TableRow(paper, paper.row if paper.row in params.models else None) for paper in paper_tables.TABLE_V]
    known = {paper.row for paper in paper_tables.TABLE_V}
    return of_paper + [TableRow(None, row) for row in params.models if row not in known]


def promotion_sentence(registered: Mapping[str, Any]) -> str:
    """From registered.json: which row was promoted under which protocol, or why none was."""
    winner, protocol = registered["winner"], registered["protocol"]
    named = f"{winner['row']} under protocol {protocol}" if winner else f"No row under protocol {protocol}"
    return f"{named} was {'' if registered['promoted'] else 'not '}promoted: {registered['reason']}."


def drawn_figures(evidence: Evidence) -> dict[tuple[str, Protocol], list[Drawn]]:
    """The figures of each row and protocol, with the study's number in the caption where it has the same one."""
    captions: list[tuple[tuple[str, Protocol], str]] = []
    paths: list[Path] = []
    for (row, protocol), result in evidence.results.items():
        for name, title in FIGURE_TITLES.items():
            number = paper_tables.FIGURES.get((row, name))
            caption = f"{row}, {PROTOCOLS[protocol].title}: {title}"
            captions.append(((row, protocol), f"As figure {number} of the study. {caption}" if number else caption))
            paths.append(result.folder / "figures" / f"{name}.png")
    drawn: dict[tuple[str, Protocol], list[Drawn]] = {key: [] for key in evidence.results}
    for (key, caption), uri in zip(captions, data_uris(paths), strict=True):
        drawn[key].append(Drawn(caption, uri))
    return drawn


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("leukoscope.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["share"] = share
    environment.globals |= {"share": share, "percent": percent, "hundredths": hundredths, "signed": signed}
    return environment


def _context(evidence: Evidence) -> dict[str, Any]:
    rows = list(evidence.params.models)
    return {
        "evidence": evidence,
        "style": (files("leukoscope.report") / "page.css").read_text(encoding="utf-8"),
        "cautions": cautions(evidence.source["kind"], evidence.untrained, rows),
        "research_only": RESEARCH_ONLY,
        "rows": rows,
        "protocols": {protocol: PROTOCOLS[protocol] for protocol in evidence.protocols},
        "not_run": [protocol for protocol in PROTOCOLS if protocol not in evidence.protocols],
        "classes": list(CLASSES.values()),
        "few_groups": FEW_EFFECTIVE_GROUPS,
        "level": evidence.params.evaluate.level,
        "table_rows": table_rows(evidence.params),
        "study": paper_tables,
        "nearest": paper_tables.nearest_matrix(paper_tables.PROPOSED),
        "set_counts": data_facts.set_counts(evidence.images),
        "copies": data_facts.copies(evidence.images),
        "joined": data_facts.joined_subjects(evidence.images),
        "pairs": data_facts.read_pairs(evidence.root / "reports/validation/duplicates.csv"),
        "shown_pairs": SHOWN_PAIRS,
        "outcome": promotion_sentence(evidence.registered),
        "scale": Scale(evidence),
        "estimate": Estimate.of,
        "figures": drawn_figures(evidence),
        "rows_of_figures": {row for row, _ in paper_tables.FIGURES},
    }


def write_report(params: Params, root: Path = Path()) -> None:
    """Write reports/index.html, reports/summary.json and reports/plots/ below `root`, the checkout.

    The same inputs give the same bytes. Raises DataError if a row or protocol of params.yaml has no result.
    """
    evidence = read_evidence(params, root)
    page = _environment().get_template("page.html.j2").render(_context(evidence))
    reports = root / "reports"
    write_plots(evidence, reports / "plots")
    write_json(reports / "summary.json", summarise(evidence))
    with new_file(reports / "index.html") as part:
        part.write_text(page, encoding="utf-8", newline="\n")
