"""The pipeline's own promotion: candidates are ranked, the best one that passes the gate is registered as champion."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from leukoscope import config, registry, workplace
from leukoscope.challenge import Verdict, beats_champion, shown
from leukoscope.config import LEAKY_PROTOCOLS, Params
from leukoscope.errors import ConfigError, RegistryError
from leukoscope.evaluation.baseline import baseline_area
from leukoscope.evaluation.tuned_groups import TESTED, mark, tunings
from leukoscope.mlflow_store import answering, locked
from leukoscope.packaging import log_version
from leukoscope.prediction.training_cells import TrainingCells
from leukoscope.prediction.training_range import training_cells
from leukoscope.ranking import Candidate, rank


def register(
    params: Params,
    images: pd.DataFrame,
    splits: pd.DataFrame,
    models: Path = Path("models"),
    results: Path = Path("results"),
) -> dict[str, Any]:
    """Rank, gate, log and promote; returns the content of reports/registered.json (no version, id or time).

    `images` has image_id, file, label, subject, group, sha256, cell_area (pixels) and colour of images.parquet.
    `ranking` has every row, best first, with the checks that it failed; `gate` is that of the winner, or of the first
    row where none wins. `training_range` says what the winner's version flags, and how often on unseen subjects. Inside
    `dvc exp run` the winner becomes @candidate and nothing is promoted. Raises ConfigError where params.yaml does not
    make the protocol that it ranks within, RegistryError where rows cannot be compared.
    """
    protocol, data_name = params.register_.protocol, params.fetch.name
    if protocol not in params.protocols:
        raise ConfigError(
            f"params.yaml: register.protocol is {protocol}, which protocols ({', '.join(params.protocols)}) does not "
            f"name: add it there, or register under one of those"
        )
    candidates = rank(results, models, params.rows_and_ensembles, protocol)
    first = candidates[0]
    if first.decision["data"]["name"] != data_name:
        raise RegistryError(
            f"{first.models} was trained on '{first.decision['data']['name']}' and params.yaml's fetch.name is "
            f"'{data_name}': run uv run dvc repro"
        )
    _refuse_numbers_of_other_images(candidates, splits[splits["protocol"] == protocol])
    area = area_alone(images, splits[splits["protocol"] == protocol], first.side, params.evaluate)
    gates = [gate(candidate, params.register_, area) for candidate in candidates]
    passing = [index for index, verdicts in enumerate(gates) if all(verdict.passed for verdict in verdicts)]
    chosen = passing[0] if passing else 0
    winner = candidates[chosen] if passing else None
    training = None
    if winner:
        training = training_cells(winner, images, splits[splits["protocol"] == protocol], params.evaluate)
        versus, promoted, reason = _promote(data_name, winner, training, images, params.evaluate)
        gates[chosen].append(versus)
    else:
        promoted, reason = False, f"no row passes the gate: {_first_refusal(gates[0])}"
    return {
        "protocol": protocol,
        "data": first.decision["data"],
        "split_hash": first.decision["split_hash"],
        "ranking": [_ranked(candidate, verdicts) for candidate, verdicts in zip(candidates, gates, strict=True)],
        "gate": [asdict(verdict) for verdict in gates[chosen]],
        "winner": _named(winner) if winner else None,
        "training_range": {"range": training.range, "unseen": training.unseen} if training else None,
        "promoted": promoted,
        "reason": reason,
    }


def _refuse_numbers_of_other_images(candidates: list[Candidate], splits: pd.DataFrame) -> None:
    """Raise RegistryError where metrics.json counts other images than the side that ranks has."""
    for candidate in candidates:
        here = splits.loc[splits["side"] == candidate.side, "image_id"].nunique()
        if candidate.measured["n"] != here:
            raise RegistryError(
                f"the metrics of {candidate.models.name} are over {candidate.measured['n']} images of the "
                f"{candidate.side} side, which has {here} here: they are of another data set or split: run uv run dvc "
                f"repro"
            )


def _named(candidate: Candidate) -> dict[str, str]:
    return {name: candidate.decision[name] for name in ("row", "protocol", "identity")}


def _ranked(candidate: Candidate, verdicts: list[Verdict]) -> dict[str, Any]:
    auroc = {name: candidate.measured[name] for name in ("auroc", "auroc_low", "auroc_high")}
    refused = [verdict.verdict for verdict in verdicts if not verdict.passed]
    return {
        "row": candidate.row,
        "identity": candidate.decision["identity"],
        "side": candidate.side,
        **auroc,
        "sensitivity": candidate.sensitivity,
        "refused": refused,
    }


def _first_refusal(verdicts: list[Verdict]) -> str:
    return next(verdict.verdict for verdict in verdicts if not verdict.passed)


def area_alone(images: pd.DataFrame, splits: pd.DataFrame, side: str, settings: config.Evaluate) -> float | None:
    """AUROC of the cell's area on the side that ranks. `splits` has one protocol's rows."""
    if side == "val":  # val in test's place: the real test side must not decide what is promoted
        splits = splits[splits["side"].isin(["train", "val"])].replace({"side": {"val": "test"}})
    auroc: float | None = baseline_area(images, splits, settings)["auroc"]
    return auroc


def gate(candidate: Candidate, settings: config.Register, area: float | None) -> list[Verdict]:
    """What any candidate must pass, whoever is champion: an honest protocol, sensitivity, and more than cell area.

    Tuned values must come from a study that saw no tested group, an ensemble must be worth more than its members.
    """
    verdicts = [_honest(candidate), _sensitive(candidate, settings.min_sensitivity), _beyond_area(candidate, area)]
    if tunings(candidate.decision):
        verdicts.append(_tests_unseen_by_studies(candidate))
    if "members" in candidate.decision:
        verdicts.append(_beyond_members(candidate))
    return verdicts


def _honest(candidate: Candidate) -> Verdict:
    protocol = candidate.decision["protocol"]
    passed = protocol not in LEAKY_PROTOCOLS
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
    studies = ", ".join(sorted({tuned["study"] for tuned in tunings(decision)}))
    counted = [tuned["tested_groups"] for tuned in tunings(decision)]
    protocol, marked = decision["protocol"], mark(decision)
    if not marked:
        words = f"no group that protocol {protocol} tests on was seen by study {studies}"
    else:
        one_split = " with split.folds 1" if len(decision["folds"]) > 1 else ""
        elsewhere = "" if protocol == "official" else ", set register.protocol to official"
        words = (
            f"{marked} (protocol {protocol}, study {studies}): tune under protocol {protocol}{one_split}{elsewhere}, "
            f"or give the row the paper's values"
        )
    return Verdict(f"not {TESTED}", not marked, None if None in counted else max(counted), 0, words)


def _beyond_members(candidate: Candidate) -> Verdict:
    """On val, also where test ranks: whether rows are joined must not be decided by what they are measured on."""
    value = candidate.decision["val_auroc"]
    of_members = {row: member["val_auroc"] for row, member in candidate.decision["members"].items()}
    best = max(of_members, key=lambda row: of_members[row])
    bound = of_members[best]
    passed = value > bound
    words = f"val AUROC {shown(value)} is {'' if passed else 'not '}above {shown(bound)} of its best member, {best}"
    return Verdict("better than its members", passed, value, bound, words)


def _promote(
    data_name: str, winner: Candidate, training: TrainingCells, images: pd.DataFrame, settings: config.Evaluate
) -> tuple[Verdict, bool, str]:
    """Log the winner's version and, where it may be, make it champion. Prints what became of it, with its number."""
    with answering(), locked("registry"):
        version, new = log_version(data_name, winner, training)
        # Asked for only now: a server has no lock, and packaging takes long enough for another process to promote.
        verdict = beats_champion(winner, registry.champion_or_none(data_name), images, settings)
        print(f"{winner.row}: version {version} of {registry.model_name(data_name)}{'' if new else ', known already'}")
        if workplace.inside_experiment():
            print(registry.set_candidate(data_name, version))
            later = f"an experiment promotes nothing: once it is applied, run {registry.REGISTER_AGAIN}"
            return verdict, False, later
        if not verdict.passed:
            return verdict, False, verdict.verdict
        print(registry.let_pass(data_name, version))
        champion = registry.champion(data_name)
        if champion.identity != winner.decision["identity"]:  # another process's, which was better
            verdict = beats_champion(winner, champion, images, settings)
            return verdict, False, verdict.verdict
    return verdict, True, f"{winner.row} is the best row that passes every check"
