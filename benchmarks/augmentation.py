"""Table II's augmentation at 224x224 on one core, beside Keras's ImageDataGenerator and beside one bare warp."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from benchmarks.measuring import Reach, cells, report, side_by_side, speed
from leukoscope.config.params import Augment
from leukoscope.imaging.augmentation import apply_draw, source_of_target
from leukoscope.imaging.draws import draw
from leukoscope.imaging.framing import frame_and_resize

FRAME, SIZE, PICTURES, KERAS_PICTURES = 300, 224, 1500, 60


def main() -> None:
    """Measure and report."""
    cv2.setNumThreads(1)
    settings = Augment()
    pictures = [frame_and_resize(cell, FRAME, SIZE) for cell in cells(KERAS_PICTURES)]
    draws = [draw(settings, f"{number:064x}", 1) for number in range(PICTURES)]
    maps = [source_of_target(parameters, SIZE) for parameters in draws]

    def ours() -> None:
        for number in range(PICTURES):
            apply_draw(pictures[number % KERAS_PICTURES], draw(settings, f"{number:064x}", 1))

    def bare() -> None:
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        for number in range(PICTURES):
            picture = pictures[number % KERAS_PICTURES]
            cv2.warpAffine(picture, maps[number], (SIZE, SIZE), flags=flags, borderMode=cv2.BORDER_REPLICATE)

    generator = keras_generator(settings)
    as_keras_takes_them = [picture.astype(np.float32) for picture in pictures]

    def keras() -> None:
        for picture in as_keras_takes_them:
            generator.random_transform(picture)

    ours_seconds, bare_seconds, keras_seconds = side_by_side(5, ours, bare, keras)
    keras_seconds = [seconds * PICTURES / KERAS_PICTURES for seconds in keras_seconds]
    report(
        speed("augmentation / ImageDataGenerator", PICTURES, "images", ours_seconds, keras_seconds, Reach(20)),
        speed("augmentation / bare warpAffine", PICTURES, "images", ours_seconds, bare_seconds, Reach(0.7)),
    )


def keras_generator(settings: Augment) -> Any:
    """Table II as Keras offers it."""
    from keras.src.legacy.preprocessing.image import ImageDataGenerator

    return ImageDataGenerator(
        rotation_range=settings.rotation,
        width_shift_range=settings.width_shift,
        height_shift_range=settings.height_shift,
        shear_range=settings.shear,
        zoom_range=settings.zoom,
        channel_shift_range=settings.channel_shift,
        horizontal_flip=settings.horizontal_flip,
        vertical_flip=settings.vertical_flip,
    )


if __name__ == "__main__":
    main()
