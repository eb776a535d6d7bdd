"""The registry: one model for each data set, its versions, and which of them is @champion.

@previous is the champion before, @candidate the version that an experiment logged last. Promotion by the pipeline's own
gate is `leukoscope.registry.promotion`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from leukoscope.core.cautions import too_good
from leukoscope.core.checkout import REGISTERED
from leukoscope.core.errors import RegistryError
from leukoscope.tracking.store import answering, merged, open_store, shown_uri, tracking_uri

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion


CHAMPION, PREVIOUS, CANDIDATE = "champion", "previous", "candidate"
PASSED = "gate"  # a version's tag: the pipeline's own gate has let it pass, and no person has chosen since
REGISTER_AGAIN = "uv run dvc repro -f -s register"
ANOTHER = f"run {REGISTER_AGAIN}, or promote another version"


@dataclass(frozen=True)
class ChampionVersion:
    """A registered version: its number, its model's identity, its tags, and where its files are."""

    version: str
    identity: str
    tags: dict[str, str]
    source: str


@dataclass(frozen=True)
class Champions:
    """The version that is champion and the one that was before it, if there was one."""

    champion: ChampionVersion
    previous: ChampionVersion | None


@dataclass(frozen=True)
class Promotion:
    """A version of `model` that is champion, and the version `before` it.

    `changed` is false where it was champion already.
    """

    model: str
    version: str
    before: str | None
    changed: bool

    def __str__(self) -> str:
        if not self.changed:
            return f"version {self.version} of {self.model} is champion already"
        before = f"; version {self.before} was before it" if self.before else ""
        return f"version {self.version} of {self.model} is champion{before}"


def model_name(data_name: str) -> str:
    """The registered model of a data set."""
    return f"leukoscope-{data_name}"


def _with_alias(client: MlflowClient, data_name: str, alias: str) -> ChampionVersion | None:
    registered = _registered(client, data_name)
    return version_of(client, data_name, registered[alias]) if alias in registered else None


def _registered(client: MlflowClient, data_name: str) -> dict[str, str]:
    """The version behind each alias of the data set's model; empty where nothing is registered."""
    found = client.search_registered_models(f"name = '{model_name(data_name)}'")
    return {alias: str(version) for alias, version in found[0].aliases.items()} if found else {}


def version_of(client: MlflowClient, data_name: str, version: str) -> ChampionVersion:
    """Raises RegistryError, with the versions that there are, for one that is not there."""
    found = {str(known.version): known for known in versions_of(client, data_name)}
    if version not in found:
        there = ", ".join(sorted(found, key=int)) or "none"
        raise RegistryError(f"{model_name(data_name)} has no version {version}: it has {there}")
    tags = dict(found[version].tags)
    source = client.get_model_version_download_uri(model_name(data_name), version)
    return ChampionVersion(version, tags.get("identity", ""), tags, source)


def versions_of(client: MlflowClient, data_name: str) -> list[ModelVersion]:
    """Every version of the data set's model."""
    found = client.search_model_versions(f"name = '{model_name(data_name)}'", max_results=10_000)
    return [version for version in found if str(version.version).isdecimal()]  # the number goes into files' names


@answering()
def champion_or_none(data_name: str) -> ChampionVersion | None:
    """The version that is @champion of the data set `data_name`, if any is."""
    return _with_alias(open_store(), data_name, CHAMPION)


def champion(data_name: str) -> ChampionVersion:
    """The version that is @champion. Raises RegistryError where there is none."""
    found = champion_or_none(data_name)
    if found is None:
        raise RegistryError(
            f"data set '{data_name}' has no champion in {shown_uri(tracking_uri())}: run {REGISTER_AGAIN}, whose "
            f"{REGISTERED} says what was promoted and why"
        )
    return found


@answering()
def champions(data_name: str) -> Champions:
    """The champion and the version before it. Raises RegistryError where there is no champion."""
    client = open_store()
    return Champions(champion(data_name), _with_alias(client, data_name, PREVIOUS))


