"""What a user is told where there is no cluster to compute on."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest

from leukoscope.cluster.connection import connected, places, readers
from leukoscope.cluster.training import train_rows
from leukoscope.config.params import Compute, Params, Tune
from leukoscope.core.errors import ConfigError, StudyError
from leukoscope.tuning.launch import run_study

ROWS = {"a": {"backbone": "mobilenetv2"}}


def test_without_ray_installed_its_install_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    wanted = pytest.raises(ConfigError, match="needs Ray, which is not here: run uv sync --extra cluster")
    with wanted, connected(Compute(engine="ray")):
        pytest.fail("there is no Ray")


def test_local_work_imports_no_ray() -> None:
    modules = "embedding, prediction, studies, training"
    code = f"from leukoscope.cluster import {modules}; import sys; assert 'ray' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_rows_side_by_side_need_ray() -> None:
    with pytest.raises(ConfigError, match=r"needs compute\.engine: ray; without it run uv run dvc repro evaluate"):
        train_rows(Params(models=ROWS), ["a"])


def test_a_study_on_ray_needs_a_database() -> None:
    class Unread:
        params = Params(models=ROWS, compute=Compute(engine="ray"), tune=Tune())

    with pytest.raises(StudyError, match=r"needs a database in tune\.storage"):
        run_study(Unread(), 1, None)


@pytest.mark.parametrize(
    ("cpus", "gpus", "compute", "scoring", "reading"),
    [
        (16, 0, Compute(engine="ray"), 16, 16),
        (16, 0, Compute(engine="ray", cpus=4), 4, 4),
        (16, 2, Compute(engine="ray", gpus=1), 2, 14),
        (16, 2, Compute(engine="ray", gpus=0.5), 4, 12),
        (1, 0, Compute(engine="ray", cpus=2), 1, 1),
    ],
)
def test_cores_that_models_on_gpus_leave_over_read(
    cpus: float, gpus: float, compute: Compute, scoring: int, reading: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    has = {"CPU": cpus, "GPU": gpus}
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(cluster_resources=lambda: has))
    assert places(compute) == scoring
    assert readers(compute, scoring) == reading
