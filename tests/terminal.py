"""Commands on a real terminal of their own (a pseudo-terminal), and what they drew on it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from collections.abc import Mapping, Sequence
from pathlib import Path

CONTROLS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def on_terminal(
    command: Sequence[str], folder: Path | None = None, environment: Mapping[str, str] | None = None, columns: int = 100
) -> tuple[int, str]:
    """Run a command on a terminal 40 lines high; returns its exit code and all that it wrote, controls included."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    environment = {**(os.environ if environment is None else environment), "TERM": "xterm-256color"}
    environment.pop("COLUMNS", None)
    process = subprocess.Popen(command, cwd=folder, env=environment, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    written = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # EIO: the last process that had the terminal ended
            break
        if not part:
            break
        written += part
    os.close(ours)
    return process.wait(), written.decode(errors="replace")


def frames(written: str) -> list[str]:
    """What stood on the terminal's lines, one after another, without controls."""
    return [line.strip() for line in re.split(r"[\r\n]+", CONTROLS.sub("", written)) if line.strip()]
