"""The model that predictions are tested with."""

from tests.prediction.conftest import model

__all__ = ["model"]
