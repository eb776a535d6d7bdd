"""How each stage's cost grows with the number of images: `python -m studies.growth [NUMBER ...]`.

The stages run as `dvc repro` runs them, each in a process of its own, over generated pictures of C-NMC's format: on the
smallest number of images first, then again from the start on the next one. What is printed goes into
docs/performance.md; growth.json keeps the figures. It takes minutes and is no part of `make bench`.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import yaml

from leukoscope.core.files import write_json
from leukoscope.core.progress import progress
from leukoscope.data.quality.manifest import INDEX_COLUMNS

RESULT = Path(__file__).with_name("growth.json")
STAGES = Path(__file__).parents[1] / "stages"
NUMBERS = (1_000, 5_000, 15_114)
SIDE = 450
SIZE = 64  # pixels that the backbone sees: what is asked is how the cost grows, so the smallest are enough
SUBJECTS = 100
COMMANDS = {
    "plan": ("plan",),
    "ingest (validate)": ("validate",),
    "split": ("split",),
    "pack": ("pack",),
    "augment": ("augment",),
    "embed": ("embed", "frozen"),
    "embed, finetuned": ("embed", "finetuned"),
    "train, frozen": ("train", "frozen", "subject"),
    "train, finetuned": ("train", "finetuned", "subject"),
}
"""What is run, in order."""
PARAMS: dict[str, Any] = {
    "fetch": {"source": "folder", "path": "nowhere", "name": "generated"},
    "split": {"folds": 1},
    "protocols": ["subject"],
    "model_defaults": {"backbone": "mobilenetv2", "weights": "none", "views": 1},
    "models": {"frozen": {}, "finetuned": {"mode": "finetune"}},
    "train": {"epochs": 1, "head_epochs": 1},
    "evaluate": {"bootstrap": 100},
}
"""params.yaml: one epoch of each kind of training."""
SAMPLED = 0.005  # seconds between two looks at a process's memory


@dataclass(frozen=True)
class Cost:
    """Of one stage over so many images: processor and wall seconds, and its peak of anonymous memory in MB."""

    images: int
    processor: float
    seconds: float
    memory: float


def main() -> None:
    """Measure, write and print."""
    arguments = argparse.ArgumentParser(prog="python -m studies.growth", description=__doc__)
    arguments.add_argument("numbers", nargs="*", type=int, default=NUMBERS, metavar="NUMBER", help="of images")
    numbers = sorted(arguments.parse_args().numbers)
    costs: dict[str, list[Cost]] = {name: [] for name in COMMANDS}
    with tempfile.TemporaryDirectory() as folder:
        pictures = Path(folder) / "images"
        index = generate(pictures, numbers[-1])
        for number in numbers:
            for name, cost in costs_of(Path(folder) / str(number), pictures, index[:number]).items():
                costs[name].append(cost)
                print(f"{name}: {cost}", file=sys.stderr, flush=True)
    write_json(RESULT, {name: [asdict(cost) for cost in of_stage] for name, of_stage in costs.items()})
    print(table(costs))


def generate(folder: Path, count: int, side: int = SIDE) -> pd.DataFrame:
    """Draw `count` BMP files of side x side pixels into `folder`; return their index.csv.

    Each is an ellipse on black with a texture of its own, so no two are alike, as in C-NMC.
    """
    folder.mkdir(parents=True)
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]

    def draw(number: int) -> tuple[str, str, str, str, int, str]:
        generator = np.random.default_rng(number)
        width, height = generator.uniform(0.3, 0.6, 2)
        texture = cv2.resize(generator.normal(1, 0.3, (16, 16)), (side, side), interpolation=cv2.INTER_CUBIC)
        grey = np.where((x / width) ** 2 + (y / height) ** 2 < 1, texture, 0)
        cv2.imwrite(str(folder / f"{number}.bmp"), np.clip(grey[..., None] * (110, 40, 90), 0, 255).astype(np.uint8))
        subject = number % SUBJECTS
        return f"{number}.bmp", str(number), "train", "", subject % 2, str(subject)

    with ThreadPoolExecutor(os.cpu_count()) as pool, progress("draw", count, "pictures") as advance:
        rows = []
        for row in pool.map(draw, range(count)):
            rows.append(row)
            advance(1)
    return pd.DataFrame(rows, columns=list(INDEX_COLUMNS))


def costs_of(folder: Path, pictures: Path, index: pd.DataFrame, size: int = SIZE) -> dict[str, Cost]:
    """Run every stage in the new `folder` on those images of `pictures`, at `size` pixels; return what each took."""
    raw = folder / "data" / "raw"
    raw.mkdir(parents=True)
    (raw / "images").symlink_to(pictures.resolve())
    index.to_csv(raw / "index.csv", index=False)
    classes = {"1": "all", "0": "hem"}
    about = {"name": "generated", "kind": "synthetic", "classes": classes, "cnmc_complete": False, "verified": None}
    write_json(raw / "source.json", about)
    params = {**PARAMS, "model_defaults": {**PARAMS["model_defaults"], "size": size}}
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    return {name: Cost(len(index), *watched(_command(*words), folder)) for name, words in COMMANDS.items()}


def _command(stage: str, *words: str) -> list[str]:
    return [sys.executable, str(STAGES / f"{stage}.py"), *words]


def watched(
    command: list[str], folder: Path, environment: Mapping[str, str] | None = None
) -> tuple[float, float, float]:
    """Run a command in `folder`: its processor and wall seconds, and its peak of anonymous memory in MB.

    Raises CalledProcessError where it fails. The memory is looked at all the time, since the kernel keeps a peak of all
    memory alone, mapped files included.
    """
    environment = {**apart(), **(environment or {})}
    started, peak, status = time.perf_counter(), 0.0, None
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL)
    while status is None:
        time.sleep(SAMPLED)
        peak = max(peak, anonymous_memory(process.pid))
        ended, code, usage = os.wait4(process.pid, os.WNOHANG)
        status = os.waitstatus_to_exitcode(code) if ended else None
    process.returncode = status
    if status:
        raise subprocess.CalledProcessError(status, command)
    return usage.ru_utime + usage.ru_stime, time.perf_counter() - started, peak


def apart() -> dict[str, str]:
    """This process's environment without what belongs to a run of DVC's or MLflow's around it."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("DVC_", "MLFLOW_"))}


