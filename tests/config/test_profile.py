"""Profiles switch params.yaml back and forth without losing a comment, and never write over work that git lacks."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from leukoscope.config.params import load_params
from leukoscope.config.profile import apply_profile, profile_names, profile_values, rewritten
from leukoscope.config.table_v import ROWS
from leukoscope.core.errors import ConfigError
from leukoscope.report.paper_tables import TABLE_V

CHECKED_IN = (Path(__file__).parents[2] / "params.yaml").read_text()


@pytest.fixture
def params(tmp_path: Path) -> Path:
    """The checked-in params.yaml, committed in a repository of its own."""
    path = tmp_path / "params.yaml"
    path.write_text(CHECKED_IN)
    git(tmp_path, "init", "-q")
    commit(tmp_path)
    return path


def git(folder: Path, *words: str) -> str:
    identity = ["-c", "user.name=someone", "-c", "user.email=someone@example.org"]
    return subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True, text=True).stdout


def commit(folder: Path) -> None:
    git(folder, "add", "params.yaml")
    git(folder, "commit", "-qm", "params")


def test_the_checked_in_params_are_the_demo() -> None:
    assert rewritten(CHECKED_IN, profile_values("demo")) == CHECKED_IN


@pytest.mark.parametrize("name", profile_names())
def test_a_profile_there_and_back_gives_every_byte_back(name: str) -> None:
    there = rewritten(CHECKED_IN, profile_values(name))
    assert rewritten(there, profile_values("demo")) == CHECKED_IN


def test_every_profile_sets_the_same_keys() -> None:
    """A key that one profile sets and another does not would stay behind after a switch."""

    def keys(name: str) -> set[tuple[str, ...]]:
        values = profile_values(name).items()
        inner = ((section, value) for section, value in values if isinstance(value, dict) and section != "models")
        return {(section,) for section, _ in values} | {(section, key) for section, value in inner for key in value}

    assert keys("cnmc") == keys("cnmc-frozen") == keys("demo")


@pytest.mark.parametrize(
    ("name", "protocols", "mode"),
    [("cnmc", ("official", "paper"), "finetune"), ("cnmc-frozen", ("subject", "image", "official", "paper"), "frozen")],
)
def test_the_cnmc_profiles_are_table_v_as_the_study_trains_it(
    name: str, protocols: tuple[str, ...], mode: str, params: Path
) -> None:
    apply_profile(name, params)
    loaded = load_params(params)
    assert loaded.protocols == protocols
    assert loaded.register_.protocol in protocols
    assert (loaded.train.batch_size, loaded.train.epochs) == (40, 40)
    rows = loaded.rows()
    assert list(rows) == [row.row for row in TABLE_V]
    for row in rows.values():
        assert (row.weights, row.size, row.mode, row.learning_rate) == ("imagenet", 224, mode, 0.003)
    assert {row for row in rows if rows[row].head == "plain"} == {row.row for row in TABLE_V[:7]}
    assert {rows[row.row].pooling for row in TABLE_V[:7]} == {"avg"}
    proposed, unregularized = rows["proposed_efficientnetb3"], rows["modified_efficientnetb3_unregularized"]
    assert (proposed.kernel_l2, proposed.activity_l1, proposed.bias_l1) == (0.016, 0.006, 0.006)
    assert unregularized == proposed.model_copy(update={"kernel_l2": 0, "activity_l1": 0, "bias_l1": 0})


def test_fetch_and_what_no_profile_names_stay(params: Path) -> None:
    params.write_text(
        CHECKED_IN.replace("  subjects_all: 16\n", "  subjects_all: 40 # my own\n").replace(
            "bootstrap: 1000", "bootstrap: 300"
        )
    )
    commit(params.parent)
    difference = apply_profile("cnmc-frozen", params).difference("with profile cnmc-frozen")
    text = params.read_text()
    assert text[text.index("fetch:") : text.index("protocols:")] in params_of_head(params)
    assert load_params(params).evaluate.bootstrap == 300
    assert "-  weights: none            # imagenet, none, or a .weights.h5 file" in difference
    assert "+  weights: imagenet        # imagenet, none, or a .weights.h5 file" in difference


def params_of_head(params: Path) -> str:
    return git(params.parent, "show", "HEAD:params.yaml")


def test_edits_that_git_lacks_are_not_written_over(params: Path) -> None:
    edited = CHECKED_IN.replace("epochs: 20", "epochs: 21")
    params.write_text(edited)
    with pytest.raises(ConfigError, match=r"params\.yaml holds edits that are not committed"):
        apply_profile("cnmc", params)
    assert params.read_text() == edited


def test_a_profile_may_follow_another_that_is_not_committed_yet(params: Path) -> None:
    assert apply_profile("cnmc", params).changed
    assert apply_profile("cnmc-frozen", params).changed
    assert apply_profile("demo", params).changed
    assert params.read_text() == CHECKED_IN
    again = apply_profile("demo", params)
    assert not again.changed
    assert again.difference("with profile demo") == ""


def test_params_outside_git_are_rewritten_too(params: Path) -> None:
    shutil.rmtree(params.parent / ".git")
    assert apply_profile("cnmc", params).changed


def test_an_outcome_that_is_not_valid_is_not_written(params: Path) -> None:
    ours = CHECKED_IN.replace("learning_rate: 0.003", "learning_rat: 0.003")
    params.write_text(ours)
    commit(params.parent)
    with pytest.raises(ConfigError, match="learning_rat: unknown key"):
        apply_profile("cnmc", params)
    assert params.read_text() == ours


def test_the_rows_are_those_of_the_studys_table() -> None:
    assert list(ROWS) == [row.row for row in TABLE_V]


def test_an_unknown_profile_is_one_line_with_the_known_ones_and_exit_code_2(params: Path) -> None:
    words = [sys.executable, "-m", "leukoscope", "profile", "full"]
    ran = subprocess.run(words, cwd=params.parent, capture_output=True, text=True, check=False)
    assert ran.returncode == 2
    assert ran.stderr == "error: unknown profile 'full': it can be cnmc, cnmc-frozen, demo\n"
    assert params.read_text() == CHECKED_IN
