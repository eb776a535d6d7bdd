"""Ensembles: the mean of what some rows say of each image under one protocol, without training.

Members are over the same images and folds, so no member was trained on what another one is tested on. What the mean
decides, and whether it is worth more than its members, is read off its validation sides alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from leukoscope.artifacts.decision import DECISION_FILE, Decision, EnsembleSettings, Parameters
from leukoscope.artifacts.decision import Member as MemberFacts
from leukoscope.artifacts.predictions import PREDICTIONS_FILE, checked, labels_and_scores, read_predictions, side_of
from leukoscope.config.params import Evaluate, Threshold
from leukoscope.core import checkout
from leukoscope.core.errors import ConfigError, DataError
from leukoscope.core.files import sha256_of
from leukoscope.evaluation.checks import refuse_different_images
from leukoscope.stats.metrics import METRICS
from leukoscope.stats.operating_point import decide


@dataclass(frozen=True)
class Member:
    """A row of an ensemble: its decision.json, and its predictions as `predictions.checked` sorts them."""

    decision: Decision
    predictions: pd.DataFrame


def fingerprint(models: Path, results: Path) -> dict[str, str]:
    """The SHA-256 of a row's decision.json and predictions.parquet: what an ensemble of it depends on."""
    return {file.name: sha256_of(file) for file in (models / DECISION_FILE, results / PREDICTIONS_FILE)}


def read_members(
    listed: Mapping[str, Mapping[str, str]],
    protocol: str,
    below: Path = checkout.HERE,
) -> list[Member]:
    """The rows `listed` under `protocol`, by name, each as its `fingerprint` says that it was evaluated.

    Raises DataError for a row that was evaluated again since, and for a name that leads outside the folders of results.
    """
    members = []
    for row in sorted(listed):  # so that the order in params.yaml changes no digit
        folders = checkout.trained(row, protocol, below), checkout.results(row, protocol, below)
        if fingerprint(*folders) != listed[row]:
            raise DataError(f"{folders[1]} has changed since it was listed as a member: run uv run dvc repro")
        members.append(Member(Decision.read(folders[0]), checked(read_predictions(folders[1]))))
    return members


def mean_predictions(name: str, members: Sequence[Member]) -> pd.DataFrame:
    """The members' predictions with the mean of their p_all.

    Raises RegistryError where members are over different data, protocols or splits, DataError where they say different
    things of an image's label, group or side.
    """
    refuse_different_images({member.decision.row: member.decision for member in members}, f"joined in {name}")
    first = members[0].predictions
    known = first.drop(columns="p_all")
    for other in members[1:]:
        if not known.equals(other.predictions.drop(columns="p_all")):
            raise DataError(
                f"{other.decision.row} and {members[0].decision.row} were not evaluated on the same images, so "
                f"they cannot be joined in {name}: run uv run dvc repro"
            )
    return first.assign(p_all=np.mean([member.predictions["p_all"] for member in members], axis=0))


def decide_ensemble(
    name: str,
    members: Sequence[Member],
    predictions: pd.DataFrame,
    threshold: Threshold,
    settings: Evaluate,
) -> Decision:
    """The ensemble's decision, from `predictions`, the mean of its members': as a row's, with its `members`.

    `val_auroc`, pooled over folds, is there for the mean and for each member: an ensemble is chosen by these. `mode`
    and `weights_kind` name all that its members have; a member's `tuned` stays with it. Raises ConfigError for members
    that no common crop serves.
    """
    decisions = [member.decision for member in members]
    first = decisions[0]
    identities = [decision.identity for decision in decisions]
    decided = decide(predictions, threshold, settings)
    return Decision(
        row=name,
        protocol=first.protocol,
        members={
            member.decision.row: MemberFacts(
                identity=member.decision.identity,
                val_auroc=_val_auroc(member.predictions),
                tuned=member.decision.tuned,
            )
            for member in members
        },
        val_auroc=_val_auroc(predictions),
        identity=hashlib.sha256(json.dumps(identities).encode()).hexdigest(),
        settings=EnsembleSettings(
            members=[decision.row for decision in decisions],
            frame=_largest_frame(name, decisions),
            rotations=max(decision.rotations for decision in decisions),
        ),
        parameters=Parameters(
            total=sum(decision.parameters.total for decision in decisions),
            trainable=sum(decision.parameters.trainable for decision in decisions),
        ),
        layers=[],
        mode=_all_of(decision.mode for decision in decisions),
        weights_kind=_all_of(decision.weights_kind for decision in decisions),
        data=first.data,
        split_hash=first.split_hash,
        training_images=_trained_on(decisions),
        training_subjects=sorted({subject for one in decisions for subject in one.training_subjects}),
        folds=decided.folds,
        pooled=decided.pooled,
    )


def _trained_on(decisions: Iterable[Decision]) -> dict[str, str]:
    """The folds in which an image trained any member, as words like "0 3 4", by the image's sha256."""
    folds: dict[str, set[int]] = {}
    for decision in decisions:
        for sha256, named in decision.training_images.items():
            folds.setdefault(sha256, set()).update(map(int, named.split()))
    return {sha256: " ".join(map(str, sorted(named))) for sha256, named in folds.items()}


def _val_auroc(predictions: pd.DataFrame) -> float | None:
    return METRICS["auroc"](*labels_and_scores(side_of(predictions, "val")))


def _all_of(words: Iterable[str]) -> str:
    return ", ".join(sorted({word for several in words for word in several.split(", ")}))


def _largest_frame(name: str, decisions: Iterable[Decision]) -> int:
    """The pixels of a picture that all members see between them."""
    frames = sorted({decision.frame for decision in decisions})
    if len({frame % 2 for frame in frames}) > 1:
        raise ConfigError(
            f"ensembles.{name}: its members' frames ({', '.join(map(str, frames))}) are odd and even, so they have no "
            f"common centre: make them all even in params.yaml"
        )
    return frames[-1]
