"""Which training images an epoch shows, and how much each class weighs in the loss."""

from __future__ import annotations

import numpy as np

from leukoscope.config.rows import ModelSettings


def every_image_once(rng: np.random.Generator, labels: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """A permutation of the positions 0..n-1."""
    return rng.permutation(len(labels))


def groups_alike(rng: np.random.Generator, labels: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """As many positions as there are images, of each class as many as it has, with its groups drawn equally often.

    Groups of a class differ by one draw at the most. A large group's images are drawn without repetition and some are
    left out; a small group's are repeated, each as often as the others, to within one.
    """
    drawn = []
    for label in np.unique(labels):
        of_class = np.flatnonzero(labels == label)
        names = rng.permutation(np.unique(groups[of_class]))
        shares = np.diff(np.arange(len(names) + 1) * len(of_class) // len(names))
        for name, share in zip(names, shares, strict=True):
            own = of_class[groups[of_class] == name]
            rounds = [rng.permutation(own) for _ in range(-(-share // len(own)))]
            drawn.append(np.concatenate(rounds)[:share])
    return rng.permutation(np.concatenate(drawn))


ORDERS = {"image": every_image_once, "group": groups_alike}


def group_weights(labels: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Each image's weight where groups of a class count alike: what `groups_alike` does on average. Their mean is 1."""
    weights = np.empty(len(labels))
    for label in np.unique(labels):
        of_class = labels == label
        _, group, sizes = np.unique(groups[of_class], return_inverse=True, return_counts=True)
        weights[of_class] = of_class.sum() / (len(sizes) * sizes[group])
    return weights


def class_weights(row: ModelSettings, labels: np.ndarray) -> dict[int, float] | None:
    """Each class's weight in the training loss: n / (2 * its images) for `balanced`, None where all weigh 1."""
    if row.class_weight == "none":
        return None
    from sklearn.utils.class_weight import compute_class_weight

    classes = np.unique(labels)
    return dict(
        zip(classes.tolist(), compute_class_weight("balanced", classes=classes, y=labels).tolist(), strict=True)
    )
