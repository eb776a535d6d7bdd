"""reports/index.html: one file, readable offline, on a phone and on paper, that says where each number is from."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from leukoscope.artifacts.metrics import Estimate
from leukoscope.artifacts.training_cells import flagged_in_words
from leukoscope.config.params import Params
from leukoscope.config.rows import Protocol
from leukoscope.core import checkout, text
from leukoscope.core.cautions import RESEARCH_ONLY, cautions
from leukoscope.core.files import new_file, write_json
from leukoscope.core.text import epochs, hundredths, millions, p_value, percent, seconds, share, signed, signed_points
from leukoscope.evaluation.protocols import PROTOCOLS
from leukoscope.evaluation.results import FEW_EFFECTIVE_GROUPS
from leukoscope.report import data_facts, earlier_work, metric_tables, paper_tables
from leukoscope.report.comparisons import COMPARISONS_FILE, against_best, compared, regularizer_claims
from leukoscope.report.drawings import draw_model, draw_pipeline
from leukoscope.report.evidence import Evidence, read_evidence
from leukoscope.report.failures import APART, TRAITS, failures
from leukoscope.report.forest import auroc_axis
from leukoscope.report.gallery import gallery
from leukoscope.report.importance import DIMENSIONS, carried
from leukoscope.report.paper_tables import PROPOSED_ROW, UNREGULARIZED_ROW
from leukoscope.report.pictures import drawn_figures, sample_cells
from leukoscope.report.summary import summarise, write_plots
from leukoscope.report.table_v import table_rows, write_table_v
from leukoscope.stats.metrics import CLASSES

SECTIONS = {  # by their ids, in the order of the page
    "headline": "Table V",
    "comparisons": "rows compared",
    "protocols": "every protocol",
    "metrics": "every measure",
    "importance": "what decides",
    "failures": "where it fails",
    "gallery": "surest calls",
    "printed": "the study's numbers",
    "promotion": "promotion",
    "method": "method",
    "data": "data",
    "subjects": "subjects",
    "figures": "figures",
    "commands": "commands",
}
SHOWN_PAIRS = 12  # of duplicates.csv; the file has them all


def range_sentence(registered: Mapping[str, Any]) -> str:
    """From registered.json: which cells the version does not call, and how often; empty where no row passed."""
    known = registered.get("training_range")
    if not known:
        return ""
    return f"Cells unlike those of training are flagged and not called. Its range: {flagged_in_words(**known)}."


def promotion_sentence(registered: Mapping[str, Any]) -> str:
    """From registered.json: which row was promoted under which protocol, or why none was."""
    winner, protocol = registered["winner"], registered["protocol"]
    named = f"{winner['row']} under protocol {protocol}" if winner else f"No row under protocol {protocol}"
    return f"{named} was {'' if registered['promoted'] else 'not '}promoted: {registered['reason']}."


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("leukoscope.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["share"] = text.share
    environment.globals |= {function.__name__: function for function in FUNCTIONS}
    return environment


def _context(evidence: Evidence, pairs: Mapping[Protocol, list[dict[str, Any]]]) -> dict[str, Any]:
    measured = _measured(evidence, pairs) | _looked_into(evidence)
    return _run(evidence) | _study(evidence) | measured | _data(evidence) | _drawings(evidence)


def _run(evidence: Evidence) -> dict[str, Any]:
    """What was run, and what must be said of all of it."""
    rows = evidence.params.rows_and_ensembles
    machines = {result.timing["machine"] for result in evidence.results.values() if result.timing}
    return {
        "evidence": evidence,
        "style": (files("leukoscope.report") / "templates/page.css").read_text(encoding="utf-8"),
        "cautions": cautions(evidence.source["kind"], evidence.weights, evidence.marks),
        "research_only": RESEARCH_ONLY,
        "synthetic": evidence.source["kind"] == "synthetic",
        "rows": rows,
        "protocols": {protocol: PROTOCOLS[protocol] for protocol in evidence.protocols},
        "honest": evidence.honest,
        "not_run": [protocol for protocol in PROTOCOLS if protocol not in evidence.protocols],
        "classes": list(CLASSES.values()),
        "few_groups": FEW_EFFECTIVE_GROUPS,
        "level": evidence.params.evaluate.level,
        "machines": sorted(machines),
        "outcome": promotion_sentence(evidence.registered),
        "training_range": range_sentence(evidence.registered),
        "estimate": Estimate.of,
    }


def _study(evidence: Evidence) -> dict[str, Any]:
    """The study's tables, and ours beside them."""
    return {
        "table_rows": table_rows(evidence),
        "study": paper_tables,
        "earlier": earlier_work,
        "nearest": paper_tables.nearest_matrix(paper_tables.PROPOSED),
    }


