"""A winner goes into its row of params.yaml, with where it comes from, and nothing else of the file changes."""

from pathlib import Path

import pytest
import yaml

from leukoscope.cli.words import of_winner
from leukoscope.config.params import load_params
from leukoscope.tuning.applying import apply_winner
from leukoscope.tuning.gain import Gain
from tests.fixtures.bench_of import bench_of

ROOT = Path(__file__).parents[2]
ROW = "modified_mobilenet"
WINNER = {"kernel_l2": 0.00123456, "dropout": 0.31, "learning_rate": 0.002}
PAPER = {"kernel_l2": 0.016, "dropout": 0.2, "learning_rate": 0.003}


def gain(winner: dict, standard_error: float) -> Gain:
    return Gain(winner=winner, paper=PAPER, trial=7, value=0.83, paper_value=0.82, standard_error=standard_error)


@pytest.fixture
def params_file(tmp_path: Path) -> Path:
    file = tmp_path / "params.yaml"
    file.write_text((ROOT / "params.yaml").read_text())
    return file


def test_a_convincing_winner_is_written_with_its_origin_and_every_comment_stays(params_file: Path) -> None:
    before = params_file.read_text()
    edit = apply_winner(bench_of(load_params(params_file), ROW), "a-study", gain(WINNER, 0.002), params_file)
    row = load_params(params_file).row(ROW)
    assert (row.kernel_l2, row.dropout, row.learning_rate) == (0.001235, 0.31, 0.002)
    assert row.tuned is not None
    assert row.tuned.model_dump() == {
        "study": "a-study",
        "data": "d" * 64,
        "split": "5" * 64,
        "protocol": "subject",
        "fold": 0,
    }
    after = params_file.read_text()
    added = [line for line in after.splitlines() if line not in before.splitlines()]
    assert [line for line in after.splitlines() if line not in added] == before.splitlines()
    assert len(added) == 4
    assert edit is not None
    assert (edit.before, edit.after) == (before, after)
    said = of_winner(ROW, gain(WINNER, 0.002), edit)
    assert "+    kernel_l2: 0.001235\n" in said
    assert "trial 7 has 0.8300, the paper's values 0.8200: a gain of +0.0100" in said


def test_a_gain_within_one_standard_error_leaves_the_file(params_file: Path) -> None:
    before = params_file.read_bytes()
    edit = apply_winner(bench_of(load_params(params_file), ROW), "a-study", gain(WINNER, 0.02), params_file)
    assert edit is None
    assert params_file.read_bytes() == before
    assert "the paper's values are kept" in of_winner(ROW, gain(WINNER, 0.02), edit)


def test_a_second_winner_takes_the_first_ones_place(params_file: Path) -> None:
    for winner in (WINNER, {**WINNER, "dropout": 0.5}):
        apply_winner(bench_of(load_params(params_file), ROW), "a-study", gain(winner, 0.002), params_file)
    assert load_params(params_file).row(ROW).dropout == 0.5
    assert params_file.read_text().count("tuned: {") == 1


def test_a_zoom_is_table_twos_and_concerns_every_row(params_file: Path) -> None:
    before = yaml.safe_load(params_file.read_text())
    apply_winner(bench_of(load_params(params_file), ROW), "a-study", gain({"zoom": 0.1}, 0.002), params_file)
    after = yaml.safe_load(params_file.read_text())
    assert after["augment"] == {**before["augment"], "zoom": 0.1}
    assert list(after["models"][ROW]) == ["backbone", "tuned"]
