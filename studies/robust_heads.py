"""What training for every subject gains on a row's frozen features: `python -m studies.robust_heads ROW`.

Run it in a checkout whose params.yaml has the frozen row ROW, after `dvc repro embed`. Each way of benchmarks/
robust_training.py trains the same head on the grouped folds of protocol subject, dealt DEALS times, beside the kernel
head. What it prints goes into docs/results.md. It is no part of `make bench`.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.special import expit
from sklearn.metrics import log_loss, roc_auc_score

from leukoscope.config.params import Evaluate, Split, load_params
from leukoscope.config.rows import ModelSettings
from leukoscope.core import checkout
from leukoscope.core.errors import DataError, run_reporting_errors
from leukoscope.core.progress import progress
from leukoscope.data.splits import make_splits
from leukoscope.features.cell_statistics import column_weights
from leukoscope.features.embedding import read_features
from leukoscope.features.keras_loading import load_keras
from leukoscope.stats.bootstrap import Resamples, resample
from leukoscope.stats.calibration import platt
from leukoscope.stats.resampled import auroc_resamples
from leukoscope.training.fitting import Vectors, by_view
from leukoscope.training.kernel import Comparison, Machine, as_layers
from leukoscope.training.probabilities import predict
from leukoscope.training.stacking import SMALLEST_WEIGHT
from leukoscope.training.task import TrainingData

if TYPE_CHECKING:
    from studies.robust_training import Examples, Fitter, Head

DEALS = (1, 2, 3)
SMALLEST_GROUP = 20  # images of a group that may be the worst
KERNELS = {"kernel": "image", "kernel, subjects weighing alike": "group"}
"""The rows of the kernel head and their `sampling`."""
CHOSEN = "head of the least loss on val"
JOINED = {"kernel + plain": ("kernel", "plain"), f"kernel + {CHOSEN}": ("kernel", CHOSEN)}

Fitters = Callable[[int], "dict[str, Fitter]"]  # by how many inputs a head has


@dataclass(frozen=True)
class Fitted:
    """A method's p(ALL) of a fold's test side, and the processor seconds that it took to train."""

    p: np.ndarray
    seconds: float


@dataclass
class Deal:
    """The images that a deal of the folds tests, and what each method says of them: p(ALL) in the same order."""

    labels: np.ndarray
    groups: np.ndarray
    p: dict[str, np.ndarray] = field(default_factory=dict)
    seconds: dict[str, list[float]] = field(default_factory=dict)


def main() -> None:
    """Train, test and print."""
    arguments = argparse.ArgumentParser(prog="python -m studies.robust_heads", description=__doc__)
    arguments.add_argument("row", metavar="ROW", help="a frozen row of params.yaml whose features are embedded")
    params, name = load_params(), arguments.parse_args().row
    row, images = params.row(name), pd.read_parquet(checkout.IMAGES)
    data = training_data(images, name)
    load_keras()
    print(table(deals(row, images, data, params.split.folds), params.evaluate))


def training_data(images: pd.DataFrame, name: str) -> TrainingData:
    """What a row trains on. Raises DataError for a row that finetunes."""
    features, _ = read_features(checkout.features(name))
    if features is None:
        raise DataError(f"row {name} finetunes and has no features: name a frozen row")
    labels = images["label"].fillna(-1).astype(int).to_numpy()
    image_ids, sha256, groups = (images[name].to_numpy() for name in ("image_id", "sha256", "group"))
    return TrainingData(image_ids, sha256, labels, groups, np.asarray(features), None)


def deals(row: ModelSettings, images: pd.DataFrame, data: TrainingData, folds: int) -> list[Deal]:
    """Every method on every fold of every deal."""
    from studies.robust_training import METHODS, Fitter

    classes, _ = environments(data)

    @cache
    def fitters(columns: int) -> dict[str, Fitter]:
        return {name: Fitter(method, columns, classes) for name, method in METHODS.items()}

    dealt = []
    with progress("folds", len(DEALS) * folds, "folds") as advance:
        for seed in DEALS:
            split = make_splits(images, Split(seed=seed, folds=folds), ("subject",))
            split = split[split["protocol"] == "subject"]
            tested = data.positions(split, "test")
            deal = Deal(data.labels[tested], data.groups[tested])
            for fold, sides in split.groupby("fold"):
                at = data.positions(sides, "test")
                fitted = fold_methods(row, data, sides, fitters, seed=1000 * seed + int(str(fold)))
                for name, one in fitted.items():
                    p = deal.p.setdefault(name, np.full(len(tested), np.nan))
                    p[np.searchsorted(tested, at)] = one.p
                    deal.seconds.setdefault(name, []).append(one.seconds)
                advance(1)
            for name, members in JOINED.items():
                deal.p[name] = np.mean([deal.p[member] for member in members], axis=0)
                deal.seconds[name] = list(np.sum([deal.seconds[member] for member in members], axis=0))
            dealt.append(deal)
    return dealt


def environments(data: TrainingData) -> tuple[np.ndarray, np.ndarray]:
    """Each environment's class [environments] (-1: no label), and each image's environment [images]."""
    names = pd.MultiIndex.from_arrays([data.groups, data.labels])
    environment, found = pd.factorize(names, sort=True)
    return found.get_level_values(1).to_numpy(), environment


def fold_methods(
    row: ModelSettings, data: TrainingData, sides: pd.DataFrame, fitters: Fitters, seed: int
) -> dict[str, Fitted]:
    """Every method on one fold, and CHOSEN: the gradient method whose calibrated p has the least loss on val."""
    from studies.robust_training import Examples

    train, val, test = (data.positions(sides, side) for side in ("train", "val", "test"))
    known = vectors(data, train, 1 + row.views)
    fitted, machines = {}, {}
    for name, sampling in KERNELS.items():
        started = time.process_time()
        machines[name] = Machine.fit(row.model_copy(update={"head": "kernel", "sampling": sampling}), known)
        seconds = time.process_time() - started
        fitted[name] = Fitted(predict(as_layers(machines[name], "kernel").predict_on_batch, row, data, test), seconds)
    seen = as_inputs(row, data, machines["kernel"].comparison, train, val, test)
    _, environment = environments(data)
    training, validating = (
        Examples(x, labels, groups, np.repeat(environment[at], views))
        for at, views in ((train, 1 + row.views), (val, 1))
        for x, labels, groups in [by_view(vectors(seen, at, views))]
    )
    losses, trained = {}, fitters(seen.vectors().shape[-1])
    for name, fitter in trained.items():
        started = time.process_time()
        sigmoids = calibrated(fitter.fit(training, validating, seed), validating)
        seconds = time.process_time() - started
        fitted[name] = Fitted(predict(sigmoids, row, seen, test), seconds)
        losses[name] = log_loss(validating.labels, sigmoids(validating.features)[:, 1])
    chosen = fitted[min(losses, key=losses.__getitem__)]
    return {**fitted, CHOSEN: Fitted(chosen.p, sum(fitted[name].seconds for name in trained))}


def calibrated(head: Head, val: Examples) -> Callable[[np.ndarray], np.ndarray]:
    """From a head's inputs to sigmoids [n, 2] (hem, ALL), after Platt on val."""
    scale = platt(val.labels, expit(head.logits(val.features)))
    slope = max(scale.slope, SMALLEST_WEIGHT)
    return lambda x: expit(np.multiply.outer(slope * head.logits(x) + scale.intercept, [-1, 1]))


