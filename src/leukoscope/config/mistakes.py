"""What is wrong in params.yaml, in words: a line for each key, with what the key allows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

import annotated_types
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from leukoscope.config.rows import numbers_of

LINE = "\n  "


def listed(path: object, mistakes: Sequence[str]) -> str:
    """The message of all mistakes in the file `path`: one in one line, several in a line each."""
    several = list(dict.fromkeys(mistakes))
    if len(several) == 1:
        return f"{path}: {several[0]}"
    return LINE.join([f"{path} has {len(several)} mistakes:", *several])


def in_words(error: ValidationError, section: type[BaseModel], prefix: str = "") -> list[str]:
    """Each problem that pydantic found in `section`, with its key (below `prefix`), its value and what is allowed."""
    return [_line(problem, section, prefix) for problem in error.errors()]


def _line(problem: Any, section: type[BaseModel], prefix: str) -> str:
    keys = [str(part) for part in problem["loc"]]
    name = ".".join([*([prefix] if prefix else []), *keys]) or "params.yaml"
    if problem["type"] == "extra_forbidden":
        known = ", ".join(_keys(_section_at(section, keys[:-1])))
        return f"{name}: unknown key" + (f" (known: {known})" if known else "")
    said = problem["msg"].removeprefix("Value error, ")
    given = "" if problem["type"] == "missing" else f" (got {problem['input']!r:.100})"
    allowed = _allowed(_field_at(section, keys))
    return f"{name}: {said}{given}" + (f"; allowed: {allowed}" if allowed else "")


def _keys(section: type[BaseModel] | None) -> list[str]:
    return [field.alias or name for name, field in section.model_fields.items()] if section else []


def _field_at(section: type[BaseModel], keys: Sequence[str]) -> FieldInfo | None:
    """The field that `keys` lead to; None where they lead into a list or a map."""
    holder = _section_at(section, keys[:-1])
    fields = holder.model_fields if holder and keys else {}
    return next((field for name, field in fields.items() if keys[-1] in (name, field.alias)), None)


def _section_at(section: type[BaseModel], keys: Sequence[str]) -> type[BaseModel] | None:
    for key in keys:
        field = next((field for name, field in section.model_fields.items() if key in (name, field.alias)), None)
        kinds = [field.annotation, *get_args(field.annotation)] if field else []
        inner = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)
        if inner is None:
            return None
        section = inner
    return section


def _allowed(field: FieldInfo | None) -> str:
    """The range of a number; empty for what pydantic's own words name already."""
    numbers = numbers_of(field) if field else set()
    if field is None or not numbers:
        return ""
    low = high = ""
    for bound in field.metadata:
        match bound:
            case annotated_types.Ge(ge=value):
                low = f"{value} and more"
            case annotated_types.Gt(gt=value):
                low = f"above {value}"
            case annotated_types.Le(le=value):
                high = f"at most {value}"
            case annotated_types.Lt(lt=value):
                high = f"below {value}"
    kind = "whole numbers" if int in numbers else "numbers"
    return ", ".join(filter(None, [kind, low, high]))
