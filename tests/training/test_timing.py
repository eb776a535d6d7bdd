"""Seconds per epoch, measured by the clock."""

import time

import pytest

from leukoscope.training.timing import EpochClock


def test_an_epoch_lasts_from_the_end_of_the_one_before_and_a_folds_first_is_not_timed() -> None:
    seen: list[dict[str, float]] = []
    clock = EpochClock(seen.append)
    epochs = [{"fold": fold, "epoch": epoch, "all_layers": 0} for fold in (0, 1) for epoch in (1, 2, 3)]
    for values in epochs:
        time.sleep(0.2 if values["epoch"] == 1 else 0.02)
        clock.epoch(values)
    assert seen == epochs
    summary = clock.summary()
    assert summary["epochs_timed"] == 4
    assert summary["seconds_per_epoch"] == pytest.approx(0.02, abs=0.05)
    assert summary["machine"]


def test_a_single_epoch_has_no_time() -> None:
    clock = EpochClock(lambda values: None)
    clock.epoch({"fold": 0, "epoch": 1, "all_layers": 0})
    assert clock.summary()["seconds_per_epoch"] is None


def test_where_all_layers_train_the_heads_epochs_are_not_timed() -> None:
    clock = EpochClock(lambda values: None)
    for epoch, all_layers in enumerate([0, 0, 0, 0, 1, 1]):
        time.sleep(0.2 if epoch == 5 else 0.01)
        clock.epoch({"fold": 0, "epoch": epoch + 1, "all_layers": all_layers})
    assert clock.summary()["epochs_timed"] == 1
    assert clock.summary()["seconds_per_epoch"] >= 0.2
