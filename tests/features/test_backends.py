"""The models' code is plain Keras: it trains on JAX too, and what it trains is the same model everywhere."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from leukoscope.features.backbones import weights_identity
from leukoscope.training import saved_folds

AGREE = 1e-5  # of a probability: float32 sums in another order differ by less


@pytest.mark.slow
def test_what_jax_trained_says_the_same_on_tensorflow_and_on_openvino(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.fixtures.trained_elsewhere", str(tmp_path)]
    subprocess.run(command, check=True, env={**os.environ, "KERAS_BACKEND": "jax"})
    assert keras.backend.backend() == "tensorflow"
    for name in ("frozen", "finetuned"):
        trained = np.load(tmp_path / name / "inputs.npz")
        assert str(trained["backend"]) == "jax"
        assert np.isfinite(trained["losses"]).all()
        assert trained["losses"][-1] < trained["losses"][0]
        assert trained["said"].std(axis=0).min() > 100 * AGREE
        (model,) = saved_folds.load_folds(tmp_path / name).values()
        np.testing.assert_allclose(model.predict_on_batch(trained["inputs"]), trained["said"], rtol=0, atol=AGREE)
        on_openvino = saved_folds.fold_sigmoids(tmp_path / name, 0)
        np.testing.assert_allclose(on_openvino(trained["inputs"]), trained["said"], rtol=0, atol=AGREE)


def test_an_untrained_start_that_another_backend_drew_is_another(monkeypatch: pytest.MonkeyPatch) -> None:
    identities = set()
    for backend in ("tensorflow", "jax"):
        monkeypatch.setenv("KERAS_BACKEND", backend)
        identities.add(weights_identity("mobilenetv2", "none", 64))
    monkeypatch.delenv("KERAS_BACKEND")
    assert weights_identity("mobilenetv2", "none", 64) in identities
    assert len(identities) == 2
