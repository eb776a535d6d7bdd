"""Ways of training one small head so that it serves every subject: what each does to the batches or to the loss.

The values of each way are those that its paper or DomainBed (Gulrajani and Lopez-Paz 2021) uses; none was tuned here.
An environment is a group's images of one class, which in C-NMC is a group.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops
from sklearn.metrics import log_loss

from leukoscope.training.sampling import ORDERS, group_weights

HIDDEN, DROPOUT = 64, 0.5
BATCH, EPOCHS, PATIENCE, LEARNING_RATE = 256, 15, 5, 1e-3
SMOOTHING = 0.1  # Szegedy 2016
MIXUP = 0.2  # Zhang 2018: both parameters of the beta distribution
MIXUP_OF_A_CLASS = 2.0  # Yao 2022 (LISA)
DRO_STEP = 0.01  # Sagawa 2020
REX = 10.0  # DomainBed's weight of the variance (Krueger 2021), without its annealing, which outlasts this training
CORAL = 1.0  # DomainBed
REVERSAL_RATE = 10.0  # Ganin 2016: how fast the reversed gradient grows to 1 over the training


class Batch(NamedTuple):
    """Inputs [n, columns], targets 0..1 [n], one-hot environments [n, environments], weights [n]."""

    features: np.ndarray
    target: np.ndarray
    member: np.ndarray
    weight: np.ndarray


@dataclass(frozen=True)
class Examples:
    """A head's inputs [n, columns], labels, groups and environments (indices) of one side."""

    features: np.ndarray
    labels: np.ndarray
    groups: np.ndarray
    environments: np.ndarray


class Head(keras.Model):
    """Features [n, columns] to a logit [n] and hidden units [n, HIDDEN], and what some losses keep besides.

    `classes` is each environment's class [environments]. `share` is what group DRO weighs each environment by, and
    `progress` runs from 0 to 1 over a training.
    """

    def __init__(self, columns: int, classes: np.ndarray) -> None:
        super().__init__()
        self.classes = classes.astype(np.float32)
        self.hidden = layers.Dense(HIDDEN, activation="relu")
        self.dropout = layers.Dropout(DROPOUT)
        self.decision = layers.Dense(1)
        self.adversary = layers.Dense(len(classes))
        self.share = self.add_weight(shape=(len(classes),), initializer="zeros", trainable=False)
        self.progress = self.add_weight(shape=(), initializer="zeros", trainable=False)
        self.adversary.build((None, HIDDEN))
        self(np.zeros((1, columns), np.float32))

    def call(self, features: keras.KerasTensor, training: bool = False) -> tuple[keras.KerasTensor, keras.KerasTensor]:
        """The logits and the hidden units."""
        hidden = self.dropout(self.hidden(features), training=training)
        return ops.squeeze(self.decision(hidden), -1), hidden

    def logits(self, features: np.ndarray) -> np.ndarray:
        """Logits float64 [n], without dropout."""
        return ops.convert_to_numpy(self(features)[0]).astype(np.float64)


Loss = Callable[[Head, Batch], keras.KerasTensor]
Mixing = Callable[[np.random.Generator, Batch], Batch]


def cross_entropy(logit: keras.KerasTensor, target: keras.KerasTensor) -> keras.KerasTensor:
    """Of each image [n]; targets may lie between the classes."""
    return ops.softplus(logit) - target * logit


def plain(head: Head, batch: Batch) -> keras.KerasTensor:
    """The mean over images."""
    return ops.mean(cross_entropy(head(batch.features, training=True)[0], batch.target))


def weighted(head: Head, batch: Batch) -> keras.KerasTensor:
    """The mean over images, groups of a class counting alike."""
    return ops.mean(batch.weight * cross_entropy(head(batch.features, training=True)[0], batch.target))


def smoothed(head: Head, batch: Batch) -> keras.KerasTensor:
    """As plain, with targets drawn towards one half."""
    target = (1 - SMOOTHING) * batch.target + SMOOTHING / 2
    return ops.mean(cross_entropy(head(batch.features, training=True)[0], target))


