"""The commands that people are shown: in README's and the guide's sh blocks, and as the example of each `--help`."""

from __future__ import annotations

import re
from typing import Any

import typer.main

from leukoscope.cli import app
from tests.pipeline.checkout import ROOT

DOCUMENTS = ("README.md", "docs/guide.md", "docs/serving.md")


def commands_of(document: str) -> list[str]:
    """The lines of a document's sh blocks, without their comments."""
    blocks = re.findall(r"^```sh\n(.*?)^```", (ROOT / document).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    lines = [re.sub(r"\s+#.*", "", line).strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line]


def programs() -> dict[str, Any]:
    """Every command of `leukoscope`, by its name: those that are added later too."""
    return dict(typer.main.get_group(app).commands)


def examples() -> dict[str, str]:
    """What each command's help gives as an example, by the command's name."""
    found = {}
    for name, command in programs().items():
        shown = re.findall(r"^\s*Example: (leukoscope .+)$", command.help or "", re.MULTILINE)
        assert len(shown) == 1, f"the help of {name} has {len(shown)} examples, on a line of their own"
        found[name] = shown[0]
    return found
