"""The hash of code: it follows what code does, and neither its words, its layout nor its place."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from leukoscope.core.code import code_hash

AREA = '''"""Areas."""

SCALE = 2  # squared
"""Of a side."""


def area(side: float) -> float:
    """The square of a side."""
    if side < 0:
        raise ValueError("a side below 0")
    return (SCALE * side) ** 2


class Square:
    """A square."""

    side: float
    """Its side."""
'''
IN_OTHER_WORDS = '''"""Something else: two
lines."""
# a comment

SCALE = 2


def area( side: float ) -> float:

    if side < 0:
        raise ValueError(
            "a side below 0"
        )
    return (SCALE*side)**2  # squared


class Square:
    side: float
'''


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Two rooms, one of them with a folder, and a loose module."""
    root = tmp_path / "package"
    for name in ("shapes/area.py", "shapes/round/circle.py", "other/module.py", "loose.py"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(AREA)
    return root


def changed(package: Path, file: str, content: str) -> Path:
    """A copy with other content in one file: what was hashed once in a process is not read again."""
    copy = Path(shutil.copytree(package, package.parent / "a copy"))
    (copy / file).parent.mkdir(exist_ok=True)
    (copy / file).write_text(content)
    return copy


@pytest.mark.parametrize("file", ["shapes/area.py", "shapes/round/circle.py", "loose.py"])
def test_words_and_layout_and_place_change_nothing(package: Path, file: str) -> None:
    other = changed(package, file, IN_OTHER_WORDS)
    assert code_hash("shapes", "loose.py", root=other) == code_hash("shapes", "loose.py", root=package)


@pytest.mark.parametrize("file", ["shapes/area.py", "shapes/round/circle.py", "loose.py"])
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("SCALE = 2", "SCALE = 3"),
        ("def area", "def surface"),
        ("(side: float)", "(side: float = 1)"),
        ("a side below 0", "a side under 0"),
        ("    side: float", "    side: int"),
        ("side < 0", "side <= 0"),
    ],
)
def test_another_meaning_changes_it(package: Path, file: str, old: str, new: str) -> None:
    assert old in AREA
    other = changed(package, file, AREA.replace(old, new))
    assert code_hash("shapes", "loose.py", root=other) != code_hash("shapes", "loose.py", root=package)


def test_a_new_and_a_renamed_module_change_it(package: Path) -> None:
    before = code_hash("shapes", root=package)
    other = changed(package, "shapes/empty.py", "")
    assert code_hash("shapes", root=other) != before
    (package / "shapes/area.py").rename(package / "shapes/areas.py")
    moved = package.rename(package.with_name("renamed"))
    assert code_hash("shapes", root=moved) != before


def test_modules_elsewhere_and_other_files_change_nothing(package: Path) -> None:
    before = code_hash("shapes", root=package)
    other = changed(package, "other/module.py", "SCALE = 3")
    (other / "shapes/notes.txt").write_text("SCALE = 3")
    assert code_hash("shapes", root=other) == before


def test_the_order_of_places_changes_nothing(package: Path) -> None:
    places = ["shapes", "loose.py", "shapes/round", "shapes"]
    assert code_hash(*places, root=package) == code_hash("loose.py", "shapes", root=package)


def test_a_place_that_is_not_there_is_an_error(package: Path) -> None:
    with pytest.raises(FileNotFoundError, match="shape is no module and no folder of modules"):
        code_hash("shape", root=package)


def test_the_key_of_features_is_made_without_keras() -> None:
    code = (
        "import sys; from leukoscope.features.memory import pass_name; pass_name({}); assert 'keras' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
