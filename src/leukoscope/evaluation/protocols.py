"""What each protocol is called where a number is shown, and whether that number speaks about unseen subjects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from leukoscope.config.params import HONEST_PROTOCOLS
from leukoscope.config.rows import Protocol


@dataclass(frozen=True)
class ProtocolText:
    """The words for one protocol: a short title, one sentence, and whether no subject is on both sides."""

    title: str
    sentence: str
    honest: bool


_WORDS: dict[Protocol, tuple[str, str]] = {
    "subject": (
        "unseen subjects",
        "Grouped, stratified folds over the labelled training images: no subject is on both sides, and the figure is "
        "over the pooled out-of-fold predictions.",
    ),
    "official": (
        "official preliminary test, unseen subjects",
        "The official folds train and validate, and the preliminary test set, whose subjects are all new, tests.",
    ),
    "image": (
        "split by image: leaky",
        "The folds of protocol subject drawn by image instead: the same subjects are in training and test, so the "
        "figure is too good and serves as the control that measures the leak.",
    ),
    "paper": (
        "the paper's split by image: leaky",
        "One random 70/15/15 split by image, as the paper very likely made it: the same subjects are in training and "
        "test, so the figure says little about new ones.",
    ),
}

PROTOCOLS: dict[Protocol, ProtocolText] = {
    name: ProtocolText(*_WORDS[name], honest=name in HONEST_PROTOCOLS) for name in get_args(Protocol)
}
