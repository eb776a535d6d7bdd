"""The rows of one ensemble, each with the fingerprint of what evaluate left of it."""

import json

from _stage import main

from leukoscope.config.params import load_params
from leukoscope.core import checkout
from leukoscope.core.files import new_folder, write_json


def run(name: str) -> str:
    """Write data/members/<ensemble>: one <protocol>.json for each protocol."""
    params = load_params()
    evaluated = {
        protocol: {row: _fingerprint(row, protocol) for row in params.members(name)} for protocol in params.protocols
    }
    with new_folder(checkout.members(name)) as folder:
        for protocol, members in evaluated.items():
            write_json(folder / f"{protocol}.json", members)
    return str(checkout.members(name))


def _fingerprint(row: str, protocol: str) -> dict[str, str]:
    return json.loads(checkout.evaluated(row, protocol).read_text())


if __name__ == "__main__":
    main(run)
