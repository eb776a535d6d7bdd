"""Everything that the report speaks about, read from where the other stages left it, and nothing else.

Only the rows, ensembles and protocols that params.yaml names are read: what lies beside them in results/ is of another
day.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from leukoscope.artifacts.decision import Decision, Parameters, marks
from leukoscope.artifacts.layers import LayerFacts
from leukoscope.artifacts.metrics import Estimate, Metrics, Side
from leukoscope.artifacts.predictions import read_predictions
from leukoscope.config.params import Params
from leukoscope.config.rows import Protocol
from leukoscope.core import checkout
from leukoscope.core.cautions import Marks
from leukoscope.core.checkout import TIMING_FILE
from leukoscope.core.errors import DataError
from leukoscope.core.files import read_json
from leukoscope.data.splits import leaks
from leukoscope.evaluation.baseline import baseline_area, no_skill
from leukoscope.evaluation.comparison import leakage_gap
from leukoscope.evaluation.importance import IMPORTANCE_FOLDER
from leukoscope.evaluation.protocols import PROTOCOLS
from leukoscope.report.area_model import area_metrics


@dataclass(frozen=True)
class Measured:
    """What was measured of a row, an ensemble, or cell area alone, under one protocol."""

    row: str
    protocol: Protocol
    metrics: Metrics

    @property
    def test(self) -> Side:
        """The test side of metrics.json."""
        return self.metrics.test

    def estimate(self, name: str) -> Estimate:
        """A metric of the test side, at p > 0.5."""
        return self.test.estimate(name)

    def train_estimate(self, name: str) -> Estimate:
        """A metric of the images that the folds were trained on, at p > 0.5."""
        return self.metrics.side("train").estimate(name)

    def at_threshold(self, name: str) -> Estimate:
        """Test sensitivity or specificity at the threshold that the validation side chose."""
        return self.test.at_threshold(name)

    @property
    def over_area(self) -> Estimate:
        """AUROC less that of cell area alone, on the same images."""
        over = self.test.over_area
        assert over is not None, "the test side has it"
        return over

    @property
    def not_above_area(self) -> bool:
        """Whether the interval of `over_area` reaches 0 or below, or there is none: no more than a ruler shows."""
        return self.over_area.low is None or self.over_area.low <= 0

    @property
    def share_of_all(self) -> float:
        """The share of its test images that are ALL."""
        n = {name: of.n for name, of in self.test.classes.items()}
        return float(n["ALL"] / sum(n.values()))


@dataclass(frozen=True)
class Result(Measured):
    """A row or ensemble under one protocol: what it is, how long it took (empty for an ensemble), and its folder."""

    decision: Decision
    timing: dict[str, Any]
    folder: Path

    @property
    def parameters(self) -> Parameters:
        """The weights of one fold's model: total and trainable."""
        return self.decision.parameters

    @property
    def layers(self) -> list[LayerFacts]:
        """What one fold's model consists of, as `features.architecture` tells it."""
        return self.decision.layers

    @property
    def differs(self) -> list[str]:
        """Why its number is no reproduction of the study's, whatever the split: a word or two for each reason."""
        reasons = {
            "frozen backbone": "frozen" in self.decision.mode,
            "random weights": "untrained" in self.decision.weights_kind,
            "synthetic cells": self.decision.data.kind == "synthetic",
            "tuned values": bool(self.decision.tunings),
            "no epoch of all layers kept": self.head_alone,
        }
        return [reason for reason, holds in reasons.items() if holds]

    @property
    def mark(self) -> str:
        """What stands beside each of its numbers where values were tuned on tested groups; empty otherwise."""
        return self.decision.mark

    @property
    def marked_row(self) -> str:
        """The row's name with its mark, where a name is all that a plot shows."""
        return f"{self.row} ({self.mark})" if self.mark else self.row

    def best_epochs(self) -> list[int]:
        """The epoch of the lowest validation loss in each fold, whose weights were kept; none of an ensemble."""
        return [] if self.is_ensemble else self._kept()["epoch"].tolist()

    @property
    def head_alone(self) -> bool:
        """Whether it was finetuned and every fold kept weights from before all layers trained: the start's backbone."""
        finetuned = self.decision.mode == "finetune" and not self.is_ensemble
        return finetuned and not self._kept()["all_layers"].any()

    def _kept(self) -> pd.DataFrame:
        """The row of history.csv of each fold's best epoch."""
        history = self.history()
        return history.loc[history.groupby("fold")["val_loss"].idxmin()]

    @property
    def is_ensemble(self) -> bool:
        """Whether it is a mean of rows, which has no history of its own."""
        return self.decision.is_ensemble

    @property
    def members(self) -> list[str]:
        """The rows that an ensemble joins; none of a row."""
        return list(self.decision.members or ())

    def history(self) -> pd.DataFrame:
        """history.csv: one row for each fold and epoch."""
        return pd.read_csv(self.folder / checkout.HISTORY_FILE)

    def roc(self) -> pd.DataFrame:
        """roc.csv: fpr, tpr and threshold of the pooled test predictions."""
        return pd.read_csv(self.folder / "roc.csv")

    def importance(self, file: str) -> pd.DataFrame:
        """A table of importance/, which only what was trained has (`evaluation.importance` names them)."""
        path = self.folder / IMPORTANCE_FOLDER / file
        if not path.exists():
            raise DataError(f"{path} is missing: run dvc repro")
        return pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path, dtype={"group": str})

    def test_predictions(self) -> pd.DataFrame:
        """The test rows of predictions.parquet."""
        return read_predictions(self.folder, "test")


