"""Numbers and tables as a reader sees them: on the page, in a terminal."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from statistics import median
from typing import Protocol

NOT_DEFINED = "not defined"


def share(value: float | None) -> str:
    """An area, a share or a slope, as 0.853, with a proper minus sign."""
    return NOT_DEFINED if value is None else f"{value:.3f}".replace("-", "−")


def percent(value: float | None) -> str:
    """A share, as 85.3 %."""
    return NOT_DEFINED if value is None else f"{100 * value:.1f} %"


def hundredths(value: float) -> str:
    """A bound beside a percentage, as 85.3."""
    return f"{100 * value:.1f}"


def signed(value: float | None) -> str:
    """A difference, as +0.041, with a proper minus sign."""
    return NOT_DEFINED if value is None else f"{value:+.3f}".replace("-", "−")


def signed_points(value: float | None) -> str:
    """A difference of shares in percentage points, as +4.1."""
    return NOT_DEFINED if value is None else f"{100 * value:+.1f}".replace("-", "−")


def millions(count: float) -> str:
    """A number of weights, as 10.79 M, or 2,562 below a tenth of a million."""
    return f"{count / 1e6:.2f} M" if count >= 1e5 else f"{count:,.0f}"


def epochs(of_folds: Sequence[int]) -> str:
    """The median over folds and, where they differ, their range: 6 (4–9)."""
    if not of_folds:
        return "not trained"
    spread = f" ({min(of_folds)}–{max(of_folds)})" if min(of_folds) < max(of_folds) else ""
    return f"{median(of_folds):g}{spread}"


def seconds(value: float | None) -> str:
    """Seconds to two digits, as 0.24 or 95."""
    return "not timed" if value is None else f"{value:.0f}" if value >= 10 else f"{value:.2g}"


def p_value(value: float | None) -> str:
    """A p value, as 0.034, or < 0.001."""
    return NOT_DEFINED if value is None else "< 0.001" if value < 0.001 else f"{value:.3f}"


class Interval(Protocol):
    """A number and the ends of its interval; None where there is none."""

    @property
    def value(self) -> float | None:
        """The number."""

    @property
    def low(self) -> float | None:
        """The interval's lower end."""

    @property
    def high(self) -> float | None:
        """The interval's upper end."""


def with_interval(
    estimate: Interval,
    show: Callable[[float], str] = "{:.3f}".format,
    bound: Callable[[float], str] | None = None,
    *,
    none: str = " (no interval)",
) -> str:
    """'0.853 [0.801, 0.910]', or '85.3 % [80.1, 91.0]' where `bound` writes the ends in another way than `show`.

    `none` follows a number without an interval.
    """
    if estimate.value is None:
        return NOT_DEFINED
    if estimate.low is None or estimate.high is None:
        return f"{show(estimate.value)}{none}"
    bound = bound or show
    return f"{show(estimate.value)} [{bound(estimate.low)}, {bound(estimate.high)}]"


def aligned(rows: Sequence[Mapping[str, str]], left: Collection[str] = ()) -> str:
    """A table for a terminal: a line of the columns' names, then a line for each row.

    Columns stand two spaces apart, and those that are empty in every row are left out. Columns named in `left` are
    aligned to the left, the others to the right.
    """
    names = [name for name in rows[0] if any(row[name] for row in rows)]
    widths = {name: max(len(name), *(len(row[name]) for row in rows)) for name in names}

    def line(texts: Mapping[str, str]) -> str:
        padded = (
            texts[name].ljust(widths[name]) if name in left else texts[name].rjust(widths[name]) for name in names
        )
        return "  ".join(padded).rstrip()

    return "\n".join([line({name: name for name in names}), *map(line, rows)])
