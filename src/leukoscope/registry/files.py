"""A version's files: their hashes, and the check that they are those that were registered."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from leukoscope.artifacts.card import CARD_FACTS
from leukoscope.artifacts.decision import DECISION_FILE
from leukoscope.core.errors import RegistryError
from leukoscope.core.files import sha256_of
from leukoscope.core.paths import is_sha256, leads_outside
from leukoscope.registry.versions import ANOTHER, REGISTER_AGAIN, ChampionVersion, versions_of
from leukoscope.tracking.store import tracking_uri

if TYPE_CHECKING:
    from mlflow import MlflowClient


FILES = "files"  # a version's tag: its files' SHA-256 by name, kept in the database and not beside the files
MODEL_FILE = Path("data", "model.keras")  # where mlflow.keras puts it


def find_version(
    client: MlflowClient, data_name: str, decision_hash: str, with_files: Sequence[str] = ()
) -> str | None:
    """The newest version that was logged from this very decision.json, `with_files`, and still has its files."""
    wanted = needed_files() | set(with_files)
    for known in sorted(versions_of(client, data_name), key=lambda known: -int(known.version)):
        if not listed_files(known.tags).keys() >= wanted:
            continue
        if known.tags.get("decision") == decision_hash and not _files_are_gone(
            client.get_model_version_download_uri(known.name, known.version)
        ):
            return str(known.version)
    return None


def _files_are_gone(source: str) -> bool:
    """True for a local source without its model; nothing is known of others before they are fetched."""
    return Path(source).is_absolute() and not (Path(source) / MODEL_FILE).exists()


def file_hashes(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file below `folder`, by its path there."""
    return {
        file.relative_to(folder).as_posix(): sha256_of(file) for file in sorted(folder.rglob("*")) if file.is_file()
    }


def listed_files(tags: Mapping[str, str]) -> dict[str, str]:
    """The SHA-256 of a version's files by their paths in its folder, as its tag lists them.

    Empty where the tag is missing, is no such list, or names a path outside the folder.
    """
    try:
        listed = json.loads(tags.get(FILES, ""))
    except ValueError:
        return {}
    if not isinstance(listed, dict) or any(map(leads_outside, listed)) or not all(map(is_sha256, listed.values())):
        return {}
    return listed


def needed_files() -> set[str]:
    """The files that every version has."""
    from leukoscope.registry.runtime import SCORING_FILE

    needed = (Path(DECISION_FILE), MODEL_FILE, SCORING_FILE, SCORING_FILE.with_suffix(".bin"), Path(CARD_FACTS))
    return {path.as_posix() for path in needed}


def _refuse_changed_files(chosen: ChampionVersion, folder: Path) -> None:
    """Raise RegistryError unless a version's files in `folder` are those that were registered."""
    for name, sha256 in listed_files(chosen.tags).items():
        if not (folder / name).is_file() or sha256_of(folder / name) != sha256:
            raise RegistryError(
                f"{name} of version {chosen.version} is not the file that was registered, so it is not loaded: remove "
                f"{chosen.source} and run {REGISTER_AGAIN}, or put back the file whose SHA-256 is {sha256}"
            )


def whole_files(chosen: ChampionVersion) -> Path:
    """The folder of a version's files.

    Raises RegistryError where the version does not list them, and where they are gone or not those that it lists.
    """
    import mlflow.artifacts

    if not listed_files(chosen.tags).keys() >= needed_files():
        raise RegistryError(
            f"version {chosen.version} has no tag '{FILES}' that lists every file it needs, by a path in its folder "
            f"and a SHA-256, so it is not loaded: {ANOTHER}"
        )
    if _files_are_gone(chosen.source):
        raise RegistryError(
            f"the files of version {chosen.version} are gone from {chosen.source}: run {REGISTER_AGAIN}"
        )
    folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=chosen.source, tracking_uri=tracking_uri()))
    _refuse_changed_files(chosen, folder)
    return folder
