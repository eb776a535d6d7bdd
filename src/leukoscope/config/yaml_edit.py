"""Values of a YAML file replaced in its text, so that comments, order and layout of everything else stay."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

INDENT = 2


@dataclass(frozen=True)
class Edit:
    """The text of the file at `path` before an edit, and after it."""

    path: Path
    before: str
    after: str

    @property
    def changed(self) -> bool:
        """Whether the two differ."""
        return self.before != self.after

    def difference(self, now: str) -> str:
        """The unified difference, empty where there is none; `now` says what the file is after the edit: 'tuned'."""
        old, new = (text.splitlines(keepends=True) for text in (self.before, self.after))
        return "".join(difflib.unified_diff(old, new, f"{self.path} before", f"{self.path} {now}"))


def with_value(text: str, keys: Sequence[str], value: Any) -> str:
    """`text` with `value` under `keys`: a section's name, or the names down to a key inside it.

    Lists and maps are put on one line. A comment behind the value keeps its column where there is room. A missing key
    is added at its section's end.
    """
    node = _find(text, keys)
    if node is None:
        return _with_new_key(text, keys, value)
    if _plain(node[1]) == value:
        return text
    start, end = _after_colon(text, node[0]), _end(text, *node)
    return _with_comment_in_column(text[:start] + " " + _flow(value), text[end:], _comment_column(text))


def with_section(text: str, name: str, value: Mapping[str, Any]) -> str:
    """`text` with the whole mapping `value` under the top-level key `name`, in block style."""
    node = _find(text, [name])
    if node is None:
        return f"{text.rstrip()}\n\n{name}:\n{_block(value)}\n"
    key, old = node
    if _plain(old) == value:
        return text
    end = _line_end(text, _end(text, key, old))
    if old.start_mark.index == old.end_mark.index:
        start = end
    elif old.start_mark.line > key.start_mark.line:
        start = text.rindex("\n", 0, old.start_mark.index)
    else:
        start = _after_colon(text, key)
    return f"{text[:start]}\n{_block(value)}{text[end:]}"


def _with_new_key(text: str, keys: Sequence[str], value: Any) -> str:
    if len(keys) == 1:
        return f"{text.rstrip()}\n\n{keys[0]}: {_flow(value)}\n"
    *parent, key = keys
    node = _find(text, parent)
    if node is None or not isinstance(node[1], yaml.MappingNode) or node[1].flow_style:
        whole = {**((node and _plain(node[1])) or {}), key: value}
        return with_section(text, parent[0], whole) if len(parent) == 1 else with_value(text, parent, whole)
    end = _line_end(text, _end(text, *node))
    indent = " " * node[1].start_mark.column
    return f"{text[:end]}\n{indent}{key}: {_flow(value)}{text[end:]}"


def _find(text: str, keys: Sequence[str]) -> tuple[yaml.Node, yaml.Node] | None:
    """The key's and the value's node under `keys`, with their places in `text`."""
    found, node = None, yaml.compose(text, yaml.SafeLoader)
    for key in keys:
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        found = next((pair for pair in pairs if pair[0].value == key), None)
        if found is None:
            return None
        node = found[1]
    return found


def _plain(node: yaml.Node) -> Any:
    return yaml.constructor.SafeConstructor().construct_document(node)


def _after_colon(text: str, key: yaml.Node) -> int:
    return text.index(":", key.end_mark.index) + 1


def _end(text: str, key: yaml.Node, node: yaml.Node) -> int:
    """Where the text of a key's value ends.

    The marks of a block collection and of an empty value lie behind the comments that follow it.
    """
    if node.start_mark.index == node.end_mark.index:
        return _after_colon(text, key)
    if isinstance(node, yaml.MappingNode) and not node.flow_style:
        return _end(text, *node.value[-1])
    if isinstance(node, yaml.SequenceNode) and not node.flow_style:
        return _end(text, key, node.value[-1])
    return int(node.end_mark.index)


def _line_end(text: str, position: int) -> int:
    newline = text.find("\n", position)
    return len(text) if newline < 0 else newline


def _flow(value: Any) -> str:
    return yaml.safe_dump([value], default_flow_style=True, width=10_000).strip()[1:-1]


def _block(value: Mapping[str, Any]) -> str:
    lines = yaml.safe_dump(dict(value), sort_keys=False, default_flow_style=False, indent=INDENT).splitlines()
    return "\n".join(" " * INDENT + line for line in lines)


def _comment_column(text: str) -> int:
    """The column in which most of the comments behind a value begin."""
    columns = Counter(len(match.group()) - 1 for match in re.finditer(r"^[^#\n]*\S +#", text, re.MULTILINE))
    return columns.most_common(1)[0][0] if columns else 0


def _with_comment_in_column(before: str, after: str, column: int) -> str:
    comment = re.match(r"[ \t]+(?=#)", after)
    if comment is None:
        return before + after
    width = len(before) - before.rfind("\n") - 1
    return before + " " * max(1, column - width) + after[comment.end() :]
