"""Where in a picture a registered model's p comes from: signed Grad-CAM maps, and their overlays.

Grad-CAM (Selvaraju et al. 2017, "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization")
weighs a network's last maps by the gradient of a class's score. There are two classes here and one score, p(ALL): its
gradient for hem is the negative of that for ALL, so one signed map holds the maps of both. Above 0 a place speaks for
ALL, below 0 for hem.

What a map means for these models. A row's maps are those that it pools: its taps, of every picture (`colours`) and
backbone that it has, or the last one. Where pooling takes a map as a whole (`avg`, `max`), its channels are weighted by
the mean of p's gradient over the map, as in the paper; where it takes the cell (`pooling: cell`), by the gradient at
each place (Draelos and Carin 2020, HiResCAM), since the mean would colour the background, which is not read, and is 0
for deviations. What comes out is in shares of p, to the first order, whatever map it is of. So taps, backbones, folds,
turns (turned back) and members are summed, each spread over the pixels that it is made of. The gradient of p and that
of its logit differ by one factor a picture, which scaling takes away.

What it does not mean. A map is as coarse as what it is made of: 7 x 7 places for a last map of 224 pixels. It shows
where numbers that mattered were read, not what was seen there, nor that the model is right, nor what a change there
would do beyond the first order. A place may draw on pixels around it, the cell's edge and size among them. The cell's
area, shape and colour (`statistics`) enter p beside the maps and are in none of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from leukoscope.explain.opened import Crop, opened
from leukoscope.imaging.cell import background
from leukoscope.imaging.framing import centred
from leukoscope.imaging.turns import Turn, turns_of

if TYPE_CHECKING:
    import keras
    import tensorflow as tf


FOR_ALL, FOR_HEM = (213, 94, 0), (0, 114, 178)  # the classes' colours in every figure
STRONGEST = 0.75  # opacity of an overlay where the map is at its largest


class Explanations(NamedTuple):
    """Maps float32 [n, height, width] in -1..1 (above 0 for ALL), and p(ALL) float64 [n]."""

    heat: np.ndarray
    p_all: np.ndarray


class Explainer:
    """A saved model, opened at the maps that it pools. It may be called from several threads at once."""

    def __init__(self, model: keras.Model) -> None:
        """`model` as `training.assembly` makes and `keras_loading.load_saved` loads it."""
        import keras
        import tensorflow as tf

        self._model = model
        front, tail, maps = opened(model)
        self._crops = [one.crop for one in maps]
        whole = [one.whole for one in maps]

        @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3), tf.float32)])
        def shares(pictures: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
            found = keras.tree.flatten(front(pictures, training=False))
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(found)
                p_all = tail([pictures, *found], training=False)
            slopes = tape.gradient(p_all, found, unconnected_gradients="zero")
            means = [tf.reduce_mean(one, (1, 2), keepdims=True) for one in slopes]
            weights = [mean if alike else slope for mean, slope, alike in zip(means, slopes, whole, strict=True)]
            return p_all, [tf.reduce_sum(one * weight, -1) for one, weight in zip(found, weights, strict=True)]

        self._shares = shares

    def explain(self, pictures: np.ndarray) -> Explanations:
        """The maps and p of pictures uint8 [n, height, width, 3], RGB, native optics, of any one size.

        A map covers the whole picture, 0 where the model does not look, and its largest absolute value is 1: colours
        say where, and compare no two pictures. It is 0 all over for a picture that p does not depend on.
        """
        explained = [self._explain_one(picture) for picture in pictures]
        heat = np.array([one for one, _ in explained], np.float32).reshape(pictures.shape[:3])
        return Explanations(heat, np.array([p for _, p in explained], np.float64))

    def heat_maps(self, pictures: np.ndarray) -> np.ndarray:
        """The maps of `explain` alone."""
        return self.explain(pictures).heat

    def randomised(self, seed: int) -> Explainer:
        """The same model with the values of every kernel shuffled: what maps show that nothing was learned by.

        Adebayo et al. 2018, "Sanity Checks for Saliency Maps". Biases and batch norms keep theirs.
        """
        import keras

        shuffled = keras.models.clone_model(self._model)
        random = np.random.default_rng(seed)
        kept = self._model.get_weights()
        shuffled.set_weights([random.permuted(one.ravel()).reshape(one.shape) if one.ndim > 1 else one for one in kept])
        return Explainer(shuffled)

    def _explain_one(self, picture: np.ndarray) -> tuple[np.ndarray, float]:
        p_all, shares = self._shares(picture[None].astype(np.float32))
        height, width = picture.shape[:2]
        heat = np.zeros((height, width), np.float64)
        for of_turns, crop in zip(shares, self._crops, strict=True):
            turned_back = _sum_of_turns(of_turns.numpy().astype(np.float64))
            heat += _spread(turned_back, crop or (height, width), (height, width))
        largest = np.abs(heat).max(initial=0)
        scaled = heat / largest if largest > 0 else heat
        return scaled.astype(np.float32), float(p_all[0, 0])


def overlay(picture: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """A picture uint8 [h, w, 3] in grey under its map [h, w] in -1..1, as uint8 [h, w, 3].

    What speaks for ALL is orange and what speaks for hem blue, the more opaque the more it speaks.
    """
    grey = cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB).astype(np.float32)
    colours = np.where(heat[..., None] > 0, np.array(FOR_ALL, np.float32), np.array(FOR_HEM, np.float32))
    opacity = STRONGEST * np.abs(heat, dtype=np.float32)[..., None]
    return np.rint(grey + opacity * (colours - grey)).astype(np.uint8)


def rank_correlation(picture: np.ndarray, one: np.ndarray, other: np.ndarray) -> float:
    """Spearman's correlation of two maps [h, w] over the cell of a picture, or all of a picture without one.

    The background, where maps may be 0 together, has no say. Maps of which one is the same everywhere give 0.
    """
    from scipy.stats import rankdata

    inside = background(picture) == 0
    inside = inside if inside.any() else np.ones_like(inside)
    ranks = [rankdata(heat[inside]) for heat in (one, other)]
    if any(np.ptp(of) == 0 for of in ranks):
        return 0.0
    return float(np.corrcoef(ranks)[0, 1])


def _sum_of_turns(of_turns: np.ndarray) -> np.ndarray:
    """Maps of one picture [turns, h, w], turned back and summed: [h, w]."""
    return np.sum(
        [_turned_back(one, turn) for one, turn in zip(of_turns, turns_of(len(of_turns)), strict=True)], axis=0
    )


def _turned_back(heat: np.ndarray, turn: Turn) -> np.ndarray:
    """[h, w] of a picture under a turn, as it lies on the picture itself."""
    upright = np.rot90(heat, -turn.quarters)
    return upright[:, ::-1] if turn.mirrored else upright


def _spread(heat: np.ndarray, crop: Crop, shape: tuple[int, int]) -> np.ndarray:
    """[h, w] spread over the pixels of the picture's centre `crop`, in a picture of `shape`; its sum stays the same.

    What lies beyond the picture's edge, where a model sees black, is left out.
    """
    per_pixel = heat * (heat.size / (crop[0] * crop[1]))
    spread = cv2.resize(per_pixel, crop[::-1], interpolation=cv2.INTER_LINEAR)
    out = np.zeros(shape)
    inside = [centred(length, side) for length, side in zip(shape, crop, strict=True)]
    out[tuple(source for source, _ in inside)] = spread[tuple(target for _, target in inside)]
    return out
