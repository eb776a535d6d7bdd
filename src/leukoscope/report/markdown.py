"""Table V beside ours as Markdown, from its CSV: what the README shows. It needs neither pandas nor a finished run."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from pathlib import Path

from leukoscope.artifacts.metrics import Estimate
from leukoscope.core import text as wording
from leukoscope.core.cautions import cautions
from leukoscope.core.errors import DataError
from leukoscope.core.files import new_file

BEGIN, END = "<!-- leukoscope table: begin -->", "<!-- leukoscope table: end -->"

Record = Mapping[str, str]


def _interval(record: Record, name: str, show: Callable[[float], str], bound: Callable[[float], str]) -> str:
    if not record[name]:
        return ""
    value, low, high = (float(record[key]) if record[key] else None for key in (name, f"{name}_low", f"{name}_high"))
    return wording.with_interval(Estimate(value, low, high, None), show, bound, none="")


def _marked(record: Record, prefix: str) -> str:
    words = record.get(f"{prefix}_mark")  # a column that is there where any row has a mark
    return f" ({words})" if words else ""


def _accuracy(prefix: str) -> Callable[[Record], str]:
    def shown(record: Record) -> str:
        test = _interval(record, f"{prefix}_accuracy", wording.percent, wording.hundredths)
        train = record[f"{prefix}_train_accuracy"]
        shown = f"{test}, train {wording.percent(float(train))}" if test and train else test
        return shown + _marked(record, prefix)

    return shown


def _ours_under_paper(record: Record) -> str:
    ours = _accuracy("paper")(record)
    return f"{ours} (not a reproduction)" if ours and record["not_a_reproduction"] else ours


def _area_under_curve(record: Record) -> str:
    auroc = _interval(record, "honest_auroc", wording.share, wording.share) + _marked(record, "honest")
    above = not record["over_area"] or (record["over_area_low"] and float(record["over_area_low"]) > 0)
    return auroc if above else f"{auroc} (not above cell area)"


def _gap(record: Record) -> str:
    return _interval(record, "gap", wording.signed, wording.signed) + _marked(record, "gap")


def _model(record: Record) -> str:
    if not record["mode"]:
        return ""
    return f"{record['mode']}, {record['weights']}, {wording.millions(float(record['parameters']))}"


def _reported(record: Record) -> str:
    return f"{100 * float(record['reported_accuracy']):.2f} %" if record["reported_accuracy"] else ""


# A heading may hold {honest}, the honest protocol's name, and {planted}, said of synthetic cells. A column that is
# empty in every row is left out.
COLUMNS: dict[str, Callable[[Record], str]] = {
    "row": lambda record: record["name"],
    "accuracy, reported": _reported,
    "accuracy, `paper`'s leaky split": _ours_under_paper,
    "accuracy, `{honest}`": _accuracy("honest"),
    "AUROC, `{honest}`": _area_under_curve,
    "leakage gap{planted}": _gap,
    "mode, weights, parameters": _model,
    "epochs to the best": lambda record: record["epochs_to_best"],
}


def _marks(record: Record) -> dict[str, str]:
    of_protocol = {"paper": record.get("paper_mark"), record["honest_protocol"]: record.get("honest_mark")}
    return {protocol: words for protocol, words in of_protocol.items() if words}


def markdown_table(path: Path) -> str:
    """The rows of table_v.csv that were run, and the two baselines, below what must be said of all of them.

    Raises DataError where there is no such file.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            records = list(csv.DictReader(file))
    except FileNotFoundError:
        raise DataError(f"{path} is missing: run dvc repro") from None
    run = [record for record in records if record["mode"]]
    shown = [record for record in records if record["mode"] or not record["reported_accuracy"]]
    weights = {record["row"]: record["weights"] for record in run}
    raised = cautions(records[0]["data_kind"], weights, {record["row"]: _marks(record) for record in run})
    lines = [f"> **{caution.word}.** {caution.sentence}" for caution in raised]
    columns = {heading: [column(record) for record in shown] for heading, column in COLUMNS.items()}
    columns = {heading: cells for heading, cells in columns.items() if any(cells)}
    planted = " (planted)" if records[0]["data_kind"] == "synthetic" else ""
    headings = [heading.format(honest=records[0]["honest_protocol"], planted=planted) for heading in columns]
    table = [headings, ["---"] * len(headings), *(list(row) for row in zip(*columns.values(), strict=True))]
    return "\n".join(["\n>\n".join(lines), "", *(f"| {' | '.join(cells)} |" for cells in table)]).lstrip() + "\n"


def put_into(text: str, target: Path, markers: tuple[str, str] = (BEGIN, END)) -> None:
    """Replace what stands between the markers of the file `target`. Raises DataError where it has none."""
    first, last = markers
    content = target.read_text(encoding="utf-8") if target.exists() else ""
    before, begin, rest = content.partition(first)
    _, end, after = rest.partition(last)
    if not begin or not end:
        raise DataError(f"{target} has no place for it: put the lines {first} and {last} where it belongs")
    with new_file(target) as part:
        part.write_text(f"{before}{first}\n{text}{last}{after}", encoding="utf-8")
