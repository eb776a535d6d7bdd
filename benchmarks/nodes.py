"""A Ray cluster of two nodes of one core each on this machine, one of which can be lost as a machine is.

Tests lose the second node, and `benchmarks.scale` adds it. Where namespaces can be made it has a network of its own,
and its loss is the end of every process in it; elsewhere both are on the loopback device, and its loss is the end of
its raylet and all that came from it.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import psutil

from benchmarks.postgres import free_port

RAY = Path(sys.executable).with_name("ray")
SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_worker_register_timeout_seconds": "600",  # a minute otherwise, in which a busy machine starts no Python
}
STORE_BYTES = 200 << 20  # of a node's object store, which a test hardly fills
PATIENCE_SECONDS = 240  # a busy machine starts a node in a minute


def _run(*words: str) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


@cache
def may_divide() -> bool:
    """Whether this user may make network namespaces."""
    name = f"probe-{os.getpid()}"
    with suppress(FileNotFoundError, subprocess.CalledProcessError):
        _run("ip", "netns", "add", name)
        _run("ip", "netns", "del", name)
        return True
    return False


@dataclass
class Network:
    """Where the nodes are: two ends of a cable, or the loopback device."""

    name: str
    addresses: tuple[str, str]
    inside: tuple[str, ...]  # what a command of the second node begins with

    @classmethod
    @contextmanager
    def made(cls) -> Iterator[Network]:
        """A network that goes with the context."""
        if not may_divide():
            yield cls("", ("127.0.0.1", "127.0.0.1"), ())
            return
        name, subnet = f"node{os.getpid()}", f"10.213.{os.getpid() % 250}"
        ours, theirs = f"a{os.getpid()}", f"b{os.getpid()}"
        _run("ip", "netns", "add", name)
        try:
            _run("ip", "link", "add", ours, "type", "veth", "peer", "name", theirs, "netns", name)
            _run("ip", "addr", "add", f"{subnet}.1/24", "dev", ours)
            _run("ip", "link", "set", ours, "up")
            inside = ("ip", "netns", "exec", name)
            _run("ip", "-n", name, "addr", "add", f"{subnet}.2/24", "dev", theirs)
            for device in (theirs, "lo"):
                _run("ip", "-n", name, "link", "set", device, "up")
            yield cls(name, (f"{subnet}.1", f"{subnet}.2"), inside)
        finally:
            _run("ip", "netns", "del", name)


@dataclass
class Cluster:
    """The head at `address`, and perhaps a second node; `environment` is also for the commands that connect to it.

    `cores`, the head's first, are what each node's processes keep to; where there are none, they run anywhere.
    `store_bytes` is the size of each node's object store, `gpus` how many GPUs each says it has.
    """

    network: Network
    folder: Path
    environment: dict[str, str]
    cores: Sequence[int] = ()
    store_bytes: int = STORE_BYTES
    gpus: int = 0
    port: int = field(default_factory=free_port)
    nodes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    started: int = 0

    @property
    def address(self) -> str:
        """What `compute.address` names."""
        return f"{self.network.addresses[0]}:{self.port}"

    def start_head(self) -> None:
        """Start the node that the drivers are on."""
        self._start(
            *(f"--{name}" for name in ("head", "include-dashboard=false", f"port={self.port}")),
            f"--node-ip-address={self.network.addresses[0]}",
            f"--temp-dir={self.folder}",
        )

    def join(self) -> None:
        """Start the second node."""
        words = (f"--address={self.address}", f"--node-ip-address={self.network.addresses[1]}")
        self._start(*words, inside=self.network.inside)

    def pinned(self, node: int) -> list[str]:
        """What a command begins with that is to share a node's core."""
        return ["taskset", "-c", str(self.cores[node])] if self.cores else []

    def _start(self, *words: str, inside: tuple[str, ...] = ()) -> None:
        command = [
            *self.pinned(len(self.nodes)),
            *inside,
            *(str(RAY), "start", "--block", "--num-cpus=1", f"--num-gpus={self.gpus}"),
            f"--object-store-memory={self.store_bytes}",
            f"--dashboard-agent-listen-port={free_port()}",
            *words,
        ]
        said = self.folder / f"node{self.started}.log"
        self.started += 1
        with said.open("wb") as log:
            node = subprocess.Popen(
                command,
                env={**os.environ, **self.environment},
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
            )
        self.nodes.append(node)
        end = time.monotonic() + PATIENCE_SECONDS
        while "Ray runtime started" not in said.read_text():
            assert node.poll() is None, said.read_text()
            assert time.monotonic() < end, said.read_text()
            time.sleep(0.5)

    def processes(self) -> list[list[int]]:
        """The numbers of each node's processes, the head's first."""
        return [self._processes_of(node) for node in self.nodes]

    def _processes_of(self, node: subprocess.Popen[bytes]) -> list[int]:
        if self.network.name and node is not self.nodes[0]:
            return [int(pid) for pid in _run("ip", "netns", "pids", self.network.name).split()]
        with suppress(psutil.NoSuchProcess):
            return [node.pid, *(child.pid for child in psutil.Process(node.pid).children(recursive=True))]
        return []

    def end(self, node: subprocess.Popen[bytes]) -> None:
        """End a node with all its processes at once."""
        for pid in self._processes_of(node):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        node.wait()

    def processes_of_second(self) -> list[int]:
        """The numbers of all processes of the second node."""
        return self._processes_of(self.nodes[1])

    def lose_second(self) -> None:
        """End the second node as if its machine were switched off."""
        self.end(self.nodes.pop())


@contextmanager
def two_nodes(gpus: int = 0) -> Iterator[Cluster]:
    """A cluster whose nodes have been started."""
    with one_node(gpus=gpus) as cluster:
        cluster.join()
        yield cluster


@contextmanager
def one_node(cores: Sequence[int] = (), store_bytes: int = STORE_BYTES, gpus: int = 0) -> Iterator[Cluster]:
    """A cluster whose head has been started."""
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))  # short: Ray's sockets lie in it
    with Network.made() as network:
        (folder / "token").write_text(secrets.token_hex(32))
        settings = {**SETTINGS, "RAY_AUTH_TOKEN_PATH": str(folder / "token")}
        cluster = Cluster(network, folder, settings, cores, store_bytes, gpus)
        try:
            cluster.start_head()
            yield cluster
        finally:
            for node in reversed(cluster.nodes):
                cluster.end(node)
            shutil.rmtree(folder, ignore_errors=True)
