"""Profiles: what params.yaml says for a kind of run, as small YAML files in profiles/, and how one is put into place.

A profile names keys and their values; `models: table_v` stands for the rows of `leukoscope.config.table_v`. Every
profile names the same keys, so switching back and forth is lossless; what none names (`fetch:` above all) stays as it
is.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml

from leukoscope.config.params import PARAMS_FILE, load_params
from leukoscope.config.table_v import ROWS
from leukoscope.config.yaml_edit import Edit, with_section, with_value
from leukoscope.core.errors import ConfigError
from leukoscope.core.files import new_file

FOLDER = Path(__file__).with_name("profiles")
TABLE_V = "table_v"


def profile_names() -> list[str]:
    """The known profiles."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def profile_values(name: str) -> dict[str, Any]:
    """What a profile sets: sections of params.yaml. Raises ConfigError for an unknown name, with the known ones."""
    if name not in profile_names():
        raise ConfigError(f"unknown profile '{name}': it can be {', '.join(profile_names())}")
    values = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())
    return {**values, "models": ROWS} if values["models"] == TABLE_V else values


def apply_profile(name: str, path: Path = PARAMS_FILE) -> Edit:
    """Put a profile's values into params.yaml; the edit is not `changed` where the file has them already.

    Raises ConfigError for an unknown name, for edits of the file that git does not hold yet, and where the outcome
    would not be valid; the file is then as it was.
    """
    values = profile_values(name)
    load_params(path)
    before = path.read_text()
    _refuse_uncommitted_edits(path, before)
    after = rewritten(before, values)
    with new_file(path) as part:
        part.write_text(after)
        try:
            load_params(part)
        except ConfigError as error:
            raise ConfigError(f"profile {name} does not fit what else {path} says: {error}") from None
    return Edit(path, before, after)


def rewritten(text: str, values: Mapping[str, Any]) -> str:
    """`text` of params.yaml with a profile's values: its rows replaced as a whole, any other key by itself."""
    expected = deepcopy(yaml.safe_load(text))
    for section, value in values.items():
        if section == "models":
            text = with_section(text, section, value)
            expected[section] = value
        elif isinstance(value, Mapping):
            for key, one in value.items():
                text = with_value(text, (section, key), one)
            expected[section] = {**(expected.get(section) or {}), **value}
        else:
            text = with_value(text, (section,), value)
            expected[section] = value
    if yaml.safe_load(text) != expected:
        raise ConfigError("params.yaml is laid out in a way that a profile cannot be written into: edit it by hand")
    return text


def _refuse_uncommitted_edits(path: Path, text: str) -> None:
    """Edits would be overwritten without a trace; what a profile made of the committed file is no edit."""
    if not _git(path, "status", "--porcelain", "--", path.name):
        return
    committed = _git(path, "show", f"HEAD:./{path.name}")
    if committed and text in (rewritten(committed, profile_values(name)) for name in profile_names()):
        return
    raise ConfigError(
        f"{path} holds edits that are not committed: commit them or take them back first (git diff {path})"
    )


def _git(path: Path, *words: str) -> str:
    """What git prints in the file's folder; nothing where there is no repository, or no git."""
    try:
        run = subprocess.run(["git", *words], cwd=path.parent, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return run.stdout if run.returncode == 0 else ""
