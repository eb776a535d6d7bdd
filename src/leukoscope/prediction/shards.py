"""Predictions of any size: pictures in shards, each of which becomes a parquet file that is whole or not there.

A shard is some images, or one archive of them. Its file's name holds a hash of what its scores depend on, so that a
prediction that is run again computes what is missing alone, and never mixes two versions in one folder. Where shards
are computed, one after another here or side by side on Ray, changes nothing in them.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from leukoscope.core.errors import DataError
from leukoscope.prediction.output import COLUMNS, records
from leukoscope.prediction.places import Stored, names_in, put, unpacked
from leukoscope.prediction.scoring import Prepared, prepared_ahead, score_prepared
from leukoscope.registry.champion import Champion, Version

if TYPE_CHECKING:
    import pyarrow as pa


PICTURES = 256  # of a shard: 70 MB of framed pictures
SUFFIX = ".parquet"
NOT_SCORED = b"not_scored"  # in the file's metadata: a line of JSON for each image that could not be read


@dataclass(frozen=True)
class Job:
    """What all shards share: the version, how pictures and p are taken, and the folder that files go to."""

    version: Version
    folder: str
    scale: float = 1.0
    prevalence: float | None = None


@dataclass(frozen=True)
class Shard:
    """Pictures that are scored together, and the name of their file."""

    sources: tuple[Stored, ...]
    name: str


@dataclass(frozen=True)
class Read:
    """A shard's pictures, ready for the model, and a line for each image that does not read."""

    shard: Shard
    prepared: list[Prepared]
    unreadable: list[str]


@dataclass(frozen=True)
class Finished:
    """A shard whose file is in place: how many images it scores, and a line for each that did not read."""

    scored: int
    unreadable: list[str]


RunShards = Callable[[Sequence[Shard], Job, Path], Iterator[Finished]]  # the last is the folder of the version's files


def shards_of(stored: Iterable[Stored], job: Job) -> list[Shard]:
    """The shards of a job, in the order of their names."""
    about = hashlib.sha256(
        json.dumps([job.version.decision.as_json(), job.scale, job.prevalence], sort_keys=True).encode()
    )
    parts: list[list[Stored]] = []
    for is_archive, group in groupby(stored, lambda one: one.is_archive):
        together, size = list(group), 1 if is_archive else PICTURES
        parts += [together[start : start + size] for start in range(0, len(together), size)]
    return [Shard(tuple(part), _name(number, part, about.copy())) for number, part in enumerate(parts)]


def _name(number: int, part: Iterable[Stored], digest: hashlib._Hash) -> str:
    for one in part:
        digest.update(repr((one.name, one.state)).encode())
    return f"{number:06}-{digest.hexdigest()[:16]}{SUFFIX}"


def missing(shards: Sequence[Shard], folder: str) -> list[Shard]:
    """The shards whose files are not there yet.

    Raises DataError where the folder holds parquet files of another prediction.
    """
    there = {name for name in names_in(folder) if name.endswith(SUFFIX)}
    if others := there - {shard.name for shard in shards}:
        raise DataError(
            f"{folder} holds {len(others)} parquet files of other pictures, options or another version: name another "
            "folder, or empty this one"
        )
    return [shard for shard in shards if shard.name not in there]


def run_here(shards: Sequence[Shard], job: Job, files: Path) -> Iterator[Finished]:
    """Compute shards one after another in this process, with the model among the version's `files`."""
    from leukoscope.registry.runtime import SCORING_FILE, Scorer

    version = job.version
    champion = version.with_model(Scorer(files / SCORING_FILE, version.frame, version.rotations))
    for shard in shards:
        yield score_shard(read_shard(shard, job), job, champion)


def read_shard(shard: Shard, job: Job) -> Read:
    """Fetch, decode and frame a shard's pictures, on all cores. Raises DataError for an archive that does not open."""
    first, *_ = shard.sources
    with unpacked(first) if first.is_archive else nullcontext(shard.sources) as images:
        found = list(prepared_ahead(images, job.version, scale=job.scale))
    prepared = [one for one in found if isinstance(one, Prepared)]
    return Read(shard, prepared, [str(one) for one in found if isinstance(one, DataError)])


def score_shard(read: Read, job: Job, champion: Champion) -> Finished:
    """Score a shard's pictures and write its file."""
    import pyarrow.parquet as pq

    file = io.BytesIO()
    pq.write_table(_table(read, job, champion), file)
    put(file.getvalue(), job.folder, read.shard.name)
    return Finished(len(read.prepared), read.unreadable)


def _table(read: Read, job: Job, champion: Champion) -> pa.Table:
    """`output.records` of the pictures, with every digit of p."""
    import pyarrow as pa

    scores = score_prepared(read.prepared, champion, job.prevalence)
    rows = records(scores, champion, scale=job.scale, prevalence=job.prevalence, digits=None)
    schema = _schema(job).with_metadata({NOT_SCORED: json.dumps(read.unreadable)})
    return pa.Table.from_pylist(rows, schema)


def _schema(job: Job) -> pa.Schema:
    import pyarrow as pa

    asked = [("scale", pa.float64())] if job.scale != 1 else []
    if job.prevalence is not None:
        asked += [("prevalence", pa.float64()), ("p_at_prevalence", pa.float64())]
    typed = {"p_all": pa.float64(), "flags": pa.list_(pa.string()), "refer": pa.bool_()}
    return pa.schema([*((name, typed.get(name, pa.string())) for name in COLUMNS), *asked])
