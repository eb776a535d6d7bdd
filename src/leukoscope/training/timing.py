"""How long an epoch takes on this machine: beside the models and never in a result, since no two runs agree on it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from statistics import median
from typing import Any


class EpochClock:
    """Passes epochs on as they end, and keeps the wall-clock seconds between the ends of two of one fold.

    Each fold's first epoch is left out: it also builds and compiles the model. So are, where all layers train, the
    epochs that trained the head alone.
    """

    def __init__(self, on_epoch: Callable[[dict[str, float]], None]) -> None:
        self._on_epoch = on_epoch
        self._last: tuple[tuple[float, float], float] | None = None
        self._seconds: dict[float, list[float]] = {}

    def epoch(self, values: dict[str, float]) -> None:
        """Take one epoch as a dict of `training.fitting.HISTORY_COLUMNS`."""
        now = time.monotonic()
        part = values["fold"], values["all_layers"]
        of_kind = self._seconds.setdefault(values["all_layers"], [])
        if self._last is not None and self._last[0] == part:
            of_kind.append(now - self._last[1])
        self._on_epoch(values)
        self._last = (part, now)

    def summary(self) -> dict[str, Any]:
        """seconds_per_epoch (the median, its validation included; None if no fold had two), epochs_timed, machine."""
        seconds = self._seconds[max(self._seconds)] if self._seconds else []
        timed = round(median(seconds), 3) if seconds else None
        return {"seconds_per_epoch": timed, "epochs_timed": len(seconds), "machine": machine()}


def machine() -> str:
    """What computes here: a GPU, as Keras's backend names it, or so many CPU cores."""
    import keras

    if not on_a_gpu():
        return f"{os.cpu_count()} CPU cores"
    return _GPU_NAMES.get(keras.backend.backend(), lambda: "GPU")()


def on_a_gpu() -> bool:
    """Whether Keras's backend computes on a GPU."""
    import keras

    return any(device.startswith(("gpu", "cuda")) for device in keras.distribution.list_devices())


def _gpu_of_tensorflow() -> str:
    import tensorflow as tf

    first = tf.config.list_physical_devices("GPU")[0]
    return str(tf.config.experimental.get_device_details(first).get("device_name", "GPU"))


def _gpu_of_jax() -> str:
    import jax

    return str(jax.devices()[0].device_kind)


_GPU_NAMES = {"tensorflow": _gpu_of_tensorflow, "jax": _gpu_of_jax}
