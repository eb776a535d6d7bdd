"""`leukoscope predict`: files, folders and archives scored and written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from leukoscope.core.errors import DataError, UserError
from leukoscope.core.progress import progress
from leukoscope.data.sources.names import IMAGE_SUFFIXES
from leukoscope.prediction import output
from leukoscope.prediction.pictures import parse_scale
from leukoscope.prediction.places import from_anywhere, stored_below
from leukoscope.prediction.scoring import Prepared, Score, none_read, prepared_ahead, score_prepared
from leukoscope.prediction.shards import Job, RunShards, missing, shards_of
from leukoscope.prediction.sources import ImageFile, images_below
from leukoscope.prediction.subjects import SubjectSummary, by_subject
from leukoscope.registry.champion import Champion, Version
from leukoscope.registry.notices import NOT_KNOWN
from leukoscope.registry.versions import REGISTER_AGAIN


@dataclass(frozen=True)
class Wanted:
    """What the command line asks for: where to write ("-" is stdout), and how pictures and p are to be taken."""

    csv: Path | None = None
    jsonl: Path | None = None
    subjects: Path | None = None
    scale: str = "1"
    prevalence: float | None = None

    @property
    def files(self) -> list[Path]:
        """Where to write, stdout included."""
        return [path for path in (self.csv, self.jsonl, self.subjects) if path]


@dataclass(frozen=True)
class Predicted:
    """The answers of a version, a summary for each subject that names tell, and a line for each unreadable image."""

    champion: Champion
    scores: list[Score]
    subjects: list[SubjectSummary]
    unreadable: list[str]


@dataclass(frozen=True)
class Sharded:
    """A version's parquet files in `folder`: `shards` of them, `there` before; `scored` images are in the others."""

    version: Version
    folder: str
    shards: int
    there: int
    scored: int


def predict(paths: Sequence[Path], load: Callable[[], Champion], wanted: Wanted) -> Predicted:
    """Score the images below `paths` with the version that `load` gives. `write` writes what is wanted of it.

    Raises DataError for paths without images and for outputs that cannot be, and what `load` raises.
    """
    scale = parse_scale(wanted.scale)
    _refuse_bad_outputs(wanted.files)
    with images_below(paths) as files:  # before the model is loaded, so that a mistyped path is told at once
        champion = load()
        check_prevalence(champion, wanted.prevalence)
        scores, unreadable = score_files(files, champion, scale=scale, prevalence=wanted.prevalence)
    return Predicted(champion, scores, by_subject(scores), unreadable)


def write(predicted: Predicted, wanted: Wanted) -> list[Path]:
    """Write the tables that are wanted; returns the files, without stdout.

    Raises DataError where nothing was scored, and where a table of subjects is wanted and no file's name tells one.
    """
    if not predicted.scores:
        raise none_read(len(predicted.unreadable))
    scale = parse_scale(wanted.scale)
    rows = output.records(predicted.scores, predicted.champion, scale=scale, prevalence=wanted.prevalence)
    if wanted.csv:
        output.write_csv(rows, wanted.csv)
    if wanted.jsonl:
        output.write_json_lines(rows, wanted.jsonl)
    if wanted.subjects and not predicted.subjects:
        raise DataError(f"{wanted.subjects} was not written: no file's name carries a subject, as UID_H4_1_2_hem does")
    if wanted.subjects:
        output.write_csv(output.subject_records(predicted.subjects, predicted.champion), wanted.subjects)
    return [path for path in wanted.files if path != output.STDOUT]


def predict_shards(
    urls: Sequence[str],
    load: Callable[[], tuple[Version, Path]],
    folder: str,
    wanted: Wanted,
    run: RunShards,
    unreadable: Callable[[str], None],
) -> Sharded:
    """Score what paths and URLs name with the version that `load` gives, into parquet files in `folder`.

    Files that are there already stay, so the same command goes on where an earlier one ended. `unreadable` is called
    with a line for each image that does not read, as soon as its shard is done. Raises DataError where nothing can be
    read, and what `load` raises.
    """
    if wanted.files:
        raise DataError("--parquet stands in place of --csv, --jsonl and --subjects: leave them out")
    scale = parse_scale(wanted.scale)
    stored = stored_below(urls)
    version, files = load()
    check_prevalence(version, wanted.prevalence)
    job = Job(version, from_anywhere(folder), scale, wanted.prevalence)
    shards = shards_of(stored, job)
    left = missing(shards, folder)
    scored = failed = 0
    with progress("scoring", len(left), "shards") as advance:
        for finished in run(left, job, files) if left else ():
            for line in finished.unreadable:
                unreadable(line)
            scored, failed = scored + finished.scored, failed + len(finished.unreadable)
            advance(1)
    if failed and not scored:
        raise none_read(failed)
    return Sharded(version, folder, len(shards), len(shards) - len(left), scored)


def check_prevalence(champion: Version, prevalence: float | None) -> None:
    """Raise UserError for a prevalence that is none, or one that this version cannot be reweighed to."""
    if prevalence is None:
        return
    if not 0 < prevalence < 1:
        raise DataError(f"--prevalence {prevalence:g}: a share of ALL lies between 0 and 1")
    if champion.training is None:
        raise UserError(
            f"--prevalence: the share of ALL that p was calibrated on is {NOT_KNOWN} ({champion.version}): run "
            f"{REGISTER_AGAIN}, which registers it with what it lacks"
        )


def _refuse_bad_outputs(wanted: Sequence[Path]) -> None:
    """Before hours of scoring, and not after."""
    if len(set(wanted)) < len(wanted):
        raise DataError(f"{wanted[0]} is named for two outputs: give each its own file")
    for path in wanted:
        if path.is_dir():
            raise DataError(f"{path} is a folder: name a file to write")
        if path.suffix.lower() in IMAGE_SUFFIXES:
            raise DataError(
                f"{path} would put a table where a picture belongs: name a file that ends in .csv or .jsonl"
            )


def score_files(
    files: Sequence[ImageFile], champion: Champion, *, scale: float = 1.0, prevalence: float | None = None
) -> tuple[list[Score], list[str]]:
    """The answer for each image that reads, in order, and a line for each that does not."""
    unreadable: list[str] = []
    with progress("scoring", len(files), "images") as advance:

        def readable() -> Iterator[Prepared]:
            for one in prepared_ahead(files, champion, scale=scale):
                if isinstance(one, DataError):
                    unreadable.append(str(one))
                else:
                    yield one
                advance(1)

        scores = list(score_prepared(readable(), champion, prevalence))
    return scores, unreadable
