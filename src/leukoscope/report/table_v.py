"""Table V beside ours: its rows for the page, as a CSV, and (from that CSV) as Markdown for the README."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from leukoscope.artifacts.metrics import Estimate
from leukoscope.config.rows import Protocol
from leukoscope.core.cautions import gap_mark
from leukoscope.core.files import new_file
from leukoscope.report.evidence import Evidence, Result
from leukoscope.report.paper_tables import TABLE_V, PaperRow

ALWAYS, AREA = "always_the_more_common_class", "cell_area_alone"


@dataclass(frozen=True)
class TableRow:
    """A row of Table V, of ours, or of both; what was not run or is not printed is None.

    `paper` is ours under the study's own split, `honest` under the first honest protocol; `basis` is the result that
    says what the model is and how it was trained, the honest one where there is one.
    """

    printed: PaperRow | None
    row: str | None
    paper: Result | None = None
    honest: Result | None = None
    basis: Result | None = None
    gap: Estimate | None = None
    gap_mark: str = ""

    @property
    def name(self) -> str:
        """As the study prints it, else as params.yaml names it."""
        return self.printed.printed if self.printed else str(self.row)


def table_rows(evidence: Evidence) -> list[TableRow]:
    """All rows of Table V in its order, then the rows and ensembles of params.yaml that it does not have."""
    params = evidence.params
    matched = {printed.row for printed in TABLE_V} & params.models.keys()
    rows = [_row(evidence, printed, printed.row if printed.row in matched else None) for printed in TABLE_V]
    return rows + [_row(evidence, None, row) for row in params.rows_and_ensembles if row not in matched]


def _row(evidence: Evidence, printed: PaperRow | None, row: str | None) -> TableRow:
    if row is None:
        return TableRow(printed, None)
    honest = evidence.results[row, evidence.honest] if evidence.honest else None
    gap = Estimate.of(evidence.gaps[row], "gap") if row in evidence.gaps else None
    basis = honest or evidence.results[row, evidence.protocols[0]]
    of_gap = gap_mark(evidence.marks.get(row, {})) if gap else ""
    return TableRow(printed, row, evidence.results.get((row, "paper")), honest, basis, gap, of_gap)


def _numbers(name: str, estimate: Estimate | None) -> dict[str, float | None]:
    value, low, high = estimate[:3] if estimate else (None, None, None)
    return {name: value, f"{name}_low": low, f"{name}_high": high}


def _of_protocol(prefix: str, result: Result | None) -> dict[str, float | None]:
    return {
        **_numbers(f"{prefix}_accuracy", result.estimate("accuracy") if result else None),
        f"{prefix}_train_accuracy": result.train_estimate("accuracy").value if result else None,
    }


def _marks(row: TableRow) -> dict[str, str]:
    marked = {"paper": row.paper and row.paper.mark, "honest": row.honest and row.honest.mark, "gap": row.gap_mark}
    return {f"{prefix}_mark": words for prefix, words in marked.items() if words}


def _model(basis: Result | None) -> dict[str, Any]:
    if basis is None:
        return {}
    epochs = basis.best_epochs()
    return {
        "mode": basis.decision.mode,
        "weights": basis.decision.weights_kind,
        "parameters": basis.parameters.total,
        "trainable_parameters": basis.parameters.trainable,
        "epochs_to_best": median(epochs) if epochs else None,
        "seconds_per_epoch": basis.timing.get("seconds_per_epoch"),
        "machine": basis.timing.get("machine"),
        "not_a_reproduction": "; ".join(basis.differs),
    }


def _record(evidence: Evidence, row: TableRow) -> dict[str, Any]:
    return {
        "row": row.row or (row.printed and row.printed.row),
        "name": row.name,
        "reported_accuracy": row.printed.accuracy / 100 if row.printed else None,
        **_of_protocol("paper", row.paper),
        **_of_protocol("honest", row.honest),
        **_numbers("honest_auroc", row.honest.estimate("auroc") if row.honest else None),
        **_numbers("over_area", row.honest.over_area if row.honest else None),
        **_numbers("gap", row.gap),
        **_marks(row),
        **_model(row.basis),
    }


def _baseline_records(evidence: Evidence) -> Iterator[dict[str, Any]]:
    bars: dict[str, dict[Protocol, dict[str, Any]]] = {
        name: {protocol: of[name] for protocol, of in evidence.baselines.items()} for name in ("no_skill", "cell_area")
    }
    honest = evidence.honest
    always: dict[str, Any] = {"row": ALWAYS, "name": "always the more common class"}
    area: dict[str, Any] = {"row": AREA, "name": "cell area alone"}
    if "paper" in evidence.protocols:
        always |= _numbers("paper_accuracy", Estimate.of(bars["no_skill"]["paper"], "accuracy"))
    if honest:
        always |= _numbers("honest_accuracy", Estimate.of(bars["no_skill"][honest], "accuracy"))
        always |= {"honest_auroc": 0.5}
        area |= _numbers("honest_auroc", Estimate.of(bars["cell_area"][honest], "auroc"))
    yield always
    yield area


def table_v(evidence: Evidence) -> list[dict[str, Any]]:
    """The table as flat records: what was run of Table V and beside it, then the two baselines.

    Accuracies and areas are shares, 0 to 1, at p > 0.5; `_low` and `_high` are group-bootstrap intervals. `honest` is
    the protocol in `honest_protocol`, `over_area` its AUROC less that of cell area alone. `epochs_to_best` is the
    median over folds, `seconds_per_epoch` that of one machine. The same keys in every record; None where something was
    not run, not printed or not defined. `paper_mark`, `honest_mark` and `gap_mark` are there where a row was tuned on
    groups that are tested.
    """
    rows = table_rows(evidence)
    records = [_record(evidence, row) for row in rows] + list(_baseline_records(evidence))
    about = {"data": evidence.source["name"], "data_kind": evidence.source["kind"], "honest_protocol": evidence.honest}
    columns = list(dict.fromkeys(column for record in records for column in record))
    return [{**{column: record.get(column) for column in columns}, **about} for record in records]


def write_table_v(evidence: Evidence, path: Path) -> None:
    """Write `table_v` as a CSV, numbers with up to 6 significant digits."""
    records = table_v(evidence)
    with new_file(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, records[0], lineterminator="\n")
        writer.writeheader()
        for record in records:
            shown = {key: f"{value:.6g}" if isinstance(value, float) else value for key, value in record.items()}
            writer.writerow(shown)
