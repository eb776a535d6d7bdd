"""A checkout with a champion, made once for all tests of the server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from leukoscope.registry import versions
from leukoscope.registry.packaging import log_version
from leukoscope.registry.ranking import rank
from tests.fixtures.running import STALL, Running, serving
from tests.fixtures.stores import checkout_with_store
from tests.fixtures.trained_rows import write_params, write_row


@pytest.fixture(scope="package")
def champion_checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A checkout with a champion of a tiny model, and a second version that is not."""
    with pytest.MonkeyPatch.context() as patch:
        checkout = checkout_with_store(tmp_path_factory.mktemp("served"), patch)
        write_row(checkout, "a_row", skill=3)
        write_row(checkout, "b_row", skill=1, seed=1)
        write_params(checkout, "a_row", "b_row")
        for candidate in rank(["a_row", "b_row"], "subject", checkout):
            log_version("cells", candidate)
        versions.set_champion("cells", "1")
        yield checkout


@pytest.fixture(scope="package")
def server(champion_checkout: Path) -> Iterator[Running]:
    """A server of version 1 with short limits, for tests that leave it as it is: a start costs seconds."""
    limits = ("--stall-seconds", f"{STALL:g}", "--max-images", "6", "--max-image-mb", "1")
    with serving(champion_checkout, "--version", "1", *limits) as running:
        yield running


@pytest.fixture(scope="package")
def open_server(champion_checkout: Path) -> Iterator[Running]:
    """A server with the limits of its own, on all addresses; it follows the champion."""
    with serving(champion_checkout, "--host", "0.0.0.0") as running:
        yield running
