"""The pipeline's own promotion: candidates are ranked, the best one that passes the gate is registered as champion."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from leukoscope.artifacts.training_cells import TrainingCells
from leukoscope.config.params import Evaluate, Params
from leukoscope.core import checkout
from leukoscope.core.errors import ConfigError, RegistryError
from leukoscope.registry import versions
from leukoscope.registry.challenge import Verdict, beats_champion
from leukoscope.registry.gate import area_alone, gate
from leukoscope.registry.packaging import log_version
from leukoscope.registry.ranking import Candidate, rank
from leukoscope.registry.training_range import training_cells
from leukoscope.registry.versions import Promotion
from leukoscope.tracking.store import answering, locked


@dataclass(frozen=True)
class Logged:
    """The winner's version in the registry, and what it became: a candidate, champion, or neither.

    `promotions` has every version that was made champion, in order: a better one may have taken the place back.
    """

    row: str
    model: str
    version: str
    new: bool
    candidate: bool = False
    promotions: tuple[Promotion, ...] = ()


@dataclass(frozen=True)
class Registration:
    """The content of reports/registered.json (no version, id or time), and the winner's version, where a row wins."""

    content: dict[str, Any]
    logged: Logged | None


def register(
    params: Params,
    images: pd.DataFrame,
    splits: pd.DataFrame,
    below: Path = checkout.HERE,
) -> Registration:
    """Rank, gate, log and promote.

    `images` has image_id, file, label, subject, group, sha256 and cell_area (pixels) of images.parquet.
    The content's `ranking` has every row, best first, with the checks that it failed; its `gate` is that of the winner,
    or of the first row where none wins; `training_range` says what the winner's version flags, and how often on unseen
    subjects. Inside `dvc exp run` the winner becomes @candidate and nothing is promoted. Raises ConfigError where
    params.yaml does not make the protocol that it ranks within, RegistryError where rows cannot be compared.
    """
    protocol, data_name = params.register_.protocol, params.fetch.name
    if protocol not in params.protocols:
        raise ConfigError(
            f"params.yaml: register.protocol is {protocol}, which protocols ({', '.join(params.protocols)}) does not "
            f"name: add it there, or register under one of those"
        )
    candidates = rank(params.rows_and_ensembles, protocol, below)
    first = candidates[0]
    if first.decision.data.name != data_name:
        raise RegistryError(
            f"{first.models} was trained on '{first.decision.data.name}' and params.yaml's fetch.name is "
            f"'{data_name}': run uv run dvc repro"
        )
    _refuse_numbers_of_other_images(candidates, splits[splits["protocol"] == protocol])
    area = area_alone(images, splits[splits["protocol"] == protocol], first.side, params.evaluate)
    gates = [gate(candidate, params.register_, area) for candidate in candidates]
    passing = [index for index, verdicts in enumerate(gates) if all(verdict.passed for verdict in verdicts)]
    chosen = passing[0] if passing else 0
    winner = candidates[chosen] if passing else None
    training = logged = None
    if winner:
        training = training_cells(winner, images, splits[splits["protocol"] == protocol], params.evaluate)
        logged, versus, promoted, reason = _promote(data_name, winner, training, images, params.evaluate)
        gates[chosen].append(versus)
    else:
        promoted, reason = False, f"no row passes the gate: {_first_refusal(gates[0])}"
    content = {
        "protocol": protocol,
        "data": first.decision.data.as_json(),
        "split_hash": first.decision.split_hash,
        "ranking": [_ranked(candidate, verdicts) for candidate, verdicts in zip(candidates, gates, strict=True)],
        "gate": [asdict(verdict) for verdict in gates[chosen]],
        "winner": _named(winner) if winner else None,
        "training_range": {"range": training.range, "unseen": training.unseen} if training else None,
        "promoted": promoted,
        "reason": reason,
    }
    return Registration(content, logged)


def _refuse_numbers_of_other_images(candidates: list[Candidate], splits: pd.DataFrame) -> None:
    """Raise RegistryError where metrics.json counts other images than the side that ranks has."""
    for candidate in candidates:
        here = splits.loc[splits["side"] == candidate.side, "image_id"].nunique()
        if candidate.measured.n != here:
            raise RegistryError(
                f"the metrics of {candidate.models.name} are over {candidate.measured.n} images of the "
                f"{candidate.side} side, which has {here} here: they are of another data set or split: run uv run dvc "
                f"repro"
            )


def _named(candidate: Candidate) -> dict[str, str]:
    decision = candidate.decision
    return {"row": decision.row, "protocol": decision.protocol, "identity": decision.identity}


def _ranked(candidate: Candidate, verdicts: list[Verdict]) -> dict[str, Any]:
    auroc, low, high, _ = candidate.measured.estimate("auroc")
    refused = [verdict.verdict for verdict in verdicts if not verdict.passed]
    return {
        "row": candidate.row,
        "identity": candidate.decision.identity,
        "side": candidate.side,
        "auroc": auroc,
        "auroc_low": low,
        "auroc_high": high,
        "sensitivity": candidate.sensitivity,
        "refused": refused,
    }


def _first_refusal(verdicts: list[Verdict]) -> str:
    return next(verdict.verdict for verdict in verdicts if not verdict.passed)


def _promote(
    data_name: str, winner: Candidate, training: TrainingCells, images: pd.DataFrame, settings: Evaluate
) -> tuple[Logged, Verdict, bool, str]:
    """Log the winner's version and, where it may be, make it champion; returns whether it is, and why."""
    with answering(), locked("registry"):
        version, new = log_version(data_name, winner, training)
        # Asked for only now: a server has no lock, and packaging takes long enough for another process to promote.
        verdict = beats_champion(winner, versions.champion_or_none(data_name), images, settings)
        logged = Logged(winner.row, versions.model_name(data_name), version, new)
        if checkout.inside_experiment():
            versions.set_candidate(data_name, version)
            later = f"an experiment promotes nothing: once it is applied, run {versions.REGISTER_AGAIN}"
            return replace(logged, candidate=True), verdict, False, later
        if not verdict.passed:
            return logged, verdict, False, verdict.verdict
        logged = replace(logged, promotions=versions.let_pass(data_name, version))
        champion = versions.champion(data_name)
        if champion.identity != winner.decision.identity:  # another process's, which was better
            verdict = beats_champion(winner, champion, images, settings)
            return logged, verdict, False, verdict.verdict
    return logged, verdict, True, f"{winner.row} is the best row that passes every check"
