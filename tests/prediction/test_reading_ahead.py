"""From files to pictures that are ready for the model: in their order, and an error in the place of a bad one."""

from __future__ import annotations

import pickle
from dataclasses import dataclass

import numpy as np
import pytest

from leukoscope.imaging.reading import PictureError
from leukoscope.prediction import scoring
from leukoscope.prediction.scoring import Prepared, prepared_ahead, read_and_prepare
from leukoscope.registry.champion import Champion
from tests.fixtures.raw_folders import drawn, encoded


@dataclass
class InMemory:
    name: str
    data: bytes

    def read(self) -> bytes:
        return self.data


def test_a_picture_over_the_limit_is_an_error_with_its_bare_reason(champion: Champion) -> None:
    source = InMemory("large.png", encoded(drawn(1), ".png"))
    error = read_and_prepare(source, champion, max_pixels=1000)
    assert isinstance(error, PictureError)
    assert error.reason == "claims 450x450 pixels, more than 0.001 megapixels"
    assert str(error) == f"large.png: {error.reason}; replace the file or take it out"
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.reason) == (str(error), error.reason)


def test_what_is_read_ahead_comes_in_order_with_errors_in_their_places(
    champion: Champion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "READ_AHEAD", 1)  # so that the files are more than what is read ahead
    sources = [InMemory(f"{number}.png", encoded(drawn(number), ".png")) for number in range(12)]
    sources[5] = InMemory("5.png", b"no picture")
    found = list(prepared_ahead(sources, champion))
    assert [one.name if isinstance(one, Prepared) else str(one).split(":")[0] for one in found] == [
        source.name for source in sources
    ]
    assert [number for number, one in enumerate(found) if isinstance(one, PictureError)] == [5]
    alone = [read_and_prepare(source, champion) for source in sources]
    for one, other in zip(found, alone, strict=True):
        if isinstance(one, Prepared) and isinstance(other, Prepared):
            np.testing.assert_array_equal(one.framed, other.framed)
