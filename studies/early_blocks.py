"""What training a backbone's early blocks gains on unseen subjects: `python -m studies.early_blocks WEIGHTS`.

Run it in a checkout of real cells, after `dvc repro split pack`, whose params.yaml has a row of 300 pixels. WEIGHTS is
`imagenet` or a .weights.h5 file of MobileNet's. In each fold of protocol subject a small head is trained on the frozen
early layers, as in studies/robust_training.py, and then the blocks and the head together, on turned and mirrored
pictures. What it prints goes into docs/results.md. It is no part of `make bench`.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import defaultdict

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from scipy.special import expit
from sklearn.metrics import log_loss, roc_auc_score

from leukoscope.config.params import Evaluate, Split, load_params
from leukoscope.core import checkout
from leukoscope.core.errors import run_reporting_errors
from leukoscope.core.progress import progress
from leukoscope.data.pack import open_pack
from leukoscope.data.splits import make_splits
from leukoscope.features.backbones import batchnorms, build_backbone
from leukoscope.features.pooling import feature_model
from leukoscope.imaging.turns import turned, turns_of
from leukoscope.stats.bootstrap import resample
from leukoscope.stats.resampled import auroc_resamples
from leukoscope.training.task import TrainingData
from studies.robust_training import METHODS, Examples, Fitter, Head, cross_entropy

FRAME, SHRINK = 300, 2  # half the native scale: at the whole one an epoch takes four times as long
TAPS = ("conv_pw_4_relu", "conv_pw_5_relu", "conv_pw_6_relu")
FROZEN = "head alone"
RATES = {f"blocks too, at {rate:f}".rstrip("0"): rate for rate in (1e-5, 1e-4)}
EPOCHS, BATCH = 4, 32
SEED = 1


def main() -> None:
    """Train, test and print."""
    arguments = argparse.ArgumentParser(prog="python -m studies.early_blocks", description=__doc__)
    arguments.add_argument("weights", metavar="WEIGHTS")
    weights, params = arguments.parse_args().weights, load_params()
    images = pd.read_parquet(checkout.IMAGES)
    data = pictures(images)
    split = make_splits(images, Split(seed=SEED, folds=params.split.folds), ("subject",))
    split = split[split["protocol"] == "subject"]
    tested = data.positions(split, "test")
    p_all: dict[str, np.ndarray] = defaultdict(lambda: np.full(len(tested), np.nan))
    seconds: dict[str, list[float]] = defaultdict(list)
    with progress("folds", params.split.folds, "folds") as advance:
        for fold, sides in split.groupby("fold"):
            at = np.searchsorted(tested, data.positions(sides, "test"))
            for name, (p, spent) in fold_ways(weights, data, sides, seed=1000 * SEED + int(str(fold))).items():
                p_all[name][at] = p
                seconds[name].append(spent)
            advance(1)
    print(table(data.labels[tested], data.groups[tested], p_all, seconds, params.evaluate))


def pictures(images: pd.DataFrame) -> TrainingData:
    """The packed pictures and what is known of them."""
    labels = images["label"].fillna(-1).astype(int).to_numpy()
    image_ids, sha256, groups = (images[name].to_numpy() for name in ("image_id", "sha256", "group"))
    packed = open_pack(checkout.PACKED, FRAME, FRAME)
    return TrainingData(image_ids, sha256, labels, groups, None, packed)


def fold_ways(weights: str, data: TrainingData, sides: pd.DataFrame, seed: int) -> dict[str, tuple[np.ndarray, float]]:
    """p(ALL) of a fold's test side, and processor seconds, of the head alone and of each rate."""
    train, val, test = (data.positions(sides, side) for side in ("train", "val", "test"))
    started = time.process_time()
    blocks = early_blocks(weights)
    seen = {side: features(blocks, data, at) for side, at in (("train", train), ("val", val), ("test", test))}
    mean, scale = seen["train"].mean(axis=0), seen["train"].std(axis=0) + 1e-6
    known, validating = (
        Examples((seen[side] - mean) / scale, data.labels[at], data.groups[at], np.zeros(len(at), int))
        for side, at in (("train", train), ("val", val))
    )
    first = Fitter(METHODS["plain"], len(mean), np.zeros(1)).fit(known, validating, seed)
    found = {FROZEN: (expit(first.logits((seen["test"] - mean) / scale)), time.process_time() - started)}
    for name, rate in RATES.items():
        started = time.process_time()
        network = Network(early_blocks(weights), first, mean, scale, rate)
        best = network.trained(data, train, val, seed)
        found[name] = expit(best.logits(data, test)), time.process_time() - started
    return found