def vectors(data: TrainingData, at: np.ndarray, views: int) -> Vectors:
    """The first `views` of the images at positions `at`."""
    return Vectors(data.vectors()[at, :views], data.labels[at], data.groups[at])


def as_inputs(
    row: ModelSettings, data: TrainingData, comparison: Comparison, train: np.ndarray, val: np.ndarray, test: np.ndarray
) -> TrainingData:
    """The data with a head's inputs as features: the components that the kernel compares, and the statistics.

    The components' variances are 1 in the mean over `train`; statistics, standardised, weigh as in Table III's head.
    Views that neither train nor are asked are left at 0.
    """
    features, pixels = data.vectors(), len(comparison.mean)
    components = comparison.directions.shape[1]
    inputs = np.zeros((*features.shape[:2], components + features.shape[2] - pixels))
    for at, views in ((train, 1 + row.views), (val, 1), (test, features.shape[1])):
        for view in range(views):
            inputs[at, view, :components] = comparison.points(features[at, view, :pixels])
            inputs[at, view, components:] = features[at, view, pixels:]
    known = inputs[train, : 1 + row.views].reshape(-1, inputs.shape[2])
    scale = known.std(axis=0)
    scale[:components] = np.sqrt(np.square(scale[:components]).mean())
    weights = column_weights(row, len(scale)) / scale
    return replace(data, features=((inputs - known.mean(axis=0)) * weights).astype(np.float32))


def table(dealt: list[Deal], settings: Evaluate) -> str:
    """Markdown: a line for each method, those that need no gradient first."""
    beside = ("plain", "kernel")
    head = ["method", "AUROC, mean ± deviation of deals", *(f"less {name}" for name in beside)]
    head += ["accuracy, worst group", "processor seconds of a fold"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    resamples = [resample(deal.labels, deal.groups, settings) for deal in dealt]
    areas = {
        name: np.mean([auroc_resamples(d.labels, d.p[name], r) for d, r in zip(dealt, resamples, strict=True)], axis=0)
        for name in dealt[0].p
    }
    for name in dealt[0].p:
        of_deals = [roc_auc_score(deal.labels, deal.p[name]) for deal in dealt]
        cells = [name, f"{np.mean(of_deals):.3f} ± {np.std(of_deals, ddof=1):.3f}"]
        for other in beside:
            gained = np.mean(of_deals) - np.mean([roc_auc_score(deal.labels, deal.p[other]) for deal in dealt])
            cells.append("" if name == other else _difference(gained, areas[name] - areas[other], resamples[0]))
        cells.append(f"{np.mean([worst_accuracy(deal, name) for deal in dealt]):.2f}")
        cells.append(f"{np.mean([deal.seconds[name] for deal in dealt]):.1f}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _difference(gained: float, resampled: np.ndarray, resamples: Resamples) -> str:
    low, high = resamples.interval(resampled)
    return f"{gained:+.3f}" if low is None or high is None else f"{gained:+.3f} [{low:+.3f}, {high:+.3f}]"


def worst_accuracy(deal: Deal, name: str) -> float:
    """The least share of images called right, at p 0.5, of any group with at least SMALLEST_GROUP images."""
    right = pd.Series((deal.p[name] > 0.5) == deal.labels).groupby(deal.groups)
    return float(right.mean()[right.size() >= SMALLEST_GROUP].min())


if __name__ == "__main__":
    sys.exit(run_reporting_errors(main))
