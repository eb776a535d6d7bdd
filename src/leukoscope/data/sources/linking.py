"""Files into a new folder without a second copy of their bytes, where the file system can.

DVC's own linker does it: a reflink (a copy that shares blocks until one side is written), else a hard link, else a
copy. A hard link is the source's file under a second name, so nothing may write to it. DVC copies it into its cache and
leaves the source alone, except where `cache.type` begins with hardlink: then the cache holds the source's own file, and
DVC takes away its write permission.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from leukoscope.core.progress import progress

LINKS = ("reflink", "hardlink", "copy")
_BATCH = 256


def link_files(pairs: Sequence[tuple[Path, Path]]) -> None:
    """Make each second path of `pairs` a link to, or a copy of, the first. Folders are made; nothing may be there."""
    from dvc_objects.fs.generic import transfer
    from dvc_objects.fs.local import localfs

    make_folders([new for _, new in pairs])
    with progress("link", len(pairs), "images") as advance:
        for start in range(0, len(pairs), _BATCH):
            batch = pairs[start : start + _BATCH]
            sources, targets = ([str(path) for path in paths] for paths in zip(*batch, strict=True))
            transfer(localfs, sources, localfs, targets, links=list(LINKS))
            advance(len(batch))


def move_files(pairs: Sequence[tuple[Path, Path]]) -> None:
    """Rename each first path of `pairs` to the second, on one file system. Folders are made."""
    make_folders([new for _, new in pairs])
    for old, new in pairs:
        old.rename(new)


def make_folders(paths: Sequence[Path]) -> None:
    """Make the folders that the files `paths` will lie in."""
    for folder in {path.parent for path in paths}:
        folder.mkdir(parents=True, exist_ok=True)
