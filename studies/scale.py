"""What a second worker brings, and what grows with the work: `python -m studies.scale [--small]`.

A Ray cluster on this machine stands for machines of one core: all processes of a node keep to a core of its own
(taskset), and the commands that are measured, the drivers, share the head's core. So one worker cannot spread over two
cores, and the second one brings no more than its own. Two such cores and PostgreSQL's server binaries are needed. What
is printed goes into docs/scale.md; scale.json keeps the figures. It takes minutes and is no part of `make bench`.
"""

from __future__ import annotations

import argparse
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import tracemalloc
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
import psutil
import psycopg
import yaml

from benchmarks.measuring import Measured, Reach
from leukoscope.cluster.embedding import SHARD
from leukoscope.core.files import write_json
from leukoscope.features.memory import FeatureStore, vector_key, write_shard
from leukoscope.prediction.places import Stored
from leukoscope.prediction.shards import Job, shards_of
from leukoscope.registry.champion import Version
from studies.growth import COMMANDS, STAGES, anonymous_memory, apart, generate, watched
from studies.scale_predict import DECISION, model_into
from studies.ten_million import Figures, Memory, Paces, Plan, Shards, tables
from tests.fixtures.nodes import Cluster, one_node
from tests.fixtures.postgres import Server, postgres

RESULT = Path(__file__).with_name("scale.json")
ROOT = Path(__file__).parents[1]
PATHS = {"PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT)))}
TUNED, EMBEDDED = "tuned", "embedded"  # rows of one backbone, so the tuned one's vectors are among the other's
VIEWS = {TUNED: 3, EMBEDDED: 11}  # of each image, beside itself
BEFORE_EMBED = ("plan", "ingest (validate)", "split", "pack", "augment")
PARAMS: dict[str, Any] = {
    "fetch": {"source": "folder", "path": "nowhere", "name": "generated"},
    "split": {"folds": 1},
    "protocols": ["subject"],
    "model_defaults": {"backbone": "mobilenetv2", "weights": "none"},
    "models": {row: {"views": views} for row, views in VIEWS.items()},
    # Trials of one length: none stops early, and two scores prune nothing.
    "train": {"epochs": 12, "patience": 12},
    "tune": {"folds": 2, "repeats": 1},
}
REACH = Reach(1.8)
ROUNDS_OF_CORES = 3
PRODUCTS = """
import time, numpy
matrix, done, started = numpy.ones((600, 600), numpy.float32), 0, time.monotonic()
while time.monotonic() < started + 3:
    matrix @ matrix
    done += 1
print(done / (time.monotonic() - started))
"""
STARTING = 6  # shards of embed that are finished while the last of its processes start
SAMPLED = 0.5  # seconds between two looks at a cluster's processes, or at a database
STORE_BYTES = 1 << 30  # of each node's object store: some shards of 70 MB
OF_HEAD = ("gcs_server", "raylet")  # Ray's own on the head, whose work does not spread


@dataclass(frozen=True)
class Sizes:
    """How much is measured: pictures embedded and trials in each round, shards of one picture, pictures predicted."""

    rounds: int
    images: int
    trials: int
    shards: tuple[int, ...]
    memory: tuple[int, ...]


FULL = Sizes(rounds=3, images=512, trials=10, shards=(200, 1_000), memory=(1_000, 5_000, 15_000))
SMALL = Sizes(rounds=1, images=384, trials=8, shards=(100, 500), memory=(1_000, 5_000))


def main() -> None:
    """Measure, write and print."""
    arguments = argparse.ArgumentParser(prog="python -m studies.scale", description=__doc__)
    arguments.add_argument("--small", action="store_true", help="less of everything")
    sizes = SMALL if arguments.parse_args().small else FULL
    cores = sorted(os.sched_getaffinity(0))[:2]
    if len(cores) < 2:
        sys.exit("error: two cores are needed")
    load, stolen = os.getloadavg()[0], psutil.cpu_times()
    with tempfile.TemporaryDirectory(prefix="scale-") as folder:
        figures = measured(Path(folder), sizes, cores)
    taken = psutil.cpu_times()
    share = getattr(taken, "steal", 0.0) - getattr(stolen, "steal", 0.0)
    print(f"load before it began {load:.1f}; its host withheld {share:.0f} processor seconds", file=sys.stderr)
    write_json(RESULT, asdict(figures))
    for name, paces in (("embed", figures.embed), ("tune", figures.tune)):
        one, two = median(paces.of_one), median(paces.of_two)
        print(Measured(f"{name} by two workers / by one", two, one, f"{paces.unit}/s", paces.ratio, REACH))
    print(tables(figures))


def measured(folder: Path, sizes: Sizes, cores: list[int]) -> Figures:
    """Everything, with what it needs in `folder`."""
    checkout = Checkout.made(folder / "checkout", sizes.images)
    embeds: dict[int, list[float]] = defaultdict(list)
    trials: dict[int, list[float]] = defaultdict(list)
    loads: list[Load] = []
    for turn in range(sizes.rounds):
        with one_node(cores, STORE_BYTES) as cluster, postgres(cluster.network.addresses[0]) as server:
            checkout.work_on(cluster)
            if not turn:
                checkout.run("embed", [sys.executable, str(STAGES / "embed.py"), EMBEDDED])  # converts the backbone
            for workers in (1, 2):
                if workers == 2:
                    cluster.join()
                embeds[workers].append(embed_pace(checkout))
                load = tune(checkout, server, f"round{turn}_{workers}", sizes.trials)
                trials[workers].append(load.pace)
                loads.append(load)
                print(f"{workers} workers: {embeds[workers][-1]:.4g} images/s, {load}", file=sys.stderr, flush=True)
            if turn == sizes.rounds - 1:
                shards, memory = predicted(folder, cluster, sizes)
    return Figures(
        cores=arithmetic(cores),
        embed=Paces("images", embeds[1], embeds[2]),
        tune=Paces("trials", trials[1], trials[2]),
        transactions=[load.transactions for load in loads],
        connections=max(load.connections for load in loads),
        shards=shards,
        memory=memory,
        plan=plan(),
    )


def arithmetic(cores: list[int]) -> Paces:
    """Matrix products on one core, each in turn, and on both at once."""

    def at_once(chosen: list[int]) -> float:
        commands = [["taskset", "-c", str(core), sys.executable, "-c", PRODUCTS] for core in chosen]
        threads = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
        running = [subprocess.Popen(words, stdout=subprocess.PIPE, env=threads, text=True) for words in commands]
        return sum(float(process.communicate()[0]) for process in running)

    turns = [(at_once(cores[:1]), at_once(cores), at_once(cores[1:])) for _ in range(ROUNDS_OF_CORES)]
    return Paces("products", [(one + other) / 2 for one, _, other in turns], [both for _, both, _ in turns])


@dataclass
class Checkout:
    """A folder where stages and commands run on a cluster, as `driver` begins them."""

    folder: Path
    environment: dict[str, str]
    driver: list[str]
    params: dict[str, Any]

    @classmethod
    def made(cls, folder: Path, count: int) -> Checkout:
        """With `count` pictures, prepared as far as `embed` needs."""
        raw = folder / "data" / "raw"
        raw.mkdir(parents=True)
        generate(raw / "images", count).to_csv(raw / "index.csv", index=False)
        about = {"name": "generated", "kind": "synthetic", "cnmc_complete": False, "verified": None}
        write_json(raw / "source.json", {**about, "classes": {"1": "all", "0": "hem"}})
        checkout = cls(folder, {**apart(), **PATHS, "TF_CPP_MIN_LOG_LEVEL": "3"}, [], PARAMS)
        checkout.set(PARAMS)
        for name in BEFORE_EMBED:
            stage, *words = COMMANDS[name]
            checkout.run(name, [sys.executable, str(STAGES / f"{stage}.py"), *words])
        return checkout

    def set(self, params: dict[str, Any]) -> None:
        """Write params.yaml."""
        self.params = params
        (self.folder / "params.yaml").write_text(yaml.safe_dump(params))

    def work_on(self, cluster: Cluster) -> None:
        """Have what runs from now on run on the cluster, from the head's core."""
        self.environment |= cluster.environment
        self.driver = cluster.pinned(0)
        self.set({**PARAMS, "compute": {"engine": "ray", "address": cluster.address}})

    def run(self, name: str, command: list[str]) -> None:
        """Run it. Exits with what it said where it fails."""
        started = time.monotonic()
        words = [*self.driver, *command]
        done = subprocess.run(words, cwd=self.folder, env=self.environment, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"error: {name} failed:\n{done.stdout}{done.stderr}")
        print(f"{name}: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)


def embed_pace(checkout: Checkout) -> float:
    """Pictures a second of `embed`, but for the first shards and each worker's last.

    Before that, processes start on the very cores that are measured.
    """
    memory = checkout.folder / ".leukoscope" / "features"
    for vectors in memory.glob("*/vectors"):
        shutil.rmtree(vectors)
    checkout.run("embed", [sys.executable, str(STAGES / "embed.py"), EMBEDDED])
    written = sorted(memory.glob("*/vectors/*.keys.npy"), key=lambda file: file.stat().st_mtime_ns)
    first, last = STARTING, even(len(written) - 2)
    images = sum(len(np.load(file)) for file in written[first + 1 : last + 1])
    return images / (written[last].stat().st_mtime_ns - written[first].stat().st_mtime_ns) * 1e9


def even(number: int) -> int:
    """Two workers finish in pairs, so both ends of what is timed are of one kind."""
    return number - number % 2


@dataclass(frozen=True)
class Load:
    """A study's trials a second, and what its database saw: transactions of a trial, and connections at once."""

    pace: float
    transactions: float
    connections: int


def tune(checkout: Checkout, server: Server, database: str, total: int) -> Load:
    """Run a new study of `total` trials in a database of its own."""
    with psycopg.connect(server.url.replace("+psycopg", ""), autocommit=True) as watching:
        watching.execute(f"CREATE DATABASE {database}")
        url = server.url.removesuffix("postgres") + database
        checkout.set({**checkout.params, "tune": {**PARAMS["tune"], "storage": url}})

        def number(query: str) -> int:
            row = watching.execute(query, [database]).fetchone()
            return int(row[0]) if row else 0

        with looking(lambda: number("SELECT numbackends FROM pg_stat_database WHERE datname = %s")) as seen:
            checkout.run("tune", [sys.executable, "-m", "leukoscope", "tune", TUNED, "--trials", str(total)])
        committed = number("SELECT xact_commit FROM pg_stat_database WHERE datname = %s")
    finished = trials_of(url)
    pace = sum(steady(times) for times in finished.values())
    return Load(pace, committed / total, max(seen))


def trials_of(url: str) -> dict[str, list[float]]:
    """When each worker finished its trials, in seconds."""
    import optuna

    from leukoscope.tuning.storage import open_storage
    from leukoscope.tuning.trials import PROCESS

    (study,) = optuna.get_all_study_summaries(open_storage(url))
    times: dict[str, list[float]] = defaultdict(list)
    for trial in optuna.load_study(study_name=study.study_name, storage=open_storage(url)).trials:
        if trial.state.name == "COMPLETE" and trial.datetime_complete:
            times[str(trial.user_attrs[PROCESS])].append(trial.datetime_complete.timestamp())
    return times


def steady(times: list[float]) -> float:
    """How many a second, once the first is finished: that one also pays for what is done once in a process."""
    return (len(times) - 1) / (max(times) - min(times)) if len(times) > 1 else 0.0


@contextmanager
def looking(look: Callable[[], Any], seconds: float = SAMPLED) -> Iterator[list[Any]]:
    """What `look()` gives, again and again while the context lasts."""
    over, seen = threading.Event(), [look()]

    def run() -> None:
        while not over.wait(seconds):
            seen.append(look())

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def predicted(folder: Path, cluster: Cluster, sizes: Sizes) -> tuple[list[Shards], list[Memory]]:
    """The costs of predictions of many shards of one small picture, then of more and more pictures of C-NMC's size."""
    model_into(folder / "version")
    small, pictures = folder / "small", folder / "pictures"
    small.mkdir()
    cv2.imwrite(str(folder / "small.png"), np.full((16, 16, 3), 90, np.uint8))
    for number in range(max(sizes.shards)):
        os.link(folder / "small.png", small / f"{number:06}.png")
    originals = list((folder / "checkout/data/raw/images").iterdir())
    pictures.mkdir()
    for number in range(max(sizes.memory)):  # what they show does not matter here, and the disk is spared
        os.link(originals[number % len(originals)], pictures / f"{number:06}.bmp")
    shards, memory = [], []
    for count in sizes.shards:
        seen = predict(folder, cluster, chosen(small, count), 1)
        shards.append(Shards(count, seen.driver, seen.head, seen.seconds))
        print(shards[-1], file=sys.stderr, flush=True)
    for count in sizes.memory:
        seen = predict(folder, cluster, chosen(pictures, count), 256)
        memory.append(Memory(count, seen.driver_memory, seen.memory, seen.store, seen.workers))
        print(memory[-1], file=sys.stderr, flush=True)
    return shards, memory


def plan(images: int = 50_000) -> Plan:
    """What a prediction of names in an object store, and an embedding of as many vectors, keep of each of them."""
    in_driver, pickled = _planned(images)
    return Plan((in_driver + pickled) / images, pickled / images, _remembered(images) / images)


def _planned(images: int) -> tuple[int, int]:
    """Bytes of a prediction's shards, of which nothing is carried out, and of the same pickled."""
    tracemalloc.start()
    url = "s3://bucket/a-folder-of-cells/UID_{0}_{0}_1_all.bmp"
    stored = [Stored(url.format(number), url.format(number), f"{number} {number:032x}") for number in range(images)]
    shards = shards_of(stored, Job(Version(DECISION, "1"), "s3://bucket/scores"))
    in_driver, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return in_driver, sum(len(pickle.dumps(shard)) for shard in shards)


def _remembered(images: int) -> int:
    """Bytes of what is shown without augmentation, of its keys, and of a memory of their vectors."""
    with tempfile.TemporaryDirectory() as folder:
        tracemalloc.start()
        shown = [(image, None) for image in range(images)]
        keys = [vector_key(f"{image:064x}", view, False) for image, view in shown]
        for start in range(0, images, SHARD):
            part = keys[start : start + SHARD]
            write_shard(Path(folder), part, np.zeros((len(part), 1), np.float32))
        memory = FeatureStore(Path(folder))
        in_driver, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert keys[-1] in memory
    return in_driver


def chosen(folder: Path, count: int) -> Path:
    """A folder of the first `count` files of another one."""
    part = folder.with_name(f"{folder.name}-{count}")
    part.mkdir()
    for file in sorted(folder.iterdir())[:count]:
        os.link(file, part / file.name)
    return part


@dataclass(frozen=True)
class Seen:
    """Of one prediction: processor seconds of the driver, of the head's own processes and of all workers; peaks in MB.

    `memory` is anonymous memory of all of Ray's processes at once, `store` what both object stores hold beside it.
    """

    seconds: float
    driver: float
    head: float
    workers: float
    driver_memory: float
    memory: float
    store: float


def predict(folder: Path, cluster: Cluster, pictures: Path, of_a_shard: int) -> Seen:
    """Score the pictures on the cluster, with so many to a shard."""
    scores = folder / f"scores-{pictures.name}"
    words = [str(pictures), str(scores), str(folder / "version"), cluster.address, str(of_a_shard)]
    command = [*cluster.pinned(0), sys.executable, "-m", "studies.scale_predict", *words]
    before, ray = processes_of(cluster), {}

    def look() -> tuple[float, float]:
        now = processes_of(cluster)
        ray.update(now)
        return sum(one.anonymous for one in now.values()), sum(one.store for one in now.values())

    with looking(look) as looks:
        processor, seconds, driver_memory = watched(command, folder, {**PATHS, **cluster.environment})
    files = len(list(scores.iterdir()))
    assert files == -(-len(list(pictures.iterdir())) // of_a_shard), f"{files} files"
    spent: dict[bool, float] = defaultdict(float)
    for pid, one in ray.items():
        spent[one.of_head] += one.processor - (before[pid].processor if pid in before else 0)
    memory, store = (max(column) for column in zip(*looks, strict=True))
    return Seen(seconds, processor, spent[True], spent[False], driver_memory, memory, store)


@dataclass(frozen=True)
class Process:
    """Processor seconds so far and MB: anonymous memory, and the object store that it keeps.

    `of_head` says whether it is one of Ray's own on the head.
    """

    of_head: bool
    processor: float
    anonymous: float
    store: float


def processes_of(cluster: Cluster) -> dict[int, Process]:
    """All of a cluster's processes, by number. An object store counts with its raylet alone, though all map it."""
    found = {}
    for node, pids in enumerate(cluster.processes()):
        for pid in pids:
            try:
                process = psutil.Process(pid)
                name, times = process.name(), process.cpu_times()
                store = stored_by(pid) if name == "raylet" else 0.0
                anonymous = anonymous_memory(pid)
            except (psutil.Error, OSError):
                continue
            of_head = node == 0 and name in OF_HEAD
            found[pid] = Process(of_head, times.user + times.system, anonymous, store)
    return found


def stored_by(raylet: int) -> float:
    """MB of its object store that have been written to: a file without a name, whose blocks are counted."""
    opened = [file.stat() for file in Path(f"/proc/{raylet}/fd").iterdir() if "plasma" in str(file.readlink())]
    return sum({about.st_ino: about.st_blocks * 512 for about in opened}.values()) / 2**20


if __name__ == "__main__":
    main()