def _measured(evidence: Evidence, pairs: Mapping[Protocol, list[dict[str, Any]]]) -> dict[str, Any]:
    """Rows against rows, and every measure."""
    printed = {row.row: row.accuracy for row in paper_tables.TABLE_V}
    return {
        "claims": regularizer_claims(evidence, pairs),
        "claimed": {"with": printed[PROPOSED_ROW], "without": printed[UNREGULARIZED_ROW]},
        "ranked": {protocol: against_best(evidence, pairs[protocol], protocol) for protocol in evidence.protocols},
        "pairs_of": pairs,
        "metric_tables": metric_tables.TABLES,
        "over_area": metric_tables.OVER_AREA,
    }


def _looked_into(evidence: Evidence) -> dict[str, Any]:
    """What the rows decide by, and where the best of them fails."""
    best = evidence.best_honest
    rows = carried(evidence)
    absent = {"importance": not rows, "failures": not best, "gallery": not best}
    calls = gallery(evidence, best) if best else []
    return {
        "sections": [(anchor, title) for anchor, title in SECTIONS.items() if not absent.get(anchor)],
        "carried": rows,
        "dimensions": DIMENSIONS,
        "best": best,
        "failures": failures(evidence, best) if best else [],
        "gallery": calls,
        "example": next((cell.file for of in calls for cell in of.surest), ""),
        "traits": list(TRAITS),
        "apart_from": APART,
    }


def _data(evidence: Evidence) -> dict[str, Any]:
    """What the data are."""
    return {
        "set_counts": data_facts.set_counts(evidence.images),
        "copies": data_facts.copies(evidence.images),
        "joined": data_facts.joined_subjects(evidence.images),
        "pairs": data_facts.read_pairs(evidence.root / checkout.VALIDATION / "duplicates.csv"),
        "shown_pairs": SHOWN_PAIRS,
    }


def _drawings(evidence: Evidence) -> dict[str, Any]:
    """Everything that is drawn."""
    frame = max(row.frame for row in evidence.params.rows().values())
    drawn = {row.row: draw_model(row.basis) for row in table_rows(evidence) if row.basis and not row.basis.is_ensemble}
    return {
        "scale": auroc_axis(evidence),
        "samples": sample_cells(evidence.images, evidence.root / checkout.IMAGE_FILES, frame),
        "frame": frame,
        "pipeline": draw_pipeline(evidence.root / "dvc.yaml"),
        "models": drawn,
        "shown_model": PROPOSED_ROW if PROPOSED_ROW in drawn else next(iter(drawn)),
        "figures": drawn_figures(evidence),
        "rows_of_figures": {row for row, _ in paper_tables.FIGURES},
    }


def write_report(params: Params, root: Path = Path()) -> None:
    """Write index.html, summary.json, comparisons.json, table_v.csv and plots/ in reports/ below `root`, the checkout.

    The same inputs give the same bytes. Raises DataError if a row or protocol of params.yaml has no result.
    """
    evidence = read_evidence(params, root)
    pairs = compared(evidence)
    page = _environment().get_template("page.html.j2").render(_context(evidence, pairs))
    reports = root / checkout.REPORTS
    write_plots(evidence, reports / "plots")
    write_json(root / checkout.SUMMARY, summarise(evidence))
    write_json(reports / COMPARISONS_FILE, pairs)
    write_table_v(evidence, root / checkout.TABLE_V)
    with new_file(root / checkout.PAGE) as part:
        part.write_text(page, encoding="utf-8", newline="\n")


def breakable(name: str) -> Markup:
    """A row's name that a narrow column may break after an underscore."""
    return Markup("_<wbr>").join(name.split("_"))


FUNCTIONS = (breakable, share, percent, hundredths, signed, signed_points, millions, epochs, seconds, p_value)
