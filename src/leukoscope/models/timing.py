"""How long an epoch takes on this machine: beside the models and never in a result, since no two runs agree on it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from statistics import median
from typing import Any

TIMING_FILE = "timing.json"


class EpochClock:
    """Passes epochs on as they end, and keeps the wall-clock seconds between the ends of two of one fold.

    Each fold's first epoch is left out: it also builds and compiles the model.
    """

    def __init__(self, on_epoch: Callable[[dict[str, float]], None]) -> None:
        self._on_epoch = on_epoch
        self._last: tuple[float, float] | None = None
        self.seconds: list[float] = []

    def epoch(self, values: dict[str, float]) -> None:
        """Take one epoch as a dict of `models.training.HISTORY_COLUMNS`."""
        now = time.monotonic()
        if self._last is not None and self._last[0] == values["fold"]:
            self.seconds.append(now - self._last[1])
        self._on_epoch(values)
        self._last = (values["fold"], now)

    def summary(self) -> dict[str, Any]:
        """seconds_per_epoch (the median, its validation included; None if no fold had two), epochs_timed, machine."""
        timed = round(median(self.seconds), 3) if self.seconds else None
        return {"seconds_per_epoch": timed, "epochs_timed": len(self.seconds), "machine": machine()}


def machine() -> str:
    """What computes here, as TensorFlow names it: a GPU, or so many CPU cores."""
    import tensorflow as tf

    graphics = tf.config.list_physical_devices("GPU")
    if graphics:
        return str(tf.config.experimental.get_device_details(graphics[0]).get("device_name", "GPU"))
    return f"{os.cpu_count()} CPU cores"
