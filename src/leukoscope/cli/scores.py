"""The command line's words for scores: predict's tables and summary, and what explain has in common with them."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from leukoscope.artifacts.metrics import Estimate
from leukoscope.artifacts.training_cells import UNSEEN
from leukoscope.core.errors import one_line
from leukoscope.core.text import aligned, hundredths, with_interval
from leukoscope.prediction.command import Predicted, Sharded, Wanted, write
from leukoscope.prediction.output import DIGITS, STDOUT
from leukoscope.prediction.pictures import parse_scale
from leukoscope.prediction.scoring import FLAGS, NOT_CALLED, REFER, Score
from leukoscope.prediction.subjects import NOT_A_DIAGNOSIS, SubjectSummary
from leukoscope.registry.notices import NOT_KNOWN, calling, flagging, warning


def unreadable(line: str) -> None:
    """Say on stderr that an image could not be scored, and why."""
    print(f"not scored: {one_line(line)}", file=sys.stderr)


def show(predicted: Predicted, wanted: Wanted) -> None:
    """Say what did not read, write what is wanted, and show the answers: on stderr where stdout is for a program.

    Raises DataError as `write` does.
    """
    for line in predicted.unreadable:
        unreadable(line)
    written = write(predicted, wanted)
    stream = sys.stderr if STDOUT in wanted.files else sys.stdout
    print(*_told(predicted, wanted, written), sep="\n", file=stream)
    # On stderr too where stdout went to a file, whose reader may be another than who ran it.
    if stream is sys.stdout and not sys.stdout.isatty():
        print(warning(predicted.champion), file=sys.stderr)


def show_shards(sharded: Sharded) -> None:
    """Say how many images were scored and where their answers are."""
    version = sharded.version
    print(f"{sharded.scored} images scored; {sharded.there} of {sharded.shards} shards were there", file=sys.stderr)
    print(calling(version), flagging(version), f"wrote {sharded.folder}", warning(version), sep="\n")


def _told(predicted: Predicted, wanted: Wanted, written: Sequence[Path]) -> Iterator[str]:
    """The tables where no file has them, the summary, and the files."""
    if not (wanted.csv or wanted.jsonl):
        yield f"{score_table(predicted.scores, wanted.prevalence)}\n"
    if predicted.subjects:
        yield subject_table(predicted.subjects)
        yield f"{NOT_A_DIAGNOSIS}\n"
    yield from summary(predicted, wanted)
    yield from (f"wrote {path}" for path in written)


def summary(predicted: Predicted, wanted: Wanted) -> Iterator[str]:
    """Lines: the counts, what each raised flag means, what calls and flags rest on, and the warning."""
    scores, champion = predicted.scores, predicted.champion
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


def flags_raised(scores: Sequence[Score]) -> Iterator[str]:
    """A line for each flag that was raised: how often, and what it means."""
    for flag, meaning in FLAGS.items():
        if count := sum(flag in score.flags for score in scores):
            yield f"  {flag} ({count}): {meaning}"


def columns(score: Score) -> dict[str, str]:
    """The call, whether to refer, and the flags, as columns of a table; empty where there is nothing to say."""
    return {
        "call": score.call or NOT_CALLED,
        "refer": REFER if score.refer else "",
        "flags": ", ".join(score.flags),
    }


def score_table(scores: Sequence[Score], prevalence: float | None = None) -> str:
    """The scores for a terminal, a line each."""
    rows = []
    for score in scores:
        row = {"file": score.file, "subject": score.subject or "", "p_all": f"{score.p_all:.{DIGITS}f}"}
        row |= columns(score)
        row["seen in training"] = "" if score.seen == UNSEEN else f"this {score.seen}"
        if prevalence is not None:
            row["p_at_prevalence"] = f"{score.p_at_prevalence:.{DIGITS}f}"
        rows.append(row)
    return aligned(rows, left={"file", "flags"})


def subject_table(subjects: Sequence[SubjectSummary]) -> str:
    """The subjects for a terminal, a line each."""
    rows = [
        {
            "subject": subject.subject,
            "cells": str(subject.cells),
            "called": str(subject.called),
            "called ALL": str(subject.called_all),
            "share [95 % interval]": _share(subject),
            "to refer": "" if subject.refer is None else str(subject.refer),
            "seen in training": str(subject.seen or ""),
        }
        for subject in subjects
    ]
    return aligned(rows, left={"share [95 % interval]"})


def _share(subject: SubjectSummary) -> str:
    if subject.share_all is None:
        return "none called"
    share = Estimate(subject.share_all, subject.low, subject.high, None)
    return with_interval(share, lambda value: f"{100 * value:5.1f} %", hundredths)
