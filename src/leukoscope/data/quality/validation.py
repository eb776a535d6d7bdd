"""Stage validate: data/raw checked and measured; one row per readable image for all that follows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from leukoscope.config.params import Validate
from leukoscope.core.checkout import SOURCE
from leukoscope.core.errors import DataError
from leukoscope.core.files import new_file, new_folder, read_json, write_json
from leukoscope.data.quality import expectations
from leukoscope.data.quality.duplicates import KINDS, assign_groups, find_duplicates
from leukoscope.data.quality.expectations import Finding, Suite
from leukoscope.data.quality.manifest import BadImage, build_manifest, read_index, to_table
from leukoscope.data.sources.catalogue import TABLE_I, load_catalogue
from leukoscope.imaging.reading import read_rgb

_FINAL_SIZE, _SIZE = "600x600", "450x450"
_LISTED_PAIRS = 106  # in C-NMC 2019's SHA-256 list, as is the next
_LISTED_GROUPS = 66


@dataclass(frozen=True)
class ValidationSummary:
    """What validation found in a data set that may be used."""

    images: int
    bad: int
    groups: dict[str, int]
    pairs: dict[str, int]
    warnings: tuple[str, ...]

    def __str__(self) -> str:
        """A line for the terminal, and one for each warning."""
        groups = " and ".join(f"{count} {name}" for name, count in self.groups.items())
        pairs = ", ".join(f"{count} {kind}" for kind, count in self.pairs.items()) or "none"
        head = f"{self.images} images of {groups} groups of subjects; pairs that show the same: {pairs}"
        return "\n".join([head, *(f"warning: {warning}" for warning in self.warnings)])


def validate(raw: Path, settings: Validate, images_out: Path, report: Path) -> ValidationSummary:
    """Write `images_out` (manifest.SCHEMA) and the folder `report`: Data Docs, validation.json, duplicates.csv.

    Raises DataError for critical findings (and, with `settings.strict`, for warnings), after the report is
    written and without images.parquet. The outputs depend on the data and the settings alone.
    """
    images_out.unlink(missing_ok=True)
    source = _read_source(raw)
    index = read_index(raw)
    images, bad = build_manifest(raw)
    pairs = find_duplicates(images, lambda file: read_rgb(raw / "images" / file))
    images = assign_groups(images, pairs)
    with new_folder(report) as part:
        findings = expectations.check(_suites(index, images, bad, pairs, source, settings), part)
        facts = _facts(images, bad, pairs, source["classes"])
        write_json(part / "validation.json", {**facts, "findings": [_as_json(finding) for finding in findings]})
        _with_subjects(pairs, images).to_csv(part / "duplicates.csv", index=False, lineterminator="\n")
    fatal = [finding for finding in findings if settings.strict or finding.severity == "critical"]
    if fatal:
        raise DataError(_refusal(fatal, bad, settings, report))
    with new_file(images_out) as file:
        pq.write_table(to_table(images), file)
    warnings = [str(finding) for finding in findings] + [f"{image.file}: {image.reason}" for image in bad]
    return ValidationSummary(len(images), len(bad), facts["groups"], facts["pairs"], tuple(warnings))


def _read_source(raw: Path) -> dict[str, Any]:
    path = raw / SOURCE.name
    source: dict[str, Any] = read_json(path, "dvc repro fetch")
    if missing := [key for key in ("classes", "cnmc_complete", "verified") if key not in source]:
        raise DataError(f"{path} does not say {', '.join(missing)}: run dvc repro fetch")
    return source


def _suites(
    index: pd.DataFrame,
    images: pd.DataFrame,
    bad: list[BadImage],
    pairs: pd.DataFrame,
    source: dict[str, Any],
    settings: Validate,
) -> list[Suite]:
    table = _table(index, images, pairs, source["classes"])
    readable_share = max(0, len(index) - settings.max_bad) / len(index)
    suites = [
        Suite("structure", expectations.structure(readable_share), table, "file"),
        Suite("content", expectations.content(), table[table["readable"]], "file"),
    ]
    if source["cnmc_complete"]:
        counts = _cnmc_counts(index, images, pairs, source["verified"])
        found = pd.DataFrame({row.what: [row.found] for row in counts.itertuples()})
        suites.append(Suite("cnmc-2019", expectations.cnmc_2019(counts), found, None))
    return suites


def _table(index: pd.DataFrame, images: pd.DataFrame, pairs: pd.DataFrame, classes: dict[str, str]) -> pd.DataFrame:
    """One row per listed file: what the index says, what the picture shows, and what else speaks about its label."""
    measures = images.drop(columns=[*index.columns.drop("file"), "portrait"])
    table = index.merge(measures, on="file", how="left")
    label = dict(zip(index["image_id"], index["label"], strict=True))
    table["readable"] = table["sha256"].notna()
    table["owned"] = table["label"].isna() | table["subject"].notna()
    table["training_label"] = table["label"].where((table["set"] == "train") & table["readable"])
    table["named_label"] = pd.array(_named_labels(table["file"], classes), "Int8")
    of_kind = {kind: pairs[pairs["kind"] == kind] for kind in KINDS}
    copies = pd.concat([of_kind["identical"], of_kind["near"]])
    table["copy_label"] = table["image_id"].map(_other_labels(copies, label)).astype("Int8")
    table["cell_label"] = table["image_id"].map(_other_labels(of_kind["same-cell"], label)).astype("Int8")
    table["subject_labels"] = table.groupby("subject")["label"].transform("nunique").where(table["label"].notna())
    for channel, name in enumerate(("red", "green", "blue")):
        table[name] = table["colour"].str[channel].astype(float)
    table["size"] = [f"{width:.0f}x{height:.0f}" for width, height in zip(table["width"], table["height"], strict=True)]
    table["expected_size"] = table["set"].map(lambda name: _FINAL_SIZE if name == "final" else _SIZE)
    return table.drop(columns="colour")


def _named_labels(files: Iterable[str], classes: dict[str, str]) -> list[int | None]:
    """The label that each image's name ends in (..._all), or else its nearest class folder's; None without either.

    Folders count where each class has one: a folder 'all' alone may just hold all images.
    """
    label = {name.lower(): int(number) for number, name in classes.items()}
    paths = [PurePosixPath(file.lower()) for file in files]
    folders = {folder for path in paths for folder in path.parts[:-1]}
    of_folder = label if folders.issuperset(label) else {}
    named = []
    for path in paths:
        answers = [label.get(path.stem.rpartition("_")[2]), *(of_folder.get(part) for part in path.parts[-2::-1])]
        named.append(next((answer for answer in answers if answer is not None), None))
    return named


def _other_labels(pairs: pd.DataFrame, label: dict[str, Any]) -> dict[str, int]:
    """For each image of a pair whose two labels differ: the other's."""
    other: dict[str, int] = {}
    for first, second in zip(pairs["first"], pairs["second"], strict=True):
        for mine, theirs in ((first, second), (second, first)):
            if pd.notna(label[mine]) and pd.notna(label[theirs]) and label[mine] != label[theirs]:
                other[mine] = label[theirs]
    return other


