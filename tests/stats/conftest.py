from tests.evaluation.conftest import make_predictions, predictions, settings, tested  # noqa: F401
