from tests.evaluation.conftest import make_predictions, predictions, settings  # noqa: F401