def environment_losses(head: Head, batch: Batch) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """Each environment's mean loss [environments], 0 where the batch has none of it, and 1 where it has some."""
    losses = cross_entropy(head(batch.features, training=True)[0], batch.target)
    images = ops.sum(batch.member, axis=0)
    return ops.dot(losses, batch.member) / ops.maximum(images, 1.0), ops.cast(images > 0, "float32")


def group_dro(head: Head, batch: Batch) -> keras.KerasTensor:
    """Group distributionally robust optimisation: environments weigh the more, the worse they were."""
    losses, _ = environment_losses(head, batch)
    grown = head.share * ops.exp(DRO_STEP * ops.stop_gradient(losses))
    head.share.assign(grown / ops.sum(grown))
    return ops.sum(head.share * losses)


def rex(head: Head, batch: Batch) -> keras.KerasTensor:
    """V-REx: the mean of the environments' losses, and their variance."""
    losses, present = environment_losses(head, batch)
    mean = ops.sum(losses) / ops.sum(present)
    return mean + REX * ops.sum(present * ops.square(losses - mean)) / ops.sum(present)


def coral(head: Head, batch: Batch) -> keras.KerasTensor:
    """Deep CORAL (Sun 2016): hidden units' means and covariances are to agree between environments of one class."""
    logit, hidden = head(batch.features, training=True)
    images = ops.sum(batch.member, axis=0)
    means = ops.dot(ops.transpose(batch.member), hidden) / ops.maximum(images, 1.0)[:, None]
    centred = hidden - ops.dot(batch.member, means)
    products = ops.einsum("ne,ni,nj->eij", batch.member, centred, centred)
    covariances = products / ops.maximum(images - 1, 1.0)[:, None, None]
    moments = ops.concatenate([means / HIDDEN**0.5, ops.reshape(covariances, (-1, HIDDEN**2)) / HIDDEN], axis=1)
    squares = ops.sum(ops.square(moments), axis=1)
    apart = squares[:, None] + squares - 2 * ops.dot(moments, ops.transpose(moments))
    present = ops.cast(images > 1, "float32")
    alike = (head.classes[:, None] == head.classes).astype(np.float32) - np.eye(len(head.classes), dtype=np.float32)
    pairs = alike * present[:, None] * present
    penalty = ops.sum(pairs * apart) / ops.maximum(ops.sum(pairs), 1.0)
    return ops.mean(cross_entropy(logit, batch.target)) + CORAL * penalty


def reversed_gradient(values: keras.KerasTensor, strength: keras.KerasTensor) -> keras.KerasTensor:
    """The values as they are, whose gradient is multiplied by minus `strength`."""
    return (1 + strength) * ops.stop_gradient(values) - strength * values


def adversarial(head: Head, batch: Batch) -> keras.KerasTensor:
    """DANN (Ganin 2016): hidden units from which an adversary cannot tell the environment."""
    return _against(head, batch, np.ones((1, len(head.classes)), np.float32))


def adversarial_within_class(head: Head, batch: Batch) -> keras.KerasTensor:
    """The same where the adversary knows the class (Li 2018), since a subject has but one and tells it."""
    positive, negative = ((head.classes == label).astype(np.float32) for label in (1, 0))
    target = batch.target[:, None]
    return _against(head, batch, target * positive + (1 - target) * negative)


def _against(head: Head, batch: Batch, possible: keras.KerasTensor) -> keras.KerasTensor:
    logit, hidden = head(batch.features, training=True)
    strength = 2 * ops.sigmoid(REVERSAL_RATE * head.progress) - 1
    guess = head.adversary(reversed_gradient(hidden, strength)) + 1e9 * (possible - 1)
    told = -ops.sum(batch.member * ops.log_softmax(guess), axis=1)
    return ops.mean(cross_entropy(logit, batch.target) + told)


def unmixed(rng: np.random.Generator, batch: Batch) -> Batch:
    """The batch as it is."""
    return batch


def mixup(rng: np.random.Generator, batch: Batch) -> Batch:
    """Each image mixed with one of another environment, of whichever class."""
    return _mixed(rng, batch, _of_others(batch), MIXUP)


def mixup_within_class(rng: np.random.Generator, batch: Batch) -> Batch:
    """Each image mixed with one of its class and of another environment."""
    return _mixed(rng, batch, _of_others(batch) & (batch.target[:, None] == batch.target), MIXUP_OF_A_CLASS)