@dataclass(frozen=True)
class Evidence:
    """The report's inputs; what follows from them is computed once, when asked for."""

    params: Params
    root: Path
    source: dict[str, Any]
    images: pd.DataFrame
    splits: pd.DataFrame
    results: dict[tuple[str, Protocol], Result]
    registered: dict[str, Any]

    @property
    def protocols(self) -> list[Protocol]:
        """The protocols of params.yaml, honest ones first, each in the usual order."""
        return sorted(self.params.protocols, key=list(PROTOCOLS).index)

    @property
    def honest(self) -> Protocol | None:
        """The honest protocol whose numbers stand beside the study's; None if none is asked for."""
        return next((protocol for protocol in self.protocols if PROTOCOLS[protocol].honest), None)

    @property
    def best_honest(self) -> Result | None:
        """What the gate let through; where that is nothing, the best AUROC under the honest protocol."""
        winner = self.registered["winner"]
        if winner and (winner["row"], winner["protocol"]) in self.results:
            return self.results[winner["row"], winner["protocol"]]
        honest = [result for (_, protocol), result in self.results.items() if protocol == self.honest]
        return max(honest, key=lambda result: result.estimate("auroc").value or 0, default=None)

    @property
    def weights(self) -> dict[str, str]:
        """Each row's kind of weights; of an ensemble all that its members have."""
        return {result.row: result.decision.weights_kind for result in self.results.values()}

    @cached_property
    def marks(self) -> Marks:
        """The rows and protocols whose numbers are of values tuned on tested groups."""
        return marks(result.decision for result in self.results.values())

    @property
    def frozen(self) -> list[str]:
        """The rows whose backbone was not trained on these cells."""
        rows = {result.row for result in self.results.values() if "frozen" in result.decision.mode}
        return [row for row in self.params.rows_and_ensembles if row in rows]

    @cached_property
    def gaps(self) -> dict[str, dict[str, Any]]:
        """Each row's AUROC(image) - AUROC(subject) on the same images; empty unless both protocols are asked for."""
        if not {"image", "subject"} <= set(self.params.protocols):
            return {}
        return {row: self._gap(row) for row in self.params.rows_and_ensembles}

    def _gap(self, row: str) -> dict[str, Any]:
        leaky, honest = (self.results[row, protocol].test_predictions() for protocol in ("image", "subject"))
        if not set(leaky["image_id"]) & set(honest["image_id"]):  # one small split each, when split.folds is 1
            none = "the two protocols test no image in common: use more folds"
            return {"gap": None, "gap_low": None, "gap_high": None, "interval_reason": none, "undefined": {"gap": none}}
        return leakage_gap(leaky, honest, self.params.evaluate)

    def split(self, protocol: Protocol) -> pd.DataFrame:
        """The rows of splits.parquet of one protocol."""
        return self.splits[self.splits["protocol"] == protocol]

    @cached_property
    def baselines(self) -> dict[Protocol, dict[str, Any]]:
        """What needs no picture, for each protocol: `no_skill` and `cell_area`."""
        return {
            protocol: {
                "no_skill": no_skill(self.images, self.split(protocol), self.params.evaluate),
                "cell_area": baseline_area(self.images, self.split(protocol), self.params.evaluate),
            }
            for protocol in self.protocols
        }

    @cached_property
    def area_alone(self) -> dict[Protocol, Measured]:
        """Cell area as a row, for each protocol: no probability, but it ranks, and calls at thresholds from val."""
        results = {}
        for protocol in self.protocols:
            larger = self.baselines[protocol]["cell_area"]["larger_is_all"]
            metrics = area_metrics(self.images, self.split(protocol), larger, self.params)
            results[protocol] = Measured("cell area alone", protocol, metrics)
        return results

    @cached_property
    def leaks(self) -> dict[Protocol, dict[str, int]]:
        """For each protocol, summed over folds: tested images, those of groups that also train, those with a twin."""
        counted: dict[Protocol, dict[str, int]] = {}
        for protocol in self.protocols:
            folds = [fold for _, fold in self.split(protocol).groupby("fold")]
            found = [leaks(fold, self.images) for fold in folds]
            counted[protocol] = {
                "tested": sum(int((fold["side"] == "test").sum()) for fold in folds),
                "images_of_shared_groups": sum(fold["images_of_shared_groups"] for fold in found),
                "twins": sum(fold["twins"] for fold in found),
            }
        return counted


