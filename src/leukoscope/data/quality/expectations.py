"""What must be true of a data set, as Great Expectations suites, and their Data Docs.

structure   must hold for any source, or the pipeline stops
content     what a segmented cell on black looks like; only a warning unless validate.strict
cnmc-2019   Table I and the published copies, for a data set that claims to be the complete C-NMC 2019

Each rule below is one expectation about one column of the table that `leukoscope.data.quality.validation` builds. The
bounds of `content` hold for all of the 3,595 real images they were measured on, with margins of a third to a half: cell
area 9,697 to 50,500 pixels, black 75 to 95 %, mean red 46 to 109, green 20 to 57, blue 59 to 111, one piece.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pandas as pd

Severity = Literal["critical", "warning"]

UNREADABLE = "cannot be read"
SITE = "leukoscope"
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)  # every run's time in the Data Docs, so that equal data give equal pages
_SHOWN = 3


class Rule(NamedTuple):
    """One expectation: its class in great_expectations.expectations, its arguments, and what to say when it fails."""

    severity: Severity
    says: str
    expectation: str
    arguments: dict[str, Any]


class Finding(NamedTuple):
    """A rule that does not hold: where, for how many rows, and (for rules about rows) the files."""

    suite: str
    severity: Severity
    says: str
    images: int
    files: tuple[str, ...]

    def __str__(self) -> str:
        """One line with the first files."""
        if not self.files:
            return self.says
        named = ", ".join(self.files[:_SHOWN]) + (", ..." if len(self.files) > _SHOWN else "")
        return f"{self.images} image{'s' if self.images != 1 else ''}: {self.says} ({named})"


class Suite(NamedTuple):
    """Rules about one table, whose column `named_by` names a row in findings (None where rows are not images)."""

    name: str
    rules: Sequence[Rule]
    table: pd.DataFrame
    named_by: str | None


def structure(readable_share: float) -> list[Rule]:
    """What any source must fulfil; at least `readable_share` of its images must be readable."""
    return [
        Rule("critical", UNREADABLE, *_in("readable", [True], mostly=readable_share)),
        Rule("critical", "image_id is not unique", "ExpectColumnValuesToBeUnique", {"column": "image_id"}),
        Rule("critical", "set is not train, prelim or final", *_in("set", ["train", "prelim", "final"])),
        Rule("critical", "fold is not 0, 1 or 2", *_in("fold", [0, 1, 2])),
        Rule("critical", "label is not 0 or 1", *_in("label", [0, 1])),
        Rule("critical", "labelled, but of no subject", *_in("owned", [True])),
        Rule("critical", "readable training images of both classes are needed", *_holds("training_label", [0, 1])),
        Rule("critical", "the name says another class than the label", *_equal("label", "named_label")),
        Rule("critical", "a copy of this picture has the other label", *_equal("label", "copy_label")),
        Rule("critical", "sha256 is malformed", *_matches("sha256", r"^[0-9a-f]{64}$")),
        Rule("critical", "phash is malformed", *_matches("phash", r"^[0-9a-f]{16}$")),
        Rule("critical", "the picture has no width", *_between("width", 1, None)),
        Rule("critical", "the picture has no height", *_between("height", 1, None)),
    ]


def content() -> list[Rule]:
    """What pictures of one segmented cell at C-NMC's magnification look like."""
    return [
        Rule("warning", "not mostly black", *_between("black", 0.5, 0.99)),
        Rule("warning", "not one cell on black", *_between("cells", 1, 1)),
        Rule("warning", "a cell of unusual area", *_between("cell_area", 5_000, 80_000)),
        Rule("warning", "unusual mean red of the cell", *_between("red", 25, 170)),
        Rule("warning", "unusual mean green of the cell", *_between("green", 8, 110)),
        Rule("warning", "unusual mean blue of the cell", *_between("blue", 35, 180)),
        Rule("warning", "not 450x450 (600x600 in the final set)", *_equal("size", "expected_size")),
        Rule("warning", "another photograph of this cell has the other label", *_equal("label", "cell_label")),
        Rule("warning", "of a subject with images of both classes", *_between("subject_labels", 1, 1)),
    ]


def cnmc_2019(counts: pd.DataFrame) -> list[Rule]:
    """That what was `found` is what is `expected`, for each row (what, found, expected, severity) of `counts`."""
    return [
        Rule(severity, f"C-NMC 2019 has {expected} {what}, not {found}", *_in(what, [expected]))
        for what, found, expected, severity in counts.itertuples(index=False, name=None)
    ]


