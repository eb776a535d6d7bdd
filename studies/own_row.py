"""What a row of early layers is worth on unseen subjects: with every choice made inside, and with each part left out.

`python -m studies.own_row ROW [BESIDE ...]` in a checkout where `dvc repro embed` has run: ROW is a frozen row with
a kernel head whose features hold all that may be chosen from (layers, scales, colours, statistics), BESIDE are rows to
hold it against, fitted on the same folds. Groups of subjects are dealt into 5 folds `--deals` times over. Answers of
each fold are kept in `--folder`, so a run that was ended goes on; the tables are printed and written there.

*Nested*: for each fold an Optuna study on its train and val sides alone tries scales, colours, layers, statistics, C
and gamma by grouped inner folds, the row as it is first. Its best trial, and what `leukoscope tune --apply` would keep
(the best where its gain exceeds one standard error, else the row), are fitted as `train` would and asked about the test
side.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cache, cached_property
from itertools import combinations
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from leukoscope.config.params import Evaluate, Params, Tune, load_params
from leukoscope.config.rows import ModelSettings
from leukoscope.core import checkout
from leukoscope.core.files import new_file, write_json
from leukoscope.features.pooling import NO_BACKBONE, Part, parts_of_columns
from leukoscope.stats.bootstrap import Resamples, resample
from leukoscope.stats.metrics import METRICS
from leukoscope.stats.resampled import auroc_resamples
from leukoscope.training.inputs import RowInputs, read_inputs
from leukoscope.training.probabilities import predict
from leukoscope.training.training import Training
from leukoscope.tuning.gain import Gain, gain_of
from leukoscope.tuning.inner_folds import inner_folds
from leukoscope.tuning.study import PAPER
from leukoscope.tuning.trials import SCORES

if TYPE_CHECKING:
    import optuna

FOLDS, INNER_FOLDS, INNER_DEALS, TRIALS = 5, 3, 2, 30
DEAL_SEED = 11
NESTED, BEST, AREA = "every choice made inside", "every choice made inside: the best trial", "cell area alone"
ROW = "the row"


@dataclass(frozen=True)
class Choice:
    """Which of a row's columns a model reads, and the settings of the row that differ."""

    backbones: tuple[str, ...]
    colours: tuple[str, ...]
    taps: tuple[str, ...]
    statistics: tuple[str, ...]
    settings: tuple[tuple[str, Any], ...] = ()

    def of_pixels(self, part: Part) -> bool:
        """Whether it reads a part of a backbone's columns."""
        return part.backbone in self.backbones and part.colours in self.colours and layer(part) in self.taps

    def columns(self, parts: Sequence[Part]) -> np.ndarray:
        """Positions of its columns, the statistics last as a head expects them."""
        measured = {part.statistic: part for part in parts if part.backbone == NO_BACKBONE}
        read = [part for part in parts if part.backbone != NO_BACKBONE and self.of_pixels(part)]
        read += [measured[name] for name in self.statistics]
        return np.concatenate([np.arange(part.columns.start, part.columns.stop) for part in read])

    def row(self, row: ModelSettings) -> ModelSettings:
        """The row's settings with this choice."""
        return row.model_copy(update={"statistics": self.statistics, **dict(self.settings)})


def layer(part: Part) -> str:
    """A part's tap without its scale."""
    return part.tap.split(" at ")[0]


@dataclass(frozen=True)
class Bench:
    """A row's inputs and the deals of its groups: image_id, fold (deal * FOLDS + its fold) and side."""

    inputs: RowInputs
    params: Params

    @staticmethod
    @cache
    def of(name: str) -> Bench:
        """The bench of a row of params.yaml, read once in a process."""
        params = load_params()
        return Bench(read_inputs(params, name, "subject"), params)

    @cached_property
    def parts(self) -> list[Part]:
        """Where the row's columns come from."""
        return parts_of_columns(self.inputs.features, self.inputs.features["maps"])

    @cached_property
    def used(self) -> pd.DataFrame:
        """The images that the honest protocol uses."""
        named = self.inputs.split.loc[self.inputs.split["side"] != "unused", "image_id"]
        return self.inputs.images[self.inputs.images["image_id"].isin(named)].reset_index(drop=True)

    def whole(self, statistics: tuple[str, ...]) -> Choice:
        """All of the row's backbones' columns, and some statistics."""
        of_pixels = [part for part in self.parts if part.backbone != NO_BACKBONE]
        backbones, colours, taps = (
            tuple(dict.fromkeys(named(part) for part in of_pixels))
            for named in (lambda part: part.backbone, lambda part: part.colours, layer)
        )
        return Choice(backbones, colours, taps, statistics)

    def sides(self, number: int, *, leaky: bool = False) -> pd.DataFrame:
        """A fold tests, the next one of its deal validates and the others train; `leaky` deals images, not groups."""
        images = self.used.assign(group=self.used["image_id"]) if leaky else self.used
        deal, fold = divmod(number, FOLDS)
        fold_of = _dealt(images, Tune(folds=FOLDS, repeats=1, seed=DEAL_SEED + deal))
        named = {fold: "test", (fold + 1) % FOLDS: "val"}
        sides = [named.get(one, "train") for one in fold_of]
        return pd.DataFrame({"image_id": images["image_id"], "fold": number, "side": sides})

    def tested(self, choice: Choice | None, sides: pd.DataFrame) -> pd.DataFrame:
        """image_id and p_all of the test side, of a model trained as the stage does. No choice: the row as it is."""
        inputs, row = self.inputs, self.inputs.row
        data = inputs.data
        if choice:
            row = choice.row(row)
            data = replace(data, features=np.ascontiguousarray(data.vectors()[..., choice.columns(self.parts)]))
        model = Training(row, self.params.train, self.params.augment, data, sides, checkout.store()).final()
        at = data.positions(sides, "test")
        p_all = predict(lambda features: np.asarray(model(features, training=False)), row, data, at)
        return pd.DataFrame({"image_id": data.image_ids[at], "p_all": p_all})


