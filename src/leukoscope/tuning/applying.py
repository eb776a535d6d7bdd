"""A study's winner written into params.yaml: its values, and under `tuned` where they come from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from leukoscope.config.params import PARAMS_FILE, load_params
from leukoscope.config.rows import Tuned
from leukoscope.config.yaml_edit import Edit, with_value
from leukoscope.core.errors import ConfigError
from leukoscope.core.files import new_file
from leukoscope.tuning.bench import Bench
from leukoscope.tuning.gain import Gain

DIGITS = 4  # significant ones: a study does not know more


def provenance(bench: Bench, study_name: str) -> Tuned:
    """Where values from a study on `bench` come from."""
    return Tuned(
        study=study_name,
        data=bench.data_hash,
        split=bench.split_hash,
        protocol=bench.params.tune.protocol,
        fold=bench.fold,
    )


def apply_winner(bench: Bench, study_name: str, gain: Gain, path: Path = PARAMS_FILE) -> Edit | None:
    """Write the winner's values into the row.

    A gain of no more than one standard error leaves the file as it is, and there is no edit. Raises ConfigError where
    the outcome would not be valid; the file is then as it was.
    """
    if not gain.convinces:
        return None
    rounded = {name: _rounded(value) for name, value in gain.winner.items()}
    of_row = {name: value for name, value in rounded.items() if name != "zoom"}
    before = path.read_text()
    after = before
    for name, value in {**of_row, "tuned": provenance(bench, study_name).model_dump()}.items():
        after = with_value(after, ("models", bench.name, name), value)
    if "zoom" in rounded:
        after = with_value(after, ("augment", "zoom"), rounded["zoom"])
    with new_file(path) as part:
        part.write_text(after)
        try:
            written = load_params(part).row(bench.name)
        except ConfigError as error:
            raise ConfigError(f"the winner of {study_name} does not fit what else {path} says: {error}") from None
        if any(getattr(written, name) != value for name, value in of_row.items()):
            raise ConfigError(f"{path} is laid out in a way that a row cannot be written into: edit it by hand")
    return Edit(path, before, after)


def _rounded(value: Any) -> Any:
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value
