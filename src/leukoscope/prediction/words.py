"""An answer as a person reads it, the same in every table, figure and summary."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from leukoscope.prediction.scoring import FLAGS, Score

NOT_CALLED = "not called"
REFER = "refer"


def columns(score: Score) -> dict[str, str]:
    """The call, whether to refer, and the flags, as columns of a table; empty where there is nothing to say."""
    return {
        "call": score.call or NOT_CALLED,
        "refer": REFER if score.refer else "",
        "flags": ", ".join(score.flags),
    }


def in_words(score: Score) -> str:
    """The same in one line: 'called ALL', 'called hem, refer' or 'not called: several-cells'."""
    if score.call is None:
        return f"{NOT_CALLED}: {', '.join(score.flags)}"
    return f"called {score.call}" + (f", {REFER}" if score.refer else "")


def flags_raised(scores: Sequence[Score]) -> Iterator[str]:
    """A line for each flag that was raised: how often, and what it means."""
    for flag, meaning in FLAGS.items():
        if count := sum(flag in score.flags for score in scores):
            yield f"  {flag} ({count}): {meaning}"
