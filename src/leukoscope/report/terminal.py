"""The last lines of `make demo`: the models side by side, the promoted version, and where to look next."""

from __future__ import annotations

import io
import shutil
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from leukoscope.artifacts.decision import Decision, marks
from leukoscope.artifacts.metrics import Estimate
from leukoscope.core import checkout
from leukoscope.core.cautions import RESEARCH_ONLY, Caution, Marks, cautions, gap_mark
from leukoscope.core.files import read_json
from leukoscope.core.text import NOT_DEFINED, with_interval

Numbers = Mapping[str, float]
GAP = "leakage_gap"
COLUMNS = ("subject", "official", "image", "paper", GAP)
HEADINGS = {
    "subject": "unseen subjects",
    "official": "official test",
    "image": "by image (leaky)",
    "paper": "paper's split (leaky)",
    GAP: "leakage gap",
}
INTERVAL_WIDTH = 14  # of [0.801, 0.910], which a mark must not make narrower
NUMBER_WIDTH = 25  # of a number with its interval on one line, and the space around them


class Promoted(Protocol):
    """What is said of the champion: its version and its tags (row, protocol)."""

    @property
    def version(self) -> str: ...  # noqa: D102

    @property
    def tags(self) -> Mapping[str, str]: ...  # noqa: D102


def number_with_interval(numbers: Numbers, sign: str = "", between: str = " ") -> str:
    """'0.853 [0.801, 0.910]' from the keys auroc, auroc_low and auroc_high; sign '+' shows the sign of a difference.

    `between` stands between the number and its interval.
    """
    if "auroc" not in numbers:
        return NOT_DEFINED
    estimate = Estimate(numbers["auroc"], numbers.get("auroc_low"), numbers.get("auroc_high"), None)
    return with_interval(estimate, f"{{:{sign}.3f}}".format).replace(" ", between, 1)


def terminal_table(
    summary: Mapping[str, Mapping[str, Numbers]],
    raised: list[Caution],
    marked: Marks,
    promoted: str,
    width: int = 100,
) -> str:
    """The lines: cautions, AUROC by row and protocol with intervals, the promoted version, and where to look next.

    `summary` is the content of summary.json. The best row under the first honest protocol comes first; under a number
    that is `marked` stands its mark.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table

    shown = [column for column in COLUMNS if any(column in row for row in summary.values())]
    table = Table(
        title="AUROC on test images, with group-bootstrap intervals", title_justify="left", box=box.SIMPLE_HEAD
    )
    table.add_column("row", no_wrap=True)
    for column in shown:
        table.add_column(HEADINGS[column], justify="right", overflow="fold")  # a cut number would mislead
    between = " " if max(map(len, summary)) + NUMBER_WIDTH * len(shown) <= width else "\n"
    for row in sorted(summary, key=lambda name: -summary[name].get(shown[0], {}).get("auroc", 0)):
        of_row = {**marked.get(row, {}), GAP: gap_mark(marked.get(row, {}))}
        cells = []
        for column in shown:
            number = number_with_interval(summary[row].get(column, {}), "+" * (column == GAP), between)
            cells.append("\n".join([number, *textwrap.wrap(of_row.get(column, ""), INTERVAL_WIDTH)]))
        table.add_row(row, *cells)
    text = io.StringIO()
    console = Console(file=text, width=width, highlight=False)
    for caution in raised:
        console.print(f"{caution.word}: {caution.sentence}", markup=False)
    console.print(table)
    if GAP in shown:
        console.print("Leakage gap: AUROC split by image less AUROC on unseen subjects, on the same images.")
    for line in (promoted, "Next: open reports/index.html; make ui; uv run dvc plots show", RESEARCH_ONLY):
        console.print(line, markup=False)
    return text.getvalue().rstrip()


def _decisions(root: Path, summary: Mapping[str, Mapping[str, Numbers]]) -> list[Decision]:
    """The decision of each row and protocol in `summary`. Raises DataError where one is missing."""
    named = [(row, column) for row, columns in summary.items() for column in columns if column != GAP]
    return [Decision.read(checkout.trained(row, protocol, root)) for row, protocol in named]


def terminal_summary(reports: Path, champion: Promoted | None) -> str:
    """The terminal's lines from the folder `reports` of a checkout and the registry's champion.

    Raises DataError where the pipeline has not run.
    """
    path = reports / checkout.SUMMARY.name
    summary: dict[str, Any] = read_json(path)
    promoted = "Promoted: none; reports/registered.json says why"
    if champion is not None:
        tags = champion.tags
        promoted = f"Promoted: version {champion.version}, {tags.get('row')} under protocol {tags.get('protocol')}"
    root = reports.resolve().parent
    source = read_json(root / checkout.SOURCE)
    decisions = _decisions(root, summary)
    marked = marks(decisions)
    raised = cautions(source["kind"], {decision.row: decision.weights_kind for decision in decisions}, marked)
    return terminal_table(summary, raised, marked, promoted, shutil.get_terminal_size((100, 24)).columns)