def _cnmc_counts(
    index: pd.DataFrame, images: pd.DataFrame, pairs: pd.DataFrame, verified: dict[str, Any] | None
) -> pd.DataFrame:
    """What is published of C-NMC 2019 beside what is there: columns what, found, expected, severity."""
    listed = set(load_catalogue()["image_id"])
    rows = [("images under their published names", len(listed & set(index["image_id"])), len(listed), "critical")]
    for name in ("train", "prelim"):
        of_set, published = index[index["set"] == name], TABLE_I[name]
        for label, kind, subjects, count in (
            (1, "ALL", published.subjects_all, published.images_all),
            (0, "hem", published.subjects_hem, published.images_hem),
        ):
            of_class = of_set[of_set["label"] == label]
            rows.append((f"{kind} images in {name}", len(of_class), count, "critical"))
            rows.append((f"{kind} subjects in {name}", of_class["subject"].nunique(), subjects, "critical"))
    rows.append(("images in final", int((index["set"] == "final").sum()), TABLE_I["final"].images, "critical"))
    identical = pairs[pairs["kind"] == "identical"]
    training = images[images["set"] == "train"]
    groups = assign_groups(training, identical[identical["second"].isin(training["image_id"])])["group"].nunique()
    rows.append(("pairs of byte-identical images", len(identical), _LISTED_PAIRS, "warning"))
    rows.append(("training groups that byte-identical images make", groups, _LISTED_GROUPS, "warning"))
    if verified is not None:
        rows.append(("images whose SHA-256 is listed", int(verified["matched"]), len(listed), "warning"))
    return pd.DataFrame(rows, columns=["what", "found", "expected", "severity"])


def _facts(images: pd.DataFrame, bad: list[BadImage], pairs: pd.DataFrame, classes: dict[str, str]) -> dict[str, Any]:
    """The counts of validation.json: images, the unreadable ones, pairs by kind, groups and joined subjects."""
    labelled = images[images["label"].notna()]
    joined = sorted({group for group in images["group"].dropna() if "+" in group})
    return {
        "images": len(images),
        "bad": [image._asdict() for image in bad],
        "pairs": {kind: int(count) for kind, count in pairs["kind"].value_counts().sort_index().items()},
        "groups": {
            classes[label]: int(labelled.loc[labelled["label"] == int(label), "group"].nunique())
            for label in sorted(classes, reverse=True)
        },
        "joined": joined,
    }


def _with_subjects(pairs: pd.DataFrame, images: pd.DataFrame) -> pd.DataFrame:
    """The audit table: each pair with its sets, subjects and group; pairs that join two subjects come first."""
    image = images.drop_duplicates("image_id").set_index("image_id")[["set", "subject", "group"]]
    out = pairs.assign(correlation=pairs["correlation"].round(4), distance=pairs["distance"].round(3))
    for side in ("first", "second"):
        out[f"{side}_set"] = out[side].map(image["set"])
        out[f"{side}_subject"] = out[side].map(image["subject"])
    out["group"] = out["first"].map(image["group"])
    joins = (
        out["first_subject"].notna() & out["second_subject"].notna() & (out["first_subject"] != out["second_subject"])
    )
    return out.assign(alone=~joins).sort_values(["alone", "kind", "first", "second"]).drop(columns="alone")


def _as_json(finding: Finding) -> dict[str, Any]:
    return {**finding._asdict(), "files": list(finding.files)}


def _refusal(fatal: list[Finding], bad: list[BadImage], settings: Validate, report: Path) -> str:
    """One line: the findings with their first files, the first reason of unreadable ones, and where the rest is."""
    problems = "; ".join(str(finding) for finding in fatal)
    if any(finding.says == expectations.UNREADABLE for finding in fatal):
        problems += f"; the first of them is {bad[0].reason} (validate.max_bad: {settings.max_bad})"
    return f"the data cannot be used: {problems}. All findings: {report / 'validation.json'}, {report / 'index.html'}"
