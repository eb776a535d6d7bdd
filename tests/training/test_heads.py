"""Table III to the letter: every regulariser against a loss computed by hand."""

import keras
import numpy as np
import pytest

from leukoscope.config.rows import ModelSettings
from leukoscope.training.heads import build_head, compile_for_training, probability

ROW = {"backbone": "mobilenetv2", "dropout": 0.0}
NONE = {"kernel_l2": 0.0, "activity_l1": 0.0, "bias_l1": 0.0}
STRENGTHS = {"kernel_l2": 0.016, "activity_l1": 0.006, "bias_l1": 0.006}


def head_with_known_values(**settings: float) -> keras.Model:
    head = build_head(ModelSettings(**ROW, **settings), 12)
    rng = np.random.default_rng(3)
    head.get_layer("hidden").set_weights([rng.normal(size=(12, 256)), rng.normal(size=256)])
    head.layers[-1].set_weights([rng.normal(scale=0.01, size=(256, 2)), np.zeros(2)])  # no sigmoid near 0 or 1
    return head


@pytest.fixture
def batch() -> np.ndarray:
    return np.random.default_rng(4).normal(size=(40, 12)).astype(np.float32)


def penalty(batch: np.ndarray, **settings: float) -> float:
    """What the regularisers add to the loss of a batch."""
    head = head_with_known_values(**{**NONE, **settings})
    head(batch)
    return float(sum(head.losses))


def hidden(batch: np.ndarray) -> np.ndarray:
    kernel, bias = head_with_known_values(**NONE).get_layer("hidden").get_weights()
    return np.maximum(batch / np.sqrt(1 + 1e-3) @ kernel + bias, 0)  # batch norm at its start: mean 0, variance 1


def test_kernel_l2_is_0016_times_the_sum_of_squares(batch: np.ndarray) -> None:
    kernel, _ = head_with_known_values(**NONE).get_layer("hidden").get_weights()
    assert penalty(batch, kernel_l2=0.016) == pytest.approx(0.016 * np.square(kernel).sum(), rel=1e-5)


def test_bias_l1_is_0006_times_the_sum_of_sizes(batch: np.ndarray) -> None:
    _, bias = head_with_known_values(**NONE).get_layer("hidden").get_weights()
    assert penalty(batch, bias_l1=0.006) == pytest.approx(0.006 * np.abs(bias).sum(), rel=1e-5)


def test_activity_l1_is_divided_by_the_batch_size(batch: np.ndarray) -> None:
    expected = 0.006 * np.abs(hidden(batch)).sum() / len(batch)
    assert penalty(batch, activity_l1=0.006) == pytest.approx(expected, rel=1e-4)


def test_the_compiled_loss_is_cross_entropy_plus_all_three(batch: np.ndarray) -> None:
    head = head_with_known_values(**STRENGTHS)
    compile_for_training(head, 0.003)
    targets = np.eye(2, dtype=np.float32)[np.arange(40) % 2]
    sigmoids = np.clip(head.predict(batch, verbose=0), 1e-7, 1 - 1e-7)
    cross_entropy = -(targets * np.log(sigmoids) + (1 - targets) * np.log(1 - sigmoids)).mean()
    loss = head.evaluate(batch, targets, batch_size=40, verbose=0)[0]
    assert loss == pytest.approx(cross_entropy + penalty(batch, **STRENGTHS), rel=1e-4)


def test_the_regularized_head_is_table_iii() -> None:
    head = build_head(ModelSettings(backbone="efficientnetb3"), 1536)
    norm, dense, dropout, sigmoids = head.layers[1:]
    assert isinstance(norm, keras.layers.BatchNormalization)
    assert (dense.units, dense.activation.__name__) == (256, "relu")
    assert float(dense.kernel_regularizer.l2) == pytest.approx(0.016)
    assert float(dense.activity_regularizer.l1) == pytest.approx(0.006)
    assert float(dense.bias_regularizer.l1) == pytest.approx(0.006)
    assert dropout.rate == pytest.approx(0.2)
    assert (sigmoids.units, sigmoids.activation.__name__) == (2, "sigmoid")


def test_training_is_table_iii() -> None:
    head = build_head(ModelSettings(backbone="efficientnetb3"), 8)
    compile_for_training(head, ModelSettings(backbone="efficientnetb3").learning_rate)
    assert isinstance(head.optimizer, keras.optimizers.Adamax)
    assert float(head.optimizer.learning_rate) == pytest.approx(0.003)


def test_the_plain_head_is_one_layer() -> None:
    head = build_head(ModelSettings(backbone="vgg16", head="plain"), 512)
    assert head.count_params() == 512 * 2 + 2


def test_all_is_unit_1_and_p_is_its_share() -> None:
    p = np.asarray(probability(np.array([[0.2, 0.6], [0.9, 0.1], [0.0, 0.0]], np.float32)))
    assert p.ravel() == pytest.approx([0.75, 0.1, 0.0])
