"""Which processes of this machine are alive."""

from __future__ import annotations

import os
from pathlib import Path


def is_alive(pid: int) -> bool:
    """Whether a process of this machine has that number; one that has ended, and that nobody waited for, has not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return not _is_zombie(pid)


def started(pid: int) -> str | None:
    """When a process of this machine began, so that another one of its number is told apart; Linux alone says so.

    Containers have few numbers, and give the first ones to the same commands every time.
    """
    try:
        since_boot = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()}:{since_boot}"
    except (FileNotFoundError, ProcessLookupError):
        return None


def _is_zombie(pid: int) -> bool:
    """Linux alone says so; in a container without an init process they stay for ever."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state == "Z"
