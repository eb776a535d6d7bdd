"""What a candidate must pass before it may become champion."""

from __future__ import annotations

import pandas as pd

from leukoscope.config.params import Evaluate, Register
from leukoscope.core.cautions import TESTED
from leukoscope.evaluation.baseline import baseline_area
from leukoscope.registry.challenge import Verdict, shown
from leukoscope.registry.ranking import Candidate


def area_alone(images: pd.DataFrame, splits: pd.DataFrame, side: str, settings: Evaluate) -> float | None:
    """AUROC of the cell's area on the side that ranks. `splits` has one protocol's rows."""
    if side == "val":  # val in test's place: the real test side must not decide what is promoted
        splits = splits[splits["side"].isin(["train", "val"])].replace({"side": {"val": "test"}})
    auroc: float | None = baseline_area(images, splits, settings)["auroc"]
    return auroc


def gate(candidate: Candidate, settings: Register, area: float | None) -> list[Verdict]:
    """What any candidate must pass, whoever is champion: an honest protocol, sensitivity, and more than cell area.

    Tuned values must come from a study that saw no tested group, an ensemble must be worth more than its members.
    """
    verdicts = [_honest(candidate), _sensitive(candidate, settings.min_sensitivity), _beyond_area(candidate, area)]
    if candidate.decision.tunings:
        verdicts.append(_tests_unseen_by_studies(candidate))
    if candidate.decision.is_ensemble:
        verdicts.append(_beyond_members(candidate))
    return verdicts


def _honest(candidate: Candidate) -> Verdict:
    protocol, passed = candidate.decision.protocol, candidate.decision.honest
    words = (
        "keeps subjects apart" if passed else "has the same subjects in training and test: nothing is promoted by it"
    )
    return Verdict("honest protocol", passed, None, None, f"protocol {protocol} {words}")


def _sensitive(candidate: Candidate, bound: float) -> Verdict:
    value = candidate.sensitivity
    passed = value is not None and value >= bound
    words = (
        f"{candidate.side} sensitivity at the threshold chosen on val is {shown(value)}, "
        f"{'at least' if passed else 'not'} register.min_sensitivity {bound:g}{'' if passed else ' or more'}"
    )
    return Verdict("sensitivity", passed, value, bound, words)


def _beyond_area(candidate: Candidate, area: float | None) -> Verdict:
    value = candidate.auroc
    passed = value is not None and (area is None or value > area)
    words = f"{candidate.side} AUROC {shown(value)} is {'' if passed else 'not '}above {shown(area)} of cell area alone"
    return Verdict("better than cell area", passed, value, area, words)


def _tests_unseen_by_studies(candidate: Candidate) -> Verdict:
    decision = candidate.decision
    studies = ", ".join(sorted({tuned.study for tuned in decision.tunings}))
    counted = [tuned.tested_groups for tuned in decision.tunings]
    protocol, marked = decision.protocol, decision.mark
    if not marked:
        words = f"no group that protocol {protocol} tests on was seen by study {studies}"
    else:
        one_split = " with split.folds 1" if len(decision.folds) > 1 else ""
        elsewhere = "" if protocol == "official" else ", set register.protocol to official"
        words = (
            f"{marked} (protocol {protocol}, study {studies}): tune under protocol {protocol}{one_split}{elsewhere}, "
            f"or give the row the paper's values"
        )
    return Verdict(
        f"not {TESTED}", not marked, None if None in counted else max(filter(None, counted), default=0), 0, words
    )


def _beyond_members(candidate: Candidate) -> Verdict:
    """On val, also where test ranks: whether rows are joined must not be decided by what they are measured on."""
    value = candidate.decision.val_auroc
    of_members = {row: member.val_auroc or 0.0 for row, member in (candidate.decision.members or {}).items()}
    best = max(of_members, key=lambda row: of_members[row])
    bound = of_members[best]
    passed = value is not None and value > bound
    words = f"val AUROC {shown(value)} is {'' if passed else 'not '}above {shown(bound)} of its best member, {best}"
    return Verdict("better than its members", passed, value, bound, words)
