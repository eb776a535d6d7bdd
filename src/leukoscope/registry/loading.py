"""A version from the registry, checked and ready to use."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from leukoscope.artifacts.card import CARD_FACTS, CardFacts
from leukoscope.artifacts.decision import DECISION_FILE, Decision
from leukoscope.core.errors import DataError, RegistryError
from leukoscope.core.paths import is_sha256
from leukoscope.registry.files import listed_files, whole_files
from leukoscope.registry.versions import ANOTHER, ChampionVersion, champion, version_of
from leukoscope.tracking.store import answering, open_store

if TYPE_CHECKING:
    from leukoscope.registry.champion import Champion, Version


@answering()
def load_champion(data_name: str, version: int | str | None = None) -> Champion:
    """The champion, or the version that is named: its model (framed pictures to p(ALL)), its decision and its number.

    Raises RegistryError where it is not registered or its files are gone.
    """
    from leukoscope.registry.runtime import SCORING_FILE, Scorer

    known, folder = load_version(data_name, version)
    return known.with_model(Scorer(folder / SCORING_FILE, known.frame, known.rotations))


@answering()
def load_version(data_name: str, version: int | str | None = None) -> tuple[Version, Path]:
    """The same without its model, and the folder of its files. Raises RegistryError as `load_champion` does."""
    from leukoscope.artifacts.training_cells import TRAINING_FILE, read_training_cells
    from leukoscope.registry.champion import Version

    folder, decision, chosen = fetched(data_name, version)
    training = read_training_cells(folder) if TRAINING_FILE in listed_files(chosen.tags) else None
    return Version(decision, chosen.version, training), folder


@answering()
def load_card(data_name: str, version: int | str | None = None) -> CardFacts:
    """What the model card of the champion, or of the version that is named, is made of.

    Raises RegistryError as `load_champion` does.
    """
    folder, _, _ = fetched(data_name, version)
    return CardFacts.read(folder / CARD_FACTS)


def fetched(data_name: str, version: int | str | None) -> tuple[Path, Decision, ChampionVersion]:
    """The folder of the champion's files, or of the version's that is named, with its decision and what is known of it.

    Raises RegistryError, besides what `whole_files` raises, for a decision.json that is none, one without a model's
    identity, or with another one than the registry has.
    """
    chosen = champion(data_name) if version is None else version_of(open_store(), data_name, str(version))
    folder = whole_files(chosen)
    try:
        decision = Decision.read(folder)
    except DataError as error:
        why = str(error).removesuffix(": run dvc repro")
        raise RegistryError(f"version {chosen.version} is not loaded, since {why}: {ANOTHER}") from None
    identity = decision.identity
    if not is_sha256(identity):
        raise RegistryError(
            f"the identity in {DECISION_FILE} of version {chosen.version} is not 64 hexadecimal digits in lower case, "
            f"so it is not loaded: {ANOTHER}"
        )
    if identity != chosen.identity:
        raise RegistryError(
            f"{DECISION_FILE} of version {chosen.version} is of another model than its tag 'identity' names, so it is "
            f"not loaded: {ANOTHER}"
        )
    return folder, decision, chosen
