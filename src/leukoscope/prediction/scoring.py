"""What a version says of decoded pictures: p(ALL), the call at its threshold, whether to refer, and why not to call."""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Literal, Protocol

import numpy as np

from leukoscope.artifacts.training_cells import MEANINGS, SAME_FILE, SAME_PICTURE, UNSEEN, Seen
from leukoscope.core.errors import DataError
from leukoscope.imaging.cell import Cell, find_cell
from leukoscope.imaging.framing import centre_frame
from leukoscope.imaging.reading import MAX_PIXELS
from leukoscope.prediction import content
from leukoscope.prediction.content import content_flags
from leukoscope.prediction.pictures import Picture, at_native_scale, decoded, subject_of
from leukoscope.registry.champion import Champion, Version
from leukoscope.stats.points import Calibration

FLAGS = {**content.MEANINGS, **MEANINGS}  # what each flag means, for a person
NOT_CALLED = "not called"  # the words for a person, the same in every table and figure
REFER = "refer"
READ_AHEAD = 16  # pictures for each core


class Source(Protocol):
    """A file to score: on this machine, in an object store, or sent to the server."""

    @property
    def name(self) -> str:
        """The name that is shown."""

    def read(self) -> bytes:
        """Its bytes. Raises DataError where they cannot be had."""


@dataclass(frozen=True)
class Prepared:
    """A picture ready for the model: its framed centre, uint8 [frame, frame, 3], and all that is known without p."""

    name: str
    subject: str | None
    framed: np.ndarray
    flags: tuple[str, ...]
    seen: Seen


@dataclass(frozen=True)
class Score:
    """One picture's answer.

    `call` is ALL where `p_all` exceeds the threshold, else hem, and None where there are `flags` (by name; FLAGS says
    what they mean): such a picture is not called. `refer` says whether p lies in the refer band, None where nothing is
    called or the version has no band. `seen` is "file" for a file of the training set, "picture" for the same picture
    in another file, else "no". `p_at_prevalence` is there where a prevalence was asked for.
    """

    file: str
    subject: str | None
    p_all: float
    call: Literal["ALL", "hem"] | None
    flags: tuple[str, ...]
    version: str
    refer: bool | None
    seen: Seen
    p_at_prevalence: float | None = None


def score_pictures(
    pictures: Iterable[Picture], champion: Champion, *, scale: float = 1.0, prevalence: float | None = None
) -> Iterator[Score]:
    """The answer for each picture, in their order; pictures are taken from the iterable as the model has room for them.

    `scale` enlarges pictures of other optics to native scale. `prevalence` (0..1) also reweighs p; it needs a version
    that knows the prevalence it was calibrated on, as `check_prevalence` says beforehand.
    """
    return score_prepared((prepare(picture, champion, scale=scale) for picture in pictures), champion, prevalence)


def score_prepared(
    prepared: Iterable[Prepared], champion: Champion, prevalence: float | None = None
) -> Iterator[Score]:
    """The same of pictures that were prepared elsewhere, such as in other threads."""
    in_flight: deque[Prepared] = deque()

    def framed() -> Iterator[np.ndarray]:
        for one in prepared:
            in_flight.append(one)
            yield one.framed

    for p_all in champion.model.p_all(framed()):
        yield concluded(in_flight.popleft(), p_all, champion, prevalence)


def prepared_ahead(
    sources: Iterable[Source], version: Version, *, scale: float = 1.0
) -> Iterator[Prepared | DataError]:
    """`read_and_prepare` of each source on all cores, in order; memory holds READ_AHEAD pictures for each core."""
    read = partial(read_and_prepare, version=version, scale=scale)
    cores = os.cpu_count() or 1
    with ThreadPoolExecutor(cores) as pool:
        left = iter(sources)
        ahead = deque(pool.submit(read, source) for source in islice(left, READ_AHEAD * cores))
        while ahead:
            yield ahead.popleft().result()
            ahead.extend(pool.submit(read, source) for source in islice(left, 1))


def read_and_prepare(
    source: Source, version: Version, *, scale: float = 1.0, max_pixels: int = MAX_PIXELS
) -> Prepared | DataError:
    """A source's picture, ready for the model, or the error that says why it does not read (a value, not raised).

    A picture of more than `max_pixels` is not decoded.
    """
    try:
        return prepare(decoded(source.read(), source.name, max_pixels), version, scale=scale)
    except DataError as error:
        return error


def prepare(picture: Picture, champion: Version, *, scale: float = 1.0) -> Prepared:
    """Frame a picture and look at it, on the calling thread."""
    pixels = at_native_scale(picture.pixels, scale)
    framed = centre_frame(pixels, champion.frame)
    cell = find_cell(pixels)
    flags = content_flags(pixels, cell, framed)
    if cell and not flags and champion.training:
        flags = champion.training.range_flags(cell)
    as_taken = cell if scale == 1 else find_cell(picture.pixels)
    return Prepared(picture.name, subject_of(picture.name), framed, flags, _seen(picture, as_taken, champion))


def _seen(picture: Picture, cell: Cell | None, champion: Version) -> Seen:
    if picture.sha256 in champion.decision.training_images:
        return SAME_FILE
    return SAME_PICTURE if cell and champion.training and champion.training.shows(cell) else UNSEEN


def concluded(prepared: Prepared, p_all: float, champion: Version, prevalence: float | None = None) -> Score:
    """The answer for a prepared picture of which the model said `p_all`."""
    called = not prepared.flags
    band = champion.refer_band
    return Score(
        file=prepared.name,
        subject=prepared.subject,
        p_all=p_all,
        call=("ALL" if p_all > champion.threshold else "hem") if called else None,
        flags=prepared.flags,
        version=champion.version,
        refer=band[0] <= p_all <= band[1] if called and band else None,
        seen=prepared.seen,
        p_at_prevalence=None if prevalence is None else _at_prevalence(p_all, champion, prevalence),
    )


def in_words(score: Score) -> str:
    """The same in one line: 'called ALL', 'called hem, refer' or 'not called: several-cells'."""
    if score.call is None:
        return f"{NOT_CALLED}: {', '.join(score.flags)}"
    return f"called {score.call}" + (f", {REFER}" if score.refer else "")


def none_read(images: int) -> DataError:
    """The error where none of so many images could be read."""
    return DataError(f"none of the {images} images could be read")


def _at_prevalence(p_all: float, champion: Version, wanted: float) -> float:
    if champion.training is None:
        raise ValueError("a version without training_cells.json has no prevalence to reweigh from")
    return reweighed(p_all, champion.decision.pooled.calibration, champion.training.prevalence, wanted)


CLIP = 1e-7  # as `stats.calibration` clips p


def reweighed(p_all: float, calibration: Calibration, known: float, wanted: float) -> float:
    """p(ALL) at the prevalence `wanted` (0..1, exclusive), after Bayes.

    logit(p') = slope * logit(p) + intercept + logit(wanted) - logit(known)

    slope and intercept are Platt's calibration on the validation sides (decision.json, `pooled`), whose share of ALL is
    `known`; without it p's own bias would be reweighed with it (Saerens, Latinne, Decaestecker 2002). It assumes that
    cells of a class look the same at either prevalence. The order of cells does not change, and neither do calls: a
    threshold for a specificity does not depend on prevalence.
    """
    p = min(max(p_all, CLIP), 1 - CLIP)
    logit = calibration.slope * _logit(p) + calibration.intercept + _logit(wanted) - _logit(known)
    return 1 / (1 + math.exp(-logit)) if logit > -700 else 0.0


def _logit(p: float) -> float:
    return math.log(p) - math.log1p(-p)
