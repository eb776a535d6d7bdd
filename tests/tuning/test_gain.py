"""A winner is told from luck by the folds that it shares with the paper's values."""

from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.distributions import FloatDistribution

from leukoscope.core.errors import StudyError
from leukoscope.tuning.gain import gain_of
from leukoscope.tuning.storage import open_storage
from leukoscope.tuning.study import PAPER
from leukoscope.tuning.trials import SCORES

TRIED = {"dropout": FloatDistribution(0, 0.6)}


def make_study(folder: Path, trials: dict[float, list[float]]) -> optuna.Study:
    """A study in a journal whose trials have the given dropouts and scores; 0.2 is the paper's."""
    study = optuna.create_study(storage=open_storage(str(folder / "studies.journal")), direction="maximize")
    study.set_user_attr(PAPER, {"dropout": 0.2})
    for dropout, scores in trials.items():
        study.add_trial(
            optuna.create_trial(
                params={"dropout": dropout}, distributions=TRIED, value=np.mean(scores), user_attrs={SCORES: scores}
            )
        )
    return study


def test_the_error_is_nadeau_and_bengios(tmp_path: Path) -> None:
    gain = gain_of(make_study(tmp_path, {0.2: [0.80, 0.82, 0.78, 0.80], 0.4: [0.83, 0.84, 0.80, 0.85]}), folds=3)
    differences = [0.03, 0.02, 0.02, 0.05]
    assert gain.gain == pytest.approx(0.03)
    assert gain.standard_error == pytest.approx(np.sqrt(np.var(differences, ddof=1) * (1 / 4 + 1 / 2)))
    assert gain.convinces
    assert gain.chosen == {"dropout": 0.4}


def test_a_gain_of_less_than_its_error_keeps_the_papers_values(tmp_path: Path) -> None:
    gain = gain_of(make_study(tmp_path, {0.2: [0.80, 0.82, 0.78, 0.80], 0.4: [0.90, 0.74, 0.80, 0.78]}), folds=3)
    assert gain.gain > 0
    assert not gain.convinces
    assert gain.chosen == {"dropout": 0.2}


def test_where_the_papers_values_win_there_is_no_gain(tmp_path: Path) -> None:
    gain = gain_of(make_study(tmp_path, {0.2: [0.9, 0.8], 0.4: [0.7, 0.8]}), folds=2)
    assert (gain.gain, gain.standard_error, gain.convinces, gain.trial) == (0, 0, False, 0)


def test_a_study_without_the_papers_values_has_nothing_to_gain_on(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="has not scored the paper's values yet"):
        gain_of(make_study(tmp_path, {0.4: [0.9, 0.8]}), folds=2)
