"""The journal of studies, on a disk that fills up."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest

from leukoscope.core.errors import disk_is_full
from leukoscope.tuning.storage import open_storage


@pytest.mark.mounts
def test_a_study_goes_on_after_a_full_disk_without_losing_a_trial(small_disk: Callable[[int], Path]) -> None:
    disk = small_disk(1 << 20)
    journal = str(disk / "studies.journal")
    study = optuna.create_study(study_name="a-study", storage=open_storage(journal))
    with (disk / "filler").open("wb") as filler:
        os.posix_fallocate(filler.fileno(), 0, shutil.disk_usage(disk).free - 10_000)
    kept = 0
    with pytest.raises(OSError) as full:  # noqa: PT011 - its number is what tells
        while True:
            study.add_trial(optuna.create_trial(value=1.0, user_attrs={"words": "x" * 1000}))
            kept += 1
    assert disk_is_full(full.value)
    assert not (disk / "studies.journal").read_bytes().endswith(b"\n")  # a line that is cut off
    (disk / "filler").unlink()
    for storage in (study._storage, open_storage(journal)):  # the worker that met it, and the next one
        again = optuna.load_study(study_name="a-study", storage=storage)
        again.add_trial(optuna.create_trial(value=2.0))
    values = [trial.value for trial in optuna.load_study(study_name="a-study", storage=open_storage(journal)).trials]
    assert values == [1.0] * kept + [2.0] * 2
