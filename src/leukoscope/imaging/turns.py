"""What a backbone may be shown of an image: itself, an augmentation draw, or the square turned by quarters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from leukoscope.imaging.augmentation import apply_draw
from leukoscope.imaging.draws import Draw

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Turn:
    """The square mirrored left to right, or not, and then turned counterclockwise by `quarters` of a turn."""

    quarters: int
    mirrored: bool = False


View = Draw | Turn | None
QUARTERS = tuple(Turn(quarters) for quarters in range(4))
MIRRORED = tuple(Turn(quarters, mirrored=True) for quarters in range(4))
TURNS = {1: QUARTERS[:1], 4: QUARTERS, 8: QUARTERS + MIRRORED}


def turns_of(rotations: int) -> tuple[Turn, ...]:
    """The turns that a row's `rotations` averages over; the first one leaves the picture as it is."""
    return TURNS[rotations]


def turned(pictures: np.ndarray, turn: Turn) -> np.ndarray:
    """Square pictures [..., size, size, channels] under a turn, exactly: no pixel is resampled."""
    mirrored = pictures[..., ::-1, :] if turn.mirrored else pictures
    return np.rot90(mirrored, turn.quarters, axes=(-3, -2))


def turned_in_a_model(pictures: keras.KerasTensor, turn: Turn) -> keras.KerasTensor:
    """The same on a model's pictures [n, size, size, 3], as operations that a saved model can hold."""
    from keras import ops

    mirrored = ops.flip(pictures, axis=2) if turn.mirrored else pictures
    return ops.rot90(mirrored, turn.quarters, axes=(1, 2)) if turn.quarters else mirrored


def seen(picture: np.ndarray, view: View, *, keep_black: bool) -> np.ndarray:
    """A picture uint8 [size, size, 3] as a view shows it."""
    if view is None:
        return picture
    return turned(picture, view) if isinstance(view, Turn) else apply_draw(picture, view, keep_black=keep_black)
