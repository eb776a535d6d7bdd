"""A PostgreSQL server for a test or a benchmark alone: Debian's binaries, a cluster in a folder that goes with it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

USER, GROUP = "nobody", "nogroup"  # where the tests run as root, as whom PostgreSQL refuses to


def binaries() -> Path | None:
    """The folder with pg_ctl: Debian keeps it off the PATH."""
    found = shutil.which("pg_ctl")
    places = [Path(found).resolve()] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
    return places[-1].parent if places else None


@dataclass(frozen=True)
class Server:
    """A cluster in `folder`, whose superuser `tests` needs no password at `address`."""

    folder: Path
    port: int
    address: str

    @property
    def url(self) -> str:
        """The storage URL of its database."""
        return f"postgresql+psycopg://tests@{self.address}:{self.port}/postgres"

    def control(self, *words: str) -> None:
        """Run pg_ctl and wait until it is done."""
        self._run("pg_ctl", "-w", "-D", str(self.folder / "cluster"), "-l", str(self.folder / "log"), *words)

    def initialise(self) -> None:
        """Make the cluster, with its socket in its own folder."""
        self._run("initdb", "-D", str(self.folder / "cluster"), "-U", "tests", "--auth=trust", "--no-sync")
        with (self.folder / "cluster" / "postgresql.conf").open("a") as settings:
            settings.write(f"port = {self.port}\nlisten_addresses = '{self.address}'\n")
            settings.write(f"unix_socket_directories = '{self.folder}'\n")
        with (self.folder / "cluster" / "pg_hba.conf").open("a") as admitted:
            admitted.write("host all all samenet trust\n")

    def _run(self, name: str, *words: str) -> None:
        where = binaries()
        assert where is not None
        as_other = ["setpriv", f"--reuid={USER}", f"--regid={GROUP}", "--clear-groups"] if os.geteuid() == 0 else []
        with (self.folder / "said").open("w+") as said:  # not a pipe: the server would hold it open
            ran = subprocess.run(
                [*as_other, str(where / name), *words], cwd=self.folder, stdout=said, stderr=said, check=False
            )
            said.seek(0)
            assert ran.returncode == 0, said.read()


@contextmanager
def postgres(address: str = "127.0.0.1") -> Iterator[Server]:
    """A server that runs, and is gone afterwards. As root it runs as another user, to whom its folder belongs."""
    with tempfile.TemporaryDirectory(prefix="postgres-") as folder:
        if os.geteuid() == 0:
            shutil.chown(folder, USER, GROUP)
        server = Server(Path(folder), free_port(), address)
        server.initialise()
        server.control("start")
        try:
            yield server
        finally:
            server.control("stop", "-m", "immediate")


def free_port() -> int:
    """A port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
