"""What a study may try: the settings that concern a row, the paper's values among them."""

import optuna
import pytest

from leukoscope.config.params import Augment, Params
from leukoscope.config.rows import ModelSettings
from leukoscope.core.errors import ConfigError
from leukoscope.tuning.space import distributions, own_values, paper_values, suggested, with_values

DEFAULT = ("kernel_l2", "activity_l1", "bias_l1", "dropout", "learning_rate")


def make_params(space: dict | None = None, **row) -> Params:
    content = {"models": {"row": {"backbone": "mobilenetv2", **row}}}
    return Params(**content, **({"tune": {"space": space}} if space else {}))


def test_the_default_space_holds_the_papers_values_and_reaches_on_both_sides_of_them() -> None:
    params = make_params()
    tried = distributions(params, params.row("row"))
    paper = paper_values(params, params.row("row"), tried)
    assert tuple(tried) == DEFAULT
    assert paper == {"kernel_l2": 0.016, "activity_l1": 0.006, "bias_l1": 0.006, "dropout": 0.2, "learning_rate": 0.003}
    assert all(of.low < paper[name] < of.high for name, of in tried.items())
    assert [name for name, of in tried.items() if of.log] == [name for name in DEFAULT if name != "dropout"]


def test_a_plain_head_is_not_searched_for_what_it_lacks() -> None:
    params = make_params(head="plain")
    assert list(distributions(params, params.row("row"))) == ["learning_rate"]
    without = make_params({"dropout": {"low": 0, "high": 0.5}}, head="plain")
    with pytest.raises(ConfigError, match="nothing that a plain head has"):
        distributions(without, without.row("row"))


def test_a_kernel_head_is_searched_for_its_own_settings_from_its_own_values() -> None:
    params = make_params(head="kernel", svm_c=20, svm_gamma=1)
    tried = distributions(params, params.row("row"))
    assert list(tried) == ["svm_c", "svm_gamma"]
    assert all(of.log for of in tried.values())
    assert paper_values(params, params.row("row"), tried) == {"svm_c": 20, "svm_gamma": 1}
    without = make_params({"learning_rate": {"low": 0.001, "high": 0.01}}, head="kernel")
    with pytest.raises(ConfigError, match="nothing that a kernel head has: add svm_c"):
        distributions(without, without.row("row"))


@pytest.mark.parametrize(
    ("head", "statistics", "tried"),
    [
        ("plain", [], ["learning_rate"]),
        ("plain", ["colour"], ["learning_rate", "statistics_share"]),
        ("kernel", ["colour"], ["svm_c"]),  # which weighs them itself
    ],
)
def test_a_share_is_searched_where_a_row_has_statistics_to_share_in(head: str, statistics: list, tried: list) -> None:
    space = {
        "svm_c": {"low": 1, "high": 100},
        "learning_rate": {"low": 0.001, "high": 0.01},
        "statistics_share": {"low": 0.02, "high": 0.5, "log": True},
    }
    params = make_params(space, head=head, statistics=statistics)
    assert list(distributions(params, params.row("row"))) == tried


def test_every_option_is_suggested_as_its_setting_takes_it() -> None:
    params = make_params(
        {
            "pooling": {"choices": ["max", "avg"]},
            "width": {"low": 32, "high": 512, "log": True},
            "views": {"low": 0, "high": 3},
            "class_weight": {"choices": ["none", "balanced"]},
            "sampling": {"choices": ["image", "group"]},
            "zoom": {"low": 0, "high": 0.5},
        }
    )
    tried = distributions(params, params.row("row"))
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    for _ in range(20):
        values = suggested(study.ask(), tried)
        row, augment = with_values(params, params.row("row"), values)
        assert {name: getattr(row, name) for name in values if name != "zoom"} | {"zoom": augment.zoom} == values
        assert isinstance(row.width, int)
        assert 32 <= row.width <= 512


def test_what_the_paper_says_nothing_of_begins_with_the_rows_own_value() -> None:
    params = make_params({"views": {"low": 0, "high": 3}, "dropout": {"low": 0, "high": 0.5}}, views=2, dropout=0.4)
    row = params.row("row")
    tried = distributions(params, row)
    assert paper_values(params, row, tried) == {"views": 2, "dropout": 0.2}
    assert own_values(params, row, tried) == {"views": 2, "dropout": 0.4}


@pytest.mark.parametrize(
    ("space", "words"),
    [
        ({"dropout": {"low": 0.3, "high": 0.6}}, "tune.space.dropout leaves out 0.2, the paper's value"),
        ({"dropout": {"low": 0, "high": 1.5}}, "tune.space.dropout: dropout cannot be 1.5: .*less than 1"),
        ({"zoom": {"low": 0, "high": 2}}, "tune.space.zoom: zoom cannot be 2"),
        ({"pooling": {"choices": ["max", "median"]}}, "tune.space.pooling: pooling cannot be median"),
        ({"width": {"low": 10.5, "high": 300}}, "tune.space.width: 10.5 is not a whole number"),
    ],
)
def test_a_space_that_a_row_cannot_take_is_refused_by_name(space: dict, words: str) -> None:
    params = make_params(space)
    with pytest.raises(ConfigError, match=words):
        distributions(params, params.row("row"))


def test_views_and_poolings_of_one_space_fit_each_other() -> None:
    space = {"pooling": {"choices": ["max", "cell"]}, "views": {"low": 0, "high": 2}}
    params = make_params(space)
    assert list(distributions(params, params.row("row"))) == ["pooling", "views"]
    shifted = params.model_copy(update={"augment": Augment(channel_shift=30)})
    with pytest.raises(ConfigError, match=r"tune\.space: with 2 views pooling cell, .* set augment\.keep_black"):
        distributions(shifted, shifted.row("row"))
    black = params.model_copy(update={"augment": Augment(channel_shift=30, keep_black=True)})
    assert list(distributions(black, black.row("row"))) == ["pooling", "views"]


@pytest.mark.parametrize(
    ("space", "words"),
    [
        ({"backbone": {"choices": ["a", "b"]}}, "backbone cannot be tuned"),
        ({"dropout": {"low": 0.5, "high": 0.5}}, "low must be below high"),
        ({"kernel_l2": {"low": 0, "high": 1, "log": True}}, "begins above 0"),
        ({"pooling": {"choices": ["max"]}}, "at least 2"),
    ],
)
def test_a_space_that_makes_no_sense_is_refused_when_params_are_read(space: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make_params(space)


def test_a_trials_values_leave_everything_else_of_the_row() -> None:
    params = make_params(views=2, rotations=4)
    row, augment = with_values(params, params.row("row"), {"dropout": 0.5})
    assert row == ModelSettings(backbone="mobilenetv2", views=2, rotations=4, dropout=0.5)
    assert augment == params.augment