def check(suites: Sequence[Suite], docs: Path) -> list[Finding]:
    """Validate each table against its suite, write the Data Docs into the folder `docs`, and return what fails.

    docs/index.html is the first page. Equal data give equal bytes.
    """
    gx = _great_expectations()
    context = gx.get_context(project_config=_settings(docs), mode="ephemeral")
    source = context.data_sources.add_pandas("data")
    findings = [finding for suite in suites for finding in _validate(gx, context, source, suite)]
    context.build_data_docs(site_names=[SITE])
    for page in sorted(docs.rglob("*.html")):
        page.write_text(_timeless(page.read_text(encoding="utf-8")), encoding="utf-8")
    return findings


def _great_expectations() -> Any:
    """Imported late, since it takes seconds, and with its reports to its makers off, which it reads on import."""
    os.environ["GX_ANALYTICS_ENABLED"] = "False"
    import great_expectations

    return great_expectations


def _settings(docs: Path) -> Any:
    """A context that keeps everything in memory but the pages."""
    from great_expectations.data_context.types.base import (
        DataContextConfig,
        InMemoryStoreBackendDefaults,
        ProgressBarsConfig,
    )

    site = {
        "class_name": "SiteBuilder",
        "show_how_to_buttons": False,
        "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(docs.resolve())},
        "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
    }
    return DataContextConfig(
        store_backend_defaults=InMemoryStoreBackendDefaults(),
        data_docs_sites={SITE: site},
        progress_bars=ProgressBarsConfig(globally=False),
        analytics_enabled=False,
    )


def _validate(gx: Any, context: Any, source: Any, suite: Suite) -> list[Finding]:
    from great_expectations.core.run_identifier import RunIdentifier

    batch = source.add_dataframe_asset(suite.name).add_batch_definition_whole_dataframe(suite.name)
    expectations = context.suites.add(gx.ExpectationSuite(suite.name))
    for position, rule in enumerate(suite.rules):
        expectation = getattr(gx.expectations, rule.expectation)
        expectations.add_expectation(
            expectation(**rule.arguments, severity=rule.severity, notes=rule.says, meta={"rule": position})
        )
    definition = gx.ValidationDefinition(name=suite.name, data=batch, suite=expectations)
    result = context.validation_definitions.add(definition).run(
        batch_parameters={"dataframe": suite.table.reset_index(drop=True)},
        result_format={
            "result_format": "COMPLETE",
            **({"unexpected_index_column_names": [suite.named_by]} if suite.named_by else {}),
        },
        run_id=RunIdentifier(run_name="validate", run_time=EPOCH),
    )
    return [_finding(suite, outcome) for outcome in result.results if not outcome.success]


def _finding(suite: Suite, outcome: Any) -> Finding:
    rule = suite.rules[outcome.expectation_config.meta["rule"]]
    # one dict, or one for each metric that failed
    infos = [outcome.exception_info, *(info for info in outcome.exception_info.values() if isinstance(info, dict))]
    if errors := [info["exception_message"] for info in infos if info.get("exception_message")]:
        raise RuntimeError(f"suite {suite.name}, rule '{rule.says}' could not be checked: {errors[0]}")
    rows = outcome.result.get("unexpected_index_list") or []
    files = tuple(sorted(str(row[suite.named_by]) for row in rows)) if suite.named_by else ()
    return Finding(suite.name, rule.severity, rule.says, len(files), files)


_LOGO = re.compile(r"https://great-expectations-web-assets[^\"')]*")
_RUN_TIME = re.compile(r"\b(?!20000101)\d{8}T\d{6}\.\d{6}Z")
_RANDOM_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")


def _timeless(page: str) -> str:
    """The page without its logos (fetched from their makers' server with the time of day), run times and random ids."""
    numbers: dict[str, str] = {}
    page = _LOGO.sub("", page)
    page = _RUN_TIME.sub(EPOCH.strftime("%Y%m%dT%H%M%S.%fZ"), page)
    return _RANDOM_ID.sub(lambda match: numbers.setdefault(match[0], f"id-{len(numbers)}"), page)


def _in(column: str, values: list, **mostly: float) -> tuple[str, dict[str, Any]]:
    return "ExpectColumnValuesToBeInSet", {"column": column, "value_set": values, **mostly}


def _holds(column: str, values: list) -> tuple[str, dict[str, Any]]:
    return "ExpectColumnDistinctValuesToContainSet", {"column": column, "value_set": values}


def _between(column: str, low: float, high: float | None) -> tuple[str, dict[str, Any]]:
    return "ExpectColumnValuesToBeBetween", {"column": column, "min_value": low, "max_value": high}


def _matches(column: str, pattern: str) -> tuple[str, dict[str, Any]]:
    return "ExpectColumnValuesToMatchRegex", {"column": column, "regex": pattern}


def _equal(first: str, second: str) -> tuple[str, dict[str, Any]]:
    """Rows where either value is missing are left out."""
    pair = {"column_A": first, "column_B": second, "ignore_row_if": "either_value_is_missing"}
    return "ExpectColumnPairValuesToBeEqual", pair