def _read_result(root: Path, row: str, protocol: Protocol) -> Result:
    folder, trained = checkout.results(row, protocol, root), checkout.trained(row, protocol, root)
    metrics, decision = Metrics.read(folder), Decision.read(trained)
    timing = {} if decision.is_ensemble else read_json(trained / TIMING_FILE)
    return Result(row, protocol, metrics, decision, timing, folder)


def _refuse_mixed_data(results: list[Result], registered: dict[str, Any]) -> None:
    """A page may only compare what was measured on the same images."""
    hashes = {str(checkout.RESULTS / result.folder.name): result.decision.data.hash for result in results}
    hashes[str(checkout.REGISTERED)] = registered["data"]["hash"]
    first = next(iter(hashes))
    for name, digest in hashes.items():
        if digest != hashes[first]:
            raise DataError(f"{name} and {first} are of different images, so no page may hold both: run dvc repro")


def read_evidence(params: Params, root: Path = Path()) -> Evidence:
    """Read what the stages left below `root`, the checkout.

    Raises DataError, with the command that mends it, if a row or protocol of params.yaml has no result, or if these
    are of different images.
    """
    results = {
        (row, protocol): _read_result(root, row, protocol)
        for row in params.rows_and_ensembles
        for protocol in params.protocols
    }
    registered = read_json(root / checkout.REGISTERED, "dvc repro register")
    _refuse_mixed_data(list(results.values()), registered)
    return Evidence(
        params=params,
        root=root,
        source=read_json(root / checkout.SOURCE, "dvc repro fetch"),
        images=pd.read_parquet(root / checkout.IMAGES),
        splits=pd.read_parquet(root / checkout.SPLITS),
        results=results,
        registered=registered,
    )
