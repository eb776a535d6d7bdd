"""What training for every subject gains on a row's frozen features: `python -m benchmarks.robust_heads ROW`.

Run it in a checkout whose params.yaml has the frozen row ROW, after `dvc repro embed`. Each way of benchmarks/
robust_training.py trains the same head on the grouped folds of protocol subject, dealt DEALS times, beside the kernel
head. What it prints goes into docs/results.md. It is no part of `make bench`.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.special import expit
from sklearn.metrics import log_loss, roc_auc_score

from leukoscope.config import Evaluate, ModelSettings, Split, load_params
from leukoscope.data.splits import make_splits
from leukoscope.errors import DataError, run_reporting_errors
from leukoscope.evaluation.bootstrap import Resamples, resample
from leukoscope.evaluation.calibration import platt
from leukoscope.evaluation.resampled import auroc_resamples
from leukoscope.models import load_keras
from leukoscope.models.cell_statistics import column_weights
from leukoscope.models.embedding import read_features
from leukoscope.models.fitting import Vectors, by_view
from leukoscope.models.kernel import Comparison, Machine, as_layers
from leukoscope.models.stacking import SMALLEST_WEIGHT
from leukoscope.models.training import TrainingData, predict
from leukoscope.progress import progress

if TYPE_CHECKING:
    from benchmarks.robust_training import Fitter

DEALS = (1, 2, 3)
SMALLEST_GROUP = 20  # images of a group that may be the worst
KERNELS = {"kernel": "image", "kernel, subjects weighing alike": "group"}
"""The rows of the kernel head and their `sampling`."""
CHOSEN = "head of the least loss on val"
JOINED = {"kernel + plain": ("kernel", "plain"), f"kernel + {CHOSEN}": ("kernel", CHOSEN)}

Fitters = Callable[[int], "dict[str, Fitter]"]  # by how many inputs a head has
Sigmoids = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Fitted:
    """A method's sigmoids [n, 2] of features [n, columns], calibrated on val, and the processor seconds it took."""

    sigmoids: Sigmoids
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
    arguments = argparse.ArgumentParser(prog="python -m benchmarks.robust_heads", description=__doc__)
    arguments.add_argument("row", metavar="ROW", help="a frozen row of params.yaml whose features are embedded")
    params, name = load_params(), arguments.parse_args().row
    row, images = params.row(name), pd.read_parquet("data/images.parquet")
    data = training_data(images, name)
    load_keras()
    print(table(deals(row, images, data, params.split.folds), params.evaluate))


def training_data(images: pd.DataFrame, name: str, folder: Path = Path("data/features")) -> TrainingData:
    """What a row trains on. Raises DataError for a row that finetunes."""
    features, _ = read_features(folder / name)
    if features is None:
        raise DataError(f"row {name} finetunes and has no features: name a frozen row")
    columns = images["image_id"], images["sha256"], images["label"].fillna(-1).astype(int), images["group"]
    return TrainingData(*(column.to_numpy() for column in columns), features=np.asarray(features), packed=None)


def deals(row: ModelSettings, images: pd.DataFrame, data: TrainingData, folds: int) -> list[Deal]:
    """Every method on every fold of every deal."""
    from benchmarks.robust_training import METHODS, Fitter

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
                fitted = fold_methods(row, data, sides, fitters, seed=1000 * seed + int(fold))
                for name, one in fitted.items():
                    p = deal.p.setdefault(name, np.full(len(tested), np.nan))
                    p[np.searchsorted(tested, at)] = predict(one.sigmoids, row, data, at)
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
    from benchmarks.robust_training import Examples

    train, val = (data.positions(sides, side) for side in ("train", "val"))
    fitted, machines = {}, {}
    for name, sampling in KERNELS.items():
        started = time.process_time()
        own = row.model_copy(update={"head": "kernel", "sampling": sampling})
        machines[name] = Machine.fit(own, vectors(data, train, 1 + row.views))
        fitted[name] = Fitted(as_layers(machines[name], "kernel").predict_on_batch, time.process_time() - started)
    inputs = inputs_of(row, vectors(data, train, 1 + row.views), machines["kernel"].comparison)
    _, environment = environments(data)
    examples = [
        Examples(inputs(x), labels, groups, np.repeat(environment[at], views))
        for at, views in ((train, 1 + row.views), (val, 1))
        for x, labels, groups in [by_view(vectors(data, at, views))]
    ]
    losses, trained = {}, fitters(examples[0].features.shape[1])
    for name, fitter in trained.items():
        started = time.process_time()
        head = fitter.fit(*examples, seed=seed)
        scale = platt(examples[1].labels, expit(head.logits(examples[1].features)))
        slope, intercept = max(scale["slope"], SMALLEST_WEIGHT), scale["intercept"]
        sigmoids = _sigmoids(lambda x, head=head, a=slope, b=intercept: a * head.logits(inputs(x)) + b)
        fitted[name] = Fitted(sigmoids, time.process_time() - started)
        losses[name] = log_loss(data.labels[val], sigmoids(data.vectors()[val, 0])[:, 1])
    chosen = min(losses, key=losses.__getitem__)
    everything = sum(fitted[name].seconds for name in trained)
    return {**fitted, CHOSEN: Fitted(fitted[chosen].sigmoids, everything)}


def vectors(data: TrainingData, at: np.ndarray, views: int) -> Vectors:
    """The first `views` of the images at positions `at`."""
    return Vectors(data.vectors()[at, :views], data.labels[at], data.groups[at])


def inputs_of(row: ModelSettings, train: Vectors, comparison: Comparison) -> Callable[[np.ndarray], np.ndarray]:
    """From features [n, columns] to a head's inputs: the components that the kernel compares, and the statistics.

    The components' variances are 1 in the mean over `train`; statistics, standardised, weigh as in Table III's head.
    """
    features, _, _ = by_view(train)
    pixels = len(comparison.mean)
    points, statistics = comparison.points(features[:, :pixels]), features[:, pixels:]
    spread = np.full(points.shape[1], np.sqrt(points.var(axis=0).mean()))
    mean = np.concatenate([np.zeros_like(spread), statistics.mean(axis=0)])
    scale = np.concatenate([spread, statistics.std(axis=0)]) / column_weights(row, len(mean))

    def inputs(x: np.ndarray) -> np.ndarray:
        columns = np.concatenate([comparison.points(x[:, :pixels]), x[:, pixels:]], axis=1)
        return ((columns - mean) / scale).astype(np.float32)

    return inputs


def _sigmoids(logits: Callable[[np.ndarray], np.ndarray]) -> Sigmoids:
    return lambda features: expit(np.multiply.outer(logits(features), [-1, 1]))


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