def anonymous_memory(process: int) -> float:
    """In MB; 0 of a process that has ended."""
    _, _, rest = Path(f"/proc/{process}/status").read_text().partition("RssAnon:")
    return int(rest.split()[0]) / 1024 if rest else 0.0


def table(costs: dict[str, list[Cost]]) -> str:
    """Markdown: for each stage its seconds and memory by number of images, and where the curve bends."""
    numbers = [cost.images for cost in next(iter(costs.values()))]
    head = [f"{number:,} images" for number in numbers]
    lines = [f"| stage | {' | '.join(head)} | an image more costs | peak memory, MB |", "|---" * (len(head) + 3) + "|"]
    for name, of_stage in costs.items():
        seconds = " | ".join(f"{cost.processor:.1f} s ({cost.seconds:.1f})" for cost in of_stage)
        memory = ", ".join(f"{cost.memory:.0f}" for cost in of_stage)
        lines.append(f"| {name} | {seconds} | {_marginal(of_stage)} | {memory} |")
    return "\n".join(lines)


def _marginal(costs: list[Cost]) -> str:
    """The processor's milliseconds of an image more, between each number of images and the next."""
    more = [1000 * (b.processor - a.processor) / (b.images - a.images) for a, b in pairwise(costs)]
    return ", then ".join(f"{milliseconds:.2f} ms" for milliseconds in more)


if __name__ == "__main__":
    main()