class Inside:
    """The train and val sides of a fold: what a choice is worth there, by inner folds of groups, in plain views.

    Squared distances of all pairs are kept for each part, so that a choice is a sum of them.
    """

    def __init__(self, bench: Bench, sides: pd.DataFrame) -> None:
        data = bench.inputs.data
        self.at = np.sort(np.concatenate([data.positions(sides, side) for side in ("train", "val")]))
        self.labels, self.parts = data.labels[self.at], bench.parts
        known = bench.inputs.images.iloc[self.at].reset_index(drop=True)
        seeds = range(INNER_DEALS)
        self.deals = [_dealt(known, Tune(folds=INNER_FOLDS, repeats=1, seed=seed)) for seed in seeds]
        vectors = np.asarray(data.vectors()[self.at, 0], np.float32)
        standard = (vectors - vectors.mean(axis=0)) / np.maximum(vectors.std(axis=0), 1e-6)
        self.statistics = {p.statistic: standard[:, p.columns] for p in self.parts if p.backbone == NO_BACKBONE}
        self.distances = [
            (part, _distances(standard[:, part.columns])) for part in self.parts if part.backbone != NO_BACKBONE
        ]

    def scores(self, choice: Choice) -> list[float]:
        """The AUROC of each inner fold. Where there are statistics, the other folds' decisions weigh them."""
        settings = dict(choice.settings)
        read = [(part, squared) for part, squared in self.distances if choice.of_pixels(part)]
        columns = sum(part.columns.stop - part.columns.start for part, _ in read)
        pairs = np.exp(sum(squared for _, squared in read) * np.float32(-settings["svm_gamma"] / (2 * columns)))
        measured = [np.empty((len(self.labels), 0)), *(self.statistics[name] for name in choice.statistics)]
        statistics = np.hstack(measured)
        return [area for folds in self.deals for area in self._areas(folds, pairs, statistics, settings["svm_c"])]

    def _areas(self, folds: np.ndarray, pairs: np.ndarray, statistics: np.ndarray, svm_c: float) -> list[float]:
        from sklearn.svm import SVC

        from leukoscope.stats.calibration import logistic

        known = np.column_stack([np.empty(len(self.labels)), statistics])
        for fold in range(INNER_FOLDS):
            trains, asked = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
            machine = SVC(C=svm_c, kernel="precomputed")
            machine.fit(pairs[np.ix_(trains, trains)], self.labels[trains])
            known[asked, 0] = machine.decision_function(pairs[np.ix_(asked, trains)])
        areas = []
        for fold in range(INNER_FOLDS):
            asked = folds == fold
            weights, _ = logistic(self.labels[~asked], known[~asked])
            area = METRICS["auroc"](self.labels[asked], known[asked] @ weights)
            assert area is not None, "inner_folds gives every fold both classes"
            areas.append(area)
        return areas


def _dealt(images: pd.DataFrame, settings: Tune) -> np.ndarray:
    """The fold of each image of one deal."""
    dealt = inner_folds(images, settings)
    return dealt[dealt["side"] == "val"].set_index("image_id")["fold"].loc[images["image_id"]].to_numpy(int)


def _distances(columns: np.ndarray) -> np.ndarray:
    squares = np.square(columns).sum(axis=1)
    return squares[:, None] + squares - 2 * columns @ columns.T


RANGES = {"svm_c": (1.0, 100.0), "svm_gamma": (0.25, 4.0)}


