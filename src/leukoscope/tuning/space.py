"""What a study may try: the settings of `tune.space` that concern a row, the paper's values first.

Values of a trial are a flat dict by setting. All are settings of the row but `zoom`, which is Table II's and therefore
`augment.zoom`.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from leukoscope.config.params import Augment, Choices, Params, Range, lifted_background
from leukoscope.config.rows import ModelSettings
from leukoscope.core.errors import ConfigError

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    Distributions = dict[str, CategoricalDistribution | FloatDistribution | IntDistribution]


OF_THE_HIDDEN_LAYER = ("kernel_l2", "activity_l1", "bias_l1", "dropout", "width")
OF_THE_KERNEL = ("svm_c", "svm_gamma")
SETTINGS_WITHOUT_EFFECT: dict[str, tuple[str, ...]] = {
    "regularized": OF_THE_KERNEL,
    "plain": OF_THE_HIDDEN_LAYER + OF_THE_KERNEL,
    "kernel": (*OF_THE_HIDDEN_LAYER, "learning_rate", "statistics_share"),
}
# Table III and Table II; for what the study says nothing of (views), the row's own value stands.
OF_THE_PAPER = ("kernel_l2", "activity_l1", "bias_l1", "dropout", "learning_rate", "pooling", "width", "class_weight")
Values = dict[str, Any]


def distributions(params: Params, row: ModelSettings) -> Distributions:
    """Optuna's distribution of each setting that a study of `row` tries.

    Raises ConfigError for a range that the setting does not take, or that leaves out the paper's value, and where
    nothing is left to try.
    """
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    without_effect = SETTINGS_WITHOUT_EFFECT[row.head] + (() if row.statistics else ("statistics_share",))
    found: Distributions = {}
    for name, tried in params.tune.space.items():
        if name in without_effect:
            continue
        if isinstance(tried, Choices):
            found[name] = CategoricalDistribution(tried.choices)
        elif _is_whole(name):
            found[name] = IntDistribution(_whole(name, tried.low), _whole(name, tried.high), log=tried.log)
        else:
            found[name] = FloatDistribution(tried.low, tried.high, log=tried.log)
        _refuse_what_the_setting_does_not_take(params, row, name)
    _refuse_lifted_backgrounds(params, row)
    if not found:
        missing = "svm_c" if row.head == "kernel" else "learning_rate"
        raise ConfigError(f"tune.space names nothing that a {row.head} head has: add {missing}")
    for name, value in paper_values(params, row, found).items():
        if not _tries(params.tune.space[name], value):
            raise ConfigError(
                f"tune.space.{name} leaves out {value}, the paper's value and the study's first trial: widen it"
            )
    return found


def paper_values(params: Params, row: ModelSettings, names: Mapping[str, Any]) -> Values:
    """The paper's value of each setting in `names`; the row's own where the paper has none."""
    defaults = ModelSettings(backbone=row.backbone)
    paper = {name: getattr(defaults, name) for name in OF_THE_PAPER} | {"zoom": Augment().zoom}
    own = own_values(params, row, names)
    return {name: paper.get(name, own[name]) for name in names}


def own_values(params: Params, row: ModelSettings, names: Mapping[str, Any]) -> Values:
    """What params.yaml says of the settings in `names`."""
    own = {**row.model_dump(), "zoom": params.augment.zoom}
    return {name: own[name] for name in names}


def suggested(trial: optuna.Trial, tried: Distributions) -> Values:
    """A trial's value of every setting, in the order of params.yaml."""
    from optuna.distributions import CategoricalDistribution, IntDistribution

    values: Values = {}
    for name, of in tried.items():
        if isinstance(of, CategoricalDistribution):
            values[name] = trial.suggest_categorical(name, of.choices)
        elif isinstance(of, IntDistribution):
            values[name] = trial.suggest_int(name, of.low, of.high, log=of.log)
        else:
            values[name] = trial.suggest_float(name, of.low, of.high, log=of.log)
    return values


def with_values(params: Params, row: ModelSettings, values: Mapping[str, Any]) -> tuple[ModelSettings, Augment]:
    """The row and the augmentation with a trial's values."""
    of_row = {name: value for name, value in values.items() if name != "zoom"}
    augment = Augment.model_validate(
        {**params.augment.model_dump(), **({"zoom": values["zoom"]} if "zoom" in values else {})}
    )
    return ModelSettings(**{**row.model_dump(), **of_row}), augment


def _is_whole(name: str) -> bool:
    return name in ModelSettings.model_fields and ModelSettings.model_fields[name].annotation is int


def _tries(tried: Range | Choices, value: Any) -> bool:
    return value in tried.choices if isinstance(tried, Choices) else tried.low <= value <= tried.high


def _whole(name: str, end: float) -> int:
    if not end.is_integer():
        raise ConfigError(f"tune.space.{name}: {end} is not a whole number")
    return int(end)


def _refuse_lifted_backgrounds(params: Params, row: ModelSettings) -> None:
    """Views and poolings that a trial may join must fit each other, as those of a row must."""
    for pooling, views in product(*(_tried(params, row, name) for name in ("pooling", "views"))):
        lifted = lifted_background(*with_values(params, row, {"pooling": pooling, "views": int(views)}))
        if lifted:
            raise ConfigError(f"tune.space: with {views:g} views {lifted}")


def _tried(params: Params, row: ModelSettings, name: str) -> tuple[Any, ...]:
    """The values, or the range's ends, that a study tries of a setting; where it tries none, the row's own."""
    tried = params.tune.space.get(name)
    if tried is None:
        return (getattr(row, name),)
    return tried.choices if isinstance(tried, Choices) else (tried.low, tried.high)


def _refuse_what_the_setting_does_not_take(params: Params, row: ModelSettings, name: str) -> None:
    for value in _tried(params, row, name):
        try:
            with_values(params, row, {name: int(value) if _is_whole(name) else value})
        except ValidationError as error:
            raise ConfigError(f"tune.space.{name}: {name} cannot be {value}: {error.errors()[0]['msg']}") from None
