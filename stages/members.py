"""The rows of one ensemble, each with the fingerprint of what evaluate left of it."""

import json
from pathlib import Path

from _stage import main

from leukoscope.atomic import new_folder, write_json
from leukoscope.config import load_params


def run(name: str) -> None:
    """Write data/members/<ensemble>: one <protocol>.json for each protocol."""
    params = load_params()
    with new_folder(Path("data/members") / name) as folder:
        for protocol in params.protocols:
            evaluated = Path("data/evaluated") / protocol
            members = params.ensembles[name].members
            write_json(folder / f"{protocol}.json", {row: _read(evaluated / f"{row}.json") for row in members})


def _read(file: Path) -> dict[str, str]:
    return json.loads(file.read_text())


if __name__ == "__main__":
    main(run)
