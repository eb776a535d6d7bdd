"""What the documents say of the tests is so."""

import re
from functools import cache
from pathlib import Path

TESTS = Path(__file__).parent
TABLE = (TESTS.parent / "docs/reliability.md").read_text()
FILE = re.compile(r"[\w/]+\.py")


@cache
def defined(file: str) -> dict[str, bool]:
    """The tests of a file, and whether each is marked slow."""
    text = (TESTS / file).read_text()
    all_slow = bool(re.search(r"^pytestmark = .*pytest\.mark\.slow", text, re.MULTILINE))
    tests = re.finditer(r"((?:@.*\n(?:[ )\]].*\n)*)*)def (test_\w+)", text)
    return {test[2]: all_slow or "pytest.mark.slow" in test[1] for test in tests}


def named() -> list[tuple[str, str, bool]]:
    """File, test (or none, for the whole file) and "(slow)" of every mention; a bare name is of a file named before."""
    mentions, earlier = [], []
    for line in TABLE.splitlines():
        for word, slow in re.findall(r"`([^`]+)`( \(slow\))?", line):
            file, _, test = word.rpartition("::") if "test_" in word else ("", "", "")
            if FILE.fullmatch(word):
                file, test = word, ""
            elif test and not file:
                file = next((known for known in reversed(earlier) if test in defined(known)), "no file named before")
            if file:
                earlier.append(file)
                mentions.append((file, test, bool(slow)))
    return mentions


def test_every_test_that_the_reliability_table_names_is_where_it_says() -> None:
    mentions = named()
    assert len({file for file, _, _ in mentions}) > 20
    assert len(mentions) > 85
    assert [(file, test) for file, test, _ in mentions if not (TESTS / file).is_file()] == []
    assert [(file, test) for file, test, _ in mentions if test and test not in defined(file)] == []


def test_what_it_calls_slow_is_slow() -> None:
    wrong = [(test, slow) for file, test, slow in named() if test and defined(file)[test] is not slow]
    assert wrong == []
