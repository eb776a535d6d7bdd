"""params.yaml as frozen pydantic models, one for each section; an unknown key is an error.

`load_params` reads the whole file and names every mistake in one message. A row under `models:` says what differs
from `model_defaults:`; `Params.row` joins the two.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator

from leukoscope.config.mistakes import in_words, listed
from leukoscope.config.rows import BACKGROUND, ModelSettings, NotNegative, Protocol, Section, Seed, Share
from leukoscope.core.errors import ConfigError

PARAMS_FILE = Path("params.yaml")

HONEST_PROTOCOLS: tuple[Protocol, ...] = ("subject", "official")
LEAKY_PROTOCOLS: tuple[Protocol, ...] = ("image", "paper")


class Synthetic(Section):
    """What `fetch.source: synthetic` draws."""

    seed: Seed = 7
    subjects_all: int = Field(default=16, ge=2, description="training subjects with leukemia")
    subjects_hem: int = Field(default=12, ge=2, description="training subjects without")
    images_per_subject: int = Field(default=24, ge=2, description="on average; subjects differ, as in C-NMC")
    prelim_subjects: int = Field(default=8, ge=2, description="of the preliminary test set, half a class")
    prelim_images_per_subject: int = Field(default=8, ge=1)
    final_images: int = Field(default=16, ge=0, description="unlabelled 600x600 images")
    size_difference: NotNegative = Field(default=1.0, description="between the classes; 1 is as in C-NMC")
    texture_difference: NotNegative = Field(default=1.0, description="of stain and chromatin; 1 is as in C-NMC")
    subject_strength: NotNegative = Field(default=1.0, description="spread of stain, size and texture over subjects")


class Fetch(Section):
    """Where the images come from."""

    source: Literal["synthetic", "folder", "archive", "kaggle"] = "synthetic"
    name: str = Field(default="synthetic", pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", description="names the data set")
    path: Path | None = Field(default=None, description="the folder or archive")
    labels: Path | None = Field(default=None, description="CSV with columns file, label, subject")
    positive: str = Field(default="all", description="the positive class's name, compared without regard to case")
    verify: bool = Field(default=False, description="compare with C-NMC 2019's complete SHA-256 list")
    synthetic: Synthetic = Synthetic()

    @model_validator(mode="after")
    def _a_path_where_one_is_needed(self) -> Fetch:
        if self.source in ("folder", "archive") and self.path is None:
            raise ValueError(f"fetch.path must name the {self.source} when fetch.source is {self.source}")
        return self


class Validate(Section):
    """When the data stop the pipeline."""

    max_bad: int = Field(default=0, ge=0, description="unreadable images that are tolerated")
    strict: bool = Field(default=False, description="content, size and hash findings stop the pipeline too")


class Split(Section):
    """How images are divided."""

    seed: Seed = 7
    folds: int = Field(default=5, ge=1, description="1 means one grouped 70/15/15 split; 2 is too few to validate")
    paper_balance: Share | None = Field(
        default=None, gt=0, lt=1, description="share of ALL images that protocol `paper` is resampled to"
    )

    @field_validator("folds")
    @classmethod
    def _not_two(cls, folds: int) -> int:
        if folds == 2:
            raise ValueError("2 folds leave none to train on: one tests, the other validates; use 1, or 3 and more")
        return folds


class Augment(Section):
    """Table II: the arguments of Keras's ImageDataGenerator; and what a view may change of a cell's stain and grain."""

    seed: Seed = 7
    horizontal_flip: bool = True
    vertical_flip: bool = True
    rotation: float = Field(default=30, ge=0, le=180, description="degrees")
    width_shift: Share = Field(default=0.25, description="share of the width")
    height_shift: Share = Field(default=0.25, description="share of the height")
    shear: float = Field(default=20, ge=0, lt=90, description="degrees; the paper's '20 %' read literally is 0.2")
    zoom: float = Field(default=0.3, ge=0, lt=1, description="x and y factors are drawn from 1-zoom to 1+zoom")
    channel_shift: float = Field(default=10, ge=0, le=255, description="grey levels, one draw for all channels")
    keep_black: bool = Field(default=False, description="leave the black background out of the channel shift")
    stain: float = Field(
        default=0,
        ge=0,
        lt=1,
        description="each stain's optical density is scaled by 1-stain to 1+stain, and shifted by up to that",
    )
    grain: float = Field(default=0, ge=0, le=2, description="deviation of the logarithm of the finest details' gains")
    noise: float = Field(default=0, ge=0, le=64, description="grey levels: deviations are drawn from 0 to it")


class Ensemble(Section):
    """The mean of what some rows say, without training."""

    members: tuple[str, ...] = Field(min_length=2, description="rows of `models`, each once")

    @field_validator("members")
    @classmethod
    def _each_once(cls, members: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(members)) < len(members):
            raise ValueError("a row is named twice: a mean takes each row once")
        return members


class Train(Section):
    """How every row is trained."""

    seed: Seed = 7
    batch_size: int = Field(default=40, ge=1)
    epochs: int = Field(default=40, ge=1)
    patience: int = Field(default=8, ge=1, description="epochs without a better val loss before stopping")
    head_epochs: int = Field(default=3, ge=0, description="finetune: epochs on frozen features before all layers train")
    freeze_batchnorm: bool = Field(default=True, description="finetune: the backbone's batch norms stay as they are")


class Threshold(Section):
    """How the operating point is chosen on the validation side."""

    rule: Literal["specificity"] = "specificity"
    at_least: float = Field(default=0.9, gt=0, lt=1)


class Evaluate(Section):
    """How results are measured."""

    bootstrap: int = Field(default=1000, ge=100, description="group resamples behind each interval")
    level: float = Field(default=0.95, gt=0, lt=1)
    seed: Seed = 7


class Register(Section):
    """What may become champion."""

    protocol: Protocol = "subject"
    min_sensitivity: Share = Field(default=0.3, description="at the threshold chosen on val")


class Range(Section):
    """Numbers that a study may try, both ends among them; whole ones where both ends are and the setting is."""

    low: float
    high: float
    log: bool = False

    @model_validator(mode="after")
    def _low_below_high(self) -> Range:
        if self.low >= self.high:
            raise ValueError("low must be below high")
        if self.log and self.low <= 0:
            raise ValueError("a logarithmic range begins above 0")
        return self


class Choices(Section):
    """Values that a study may try."""

    choices: tuple[str | int | float, ...] = Field(min_length=2)


TUNABLE = (
    "kernel_l2",
    "activity_l1",
    "bias_l1",
    "dropout",
    "learning_rate",
    "svm_c",
    "svm_gamma",
    "statistics_share",
    "pooling",
    "width",
    "views",
    "class_weight",
    "sampling",
    "zoom",
)


class Tune(Section):
    """What `leukoscope tune` tries, and on what: the train and val sides of one fold of a protocol."""

    protocol: Protocol = "subject"
    fold: int = Field(default=0, ge=0, description="the protocol's fold whose test side no trial sees")
    folds: int = Field(default=3, ge=2, description="grouped folds inside those sides")
    repeats: int = Field(default=2, ge=1, description="deals of those folds; fewer than 4 scores never prune")
    seed: Seed = 7
    storage: str | None = Field(default=None, description="an Optuna storage URL; a journal in mlruns/ otherwise")
    space: dict[str, Range | Choices] = Field(
        default={
            "kernel_l2": Range(low=1e-4, high=0.3, log=True),
            "activity_l1": Range(low=1e-5, high=0.1, log=True),
            "bias_l1": Range(low=1e-5, high=0.1, log=True),
            "dropout": Range(low=0, high=0.6),
            "learning_rate": Range(low=1e-4, high=1e-2, log=True),
            "svm_c": Range(low=0.3, high=100, log=True),
            "svm_gamma": Range(low=0.1, high=3, log=True),
        },
        min_length=1,
    )

    @field_validator("space")
    @classmethod
    def _of_tunable_settings(cls, space: dict[str, Range | Choices]) -> dict[str, Range | Choices]:
        unknown = [name for name in space if name not in TUNABLE]
        if unknown:
            raise ValueError(f"{unknown[0]} cannot be tuned: a space may name {', '.join(TUNABLE)}")
        return space


class Compute(Section):
    """Where `embed`, `tune`, `train` and `predict --parquet` compute. No result depends on it, and so no stage."""

    engine: Literal["local", "ray"] = "local"
    address: str | None = Field(default=None, description="HOST:PORT of a Ray cluster; this machine alone otherwise")
    cpus: int = Field(default=1, ge=1, description="cores of each Ray task and worker")
    gpus: NotNegative = Field(default=0, description="GPUs of each of them; below 1 it is a share of one")


class Params(Section):
    """The whole of params.yaml."""

    fetch: Fetch = Fetch()
    validate_: Validate = Field(default=Validate(), alias="validate")
    split: Split = Split()
    protocols: tuple[Protocol, ...] = Field(default=("subject", "image"), min_length=1)
    augment: Augment = Augment()
    model_defaults: dict[str, Any] = Field(default={})
    models: dict[str, dict[str, Any] | None] = Field(min_length=1)
    ensembles: dict[str, Ensemble] = Field(default={})
    train: Train = Train()
    threshold: Threshold = Threshold()
    evaluate: Evaluate = Evaluate()
    register_: Register = Field(default=Register(), alias="register")
    tune: Tune = Tune()
    compute: Compute = Compute()

    @field_validator("models", "ensembles")
    @classmethod
    def _names_that_make_stage_names(cls, named: dict[str, Any]) -> dict[str, Any]:
        for name in named:
            if not name.replace("_", "").isalnum():
                raise ValueError(f"'{name}' cannot name a row or an ensemble: use letters, digits and underscores")
        return named

    @field_validator("ensembles")
    @classmethod
    def _of_rows(cls, ensembles: dict[str, Ensemble], others: ValidationInfo) -> dict[str, Ensemble]:
        rows = others.data.get("models", {})
        for name, ensemble in ensembles.items():
            if name in rows:
                raise ValueError(f"'{name}' is a row of models already: give the ensemble another name")
            unknown = [member for member in ensemble.members if member not in rows]
            if rows and unknown:
                raise ValueError(f"{name} joins {unknown[0]}, which is no row of models: it has {', '.join(rows)}")
        return ensembles

    @property
    def rows_and_ensembles(self) -> list[str]:
        """The names of everything that has results: rows first, each in the order of params.yaml."""
        return [*self.models, *self.ensembles]

    def row(self, name: str) -> ModelSettings:
        """The settings of row `name`, with `model_defaults` where it says nothing."""
        if name not in self.models:
            raise ConfigError(f"params.yaml has no row models.{name}; it has {', '.join(self.models)}")
        return ModelSettings(**{**self.model_defaults, **(self.models[name] or {})})

    def members(self, name: str) -> tuple[str, ...]:
        """The rows that ensemble `name` joins."""
        if name not in self.ensembles:
            raise ConfigError(f"params.yaml has no ensemble {name}; it has {', '.join(self.ensembles) or 'none'}")
        return self.ensembles[name].members

    def rows(self) -> dict[str, ModelSettings]:
        """Every row's settings by name, in the order of params.yaml."""
        return {name: self.row(name) for name in self.models}


