"""What notebooks are promised: five functions, and a model that predicts."""

# ruff: noqa: F811 (fixtures that are imported)

from __future__ import annotations

import inspect
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import pandas as pd
import pytest

import leukoscope
from leukoscope import by_subject, load_predictions, load_results, read_images
from leukoscope.api import Model
from leukoscope.core.checkout import trained
from leukoscope.core.errors import DataError
from leukoscope.prediction.command import Wanted, predict, write
from leukoscope.prediction.output import COLUMNS
from leukoscope.registry.champion import Champion
from tests.fixtures.trained_rows import write_row
from tests.prediction.conftest import cells, champion, folder, model_file, scorer  # noqa: F401


@pytest.fixture
def model(champion: Champion) -> Model:
    return Model(champion)


def test_five_functions_are_promised_with_types_and_docstrings() -> None:
    assert leukoscope.__all__ == ["by_subject", "load_champion", "load_predictions", "load_results", "read_images"]
    for name in leukoscope.__all__:
        function = getattr(leukoscope, name)
        assert name in dir(leukoscope)
        assert len(inspect.getdoc(function) or "") > 100
        assert set(get_type_hints(function)) == {*inspect.signature(function).parameters, "return"}
    with pytest.raises(AttributeError, match="no attribute 'promote'"):
        _ = leukoscope.promote


def test_importing_the_package_loads_nothing() -> None:
    code = (
        "import sys, leukoscope; leukoscope.__all__; print([m for m in ('numpy', 'pandas', 'cv2') if m in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"


def test_a_path_gives_what_the_command_writes(folder: Path, model: Model, champion: Champion, tmp_path: Path) -> None:
    wanted = Wanted(csv=tmp_path / "s.csv")
    write(predict([folder], lambda: champion, wanted), wanted)
    expected, table = pd.read_csv(tmp_path / "s.csv"), model.predict(str(folder))
    assert list(table.columns) == list(COLUMNS)
    assert list(table["file"]) == list(expected["file"])
    np.testing.assert_allclose(table["p_all"], expected["p_all"])
    assert list(table["call"]) == list(expected["call"])
    assert set(table["flags"].map(tuple)) == {()}


def test_pictures_may_come_as_one_array_as_many_or_by_name(
    cells: dict[str, np.ndarray],
    model: Model,
    folder: Path,
) -> None:
    of_paths = model.predict(folder)["p_all"].to_numpy()
    by_name = read_images(folder)
    assert all(np.array_equal(picture, cells[Path(name).name]) for name, picture in by_name.items())
    named = model.predict(by_name)
    assert list(named["file"]) == list(by_name)
    for unnamed in (list(by_name.values()), np.stack(list(by_name.values()))):
        table = model.predict(unnamed)
        np.testing.assert_allclose(table["p_all"], of_paths)
        assert list(table["file"]) == [f"image {number}" for number in range(8)]
    assert len(model.predict(by_name[next(iter(by_name))])) == 1
    np.testing.assert_allclose(model.predict(list(folder.iterdir()))["p_all"].sum(), of_paths.sum())


def test_what_is_no_picture_is_refused_and_what_does_not_read_is_warned_of(folder: Path, model: Model) -> None:
    with pytest.raises(DataError, match="uint8"):
        model.predict(np.zeros((2, 8, 8, 3)))
    with pytest.raises(DataError, match="no image to score"):
        model.predict([])
    with pytest.raises(DataError, match="either paths or pictures"):
        model.predict([folder, np.zeros((8, 8, 3), np.uint8)])  # type: ignore[list-item]
    (folder / "broken.png").write_bytes(b"no")
    for read in (model.predict, read_images):
        with pytest.warns(UserWarning, match=r"left out: .*broken\.png"):
            assert len(read(folder)) == 8


def test_a_table_is_summed_up_by_subject(folder: Path, model: Model, champion: Champion) -> None:
    table = model.predict(folder)
    summed = by_subject(table).set_index("subject")
    assert list(summed["cells"]) == [4, 4]
    shares = (table["call"] == "ALL").groupby(table["subject"].astype(str)).mean()
    assert summed["share_all"].to_dict() == pytest.approx(shares.to_dict())
    assert champion.training
    flagged = replace(champion.training, range={**champion.training.range, "area": (1.0, 2.0)})
    nothing = by_subject(Model(replace(champion, training=flagged)).predict(folder))
    assert list(nothing["called"]) == [0, 0]


def test_a_model_says_what_it_is(model: Model) -> None:
    assert "trained on 'cells' (real images); research use only" in repr(model)
    assert model.refer_band
    assert model.refer_band[0] < model.threshold < model.refer_band[1]


def test_prevalence_and_scale_are_columns(folder: Path, model: Model) -> None:
    table = model.predict(folder, prevalence=0.1, scale=1.1)
    assert (table["p_at_prevalence"] < table["p_all"]).all()
    for odd in ({"prevalence": 1.0}, {"scale": 0.0}, {"scale": float("nan")}):
        with pytest.raises(DataError):
            model.predict(folder, **odd)


def evaluated(root: Path, protocol: Any) -> None:
    """A row as evaluation leaves it, without its folds' models."""
    write_row(root, "a_row", skill=3, protocol=protocol)
    for model in trained("a_row", protocol, root).glob("*.keras"):
        model.unlink()


def test_results_and_predictions_are_those_of_the_pipeline(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"results has no metrics\.json"):
        load_results(tmp_path)
    for protocol in ("subject", "image"):
        evaluated(tmp_path, protocol)
    results = load_results(tmp_path).set_index("protocol")
    assert dict(results["honest"]) == {"subject": True, "image": False}
    assert set(results["caveat"]) == {"synthetic cells, untrained backbone"}
    tested = load_predictions("a_row", "subject", tmp_path)
    assert list(tested.columns) == ["image_id", "subject", "group", "label", "p_all", "fold"]
    assert tested["image_id"].is_unique
    accuracy = ((tested["p_all"] > 0.5) == (tested["label"] == 1)).mean()
    assert results.loc["subject", "accuracy"] == pytest.approx(accuracy)
    assert results.loc["subject", "auroc_low"] < results.loc["subject", "auroc"] < results.loc["subject", "auroc_high"]
    with pytest.raises(DataError, match="evaluated are: a_row-image, a_row-subject"):
        load_predictions("another", "subject", tmp_path)
