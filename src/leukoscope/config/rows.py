"""A row's settings, and what all sections of params.yaml are made of (`leukoscope.config.params` has the others)."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator
from pydantic.fields import FieldInfo

Protocol = Literal["subject", "official", "image", "paper"]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]
Name = TypeVar("Name", bound=str)
BACKGROUND = 16  # grey levels: what is brighter in some channel is cell (`imaging.cell` has the measurements)


def each_once(named: tuple[Name, ...]) -> tuple[Name, ...]:
    """The names, none of which stands twice."""
    twice = [name for name in named if named.count(name) > 1]
    if twice:
        raise ValueError(f"{twice[0]} is named twice")
    return named


Layers = Annotated[tuple[str, ...], AfterValidator(each_once)]
Statistics = Annotated[tuple[Literal["area", "shape", "colour"], ...], AfterValidator(each_once)]


def numbers_of(field: FieldInfo) -> set[type]:
    """Those of int and float that a field takes, None aside; empty for a field of any other kind."""
    kinds = [field.annotation, *get_args(field.annotation)]
    plain = {get_args(kind)[0] if get_origin(kind) is Annotated else kind for kind in kinds}
    return plain & {int, float}


class Section(BaseModel):
    """A part of params.yaml: frozen, no unknown keys, no NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _numbers_are_no_truth_values(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, bool) and info.field_name and numbers_of(cls.model_fields[info.field_name]):
            raise ValueError("Input should be a number")  # pydantic would take true for 1
        return value


class Tuned(Section):
    """Which study a row's values come from, as `leukoscope tune --apply` writes it into the row."""

    study: str
    data: str = Field(description="hash of the images' table")
    split: str = Field(description="hash of the protocol's split")
    protocol: Protocol
    fold: int = Field(ge=0, description="the study saw this fold's train and val sides")


class Branch(Section):
    """A backbone that sees a row's pictures, and which of its layers are read."""

    backbone: str
    weights: str = Field(description="imagenet, none, or a .weights.h5 file")
    taps: Layers = Field(default=(), description="layers whose pooled maps are joined, in order; none: the last map")
    shrink: int = Field(default=1, ge=1, description="it sees the means of squares of so many pixels a side")

    def side(self, size: int) -> int:
        """Pixels of its square input, where the row's pictures have `size`."""
        return size // self.shrink


class ModelSettings(Section):
    """A row: everything that makes one model differ from another."""

    backbone: str
    weights: str = Field(default="imagenet", description="imagenet, none, or a .weights.h5 file")
    frame: int = Field(default=300, ge=32, description="centre pixels at native scale; 450 is the whole picture")
    size: int = Field(default=224, ge=32, description="pixels of the backbone's square input")
    mode: Literal["frozen", "finetune"] = "frozen"
    views: int = Field(default=0, ge=0, description="augmented copies of each training image, where a head is trained")
    taps: Layers = Field(
        default=(), description="layers of the backbone whose pooled maps are joined, in order; none: its last map"
    )
    beside: Branch | None = Field(default=None, description="a second backbone, whose pooled maps are joined to these")
    pooling: Literal["max", "avg", "cell"] = Field(
        default="max", description="of each map; cell: mean and deviation over the cell's own pixels"
    )
    colours: Literal["raw", "normalized", "both"] = Field(
        default="raw", description="normalized: each channel's mean and deviation over the cell moved to fixed ones"
    )
    statistics: Statistics = Field(default=(), description="of the cell, as further columns beside the backbone's")
    statistics_share: float = Field(
        default=0.2,
        gt=0,
        lt=1,
        description="of the squared distance of two images that the statistics make up; not of a kernel head",
    )
    head: Literal["regularized", "plain", "kernel"] = "regularized"
    width: int = Field(default=256, ge=1, description="units of the regularized head's hidden layer")
    kernel_l2: NotNegative = 0.016
    activity_l1: NotNegative = 0.006
    bias_l1: NotNegative = 0.006
    dropout: float = Field(default=0.2, ge=0, lt=1)
    learning_rate: Positive = 0.003
    svm_c: Positive = Field(default=10, description="the kernel head's penalty of a training error")
    svm_gamma: Positive = Field(
        default=0.5, description="the kernel head's gamma, times the mean squared distance of two training images"
    )
    svm_components: int = Field(
        default=256, ge=1, description="principal components of the features that the kernel head compares, at most"
    )
    class_weight: Literal["none", "balanced"] = Field(default="none", description="in the training loss")
    sampling: Literal["image", "group"] = Field(
        default="image",
        description="group: an epoch shows every group of a class equally often, as many images as before",
    )
    rotations: Literal[1, 4, 8] = Field(
        default=1, description="p is the mean over the square's rotations; 8 with their mirror images"
    )
    tuned: Tuned | None = Field(
        default=None, exclude=True, description="where values come from: the same values make the same model"
    )

    @model_validator(mode="after")
    def _whole_squares(self) -> ModelSettings:
        if self.beside and self.size % self.beside.shrink:
            raise ValueError(
                f"beside.shrink {self.beside.shrink} does not divide size {self.size}, so its squares of pixels do not "
                f"fill the picture: change either"
            )
        return self

    @model_validator(mode="after")
    def _finetuning_as_the_study_does(self) -> ModelSettings:
        more_than_a_last_map = self.taps or self.beside or self.statistics
        if self.mode == "finetune" and (more_than_a_last_map or self.pooling == "cell" or self.colours != "raw"):
            raise ValueError(
                "mode finetune takes no taps, one backbone, no pooling cell, no statistics and raw colours alone: "
                "use mode frozen"
            )
        if self.mode == "finetune" and self.head == "kernel":
            raise ValueError("mode finetune takes no kernel head, which has no gradient to train by: use mode frozen")
        return self

    @property
    def branches(self) -> tuple[Branch, ...]:
        """The row's backbones, in the order of its columns."""
        own = Branch(backbone=self.backbone, weights=self.weights, taps=self.taps)
        return (own, self.beside) if self.beside else (own,)

    @property
    def trains_on_val(self) -> bool:
        """Whether val's images train the fold's model once val has chosen its threshold: val need not stop it."""
        return self.head == "kernel"

    @property
    def looks_for_the_cell(self) -> bool:
        """Whether its features depend on where the cell is, which augmented views must not blur."""
        return self.pooling == "cell" or self.colours != "raw" or bool(self.statistics)
