"""A checkout for the doctor: the project's own pyproject.toml, uv.lock and params.yaml, and an empty store."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from leukoscope.config.params import Params, load_params
from tests.fixtures.checkout import ROOT
from tests.fixtures.stores import empty_checkout

PROJECT = ("pyproject.toml", "uv.lock", "params.yaml")


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Before anything was run."""
    root = empty_checkout(tmp_path, monkeypatch)
    for name in PROJECT:
        shutil.copyfile(ROOT / name, root / name)
    return root


@pytest.fixture
def params_with(checkout: Path) -> Callable[..., Params]:
    """Writes sections into params.yaml, key by key, and reads it."""

    def change(**sections: dict) -> Params:
        content = yaml.safe_load(Path("params.yaml").read_text())
        for name, values in sections.items():
            content[name] = {**content[name], **values}
        Path("params.yaml").write_text(yaml.safe_dump(content))
        return load_params()

    return change
