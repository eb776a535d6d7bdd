"""params.yaml: every mistake in one message, rows that inherit, nothing unknown let through."""

from pathlib import Path

import pytest

from leukoscope.config.params import Params, load_params
from leukoscope.core.errors import ConfigError


def written(folder: Path, text: str) -> Path:
    path = folder / "params.yaml"
    path.write_text(text)
    return path


def test_a_file_with_one_row_is_enough(tmp_path: Path) -> None:
    params = load_params(written(tmp_path, "models: {resnet50: {backbone: resnet50, weights: none}}"))
    assert list(params.rows()) == ["resnet50"]
    assert params.row("resnet50").learning_rate == 0.003


def test_a_row_inherits_what_it_does_not_set() -> None:
    params = Params(
        model_defaults={"weights": "none", "size": 96},
        models={"plain": {"backbone": "vgg16"}, "large": {"backbone": "vgg16", "size": 224}},
    )
    assert [(row.weights, row.size) for row in params.rows().values()] == [("none", 96), ("none", 224)]


def test_every_mistake_is_named_in_one_message(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        """
        fetch: {source: ftp, colour: red}
        split: {folds: -1}
        evaluate: {level: .nan}
        model_defaults: {dropout: 1.5}
        models: {a_row: {backbone: mobilenetv2, wieghts: none}}
        """,
    )
    with pytest.raises(ConfigError) as caught:
        load_params(path)
    head, *lines = str(caught.value).splitlines()
    assert head == f"{path} has 6 mistakes:"
    assert [line.split(":")[0].strip() for line in lines] == [
        "fetch.source",
        "fetch.colour",
        "split.folds",
        "evaluate.level",
        "models.a_row.dropout",
        "models.a_row.wieghts",
    ]
    assert lines[2] == (
        "  split.folds: Input should be greater than or equal to 1 (got -1); allowed: whole numbers, 1 and more"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("split: {flods: 3}", "split.flods: unknown key (known: seed, folds, paper_balance)"),
        ("splits: {}", "splits: unknown key (known: fetch, validate, split, protocols, "),
        ("train: {epochs: many}", "(got 'many'); allowed: whole numbers, 1 and more"),
        ("train: {epochs: 2.5}", "(got 2.5); allowed: whole numbers, 1 and more"),
        (
            "train: {epochs: true}",
            "train.epochs: Input should be a number (got True); allowed: whole numbers, 1 and more",
        ),
        ("evaluate: {level: 1.0}", "(got 1.0); allowed: numbers, above 0, below 1"),
        ("evaluate: {level: .inf}", "(got inf); allowed: numbers, above 0, below 1"),
        ("augment: {rotation: 181}", "allowed: numbers, 0 and more, at most 180"),
        ("split: {paper_balance: 0}", "split.paper_balance: Input should be greater than 0 (got 0); allowed: numbers"),
        ("fetch: {synthetic: {subjects_all: 1}}", "fetch.synthetic.subjects_all: "),
        ("protocols: [subject, official, both]", "protocols.2: Input should be 'subject', 'official', 'image' or"),
        ("fetch: 3", "fetch: Input should be a valid dictionary"),
        ("register: {min_sensitivity: -0.1}", "allowed: numbers, 0 and more, at most 1"),
    ],
)
def test_one_mistake_is_one_line_with_what_is_allowed(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_params(written(tmp_path, f"{text}\nmodels: {{a: {{backbone: vgg16}}}}"))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("models: {a-row: {backbone: vgg16}}", "letters, digits and underscores"),
        ("models: {}", "models"),
        ("split: {folds: 2}\nmodels: {a: {backbone: vgg16}}", "2 folds leave none to train on"),
        ("fetch: {source: folder}\nmodels: {a: {backbone: vgg16}}", "fetch.path must name the folder"),
        ("models: {a: {weights: none}}", "models.a.backbone"),
        ("models: {a: {backbone: vgg16}}\nensembles: {both: {members: [a]}}", "ensembles.both.members"),
        ("models: {a: {backbone: vgg16}}\nensembles: {both: {members: [a, a]}}", "a row is named twice"),
        ("models: {a: {backbone: vgg16}}\nensembles: {both: {members: [a, b]}}", "both joins b, .* it has a"),
        ("models: {a: , b: }\nensembles: {a: {members: [a, b]}}", "'a' is a row of models already"),
        ("models: {a: , b: }\nensembles: {a-b: {members: [a, b]}}", "'a-b' cannot name a row or an ensemble"),
        ("models: {a: , b: }\nensembles: {both: {members: [a, b], weights: [1, 2]}}", "both.weights: unknown key"),
        ("models: {a: {backbone: vgg16, taps: [b, c, b]}}", "models.a.taps: b is named twice"),
        ("models: {a: {backbone: vgg16, mode: finetune, pooling: cell}}", "models.a: mode finetune takes no taps"),
        ("models: {a: {backbone: vgg16, statistics: [area, area]}}", "models.a.statistics: area is named twice"),
        ("models: {a: {backbone: vgg16, beside: {backbone: mobilenet}}}", "models.a.beside.weights"),
        (
            "models: {a: {backbone: vgg16, mode: finetune, beside: {backbone: mobilenet, weights: none}}}",
            "models.a: mode finetune takes no taps, one backbone",
        ),
        (
            "models: {a: {backbone: vgg16, size: 300, beside: {backbone: vgg16, weights: none, shrink: 7}}}",
            "models.a: beside.shrink 7 does not divide size 300, so its squares of pixels do not fill the picture",
        ),
        (
            "models: {a: {backbone: vgg16, beside: {backbone: vgg16, weights: none, shrink: 0}}}",
            r"models.a.beside.shrink: .* \(got 0\); allowed: whole numbers, 1 and more",
        ),
        (
            "models: {a: {backbone: vgg16, beside: {backbone: vgg16, weights: none, shrink: 1.5}}}",
            r"models.a.beside.shrink: .* \(got 1.5\); allowed: whole numbers, 1 and more",
        ),
        (
            "models: {a: {backbone: vgg16, beside: {backbone: vgg16, weights: none, shrnk: 2}}}",
            r"models.a.beside.shrnk: unknown key \(known: backbone, weights, taps, shrink\)",
        ),
        ("models: {a: {backbone: vgg16, shrink: 2}}", "models.a.shrink: unknown key"),
        (
            "models: {a: {backbone: vgg16, mode: finetune, head: kernel}}",
            "models.a: mode finetune takes no kernel head",
        ),
        (
            "augment: {channel_shift: 30}\nmodels: {a: {backbone: vgg16, colours: both, views: 1}}",
            "models.a: .* set augment.keep_black: true, or views: 0",
        ),
        ("models: [1, 2", "not readable YAML"),
        ("just words", "holds no sections"),
    ],
)
def test_a_mistake_says_what_and_where(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load_params(written(tmp_path, text))


@pytest.mark.parametrize("harmless", ["channel_shift: 16", "channel_shift: 30, keep_black: true"])
def test_a_background_that_stays_below_a_cell_is_no_mistake(tmp_path: Path, harmless: str) -> None:
    rows = "models: {a: {backbone: vgg16, pooling: cell, views: 1}}"
    assert load_params(written(tmp_path, f"augment: {{{harmless}}}\n{rows}")).row("a").pooling == "cell"


def test_an_unknown_row_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"no row models\.resnet; it has one, two"):
        Params(models={"one": {"backbone": "vgg16"}, "two": {"backbone": "vgg16"}}).row("resnet")


def test_the_checked_in_params_say_everything_once() -> None:
    """Every setting stands in params.yaml, so `dvc exp run -S` and a reader find it there."""
    import yaml

    root = Path(__file__).parents[2]
    written_out = yaml.safe_load((root / "params.yaml").read_text())
    params = load_params(root / "params.yaml")
    for name, section in Params.model_fields.items():
        key = section.alias or name
        assert key in written_out
        fields = getattr(type(getattr(params, name)), "model_fields", {})
        assert set(fields) <= set(written_out[key] or {}), key
    of_one_row = {"backbone", "tuned"}
    assert {*written_out["model_defaults"], *of_one_row} == set(type(params.row("modified_mobilenet")).model_fields)