def _of_others(batch: Batch) -> np.ndarray:
    return batch.member @ batch.member.T == 0


def _mixed(rng: np.random.Generator, batch: Batch, partners: np.ndarray, alpha: float) -> Batch:
    """An image that has no partner [n, n] in the batch stays as it is."""
    drawn = np.argmax(rng.random(partners.shape) * partners, axis=1)
    partner = np.where(partners.any(axis=1), drawn, np.arange(len(drawn)))
    kept = rng.beta(alpha, alpha, len(drawn)).astype(np.float32)

    def mix(values: np.ndarray) -> np.ndarray:
        own = kept.reshape(-1, *[1] * (values.ndim - 1))
        return own * values + (1 - own) * values[partner]

    return Batch(*(mix(values) for values in batch))


@dataclass(frozen=True)
class Method:
    """A loss, the order of an epoch's images (of ORDERS), and what is mixed into a batch."""

    loss: Loss = plain
    order: str = "image"
    mixing: Mixing = unmixed


METHODS = {
    "plain": Method(),
    "subject-balanced weights": Method(weighted),
    "subjects drawn alike": Method(order="group"),
    "label smoothing": Method(smoothed),
    "mixup between subjects": Method(mixing=mixup),
    "mixup between subjects of a class": Method(mixing=mixup_within_class),
    "group DRO": Method(group_dro, order="group"),
    "V-REx": Method(rex, order="group"),
    "CORAL within a class": Method(coral, order="group"),
    "domain-adversarial": Method(adversarial, order="group"),
    "domain-adversarial within a class": Method(adversarial_within_class, order="group"),
}


class Fitter:
    """Fits heads by one method, fold after fold, through one traced step; no fit knows anything of another."""

    def __init__(self, method: Method, columns: int, classes: np.ndarray) -> None:
        self._method, self._new = method, lambda: Head(columns, classes)
        self._head, self._optimizer = self._new(), keras.optimizers.Adam(LEARNING_RATE)
        self._optimizer.build(self._head.trainable_variables)
        self._start = [ops.convert_to_numpy(value) for value in self._optimizer.variables]
        self._step = tf.function(self._one_step, autograph=False, reduce_retracing=True)

    def fit(self, train: Examples, val: Examples, seed: int) -> Head:
        """The head of the epoch whose unweighted loss on val is least."""
        keras.utils.set_random_seed(seed)
        rng, best = np.random.default_rng(seed), self._new()
        present = np.bincount(train.environments, minlength=len(best.classes)) > 0
        best.share.assign(present / present.sum())
        _assign(self._head.variables, best.variables)
        _assign(self._optimizer.variables, self._start)
        least, since = np.inf, 0
        for epoch in range(EPOCHS):
            self._epoch(train, rng, epoch)
            loss = log_loss(val.labels, 1 / (1 + np.exp(-self._head.logits(val.features))))
            least, since = (loss, 0) if loss < least else (least, since + 1)
            if not since:
                _assign(best.variables, self._head.variables)
            elif since == PATIENCE:
                break
        return best

    def _epoch(self, train: Examples, rng: np.random.Generator, epoch: int) -> None:
        order = ORDERS[self._method.order](rng, train.labels, train.groups)
        every = batch_of(train, len(self._head.classes))
        for start in range(0, len(order), BATCH):
            self._head.progress.assign((epoch + start / len(order)) / EPOCHS)
            own = order[start : start + BATCH]
            self._step(self._method.mixing(rng, Batch(*(values[own] for values in every))))

    def _one_step(self, batch: Batch) -> None:
        with tf.GradientTape() as tape:
            loss = self._method.loss(self._head, batch)
        variables = self._head.trainable_variables
        values = [variable.value for variable in variables]
        self._optimizer.apply(
            tape.gradient(loss, values, unconnected_gradients=tf.UnconnectedGradients.ZERO), variables
        )


def batch_of(examples: Examples, environments: int) -> Batch:
    """All examples as one batch."""
    weight = group_weights(examples.labels, examples.groups).astype(np.float32)
    member = np.eye(environments, dtype=np.float32)[examples.environments]
    return Batch(examples.features, examples.labels.astype(np.float32), member, weight)


def _assign(variables: list[keras.Variable], values: list[keras.Variable] | list[np.ndarray]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