def studied_inside(bench: Bench, sides: pd.DataFrame, seed: int) -> tuple[Choice, Gain]:
    """The best of TRIALS choices on the train and val sides, and what it gains there over the row as it is."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    inside, row = Inside(bench, sides), bench.inputs.row
    whole = bench.whole(("area",))
    subsets = {
        "backbones": _subsets(whole.backbones),
        "colours": _subsets(whole.colours),
        "taps": [whole.taps, *((tap,) for tap in whole.taps)],
        "statistics": [(), *_subsets(row.statistics)],
    }
    options = {name: {" + ".join(one) or "none": one for one in several} for name, several in subsets.items()}

    def choice_of(values: Mapping[str, Any]) -> Choice:
        picked = {name: of[values[name]] for name, of in options.items()}
        return Choice(**picked, settings=tuple((name, values[name]) for name in RANGES))

    def objective(trial: optuna.Trial) -> float:
        values: dict[str, Any] = {name: trial.suggest_categorical(name, list(of)) for name, of in options.items()}
        values |= {name: trial.suggest_float(name, low, high, log=True) for name, (low, high) in RANGES.items()}
        scores = inside.scores(choice_of(values))
        trial.set_user_attr(SCORES, scores)
        return float(np.mean(scores))

    start = {name: " + ".join(getattr(whole, name)) for name in options} | {
        "svm_c": float(row.svm_c),
        "svm_gamma": float(row.svm_gamma),
    }
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=8))
    study.set_user_attr(PAPER, start)
    study.enqueue_trial(start)
    study.optimize(objective, n_trials=TRIALS)
    return choice_of(study.best_trial.params), gain_of(study, INNER_FOLDS)


def _subsets(names: Sequence[str]) -> list[tuple[str, ...]]:
    return [subset for size in range(len(names), 0, -1) for subset in combinations(names, size)]


def variants(bench: Bench) -> dict[str, Choice]:
    """The row with the cell's area, then with each part of it off in turn, or another in its place."""
    row, default = bench.inputs.row, bench.whole(("area",))
    found = {ROW: default, "without area": bench.whole(())}
    found |= {f"area, {' and '.join(more)} too": bench.whole(("area", *more)) for more in _subsets(row.statistics[1:])}
    for name in ("backbones", "colours", "taps"):
        values = getattr(default, name)
        for one in values if len(values) > 1 else ():
            rest = tuple(value for value in values if value != one)
            found[f"without {one} {'colours' if name == 'colours' else ''}".rstrip()] = replace(default, **{name: rest})
    others: dict[str, dict[str, Any]] = {
        "one turn": {"rotations": 1},
        "groups weigh alike": {"sampling": "group"},
        "a linear head": {"head": "plain"},
        "Table III's head": {"head": "regularized"},
    }
    return found | {name: replace(default, settings=tuple(changed.items())) for name, changed in others.items()}


@dataclass(frozen=True)
class Task:
    """One variant's fold: `row` is a row of params.yaml, `leaky` deals images instead of groups."""

    row: str
    variant: str
    number: int
    leaky: bool
    folder: Path

    @property
    def file(self) -> Path:
        """Where its answers are kept."""
        words = "".join(letter if letter.isalnum() else "_" for letter in f"{self.row} {self.variant}")
        return self.folder / f"{words}{'-by-image' if self.leaky else ''}-{self.number:02d}.parquet"

    def run(self) -> None:
        """Train and ask one fold, unless that was done before."""
        if self.file.exists():
            return
        bench, started = Bench.of(self.row), time.perf_counter()
        sides = bench.sides(self.number, leaky=self.leaky)
        if self.variant == NESTED:
            best, gain = studied_inside(bench, sides, seed=self.number)
            of_best = bench.tested(best, sides)
            kept = of_best if gain.convinces else bench.tested(bench.whole(("area",)), sides)
            tested = kept.assign(p_best=of_best["p_all"])
            tested.attrs = {"best": str(best), "gain": str(gain), "convinces": gain.convinces}
        else:
            tested = bench.tested(variants(bench)[self.variant] if self.variant else None, sides)
        seconds = time.perf_counter() - started
        with new_file(self.file) as part:
            tested.to_parquet(part, index=False)
        print(f"{self.file.stem}: {seconds:.0f} s", flush=True)


def _run(task: Task) -> None:
    task.run()


@dataclass(frozen=True)
class Answers:
    """p of every image in each deal [deals, images], pooled over its folds."""

    label: np.ndarray
    p: np.ndarray

    def aurocs(self) -> np.ndarray:
        """One of each deal."""
        return np.array([METRICS["auroc"](self.label, of_deal) for of_deal in self.p], float)

    def resampled(self, resamples: Resamples) -> np.ndarray:
        """The mean over deals of the AUROC in each resample of the groups."""
        return np.mean([auroc_resamples(self.label, of_deal, resamples) for of_deal in self.p], axis=0)


