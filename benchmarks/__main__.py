"""Runs the benchmarks, each in a process of its own, and writes results.json: `python -m benchmarks [NAME ...]`.

A run of some of them replaces their records and leaves the others'.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from leukoscope.atomic import write_json

FOLDER = Path(__file__).parent
RESULTS = FOLDER / "results.json"
NAMES = ("augmentation", "batches", "ingest", "features", "study", "finetuning", "repro", "start", "demo")


def main() -> None:
    """Run, print and write; exit code 1 where one did not run, not where a ratio is not reached: machines differ."""
    arguments = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    arguments.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; all otherwise")
    chosen = arguments.parse_args().names or NAMES
    if unknown := sorted(set(chosen) - set(NAMES)):
        arguments.error(f"no benchmark {', '.join(unknown)}")
    failed = [name for name in chosen if not _run(name)]
    for result in read_results():
        itself = str(result["reach"]).endswith(str(result["unit"]))  # a limit of our own figure
        figure = f"{result['ours']:.3g} {result['unit']}" if itself else f"{result['ratio']:.3g}"
        print(f"{'yes' if result['reached'] else 'NO':4}{result['name']}: {figure} ({result['reach']})")
    if failed:
        sys.exit(f"error: did not run: {', '.join(failed)}")


def _run(name: str) -> bool:
    """Run one benchmark and keep what it measured. What it prints is seen as it comes."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "measured.json"
        environment = {**os.environ, "BENCHMARK_RESULTS": str(out), "TF_CPP_MIN_LOG_LEVEL": "3"}
        done = subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], env=environment, cwd=FOLDER.parent)
        if done.returncode == 0:
            _keep(name, json.loads(out.read_text()))
    print(f"  ({name}: {time.monotonic() - started:.0f} s)", flush=True)
    return done.returncode == 0


def read_results() -> list[dict[str, object]]:
    """The records of all benchmarks, in the order of NAMES."""
    return json.loads(RESULTS.read_text()) if RESULTS.exists() else []


def _keep(name: str, measured: list[dict[str, object]]) -> None:
    others = [record for record in read_results() if record["benchmark"] != name]
    records = [*others, *({"benchmark": name, **record} for record in measured)]
    write_json(RESULTS, sorted(records, key=lambda record: NAMES.index(str(record["benchmark"]))))


if __name__ == "__main__":
    main()
