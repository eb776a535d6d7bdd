from typing import get_args

from leukoscope.config.params import HONEST_PROTOCOLS, LEAKY_PROTOCOLS
from leukoscope.config.rows import Protocol
from leukoscope.evaluation.protocols import PROTOCOLS


def test_every_protocol_has_its_words():
    assert set(PROTOCOLS) == set(get_args(Protocol)) == {*HONEST_PROTOCOLS, *LEAKY_PROTOCOLS}


def test_a_title_says_leaky_exactly_where_the_protocol_is():
    for name, text in PROTOCOLS.items():
        assert text.honest == (name in HONEST_PROTOCOLS)
        assert ("leaky" in text.title) == (not text.honest)
