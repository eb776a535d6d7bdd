"""The connection to Ray: a cluster that runs already, or a Ray of this machine alone that ends with the command."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from leukoscope.config.params import Compute
from leukoscope.core import checkout
from leukoscope.core.errors import ConfigError, LeukoscopeError

# Ray reads these when it is imported, which every function here does for itself: local work needs no Ray.
for _name, _value in (
    ("RAY_USAGE_STATS_ENABLED", "0"),
    ("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0"),  # it would upload the checkout, and build an environment on every machine
    ("RAY_AUTH_MODE", "token"),  # else whoever reaches a cluster's port runs code on it
):
    os.environ.setdefault(_name, _value)

ALONE = "local"


@contextmanager
def connected(compute: Compute) -> Iterator[None]:
    """Have Ray at hand for a while.

    Raises ConfigError where Ray is not installed or `compute.address` does not answer. What the user can mend of a
    task's failure is raised as it was raised there.
    """
    try:
        import ray
        from ray.exceptions import RayError, RayTaskError
    except ModuleNotFoundError:
        raise ConfigError("compute.engine: ray needs Ray, which is not here: run uv sync --extra cluster") from None
    try:
        ray.init(
            compute.address or ALONE,
            include_dashboard=False if compute.address is None else None,
            log_to_driver=False,
            logging_level=logging.ERROR,
            runtime_env={"env_vars": _environment(compute)},
        )
    except (RayError, ConnectionError, RuntimeError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConfigError(
            f"compute.address {compute.address or 'null'}: Ray does not answer ({reason}); start it there with "
            "uv run ray start --head, and run this on one of its machines"
        ) from error
    try:
        yield
    except RayTaskError as error:
        if isinstance(error.cause, LeukoscopeError):
            raise error.cause from error
        raise
    finally:
        ray.shutdown()


def _environment(compute: Compute) -> dict[str, str]:
    """What tasks find in their environment: this package's code, the real checkout, their cores."""
    threads = dict.fromkeys(("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), str(compute.cpus))
    code = str(Path(__file__).parents[2])
    return {**threads, "PYTHONPATH": code, "DVC_ROOT": str(checkout.root())}


def places(compute: Compute) -> int:
    """How many tasks of `compute.cpus` and `compute.gpus` the cluster has room for now; 1 where it has none yet."""
    import ray

    has = ray.cluster_resources()
    asked = {"CPU": compute.cpus, **({"GPU": compute.gpus} if compute.gpus else {})}
    return max(1, min(int(has.get(name, 0) // share) for name, share in asked.items()))


def readers(compute: Compute, scoring: int) -> int:
    """How many actors read for `scoring` ones: one for each, and more where those, on GPUs, leave cores over."""
    import ray

    return max(scoring, int(ray.cluster_resources().get("CPU", 0) - scoring * compute.cpus))