def answers(
    bench: Bench, row: str, variant: str, folder: Path, deals: int, *, leaky: bool = False, column: str = "p_all"
) -> Answers:
    """What was kept of a variant, in the order of the bench's images."""
    of_deals = []
    for deal in range(deals):
        numbers = range(deal * FOLDS, (deal + 1) * FOLDS)
        kept = [pd.read_parquet(Task(row, variant, number, leaky, folder).file) for number in numbers]
        of_deals.append(pd.concat(kept).set_index("image_id")[column].loc[bench.used["image_id"]].to_numpy())
    return Answers(bench.used["label"].to_numpy(int), np.stack(of_deals))


def table(bench: Bench, found: Mapping[str, Answers], against: str, settings: Evaluate) -> pd.DataFrame:
    """A line for each of `found`: AUROC over deals, its interval, and the paired gap to `against`."""
    first = found[against]
    resamples = resample(first.label, bench.used["group"], settings)
    reference = first.resampled(resamples)
    lines = []
    for name, one in found.items():
        areas, drawn = one.aurocs(), one.resampled(resamples)
        low, high = resamples.interval(drawn)
        gap_low, gap_high = resamples.interval(drawn - reference)
        gap = areas.mean() - first.aurocs().mean()
        lines.append((name, areas.mean(), areas.std(ddof=1), low, high, gap, gap_low, gap_high))
    columns = ["variant", "auroc", "over_deals", "low", "high", "gap", "gap_low", "gap_high"]
    return pd.DataFrame(lines, columns=columns)


def as_markdown(lines: pd.DataFrame, against: str) -> str:
    """The table for docs/results.md."""
    shown = [f"| | AUROC, mean and deviation of deals | less {against} |", "|---|---|---|"]
    for line in lines.itertuples(index=False):
        gap = f"{line.gap:+.3f} [{line.gap_low:+.3f}, {line.gap_high:+.3f}]" if line.variant != against else ""
        shown.append(
            f"| {line.variant} | {line.auroc:.3f} ± {line.over_deals:.3f} [{line.low:.3f}, {line.high:.3f}] | {gap} |"
        )
    return "\n".join(shown).replace("-0.", "−0.")


def tables(bench: Bench, row: str, beside: Sequence[str], names: list[str], folder: Path, deals: int) -> dict[str, Any]:
    """The tables of what was kept, by what their lines are less: the cell's area, and the row for its parts."""
    pixels = bench.used["cell_area"].to_numpy(float)
    area = Answers(bench.used["label"].to_numpy(int), np.tile(pixels, (deals, 1)))
    found = {name: answers(bench, row, name, folder, deals) for name in names}
    held = {}
    if NESTED in found:
        held[BEST] = answers(bench, row, NESTED, folder, deals, column="p_best")
        held[NESTED] = found.pop(NESTED)
    if ROW in found:
        held["the row as it is"] = found[ROW]
        held["the row, dealt by image (leaky)"] = answers(bench, row, ROW, folder, deals, leaky=True)
    held |= {other: answers(bench, other, "", folder, deals) for other in beside} | {AREA: area}
    less_area = {AREA: table(bench, held, AREA, bench.params.evaluate)}
    return less_area | ({ROW: table(bench, found, ROW, bench.params.evaluate)} if ROW in found else {})


def main() -> None:
    """Fit what is not there yet, then print and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("row")
    parser.add_argument("beside", nargs="*", help="rows to hold it against")
    parser.add_argument("--folder", type=Path, default=Path("reports/own_row"))
    parser.add_argument("--deals", type=int, default=3)
    parser.add_argument("--only", nargs="*", help="these variants alone, by name")
    asked = parser.parse_args()
    bench, folder = Bench.of(asked.row), asked.folder
    folder.mkdir(parents=True, exist_ok=True)
    names = [name for name in (NESTED, *variants(bench)) if not asked.only or name in asked.only]
    kinds = [(asked.row, name, False) for name in names] + [(row, "", False) for row in asked.beside]
    kinds += [(asked.row, ROW, True)] if ROW in names else []
    numbers = range(asked.deals * FOLDS)
    tasks = [Task(row, name, number, leaky, folder) for row, name, leaky in kinds for number in numbers]
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        list(pool.map(_run, tasks))
    for against, lines in tables(bench, asked.row, asked.beside, names, folder, asked.deals).items():
        print(f"\n{as_markdown(lines, against)}")
        write_json(folder / f"less_{against.replace(' ', '_')}.json", json.loads(lines.to_json(orient="records")))


if __name__ == "__main__":
    main()
