"""`leukoscope predict`: files, folders and archives scored, shown and written."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from leukoscope.artifacts.training_cells import UNSEEN
from leukoscope.core.errors import DataError, UserError, one_line
from leukoscope.core.progress import progress
from leukoscope.data.sources.names import IMAGE_SUFFIXES
from leukoscope.prediction import output
from leukoscope.prediction.pictures import parse_scale
from leukoscope.prediction.places import from_anywhere, stored_below
from leukoscope.prediction.scoring import Prepared, Score, prepared_ahead, score_prepared
from leukoscope.prediction.shards import Job, RunShards, missing, shards_of
from leukoscope.prediction.sources import ImageFile, images_below
from leukoscope.prediction.subjects import NOT_A_DIAGNOSIS, by_subject
from leukoscope.prediction.words import NOT_CALLED, REFER, flags_raised
from leukoscope.registry.champion import Champion, Version
from leukoscope.registry.notices import NOT_KNOWN, calling, flagging, warning
from leukoscope.registry.versions import REGISTER_AGAIN


@dataclass(frozen=True)
class Wanted:
    """What the command line asks for: where to write ("-" is stdout), and how pictures and p are to be taken."""

    csv: Path | None = None
    jsonl: Path | None = None
    subjects: Path | None = None
    scale: str = "1"
    prevalence: float | None = None


def predict(paths: Sequence[Path], load: Callable[[], Champion], wanted: Wanted) -> None:
    """Score the images below `paths` with the version that `load` gives; write what is wanted, or else print a table.

    Raises DataError where nothing can be read, and what `load` raises.
    """
    scale = parse_scale(wanted.scale)
    _refuse_bad_outputs([wanted.csv, wanted.jsonl, wanted.subjects])
    with images_below(paths) as files:  # before the model is loaded, so that a mistyped path is told at once
        champion = load()
        check_prevalence(champion, wanted.prevalence)
        scores, unreadable = score_files(files, champion, scale=scale, prevalence=wanted.prevalence)
    for line in unreadable:
        print(f"not scored: {one_line(line)}", file=sys.stderr)
    if not scores:
        raise DataError(f"none of the {len(files)} images could be read")
    rows = output.records(scores, champion, scale=scale, prevalence=wanted.prevalence)
    if wanted.csv:
        output.write_csv(rows, wanted.csv)
    if wanted.jsonl:
        output.write_json_lines(rows, wanted.jsonl)
    summaries = by_subject(scores)
    if wanted.subjects and not summaries:
        raise DataError(f"{wanted.subjects} was not written: no file's name carries a subject, as UID_H4_1_2_hem does")
    if wanted.subjects:
        output.write_csv(output.subject_records(summaries, champion), wanted.subjects)
    _tell(scores, champion, wanted)


def predict_shards(
    urls: Sequence[str], load: Callable[[], tuple[Version, Path]], folder: str, wanted: Wanted, run: RunShards
) -> None:
    """Score what paths and URLs name with the version that `load` gives, into parquet files in `folder`.

    Files that are there already stay, so the same command goes on where an earlier one ended. Raises DataError where
    nothing can be read, and what `load` raises.
    """
    if wanted.csv or wanted.jsonl or wanted.subjects:
        raise DataError("--parquet stands in place of --csv, --jsonl and --subjects: leave them out")
    scale = parse_scale(wanted.scale)
    stored = stored_below(urls)
    version, files = load()
    check_prevalence(version, wanted.prevalence)
    job = Job(version, from_anywhere(folder), scale, wanted.prevalence)
    shards = shards_of(stored, job)
    left = missing(shards, folder)
    scored = unreadable = 0
    with progress("scoring", len(left), "shards") as advance:
        for finished in run(left, job, files) if left else ():
            for line in finished.unreadable:
                print(f"not scored: {one_line(line)}", file=sys.stderr)
            scored, unreadable = scored + finished.scored, unreadable + len(finished.unreadable)
            advance(1)
    if unreadable and not scored:
        raise DataError(f"none of the {unreadable} images could be read")
    print(f"{scored} images scored; {len(shards) - len(left)} of {len(shards)} shards were there", file=sys.stderr)
    print(calling(version), flagging(version), f"wrote {folder}", warning(version), sep="\n")


def _tell(scores: Sequence[Score], champion: Champion, wanted: Wanted) -> None:
    """Say it to a person: on stdout, or on stderr where stdout is for a program."""
    stream = sys.stderr if output.STDOUT in (wanted.csv, wanted.jsonl, wanted.subjects) else sys.stdout
    written = [path for path in (wanted.csv, wanted.jsonl, wanted.subjects) if path and path != output.STDOUT]
    if not (wanted.csv or wanted.jsonl):
        print(output.score_table(scores, wanted.prevalence), end="\n\n", file=stream)
    if summaries := by_subject(scores):
        print(output.subject_table(summaries), f"{NOT_A_DIAGNOSIS}\n", sep="\n", file=stream)
    print(*summary(scores, champion, wanted), sep="\n", file=stream)
    print(*(f"wrote {path}" for path in written), sep="\n", end="\n" if written else "", file=stream)
    # On stderr too where stdout went to a file, whose reader may be another than who ran it.
    if stream is sys.stdout and not sys.stdout.isatty():
        print(warning(champion), file=sys.stderr)


def summary(scores: Sequence[Score], champion: Champion, wanted: Wanted) -> Iterator[str]:
    """Lines: the counts, what each raised flag means, what calls and flags rest on, and the warning."""
    calls = [score.call for score in scores]
    refer = NOT_KNOWN if champion.refer_band is None else sum(bool(score.refer) for score in scores)
    seen = sum(score.seen != UNSEEN for score in scores)
    yield (
        f"{len(scores)} images: {calls.count('ALL')} called ALL, {calls.count('hem')} hem, {calls.count(None)} flagged "
        f"and {NOT_CALLED}; to {REFER}: {refer}"
    )
    if seen:
        yield f"{seen} of them were in training: their p says nothing of cells that the model has not seen"
    yield from flags_raised(scores)
    yield calling(champion)
    yield flagging(champion)
    if wanted.scale != "1":
        yield f"pictures were resized by {parse_scale(wanted.scale):g}: what that does to p is not validated"
    if wanted.prevalence is not None and champion.training:
        yield (
            f"p_at_prevalence: calibrated on validation, from a share of ALL of {champion.training.prevalence:.3f} to "
            f"{wanted.prevalence:g}; calls are by p_all and do not change"
        )
    yield warning(champion)


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


def _refuse_bad_outputs(paths: Sequence[Path | None]) -> None:
    """Before hours of scoring, and not after."""
    wanted = [path for path in paths if path]
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
