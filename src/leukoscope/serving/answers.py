"""What the server says, as JSON: the fields of /predict, /model and /health, and how they follow from scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from leukoscope.prediction.scoring import FLAGS, Score
from leukoscope.prediction.subjects import LEVEL, NOT_A_DIAGNOSIS, by_subject
from leukoscope.registry.champion import Champion
from leukoscope.registry.notices import calling, caution, flagging, warning
from leukoscope.registry.versions import model_name
from leukoscope.serving.limits import Limits


class _Said(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class Model(_Said):
    """The registered version that answered."""

    name: str = Field(description="The registered model.", examples=["leukoscope-synthetic"])
    version: str = Field(description="Its version in the registry.", examples=["1"])
    row: str = Field(description="The row of params.yaml that it was trained as.")
    trained_on: str = Field(description="The data set's name.")
    data_kind: str = Field(description="real or synthetic.")
    threshold: float = Field(description="A cell is called ALL where p_all exceeds it.")
    refer_low: float | None = Field(description="The refer band's ends; null where the version has none.")
    refer_high: float | None
    frame: int = Field(description="The side, in native pixels, of the picture's centre that the model sees.")
    not_real: str = Field(description="Why it is not for real cells: synthetic cells, an untrained backbone; or empty.")
    caution: str = Field(description="What must stand beside every answer, in a few words.")


class Image(_Said):
    """One picture's answer."""

    position: int = Field(description="Its place in the request, from 0.")
    file: str = Field(description="Its name as it was sent.")
    subject: str | None = Field(description="The subject that a name like C-NMC's carries.")
    p_all: float = Field(description="p(ALL), 0 to 1.")
    call: Literal["ALL", "hem"] | None = Field(description="null where there are flags: such a picture is not called.")
    refer: bool | None = Field(description="Whether p_all lies in the refer band; null: not called, or no band known.")
    flags: tuple[str, ...] = Field(description=f"Why it is not called: {', '.join(FLAGS)}.")
    seen: Literal["file", "picture", "no"] = Field(description="Whether it was in training: this file, this picture.")


class Unreadable(_Said):
    """A file that could not be scored."""

    position: int
    file: str
    reason: str = Field(examples=["not a picture that can be read (bmp, png, jpg, tif)"])


class Subject(_Said):
    """One subject's cells in this request. No diagnosis."""

    subject: str
    cells: int
    called: int
    called_all: int
    share_all: float | None = Field(description="called_all / called.")
    low: float | None = Field(description=f"Wilson's interval of the share at {LEVEL:.0%}.")
    high: float | None
    refer: int | None
    seen: int


class Prediction(_Said):
    """The answer of POST /predict."""

    model: Model
    warning: str = Field(description="What anyone who reads these answers must know.")
    images: list[Image]
    unreadable: list[Unreadable]
    subjects: list[Subject]
    about_subjects: str = NOT_A_DIAGNOSIS


class Accepted(_Said):
    """What one request may hold."""

    images: int
    image_mb: float
    image_megapixels: float
    upload_mb: float


class ModelAnswer(_Said):
    """The answer of GET /model."""

    model: Model
    warning: str
    calling: str = Field(description="How cells are called, in a line.")
    flagging: str = Field(description="What is flagged as outside the training range, and how often, in a line.")
    flags: dict[str, str] = Field(description="What each flag means.")
    follows_champion: bool = Field(description="Whether another champion replaces this version while the server runs.")
    problem: str | None = Field(description="Why the champion of now does not answer, where it does not.")
    limits: Accepted


class Health(_Said):
    """The answer of GET /health."""

    status: Literal["ok"] = "ok"
    version: str = Field(description="The version that answers.")


class Refusal(_Said):
    """The answer to what cannot be answered."""

    detail: str = Field(description="One sentence: what was wrong, and what to do.")


def model_of(champion: Champion, data_name: str) -> Model:
    """What is said of the version in every answer."""
    band = champion.refer_band
    return Model(
        name=model_name(data_name),
        version=champion.version,
        row=champion.decision.row,
        trained_on=champion.decision.data.name,
        data_kind=champion.decision.data.kind,
        threshold=champion.threshold,
        refer_low=band[0] if band else None,
        refer_high=band[1] if band else None,
        frame=champion.frame,
        not_real=champion.decision.not_real,
        caution=caution(champion),
    )


def prediction(
    champion: Champion, data_name: str, scores: Sequence[tuple[int, Score]], unreadable: list[Unreadable]
) -> Prediction:
    """The answer for scores, each with its picture's position in the request."""
    return Prediction(
        model=model_of(champion, data_name),
        warning=warning(champion),
        images=[Image.model_validate({"position": position, **asdict(score)}) for position, score in scores],
        unreadable=unreadable,
        subjects=[Subject.model_validate(one) for one in by_subject(score for _, score in scores)],
    )


def model_answer(
    champion: Champion, data_name: str, limits: Limits, *, follows_champion: bool, problem: str | None
) -> ModelAnswer:
    """The answer of GET /model."""
    return ModelAnswer(
        model=model_of(champion, data_name),
        warning=warning(champion),
        calling=calling(champion),
        flagging=flagging(champion),
        flags=FLAGS,
        follows_champion=follows_champion,
        problem=problem,
        limits=Accepted.model_validate(limits),
    )
