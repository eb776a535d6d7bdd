"""Names that lead outside the folder that they are taken from, and hashes that are none."""

from __future__ import annotations

from pathlib import Path

import pytest

from leukoscope.core.errors import DataError, RegistryError
from leukoscope.core.paths import inside, is_sha256


@pytest.mark.parametrize(
    "name", ["a.png", "all/1/a.png", "..a/b..png", "a..", "./a.png", "odd\\name.png", "slide:1.png"]
)
def test_a_name_inside_is_joined(name: str) -> None:
    assert inside(Path("images"), name) == Path("images") / name


@pytest.mark.parametrize(
    "name", ["..", "../a.png", "all/../../a.png", "a/..", "/etc/passwd", "//host/a", "C:/a.png", "C:a", "..\\a", "\\a"]
)
def test_a_name_that_leads_outside_is_refused(name: str) -> None:
    with pytest.raises(DataError, match="leads outside images"):
        inside(Path("images"), name)
    with pytest.raises(RegistryError):
        inside(Path("images"), name, RegistryError)


@pytest.mark.parametrize(
    "text", ["a" * 63, "a" * 65, "A" * 64, "g" * 64, "a" * 64 + "\n", "", "\u0661" * 64, None, 7, ["a"]]
)
def test_what_is_no_sha256(text: object) -> None:
    assert not is_sha256(text)


def test_a_sha256_is_64_lower_case_hexadecimal_digits() -> None:
    assert is_sha256("0123456789abcdef" * 4)
