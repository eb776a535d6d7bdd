"""The model that predictions are tested with."""

from tests.prediction.conftest import model_file

__all__ = ["model_file"]
