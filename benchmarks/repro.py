"""`dvc repro` where nothing is to do, beside `dvc status`: the pipeline of all of C-NMC, with files of a few bytes.

Both look at every file's time and size and read none, so what is in the files does not matter. `dvc commit` records
them as if the stages had made them.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.measuring import Reach, duration, report, side_by_side
from leukoscope.data.sources.catalogue import TABLE_I

ROOT = Path(__file__).parents[1]
IMAGES = sum(row.images for row in TABLE_I.values())
DVC = str(Path(sys.executable).parent / "dvc")


def main() -> None:
    """Measure and report."""
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "clone"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        write_outputs(clone)
        run(clone, "commit", "--force")
        ours, peer = side_by_side(3, lambda: up_to_date(clone, "repro"), lambda: up_to_date(clone, "status"))
    report(duration(f"no-op dvc repro over {IMAGES:,} images / dvc status", ours, peer, Reach(1.5, at_most=True)))


def write_outputs(clone: Path) -> None:
    """All the images, and a file in place of every other thing that a stage writes or reads."""
    from dvc.repo import Repo

    with Repo(str(clone)) as repo:
        named = {Path(thing.fs_path) for thing in [*repo.index.outs, *repo.index.deps]}
    for path in sorted(named):
        if not path.exists():
            file = path if path.suffix else path / "file"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"in place of {path.name}\n")
    images = clone / "data/raw/images"
    images.mkdir()
    for number in range(IMAGES):
        (images / f"{number}.bmp").write_text(f"{number}\n")


def up_to_date(clone: Path, command: str) -> None:
    """Run a command that has to find nothing to do."""
    said = run(clone, command)
    assert "Data and pipelines are up to date" in said, said


def run(clone: Path, *words: str) -> str:
    """What a command of DVC prints, with the pipeline's Python first on the path."""
    path = f"{Path(DVC).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path}
    done = subprocess.run([DVC, *words], cwd=clone, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"dvc {' '.join(words)}: {done.stderr}")
    return done.stdout


if __name__ == "__main__":
    main()
