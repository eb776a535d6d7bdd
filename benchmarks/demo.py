"""The whole demo in a fresh clone, as a newcomer runs it; then its champion on a folder, beside MLflow's scoring."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from benchmarks.measuring import Measured, Reach, cells, duration, report, side_by_side

ROOT = Path(__file__).parents[1]
STAGE_DONE = re.compile(r"^(\w+)(?: .*)?: done in (\d+) s$", re.MULTILINE)
FILES = 1867  # the pictures of C-NMC's preliminary test set
AT_ONCE = 64  # pictures that the peer reads and predicts


def main() -> None:
    """Measure and report."""
    if sys.argv[1:2] == ["--with-mlflow"]:
        score_with_mlflow(Path(sys.argv[2]))
        return
    with tempfile.TemporaryDirectory() as folder:
        clone, pictures = Path(folder) / "clone", Path(folder) / "pictures"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        report(whole_demo(clone), scoring(clone, pictures))


def whole_demo(clone: Path) -> Measured:
    """`make demo` as committed, with packages from uv's cache; where its time went, stage by stage."""
    started = time.monotonic()
    done = subprocess.run(["make", "demo"], cwd=clone, env=_environment(), capture_output=True, text=True)
    minutes = (time.monotonic() - started) / 60
    if done.returncode:
        sys.exit(f"{done.stdout}{done.stderr}")
    by_stage: dict[str, list[int]] = {}
    for stage, seconds in STAGE_DONE.findall(done.stderr):
        by_stage.setdefault(stage, []).append(int(seconds))
    for stage, seconds in by_stage.items():
        print(f"  {stage:10}{sum(seconds):4d} s" + (f" in {len(seconds)}" if len(seconds) > 1 else ""))
    print(f"  {'the rest':10}{60 * minutes - sum(map(sum, by_stage.values())):4.0f} s (install, DVC, summary)")
    return Measured("demo", minutes, None, "min", None, Reach(5, at_most=True, unit="min"))


def scoring(clone: Path, pictures: Path) -> Measured:
    """The champion on a folder of BMPs, both from the start of the process. Raises where a p(ALL) differs by 1e-4."""
    pictures.mkdir()
    drawn = cells(20)
    for number in range(FILES):
        cv2.imwrite(str(pictures / f"{number:04d}.bmp"), np.roll(drawn[number % 20], number // 20, axis=(0, 1)))
    ours, peer = pictures.with_name("ours.csv"), pictures.with_name("peer.npy")
    python = str(clone / ".venv/bin/python")

    def predict() -> None:
        command = [str(clone / ".venv/bin/leukoscope"), "predict", str(pictures), "--csv", str(ours)]
        subprocess.run(command, cwd=clone, env=_environment(), check=True, capture_output=True)

    def pyfunc() -> None:
        command = [python, "-m", "benchmarks.demo", "--with-mlflow", str(pictures)]
        subprocess.run(command, cwd=clone, env=_environment(), check=True, capture_output=True)

    our_seconds, their_seconds = side_by_side(1, predict, pyfunc)
    p_all = np.loadtxt(ours, delimiter=",", skiprows=1, usecols=2)
    np.testing.assert_allclose(p_all, np.load(peer), rtol=0, atol=1e-4)
    return duration(f"scoring {FILES:,} BMPs / mlflow.pyfunc", our_seconds, their_seconds, Reach(2))


def score_with_mlflow(pictures: Path) -> None:
    """What MLflow's documentation shows, with Pillow to read: the champion's p(ALL) [files], into peer.npy."""
    import mlflow

    from leukoscope.tracking.store import tracking_uri

    mlflow.set_tracking_uri(tracking_uri())
    model = mlflow.pyfunc.load_model("models:/leukoscope-synthetic@champion")
    p_all = np.concatenate([np.asarray(model.predict(batch))[:, 0] for batch in _batches(pictures)])
    np.save(pictures.with_name("peer.npy"), p_all)


def _batches(pictures: Path) -> Iterator[np.ndarray]:
    from PIL import Image

    files = sorted(pictures.iterdir())
    for at in range(0, len(files), AT_ONCE):
        yield np.stack([np.asarray(Image.open(file).convert("RGB")) for file in files[at : at + AT_ONCE]])


def _environment() -> dict[str, str]:
    """Of a terminal in which nothing of this checkout is active."""
    return {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH")}


if __name__ == "__main__":
    main()
