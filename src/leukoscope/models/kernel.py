"""The kernel head: a support-vector machine on standardised features, stored as stock layers and no pickle.

With x a picture's standardised features and s the support vectors', both times the root of gamma, the machine's
exp(-gamma |x - s|^2) is exp(2 s.x - |s|^2 - |x|^2): a dense layer, a sum of squares and an exponential.

A row's statistics of the cell are no part of x. They stand beside the machine's decision, each with a weight that
`models.stacking` finds on decisions about groups that the machine did not see.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from leukoscope.config import ModelSettings
from leukoscope.models.cell_statistics import statistics_columns
from leukoscope.models.fitting import History, Vectors, by_view
from leukoscope.models.sampling import class_weights, group_weights
from leukoscope.models.stacking import Evidence, decision_alone, stacked

if TYPE_CHECKING:
    import keras
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

SMALLEST_SLOPE = 0.01  # where val would turn the machine's order around, it has its say on how sure p is, and no more


def fit_kernel_head(row: ModelSettings, train: Vectors, val: Vectors, name: str, history: History) -> keras.Model:
    """A head from [n, features] to two sigmoids [n, 2] (hem, ALL), fitted on every view of `train`.

    `val`, in its plain view, calibrates p: sigmoids of a logit and its negative, after Platt. The logit is a multiple
    of the machine's decision, or of what `stacked` makes of it and of the row's statistics, which are the last columns.
    The one epoch in `history` has the losses and accuracies of p on both sides.
    """
    from scipy.special import expit
    from sklearn.preprocessing import StandardScaler

    from leukoscope.evaluation.calibration import platt

    features, labels, groups = by_view(train)
    measured = len(statistics_columns(row.statistics))
    pixels = features.shape[1] - measured  # columns of the backbones, which the kernel compares
    scaler = StandardScaler().fit(features[:, :pixels].astype(np.float64))
    points = scaled(features[:, :pixels], scaler, row)
    pairs = kernel(points, points)
    machine = fit_machine(row, pairs, labels, groups)
    if measured:
        evidence = stacked(train, measured, lambda at, of: _left_out(row, pairs, labels, groups, at, of))
    else:
        evidence = decision_alone()
    plain = val.features[:, 0]
    decision = machine.decision_function(kernel(scaled(plain[:, :pixels], scaler, row), points))
    fitted = platt(val.labels, expit(evidence.of(decision, plain[:, pixels:])))
    slope = max(fitted["slope"], SMALLEST_SLOPE)
    calibrated = Evidence(slope * evidence.weights, slope * evidence.intercept + fitted["intercept"])
    head = as_layers(scaler, row, points[machine.support_], machine, calibrated, name)
    measures = _measured(head, features, labels, "") | _measured(head, plain, val.labels, "val_")
    history.add(measures, all_layers=False)
    return head


def _left_out(
    row: ModelSettings, pairs: np.ndarray, labels: np.ndarray, groups: np.ndarray, at: np.ndarray, of: np.ndarray
) -> np.ndarray:
    """What a machine that knows the training points `at` alone decides of the points `of`."""
    machine = fit_machine(row, pairs[np.ix_(at, at)], labels[at], groups[at])
    decision: np.ndarray = machine.decision_function(pairs[np.ix_(of, at)])
    return decision


def fit_machine(row: ModelSettings, pairs: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> SVC:
    """The machine on the kernel's values [n, n] of its points, with the row's penalty and weights.

    They take 8 bytes for each pair of points, so memory grows with the square of images and views.
    """
    from sklearn.svm import SVC

    weights = group_weights(labels, groups) if row.sampling == "group" else None
    machine = SVC(C=row.svm_c, kernel="precomputed", class_weight=class_weights(row, labels))
    return machine.fit(pairs, labels, sample_weight=weights)


def scaled(features: np.ndarray, scaler: StandardScaler, row: ModelSettings) -> np.ndarray:
    """Standardised float64 [n, features] times the root of gamma."""
    standard: np.ndarray = scaler.transform(features.astype(np.float64))
    standard *= np.sqrt(gamma(scaler, row))
    return standard


def gamma(scaler: StandardScaler, row: ModelSettings) -> float:
    """The kernel's gamma: `svm_gamma` over the mean squared distance of two standardised training points.

    That is twice the sum of their variances: 1 for a column that varies, 0 for one that does not.
    """
    variance = float(np.sum(scaler.var_ / np.square(scaler.scale_)))
    return row.svm_gamma / max(2 * variance, 1.0)


def kernel(some: np.ndarray, others: np.ndarray) -> np.ndarray:
    """exp(-|a - b|^2) of every pair [some, others]."""
    pairs = some @ others.T
    pairs *= 2
    pairs -= np.square(some).sum(axis=1)[:, None]
    pairs -= np.square(others).sum(axis=1)
    return np.exp(pairs, out=pairs)


def as_layers(
    scaler: StandardScaler,
    row: ModelSettings,
    support: np.ndarray,
    machine: SVC,
    evidence: Evidence,
    name: str,
) -> keras.Model:
    """The machine on its `support` vectors [n, features] (as `scaled` gives them), and the logit of p."""
    import keras
    from keras import layers, ops

    pixels, measured = support.shape[1], len(evidence.weights) - 1
    inputs = keras.Input((pixels + measured,), name="features", dtype="float32")
    standard = layers.Normalization(name="standardised", dtype="float32")
    products = layers.Dense(len(support), name="support_vectors", dtype="float32")
    decision = layers.Dense(1, name="decision", dtype="float32")
    sigmoids = layers.Dense(2, activation="sigmoid", name="sigmoids", dtype="float32")
    x = standard(inputs[:, :pixels] if measured else inputs)
    exponents = products(x) - ops.sum(ops.square(x), axis=-1, keepdims=True)
    decided = decision(ops.exp(exponents))
    known = ops.concatenate([decided, inputs[:, pixels:]], axis=-1) if measured else decided
    head = keras.Model(inputs, sigmoids(known), name=name)
    standard.adapt_mean.assign(scaler.mean_)
    standard.adapt_variance.assign(np.square(scaler.scale_) / gamma(scaler, row))
    standard.finalize_state()
    products.set_weights([2 * support.T, -np.square(support).sum(axis=1)])
    decision.set_weights([machine.dual_coef_.T, machine.intercept_])
    sigmoids.set_weights([np.outer(evidence.weights, [-1, 1]), evidence.intercept * np.array([-1.0, 1.0])])
    return head


def _measured(head: keras.Model, features: np.ndarray, labels: np.ndarray, prefix: str) -> dict[str, float]:
    """Binary cross-entropy over both sigmoids and accuracy by argmax, as training by epochs measures them."""
    from sklearn.metrics import log_loss

    sigmoids = head.predict_on_batch(features).astype(np.float64)
    p_all = np.clip(sigmoids[:, 1], 1e-7, 1 - 1e-7)
    accuracy = np.mean(sigmoids.argmax(axis=1) == labels)
    return {f"{prefix}loss": float(log_loss(labels, p_all, labels=[0, 1])), f"{prefix}accuracy": float(accuracy)}
