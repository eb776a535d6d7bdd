"""reports/summary.json, the one file that `dvc metrics` reads, and the tables behind `dvc plots`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from leukoscope.config.rows import Protocol
from leukoscope.core.files import new_folder
from leukoscope.report.evidence import Evidence, Result
from leukoscope.report.terminal import GAP


def _scalars(result: Result) -> dict[str, float | None]:
    auroc = result.estimate("auroc")
    return {
        "auroc": auroc.value,
        "auroc_low": auroc.low,
        "auroc_high": auroc.high,
        "accuracy": result.estimate("accuracy").value,
        "sensitivity": result.at_threshold("sensitivity").value,
        "specificity": result.at_threshold("specificity").value,
    }


def _without_none(scalars: dict[str, Any]) -> dict[str, float]:
    return {name: value for name, value in scalars.items() if value is not None}


def summarise(evidence: Evidence) -> dict[str, dict[str, dict[str, float]]]:
    """Six scalars of each row's test side by protocol, and each row's leakage gap.

    AUROC with its interval and accuracy at p > 0.5; sensitivity and specificity at the threshold chosen on val. The gap
    is AUROC(image) - AUROC(subject) with its interval. All in -1..1; what is not defined is left out.
    """
    content: dict[str, dict[str, dict[str, float]]] = {row: {} for row in evidence.params.rows_and_ensembles}
    for (row, protocol), result in evidence.results.items():
        content[row][protocol] = _without_none(_scalars(result))
    for row, gap in evidence.gaps.items():
        named = {"auroc": gap["gap"], "auroc_low": gap["gap_low"], "auroc_high": gap["gap_high"]}
        content[row][GAP] = _without_none(named)
    return content


def roc_curves(evidence: Evidence) -> pd.DataFrame:
    """The pooled test ROC curves of all rows: row, protocol, fpr, tpr."""
    return _stacked(evidence.results, lambda result: result.roc()[["fpr", "tpr"]])


def mean_history(evidence: Evidence) -> pd.DataFrame:
    """Each row's loss and accuracy per epoch, the mean over the `folds` that reached it: row, protocol, epoch, ..."""
    curves = ["loss", "val_loss", "accuracy", "val_accuracy"]

    def mean(result: Result) -> pd.DataFrame:
        epochs = result.history().groupby("epoch")
        return epochs[curves].mean().assign(folds=epochs["fold"].nunique()).reset_index()

    return _stacked({key: result for key, result in evidence.results.items() if not result.is_ensemble}, mean)


def aurocs(evidence: Evidence) -> pd.DataFrame:
    """AUROC and its interval: row, protocol, auroc, auroc_low, auroc_high (empty where there is none)."""
    names = ["auroc", "auroc_low", "auroc_high"]
    return _stacked(evidence.results, lambda result: pd.DataFrame([result.estimate("auroc")[:3]], columns=names))


def _stacked(results: Mapping[tuple[str, Protocol], Result], table: Callable[[Result], pd.DataFrame]) -> pd.DataFrame:
    parts = []
    for (_, protocol), result in results.items():
        part = table(result)
        part.insert(0, "protocol", protocol)
        part.insert(0, "row", result.marked_row)
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


PLOTS = {"roc.csv": roc_curves, "history.csv": mean_history, "auroc.csv": aurocs}


def write_plots(evidence: Evidence, folder: Path) -> None:
    """Write roc.csv, history.csv and auroc.csv, rows under each other, so that `dvc plots` overlays them."""
    with new_folder(folder) as part:
        for name, table in PLOTS.items():
            table(evidence).to_csv(part / name, index=False, float_format="%.10g", lineterminator="\n")
