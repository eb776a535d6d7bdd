"""Values change and everything else of the text stays: comments, order, quotes, layout."""

import pytest
import yaml

from leukoscope.config.yaml_edit import with_section, with_value

TEXT = """\
# What this is.
one:
  kept: "quoted"   # why
  short: 1         # its unit
  empty:           # not yet

two: [a, b]        # a list
three: {x: 1, y: 2}

rows:
  # the first of them
  first:
    a: 1   # inside
  second: {b: 2}

last: 1
"""


def test_a_value_changes_and_its_comment_keeps_its_column() -> None:
    assert with_value(TEXT, ("one", "short"), 1000) == TEXT.replace("short: 1         #", "short: 1000      #")
    assert with_value(TEXT, ("one", "empty"), None) == TEXT
    assert with_value(TEXT, ("one", "empty"), "full") == TEXT.replace("empty:           #", "empty: full      #")
    assert with_value(TEXT, ("two",), ["a"]) == TEXT.replace("[a, b]        #", "[a]           #")


def test_a_comment_that_was_pushed_aside_comes_back() -> None:
    longer = with_value(TEXT, ("one", "short"), "a value that needs more room")
    assert "short: a value that needs more room # its unit\n" in longer
    assert with_value(longer, ("one", "short"), 1) == TEXT


def test_an_equal_value_is_left_as_it_is_written() -> None:
    assert with_value(TEXT, ("one", "kept"), "quoted") == TEXT
    assert with_section(TEXT, "rows", {"first": {"a": 1}, "second": {"b": 2}}) == TEXT


def test_a_section_is_replaced_as_a_whole_and_its_neighbours_stay() -> None:
    changed = with_section(TEXT, "rows", {"third": {"c": 3}})
    assert changed == TEXT[: TEXT.index("  first:")] + "  third:\n    c: 3\n" + TEXT[TEXT.index("\nlast") :]


@pytest.mark.parametrize(
    "text", [TEXT, "", "one: {kept: 1}\n", "one:\n", "one:\n  short: 1", "one:  # yet\n\n# then\nlast: 1\n"]
)
@pytest.mark.parametrize(
    ("keys", "value"), [(("one", "new"), 5), (("new", "key"), "v"), (("new",), [1]), (("one",), 2)]
)
def test_a_key_that_is_missing_is_added(text: str, keys: tuple[str, ...], value: object) -> None:
    before = yaml.safe_load(text) or {}
    if keys == ("one", "new"):
        expected = {**before, "one": {**(before.get("one") or {}), "new": 5}}
    else:
        expected = {**before, keys[0]: value if len(keys) == 1 else {keys[1]: value}}
    assert yaml.safe_load(with_value(text, keys, value)) == expected


def test_a_key_is_set_inside_a_row_whatever_its_style() -> None:
    deeper = with_value(TEXT, ("rows", "first", "c"), 0.5)
    assert deeper == TEXT.replace("    a: 1   # inside\n", "    a: 1   # inside\n    c: 0.5\n")
    flow = with_value(TEXT, ("rows", "second", "c"), {"d": 1})
    assert flow == TEXT.replace("{b: 2}", "{b: 2, c: {d: 1}}")
    empty = with_value("rows:\n  first:\n  second:\nlast: 1\n", ("rows", "first", "c"), 1)
    assert yaml.safe_load(empty) == {"rows": {"first": {"c": 1}, "second": None}, "last": 1}
