import hashlib
import subprocess
import sys

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection, PathCollection
from PIL import Image

from leukoscope.evaluation import figures
from leukoscope.evaluation.figures import Heading, save, write_figures
from leukoscope.evaluation.results import subject_table, summarise
from leukoscope.stats.metrics import ECE_BINS
from tests.evaluation.conftest import images_of

NAMES = ["accuracy", "calibration", "confusion", "loss", "roc", "subjects"]
HISTORY = ["fold", "epoch", "all_layers", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"]
HEADING = Heading("proposed_efficientnetb3", "image", "synthetic cells, untrained backbone")


def training_history(epochs=(6, 4, 9), head_epochs=9):
    generator = np.random.default_rng(0)
    rows = [
        (
            fold,
            epoch,
            int(epoch > head_epochs),
            3 / epoch,
            1 - 0.4 / epoch,
            3.2 / epoch,
            0.9 - 0.4 / epoch + generator.normal(0, 0.02),
            0.003,
        )
        for fold, last in enumerate(epochs)
        for epoch in range(1, last + 1)
    ]
    return pd.DataFrame(rows, columns=HISTORY)


@pytest.fixture(scope="module")
def side(predictions, folds, images, settings):
    return summarise(predictions, folds, images, settings).test


@pytest.fixture(scope="module")
def folder(predictions, side, folds, settings, tmp_path_factory):
    folder = tmp_path_factory.mktemp("figures")
    write_figures(folder, HEADING, predictions, training_history(), side, folds, settings)
    return folder


def test_all_figures_are_written(folder):
    assert sorted(path.name for path in folder.iterdir()) == [f"{name}.png" for name in NAMES]


@pytest.mark.parametrize("name", NAMES)
def test_a_figure_is_not_blank_and_nothing_runs_over_its_edge(folder, name):
    pixels = np.asarray(Image.open(folder / f"{name}.png").convert("RGB")).astype(int)
    ink = (pixels < 250).any(axis=2)
    assert 0.01 < ink.mean() < 0.9
    assert not np.concatenate([ink[0], ink[-1], ink[:, 0], ink[:, -1]]).any()
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 20


def test_the_same_result_gives_the_same_bytes(folder, predictions, side, folds, settings, tmp_path):
    with matplotlib.rc_context({"font.size": 20, "axes.facecolor": "pink"}):  # as a matplotlibrc might say
        write_figures(
            tmp_path, HEADING, predictions.sample(frac=1, random_state=1), training_history(), side, folds, settings
        )
    first, second = (
        {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in place.iterdir()}
        for place in (folder, tmp_path)
    )
    assert first == second


def test_a_figure_names_no_version_and_no_date(folder):
    assert not {"Software", "Creation Time", "Date"} & set(Image.open(folder / "roc.png").info)


def every_figure(heading, predictions, history, side, folds, settings):
    return {
        "confusion": figures.confusion_figure(heading, side),
        "accuracy": figures.accuracy_figure(heading, history),
        "loss": figures.loss_figure(heading, history),
        "roc": figures.roc_figure(heading, predictions, side),
        "subjects": figures.subjects_figure(heading, subject_table(predictions)),
        "calibration": figures.calibration_figure(heading, predictions, side, folds, settings),
    }


def test_every_figure_says_its_row_its_protocol_and_what_its_cells_are(predictions, side, folds, settings):
    for figure in every_figure(HEADING, predictions, training_history(), side, folds, settings).values():
        title = figure.get_suptitle()
        assert "proposed_efficientnetb3" in title
        assert "split by image: leaky" in title
        assert "synthetic cells" in figure.get_supxlabel()


def test_a_figure_without_a_note_has_none(predictions, side, folds, settings):
    for figure in every_figure(
        Heading("row", "subject"), predictions, training_history(), side, folds, settings
    ).values():
        assert figure.get_suptitle() == "row\nunseen subjects"
        assert figure.get_supxlabel() == ""


def test_the_roc_title_has_the_interval_over_groups(predictions, side):
    auroc = side.estimate("auroc")
    text = figures.roc_figure(HEADING, predictions, side).axes[0].get_title(loc="left")
    assert f"{auroc.value:.3f}" in text
    assert f"{auroc.low:.3f} to {auroc.high:.3f}" in text


def test_the_roc_title_says_why_there_is_no_interval(make_predictions, folds, settings):
    made = make_predictions(subjects_hem=2)
    side = summarise(made, folds, images_of(made), settings).test
    text = figures.roc_figure(HEADING, made, side).axes[0].get_title(loc="left")
    assert "2 groups of hem" in " ".join(text.split())


def test_the_mean_line_ends_where_the_first_fold_does():
    figure = figures.accuracy_figure(HEADING, training_history((6, 4, 9)))
    bold = [line for line in figure.axes[0].lines if line.get_linewidth() > 2]
    assert [list(line.get_xdata()) for line in bold] == [[1, 2, 3, 4]] * 2
    assert len(figure.axes[0].lines) == 2 * (3 + 1)


def test_a_line_shows_where_all_layers_begin_to_train():
    axes = figures.loss_figure(HEADING, training_history((6, 4, 9), head_epochs=3)).axes[0]
    assert [text.get_text() for text in axes.texts] == ["all layers"]
    assert 3.5 in [line.get_xdata()[0] for line in axes.lines]


def test_calibration_is_drawn_before_and_after_scaling(predictions, side, folds, settings):
    figure = figures.calibration_figure(HEADING, predictions, side, folds, settings)
    upper, lower = figure.axes
    assert [text.get_text() for text in upper.get_legend().get_texts()] == ["perfect", "as it is", "after scaling"]
    before, after = (points.get_offsets() for points in upper.collections if isinstance(points, PathCollection))
    assert not np.allclose(before[: len(after), 0], after[: len(before), 0])
    drawn = sum(bar.get_height() for bar in lower.containers[0])
    assert drawn == len(predictions[predictions["side"] == "test"])
    of_groups = next(lines for lines in upper.collections if isinstance(lines, LineCollection)).get_segments()
    bounds = np.array([segment[:, 1] for segment in of_groups])
    np.testing.assert_array_equal([segment[0, 0] for segment in of_groups], before[:, 0])
    known = ~np.isnan(bounds).any(axis=1)
    assert known.sum() > ECE_BINS / 2
    assert np.all((bounds[known, 0] <= before[known, 1]) & (before[known, 1] <= bounds[known, 1]))
    calibration = side.content["calibration"]
    for of in calibration.values():
        assert f"{of['ece']:.3f}" in upper.get_title(loc="left")


@pytest.mark.parametrize("epochs", [(1,), (2, 1, 1)])
def test_a_very_short_history_is_drawn_all_the_same(epochs, tmp_path):
    for number, draw in enumerate((figures.accuracy_figure, figures.loss_figure)):
        save(draw(HEADING, training_history(epochs)), tmp_path / f"{number}.png")
    assert len(list(tmp_path.iterdir())) == 2


def test_figures_leave_pyplot_alone():
    code = "import sys; import leukoscope.evaluation.figures; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
