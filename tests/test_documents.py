"""What the documents say of the tests is so."""

import re
from pathlib import Path

TESTS = Path(__file__).parent
TABLE = (TESTS.parent / "docs/reliability.md").read_text()


def test_every_test_that_the_reliability_table_names_is_there() -> None:
    words = re.findall(r"`([^`]+)`", TABLE)
    files = {word.split("::")[0] for word in words if re.match(r"[\w/]+\.py", word)}
    assert len(files) > 20
    assert [file for file in files if not (TESTS / file).is_file()] == []
    named = {
        word.split("::")[-1] for word in words if word.split("::")[-1].startswith("test_") and ".py" not in word[-3:]
    }
    assert len(named) > 70
    defined = set(re.findall(r"def (test_\w+)", "\n".join(file.read_text() for file in TESTS.rglob("*.py"))))
    assert named - defined == set()
