"""What a study's winner is worth beyond the paper's values, by the inner folds that both were scored on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from leukoscope.core.errors import StudyError
from leukoscope.tuning.space import Values
from leukoscope.tuning.study import PAPER
from leukoscope.tuning.trials import SCORES

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True)
class Gain:
    """The winner's mean AUROC less that of the paper's values, with its standard error."""

    winner: Values
    paper: Values
    trial: int
    value: float
    paper_value: float
    standard_error: float

    @property
    def gain(self) -> float:
        """Of the mean AUROC."""
        return self.value - self.paper_value

    @property
    def convinces(self) -> bool:
        """Whether the gain exceeds one standard error: below it the paper's values are as good a choice."""
        return self.gain > self.standard_error

    @property
    def chosen(self) -> Values:
        """The winner's values where they convince, the paper's otherwise."""
        return self.winner if self.convinces else self.paper

    def __str__(self) -> str:
        return (
            f"trial {self.trial} has {self.value:.4f}, the paper's values {self.paper_value:.4f}: a gain of "
            f"{self.gain:+.4f}, standard error {self.standard_error:.4f}"
        )


def gain_of(study: optuna.Study, folds: int) -> Gain:
    """The gain of a study's best trial; `folds` is the number of inner folds in one deal.

    The standard error is Nadeau and Bengio's (2003) for repeated cross-validation: scores of overlapping training sets
    are correlated, so their variance is multiplied by 1/n + (test images)/(train images) instead of 1/n. It does not
    know that the winner is the best of many; nested studies do. Raises StudyError before the paper's values are scored.
    """
    from optuna.trial import TrialState

    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    of_paper = next((trial for trial in complete if trial.params == study.user_attrs[PAPER]), None)
    if of_paper is None:
        raise StudyError(f"study {study.study_name} has not scored the paper's values yet: give it more --trials")
    best = study.best_trial
    differences = np.subtract(best.user_attrs[SCORES], of_paper.user_attrs[SCORES])
    n = len(differences)
    variance = float(np.var(differences, ddof=1)) if n > 1 else 0.0
    return Gain(
        winner=dict(best.params),
        paper=dict(study.user_attrs[PAPER]),
        trial=best.number,
        value=float(best.value or 0),
        paper_value=float(of_paper.value or 0),
        standard_error=float(np.sqrt(variance * (1 / n + 1 / (folds - 1)))),
    )