def early_blocks(weights: str) -> keras.Model:
    """Pixels of FRAME to the mean and the deviation over the cell of each tap's channels. Batch norms never train."""
    backbone = build_backbone("mobilenet", weights, FRAME, FRAME // SHRINK, TAPS)
    backbone.trainable = True
    for norm in batchnorms(backbone):
        norm.trainable = False
    return feature_model(backbone, ["cell"], "raw", SHRINK)


def features(blocks: keras.Model, data: TrainingData, at: np.ndarray) -> np.ndarray:
    """What the blocks give of the pictures at these positions."""
    packed = data.pictures()
    parts = [at[start : start + BATCH] for start in range(0, len(at), BATCH)]
    return np.concatenate([blocks.predict_on_batch(packed[part].astype(np.float32)) for part in parts])


class Network:
    """The blocks and a copy of the head, trained together."""

    def __init__(self, blocks: keras.Model, head: Head, mean: np.ndarray, scale: np.ndarray, rate: float) -> None:
        self._blocks, self._mean, self._scale = blocks, mean, scale
        self._head = Head(len(mean), np.zeros(1))
        self._head.set_weights(head.get_weights())
        self._trained = [*blocks.trainable_variables, *self._head.hidden.variables, *self._head.decision.variables]
        self._optimizer = keras.optimizers.Adam(rate)
        self._step = tf.function(self._one_step, autograph=False, reduce_retracing=True)

    def trained(self, data: TrainingData, train: np.ndarray, val: np.ndarray, seed: int) -> Network:
        """Itself, as it was after the epoch whose loss on val is least; an epoch shows every picture once."""
        keras.utils.set_random_seed(seed)
        rng, turns, packed = np.random.default_rng(seed), turns_of(8), data.pictures()
        losses, kept = [], []
        for _ in range(EPOCHS):
            order = rng.permutation(train)
            for start in range(0, len(order), BATCH):
                own = order[start : start + BATCH]
                shown = [turned(packed[position], turns[rng.integers(len(turns))]) for position in own]
                self._step(np.stack(shown).astype(np.float32), data.labels[own].astype(np.float32))
            losses.append(log_loss(data.labels[val], expit(self.logits(data, val))))
            kept.append([self._blocks.get_weights(), self._head.get_weights()])
        for model, weights in zip((self._blocks, self._head), kept[int(np.argmin(losses))], strict=True):
            model.set_weights(weights)
        return self

    def logits(self, data: TrainingData, at: np.ndarray) -> np.ndarray:
        """Of the pictures at these positions, as they are."""
        return self._head.logits((features(self._blocks, data, at) - self._mean) / self._scale)

    def _one_step(self, shown: tf.Tensor, target: tf.Tensor) -> None:
        with tf.GradientTape() as tape:
            given = (self._blocks(shown, training=False) - self._mean) / self._scale
            loss = keras.ops.mean(cross_entropy(self._head(given, training=True)[0], target))
        self._optimizer.apply(tape.gradient(loss, [variable.value for variable in self._trained]), self._trained)


def table(
    labels: np.ndarray,
    groups: np.ndarray,
    p_all: dict[str, np.ndarray],
    seconds: dict[str, list[float]],
    settings: Evaluate,
) -> str:
    """Markdown: a line for each way, and what it gains over the head alone."""
    resamples = resample(labels, groups, settings)
    lines = [f"| trained | AUROC | less {FROZEN} | processor seconds of a fold |", "|---|---|---|---|"]
    frozen = p_all[FROZEN]
    for name, p in p_all.items():
        area, gained = roc_auc_score(labels, p), roc_auc_score(labels, p) - roc_auc_score(labels, frozen)
        own, of_frozen = (auroc_resamples(labels, one, resamples) for one in (p, frozen))
        low, high = resamples.interval(own)
        below, above = resamples.interval(own - of_frozen)
        less = "" if name == FROZEN else f"{gained:+.3f} [{below:+.3f}, {above:+.3f}]"
        lines.append(f"| {name} | {area:.3f} [{low:.3f}, {high:.3f}] | {less} | {np.mean(seconds[name]):.0f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(run_reporting_errors(main))
