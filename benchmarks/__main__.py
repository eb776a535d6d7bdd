"""Runs the benchmarks, each in a process of its own: `python -m benchmarks [NAME ...]`.

Writes results.json and the table in docs/performance.md. A run of some of them leaves the others' records.
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
from typing import Any

import psutil

from leukoscope.core.files import write_json
from leukoscope.report.markdown import put_into

FOLDER = Path(__file__).parent
RESULTS = FOLDER / "results.json"
PERFORMANCE = FOLDER.parent / "docs/performance.md"
NAMES = ("augmentation", "batches", "ingest", "features", "study", "finetuning", "repro", "start", "serving", "demo")


def main() -> None:
    """Run, print and write; exit code 1 where one did not run, not where a ratio is not reached: machines differ."""
    arguments = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    arguments.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; all otherwise")
    chosen = arguments.parse_args().names or NAMES
    if unknown := sorted(set(chosen) - set(NAMES)):
        arguments.error(f"no benchmark {', '.join(unknown)}")
    failed = [name for name in chosen if not _run(name)]
    for result in read_results():
        said = f"{result['name']}: {judged(result)} ({result['reach']})"
        print(f"yes {said}" if result["reached"] else f"NO  {said}; {result['bound']}")
    put_into(table(read_results()), PERFORMANCE)
    if failed:
        sys.exit(f"error: did not run: {', '.join(failed)}")


def judged(result: dict[str, Any]) -> str:
    """The figure that is held against the reach: the ratio, or our own where the reach has a unit."""
    own = str(result["reach"]).endswith(result["unit"])
    return f"{result['ours']:.3g} {result['unit']}" if own else f"{result['ratio']:.3g}"


def table(results: list[dict[str, Any]]) -> str:
    """The records as Markdown."""
    lines = ["| what / beside what | ours | the peer | ratio | reach | reached |", "|---|---|---|---|---|---|"]
    for result in results:
        peer = "" if result["peer"] is None else f"{result['peer']:,.4g} {result['unit']}"
        ratio = "" if result["ratio"] is None else f"{result['ratio']:.3g}"
        reached = "yes" if result["reached"] else f"**no**: {result['bound']}"
        ours = f"{result['ours']:,.4g} {result['unit']}"
        lines.append(f"| {result['name']} | {ours} | {peer} | {ratio} | {result['reach']} | {reached} |")
    return "\n".join(lines) + "\n"


def _run(name: str) -> bool:
    """Run one benchmark and keep what it measured. What it prints is seen as it comes."""
    started, of_others = time.monotonic(), _seconds_of_others()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "measured.json"
        environment = {**os.environ, "BENCHMARK_RESULTS": str(out), "TF_CPP_MIN_LOG_LEVEL": "3"}
        done = subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], env=environment, cwd=FOLDER.parent)
        seconds = time.monotonic() - started
        taken = (_seconds_of_others() - of_others) / (seconds * (os.cpu_count() or 1))
        if done.returncode == 0:
            measured = json.loads(out.read_text())
            for record in measured:
                record["bound"] = record["bound"] or f"meanwhile others took {max(0, taken):.0%} of the processors"
            _keep(name, measured)
    print(f"  ({name}: {seconds:.0f} s)", flush=True)
    return done.returncode == 0


def _seconds_of_others() -> float:
    """Processor seconds of the whole machine, and what its host withheld, less those of processes that ended here."""
    everyone, ended = psutil.cpu_times(), psutil.Process().cpu_times()
    total = everyone.user + everyone.nice + everyone.system + getattr(everyone, "steal", 0.0)
    return total - ended.children_user - ended.children_system


def read_results() -> list[dict[str, Any]]:
    """The records of all benchmarks, in the order of NAMES."""
    return json.loads(RESULTS.read_text()) if RESULTS.exists() else []


def _keep(name: str, measured: list[dict[str, Any]]) -> None:
    others = [record for record in read_results() if record["benchmark"] != name]
    records = [*others, *({"benchmark": name, **record} for record in measured)]
    write_json(RESULTS, sorted(records, key=lambda record: NAMES.index(record["benchmark"])))


if __name__ == "__main__":
    main()
