"""The kernel head: a support-vector machine on principal components of the features, as stock layers and no pickle.

With x a picture's components and s the support vectors', both times the root of gamma, the machine's
exp(-gamma |x - s|^2) is exp(2 s.x - |s|^2 - |x|^2): a dense layer, a sum of squares and an exponential.

A row's statistics of the cell are no part of x. They stand beside the machine's decision, and `training.stacking`
weighs both, and so calibrates p, on decisions about groups that the machine did not see. No side is needed to stop it,
so once val has chosen the threshold, val's images may train it too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from leukoscope.config.rows import ModelSettings
from leukoscope.features.cell_statistics import statistics_columns
from leukoscope.training.fitting import History, Vectors, by_view
from leukoscope.training.sampling import class_weights, group_weights
from leukoscope.training.stacking import Evidence, stacked

if TYPE_CHECKING:
    import keras
    from sklearn.svm import SVC


POWER = 2  # iterations of a randomized decomposition: the last components need not be the very largest, and 7 take long


@dataclass(frozen=True)
class Comparison:
    """From features to the points that the kernel compares: standardised, turned onto components, scaled by gamma.

    `mean` and `scale` are [columns], `directions` [columns, components].
    """

    mean: np.ndarray
    scale: np.ndarray
    directions: np.ndarray

    @classmethod
    def of(cls, row: ModelSettings, features: np.ndarray) -> Comparison:
        """That of training features [n, columns].

        The kernel's gamma is `svm_gamma` over the mean squared distance of two of their points: twice the sum of the
        components' variances.
        """
        from sklearn.decomposition import PCA
        from sklearn.preprocessing import StandardScaler

        scaler = StandardScaler().fit(features.astype(np.float64))
        standard = scaler.transform(features).astype(np.float32, copy=False)
        components = min(row.svm_components, *standard.shape)
        turned = PCA(components, random_state=0, iterated_power=POWER).fit(standard)
        distance = 2 * float((standard @ turned.components_.T).var(axis=0).sum())
        return cls(scaler.mean_, scaler.scale_, turned.components_.T * np.sqrt(row.svm_gamma / max(distance, 1.0)))

    def points(self, features: np.ndarray) -> np.ndarray:
        """Float64 [n, components] of features [n, columns]."""
        points: np.ndarray = ((features - self.mean) / self.scale) @ self.directions
        return points


@dataclass(frozen=True)
class Machine:
    """A fitted head: how it compares pictures, its support vectors' points, and what its decision weighs."""

    comparison: Comparison
    support: np.ndarray
    svc: SVC
    evidence: Evidence

    @classmethod
    def fit(cls, row: ModelSettings, train: Vectors) -> Machine:
        """The machine on every view of `train`. Raises SplitError for a class of one image.

        Kernel values take 8 bytes for each pair of points, so memory grows with the square of images and views.
        """
        features, labels, groups = by_view(train)
        pixels = features.shape[1] - len(statistics_columns(row.statistics))
        comparison = Comparison.of(row, features[:, :pixels])
        points = comparison.points(features[:, :pixels])
        pairs = kernel(points, points)

        def decided(known: np.ndarray, asked: np.ndarray) -> np.ndarray:
            left_out = fit_svc(row, pairs[np.ix_(known, known)], labels[known], groups[known])
            decision: np.ndarray = left_out.decision_function(pairs[np.ix_(asked, known)])
            return decision

        evidence = stacked(train, features.shape[1] - pixels, decided)
        svc = fit_svc(row, pairs, labels, groups)
        return cls(comparison, points[svc.support_], svc, evidence)


def fit_kernel_head(row: ModelSettings, train: Vectors, val: Vectors, name: str, history: History) -> keras.Model:
    """A head from [n, features] to two sigmoids [n, 2] (hem, ALL), fitted on every view of `train`.

    The one epoch in `history` has the losses and accuracies of p on both sides.
    """
    head = as_layers(Machine.fit(row, train), name)
    features, labels, _ = by_view(train)
    measures = _measured(head, features, labels, "") | _measured(head, val.features[:, 0], val.labels, "val_")
    history.add(measures, all_layers=False)
    return head


def fit_svc(row: ModelSettings, pairs: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> SVC:
    """scikit-learn's machine on the kernel's values [n, n] of its points, with the row's penalty and weights."""
    from sklearn.svm import SVC

    weights = group_weights(labels, groups) if row.sampling == "group" else None
    svc = SVC(C=row.svm_c, kernel="precomputed", class_weight=class_weights(row, labels))
    return svc.fit(pairs, labels, sample_weight=weights)


def kernel(some: np.ndarray, others: np.ndarray) -> np.ndarray:
    """exp(-|a - b|^2) of every pair [some, others]."""
    pairs = some @ others.T
    pairs *= 2
    pairs -= np.square(some).sum(axis=1)[:, None]
    pairs -= np.square(others).sum(axis=1)
    return np.exp(pairs, out=pairs)


def as_layers(machine: Machine, name: str) -> keras.Model:
    """The machine as a model from [n, features] to two sigmoids [n, 2]."""
    import keras
    from keras import layers, ops

    comparison, support, evidence = machine.comparison, machine.support, machine.evidence
    pixels, measured = len(comparison.mean), len(evidence.weights) - 1
    inputs = keras.Input((pixels + measured,), name="features", dtype="float32")
    standard = layers.Normalization(name="standardised", dtype="float32")
    components = layers.Dense(support.shape[1], use_bias=False, name="components", dtype="float32")
    products = layers.Dense(len(support), name="support_vectors", dtype="float32")
    decision = layers.Dense(1, name="decision", dtype="float32")
    sigmoids = layers.Dense(2, activation="sigmoid", name="sigmoids", dtype="float32")
    x = components(standard(inputs[:, :pixels] if measured else inputs))
    exponents = products(x) - ops.sum(ops.square(x), axis=-1, keepdims=True)
    decided = decision(ops.exp(exponents))
    known = ops.concatenate([decided, inputs[:, pixels:]], axis=-1) if measured else decided
    head = keras.Model(inputs, sigmoids(known), name=name)
    standard.adapt_mean.assign(comparison.mean)
    standard.adapt_variance.assign(np.square(comparison.scale))
    standard.finalize_state()
    components.set_weights([comparison.directions])
    products.set_weights([2 * support.T, -np.square(support).sum(axis=1)])
    decision.set_weights([machine.svc.dual_coef_.T, machine.svc.intercept_])
    sigmoids.set_weights([np.outer(evidence.weights, [-1, 1]), evidence.intercept * np.array([-1.0, 1.0])])
    return head


def _measured(head: keras.Model, features: np.ndarray, labels: np.ndarray, prefix: str) -> dict[str, float]:
    """Binary cross-entropy over both sigmoids and accuracy by argmax, as training by epochs measures them."""
    from sklearn.metrics import log_loss

    sigmoids = head.predict_on_batch(features).astype(np.float64)
    p_all = np.clip(sigmoids[:, 1], 1e-7, 1 - 1e-7)
    accuracy = np.mean(sigmoids.argmax(axis=1) == labels)
    return {f"{prefix}loss": float(log_loss(labels, p_all, labels=[0, 1])), f"{prefix}accuracy": float(accuracy)}