def chosen_rows(params: Params, row: str | None, *, every: bool) -> Sequence[str]:
    """The rows that a command is about. Raises ConfigError unless either one is named or all are asked for."""
    if every == (row is not None):
        raise ConfigError("name one row of models in params.yaml, or ask for --all of them")
    return list(params.models) if row is None else [row]


def lifted_background(row: ModelSettings, augment: Augment) -> str | None:
    """What is wrong with a row that looks for the cell in views whose background may be as bright as one."""
    if not (row.looks_for_the_cell and row.views) or augment.keep_black:
        return None
    if augment.channel_shift <= BACKGROUND:
        return None
    return (
        f"pooling cell, normalized colours and statistics take what is brighter than {BACKGROUND} for the cell, and "
        f"augment.channel_shift {augment.channel_shift:g} lifts the background of its views above that: "
        "set augment.keep_black: true, or views: 0"
    )


def load_params(path: Path | str = PARAMS_FILE) -> Params:
    """Read and check params.yaml. Raises ConfigError that names every mistake, each with what its key allows."""
    path = Path(path)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path} is not here: run this in the root of the checkout") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not readable YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path} holds no sections")
    mistakes: list[str] = []
    params: Params | None = None
    try:
        params = Params.model_validate(content)
    except ValidationError as error:
        mistakes += in_words(error, Params)
    models = content.get("models")
    defaults = content.get("model_defaults") or {}
    if isinstance(models, dict) and isinstance(defaults, dict):
        for name, own in models.items():
            if not isinstance(own or {}, dict):  # Params has said so
                continue
            try:
                row = ModelSettings.model_validate({**defaults, **(own or {})})
            except ValidationError as error:
                mistakes += in_words(error, ModelSettings, f"models.{name}")
                continue
            lifted = lifted_background(row, params.augment) if params else None
            mistakes += [f"models.{name}: {lifted}"] if lifted else []
    if mistakes or params is None:
        raise ConfigError(listed(path, mistakes))
    return params
