"""A cluster of two nodes, and the model and the cells that predictions are tested with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fixtures.nodes import Cluster, two_nodes
from tests.prediction.conftest import cells, folder, model_file

__all__ = ["cells", "folder", "model_file"]


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """One for all tests: a process that has connected to a cluster keeps to that one's token.

    Its nodes say that they have a GPU each, which they have not.
    """
    with two_nodes(gpus=1) as running:
        yield running
