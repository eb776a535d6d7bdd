"""Image sets that several tests share: tables as validate writes them, and pictures of simple cells."""

import hashlib
import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, settings

from tests.fixtures import browser, postgres
from tests.fixtures.connections import notes_c


def image_table(subjects: dict[str, int], per_subject: int = 6, set_: str = "train") -> pd.DataFrame:
    """A table as in images.parquet: `per_subject` images of every subject, whose label `subjects` gives."""
    rows = [
        {
            "image_id": f"{set_}-{subject}-{number:03d}",
            "file": f"{subject}/{number}.png",
            "set": set_,
            "fold": pd.NA,
            "label": label,
            "subject": subject,
            "group": subject,
            "sha256": hashlib.sha256(f"{set_}{subject}{number}".encode()).hexdigest(),
            "phash": "0" * 16,
            "duplicate_of": None,
            "width": 450,
            "height": 450,
            "cell_area": 20_000.0 + 4_000 * label + 10 * number,
            "colour": [80.0, 30.0, 100.0],
        }
        for subject, label in subjects.items()
        for number in range(per_subject)
    ]
    table = pd.DataFrame(rows).astype({"label": "Int8", "fold": "Int8"})
    table["duplicate_of"] = table["duplicate_of"].astype("str").where(table["duplicate_of"].notna())
    return table.sort_values("image_id", ignore_index=True)


def twenty_subjects(per_subject: int = 6) -> pd.DataFrame:
    """Twelve subjects with leukemia and eight without."""
    return image_table({str(number): 1 for number in range(12)} | {f"H{number}": 0 for number in range(8)}, per_subject)


@pytest.fixture
def images() -> pd.DataFrame:
    return twenty_subjects()


@pytest.fixture
def cell() -> np.ndarray:
    """A lopsided cell with texture on black, uint8 [224, 224, 3]."""
    y, x = np.mgrid[:224, :224].astype(float)
    inside = ((x - 118) / 62) ** 2 + ((y - 104) / 48) ** 2 + 0.3 * ((x - y) / 90) < 1
    texture = 12 * np.sin(x / 9) * np.cos(y / 7)
    colour = np.stack([90 + texture, 40 + 0.5 * texture, 110 + texture], axis=-1)
    return np.where(inside[..., None], colour, 0).astype(np.uint8)


# Properties are tried on the same few hundred examples every time; `make fuzz` looks for new ones.
settings.register_profile("quick", max_examples=50, derandomize=True, deadline=None, database=None)
settings.register_profile("fuzz", max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))
settings.load_profile("quick")

# Files that take longest begin first, so that `make test-slow` does not end in one core waiting for the other.
LONGEST = ("test_all_rows.py", "test_real_cells.py", "test_pipeline.py", "test_disturbed.py", "test_studies.py")

REAL_INPUT = {"cnmc": "LEUKOSCOPE_CNMC", "imagenet": "LEUKOSCOPE_WEIGHTS"}


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "cnmc: needs real C-NMC images, in the folder that LEUKOSCOPE_CNMC names")
    config.addinivalue_line("markers", "imagenet: needs MobileNetV2's ImageNet weights, the file LEUKOSCOPE_WEIGHTS")
    config.addinivalue_line("markers", "mounts: needs root, or sudo without a password, to mount a small disk")
    config.addinivalue_line("markers", "postgres: needs PostgreSQL's server binaries, on PATH or where Debian has them")
    config.addinivalue_line(
        "markers", "ray: needs Ray, which uv sync --extra cluster installs; in CI they fail without"
    )
    config.addinivalue_line("markers", "compiler: needs Linux and cc; in CI they fail where it is missing")
    config.addinivalue_line("markers", "chromium: needs chromium and chromedriver; in CI they fail where it is missing")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests on real input run where an environment variable names it, and are not collected elsewhere.

    So do those on a real database, where its server is installed, on a cluster, where Ray is, in a real browser, and on
    a disk of their own, where one can be mounted.
    """
    absent = [mark for mark, variable in REAL_INPUT.items() if not os.environ.get(variable)]
    absent += [] if postgres.binaries() else ["postgres"]
    absent += [] if importlib.util.find_spec("ray") or os.environ.get("CI") else ["ray"]
    absent += [] if notes_c() else ["compiler"]
    absent += [] if browser.binaries() or os.environ.get("CI") else ["chromium"]
    absent += [] if _may_mount() else ["mounts"]
    left_out = [item for item in items if any(item.get_closest_marker(mark) for mark in absent)]
    config.hook.pytest_deselected(items=left_out)
    kept = [item for item in items if item not in left_out]
    items[:] = sorted(kept, key=lambda item: (*LONGEST, item.path.name).index(item.path.name))


@pytest.fixture
def small_disk() -> Iterator[Callable[[int], Path]]:
    """Mounts a file system of so many bytes; for tests that are marked `mounts`."""
    as_root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    with tempfile.TemporaryDirectory(prefix="small disk ") as folder:

        def mount(size: int) -> Path:
            options = f"size={size},mode=0777"
            subprocess.run([*as_root, "mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)
            return Path(folder)

        yield mount
        if Path(folder).is_mount():
            subprocess.run([*as_root, "umount", folder], check=True)


def _may_mount() -> bool:
    """Whether this is root, or whether sudo asks for no password: so it is in CI, where nothing may be left out."""
    if os.geteuid() == 0:
        return True
    return (
        shutil.which("sudo") is not None
        and subprocess.run(["sudo", "-n", "true"], stderr=subprocess.DEVNULL).returncode == 0
    )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """A test that is skipped has shown nothing, so a run with one fails."""
    if terminalreporter.stats.get("skipped"):
        terminalreporter.write_line("skipped tests count as failures", red=True)


def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter and reporter.stats.get("skipped") and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