@answering()
def promote(data_name: str, version: int | str, reason: str) -> Promotion:
    """Make a version @champion and the one before it @previous; `reason` is kept as a tag.

    Raises RegistryError without a reason, for a version that is not there, and always for
    one that was trained under a leaky protocol, tuned on groups that its protocol tests on, or of another data set.
    """
    if not reason.strip():
        raise RegistryError("a promotion by hand needs its reason: leukoscope promote VERSION --reason '...'")
    client = open_store()
    chosen = version_of(client, data_name, str(version))
    if chosen.tags["leaky"] != "false":
        raise RegistryError(
            f"version {chosen.version} was trained under protocol {chosen.tags['protocol']}, which leaks: its figures "
            f"do not speak of unseen subjects, so it cannot be champion"
        )
    if "mark" in chosen.tags:
        raise RegistryError(
            f"version {chosen.version} was {too_good(chosen.tags['mark'])} under protocol {chosen.tags['protocol']}, "
            f"so it cannot be champion"
        )
    if chosen.tags["data_name"] != data_name:
        raise RegistryError(
            f"version {chosen.version} was trained on '{chosen.tags['data_name']}', not on '{data_name}': "
            f"train on '{data_name}' and register again"
        )
    client.set_model_version_tag(model_name(data_name), chosen.version, "promotion_reason", " ".join(reason.split()))
    _forget_the_gate(client, data_name)
    return set_champion(data_name, chosen.version)


def let_pass(data_name: str, version: str) -> tuple[Promotion, ...]:
    """Make a version that the gate has passed @champion, unless a better one is. Returns every promotion, in order.

    Two processes may each find the champion worse than their own version, and the worse of them write last: a local
    store has a lock against it, a server has none. So each marks its version, then makes it champion, and then gives
    the place to any better one that is marked, until none is. The last one to write has looked after that, when every
    other that wrote had marked its own; so the best is champion, whatever the order.
    """
    client, name = open_store(), model_name(data_name)
    client.set_model_version_tag(name, version, PASSED, "true")
    promotions = [set_champion(data_name, version)]
    while better := _better_than_champion(client, data_name):
        promotions.append(set_champion(data_name, better))
    return tuple(promotions)


def _better_than_champion(client: MlflowClient, data_name: str) -> str | None:
    """The best version that the gate has passed, if its AUROC is above the champion's on the same images and split."""
    passed = [known for known in versions_of(client, data_name) if PASSED in known.tags and "auroc" in known.tags]
    now = champion(data_name)
    better = [
        known
        for known in passed
        if measured_on(known.tags) == measured_on(now.tags) and _auroc(known.tags) > _auroc(now.tags)
    ]
    return str(max(better, key=lambda known: _auroc(known.tags)).version) if better else None


def measured_on(tags: Mapping[str, str]) -> dict[str, str]:
    """What a version's figures are over, as `Decision.comparable` has it."""
    return {"data": tags["data_hash"], "protocols": tags["protocol"], "splits": tags["split_hash"]}


def _auroc(tags: Mapping[str, str]) -> float:
    return float(tags.get("auroc", 0))


def _forget_the_gate(client: MlflowClient, data_name: str) -> None:
    """A person has chosen the champion: what the gate passed before has no claim to its place."""
    for known in versions_of(client, data_name):
        if PASSED in known.tags:
            client.delete_model_version_tag(model_name(data_name), str(known.version), PASSED)


def set_champion(data_name: str, version: str) -> Promotion:
    """Give @champion to a version and @previous to the one that had it.

    The same decision.json registered again, with what it lacked, leaves @previous where it is: a rollback goes to
    another model.
    """
    client, name = open_store(), model_name(data_name)
    before = _registered(client, data_name).get(CHAMPION)
    if before == version:
        return Promotion(name, version, before, changed=False)
    if before and not _of_one_decision(client, data_name, before, version):
        merged(client.set_registered_model_alias, name, PREVIOUS, before)
    merged(client.set_registered_model_alias, name, CHAMPION, version)
    return Promotion(name, version, before, changed=True)


def _of_one_decision(client: MlflowClient, data_name: str, one: str, other: str) -> bool:
    """Whether two versions hold the same decision.json: one made by hand has no such tag."""
    of_one, of_other = (version_of(client, data_name, version).tags.get("decision") for version in (one, other))
    return of_one is not None and of_one == of_other


def set_candidate(data_name: str, version: str) -> None:
    """Give @candidate to a version."""
    merged(open_store().set_registered_model_alias, model_name(data_name), CANDIDATE, version)


@answering()
def rollback(data_name: str) -> Promotion:
    """Swap @champion and @previous. Raises RegistryError where there is no version before."""
    now = champion(data_name)
    client = open_store()
    before = _with_alias(client, data_name, PREVIOUS)
    if before is None:
        raise RegistryError(f"{model_name(data_name)} has no champion before version {now.version} to go back to")
    _forget_the_gate(client, data_name)
    return set_champion(data_name, before.version)
