"""Leukoscope: leukemia cell classifiers, from images to a promoted model, with honest numbers.

For notebooks and scripts, these five functions are promised (`leukoscope.api` has them, and is loaded by the first
that is used); all else may change:

    from leukoscope import load_champion
    model = load_champion()
    model.predict("my_cells/")
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from leukoscope.api import by_subject, load_champion, load_predictions, load_results, read_images


__version__ = "0.1.0"
__all__ = ["by_subject", "load_champion", "load_predictions", "load_results", "read_images"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from leukoscope import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
