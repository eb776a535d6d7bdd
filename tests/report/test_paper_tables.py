"""The study's numbers as data, and what can be proved of them."""

from __future__ import annotations

import itertools
import math

from leukoscope.data.sources.catalogue import TABLE_I
from leukoscope.report.earlier_work import NOT_STATED, TABLE_VI
from leukoscope.report.paper_tables import (
    INCONSISTENCIES,
    PROPOSED,
    TABLE_V,
    TEST_SAMPLES,
    ConfusionMatrix,
    nearest_matrix,
)


def test_no_matrix_of_1600_samples_gives_the_printed_numbers_rounded_or_cut_off() -> None:
    """Every matrix near the printed recall and precision is tried; 0.01 admits rounding and cutting off alike."""
    fitting = []
    for positives in range(1, TEST_SAMPLES):
        low, high = (round(positives * (PROPOSED["recall"] + step) / 100) for step in (-0.1, 0.1))
        for tp in range(max(low - 1, 1), min(high + 1, positives) + 1):
            false = tp * (100 / PROPOSED["precision"] - 1)
            for fp in range(max(0, math.floor(false) - 3), min(math.ceil(false) + 4, TEST_SAMPLES - positives + 1)):
                matrix = ConfusionMatrix(tp, fp, positives - tp, TEST_SAMPLES - positives - fp)
                if matrix.distance(PROPOSED) < 0.01:
                    fitting.append(matrix)
    assert not fitting


def test_a_set_that_has_such_a_matrix_is_found() -> None:
    made = ConfusionMatrix(tp=700, fp=40, fn=60, tn=800)
    printed = {name: round(getattr(made, name), 2) for name in ("accuracy", "precision", "recall")}
    assert nearest_matrix(printed) == made


def test_the_nearest_matrix_is_balanced_and_not_as_the_data_are() -> None:
    nearest = nearest_matrix(PROPOSED)
    assert nearest.tp + nearest.fp + nearest.fn + nearest.tn == TEST_SAMPLES
    assert round(nearest.share_all) == 51
    train = TABLE_I["train"]
    assert round(100 * train.images_all / train.images) == 68


def test_1600_is_the_size_of_a_test_side_of_15_percent() -> None:
    assert math.ceil(0.15 * TABLE_I["train"].images) == TEST_SAMPLES


def test_the_tables_are_complete_and_every_earlier_number_says_what_it_measures_or_that_it_does_not() -> None:
    assert len(TABLE_V) == 11
    assert len({row.row for row in TABLE_V}) == 11
    assert len(TABLE_VI) == 16
    for work in TABLE_VI:
        assert all((work.measure, work.images, work.unit, work.transductive, work.ensemble))
    assert {work.unit for work in TABLE_VI} == {"subject", "image (inferred)", NOT_STATED}
    assert len([work for work in TABLE_VI if work.transductive.startswith("yes")]) == 1


def test_table_i_does_not_add_up_to_what_the_text_counts() -> None:
    total = sum(of.images for of in TABLE_I.values())
    assert any(f"15,135 images, Table I adds up to {total:,}" in point for point in INCONSISTENCIES)


def test_the_printed_f1_follows_from_the_printed_precision_and_recall() -> None:
    precision, recall = PROPOSED["precision"], PROPOSED["recall"]
    assert round(2 * precision * recall / (precision + recall), 1) == PROPOSED["f1"]


def test_both_models_with_figures_are_rows_of_table_v() -> None:
    from leukoscope.report.paper_tables import FIGURES

    numbers = sorted(FIGURES.values())
    assert numbers == [3, 4, 5, 6, 7, 8]
    rows = {row for row, _ in FIGURES}
    assert rows <= {row.row for row in TABLE_V}
    assert set(itertools.product(rows, ("confusion", "accuracy", "loss"))) == set(FIGURES)
