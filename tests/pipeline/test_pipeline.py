"""The whole pipeline as a user meets it: dvc repro, status, exp, the registry, predict, in a path with a space."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.fixtures.checkout import TINY, Checkout, tiny_checkout
from tests.fixtures.connections import Connections

pytestmark = pytest.mark.slow

ROWS = ["modified_mobilenet", "mobilenetv2"]
TAPPED = {
    "backbone": "mobilenet",
    "taps": ["conv_pw_3_relu", "conv_pw_5_relu"],
    "pooling": "cell",
    "colours": "both",
    "rotations": 4,
    "views": 0,
    "head": "kernel",
}
NAMES = [f"{name}-{protocol}" for name in (*ROWS, "tapped", "both") for protocol in ("subject", "image")]


@pytest.fixture(scope="module")
def connections(tmp_path_factory: pytest.TempPathFactory) -> Connections:
    """The connections of the first `dvc repro` in `finished`."""
    return Connections(tmp_path_factory.mktemp("connections"))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, connections: Connections) -> Checkout:
    """A checkout after `dvc repro`. Tests that change it put it back."""
    folder = tmp_path_factory.mktemp("some where") / "the checkout"
    models = {**TINY["models"], "tapped": TAPPED}
    made = tiny_checkout(folder, models=models, ensembles={"both": {"members": ROWS}})
    Checkout(made.folder, connections).run("dvc", "repro")
    return made


def metrics(checkout: Checkout) -> dict[str, bytes]:
    return {name: (checkout.folder / "results" / name / "metrics.json").read_bytes() for name in NAMES}


def test_repro_leaves_nothing_to_do(finished: Checkout) -> None:
    assert finished.stale() == {}
    again = finished.run("dvc", "repro")
    assert "Data and pipelines are up to date" in again.stdout
    assert "Running stage" not in again.stdout


def test_no_stage_connects_to_another_machine(finished: Checkout, connections: Connections) -> None:
    ran = {Path(word).stem for command in connections.commands() for word in command.split() if "stages/" in word}
    assert ran == {path.stem for path in (finished.folder / "stages").glob("[!_]*.py")}
    assert connections.outward() == []


def test_metrics_have_the_names_that_scripts_read(finished: Checkout) -> None:
    for name in NAMES:
        content = json.loads((finished.folder / "results" / name / "metrics.json").read_text())
        for side in ("test", "val", "train"):
            for metric in ("accuracy", "precision", "recall", "f1", "weighted_f1", "auroc"):
                low, value, high = (content[side][f"{metric}{end}"] for end in ("_low", "", "_high"))
                assert 0 <= low <= value <= high <= 1
            assert content[side]["n"] >= content[side]["n_subjects"] >= content[side]["n_groups"] > 0


def test_predictions_have_the_columns_that_scripts_read(finished: Checkout) -> None:
    table = pd.read_parquet(finished.folder / "results/modified_mobilenet-subject/predictions.parquet")
    assert list(table.columns) == ["image_id", "subject", "group", "label", "p_all", "fold", "side"]
    assert table.loc[table["side"] == "test", "image_id"].is_unique
    assert table["p_all"].between(0, 1).all()
    assert table["p_all"].std() > 0.01


def test_a_rerun_by_force_gives_the_same_metrics_byte_for_byte(finished: Checkout) -> None:
    """Of the kernel row; tests/pipeline/test_disturbed.py compares two checkouts' other rows and their ensemble."""
    before = metrics(finished)
    shutil.rmtree(finished.folder / ".leukoscope")
    finished.run("dvc", "repro", "-f", "-s", "embed@tapped", "train@tapped-subject", "evaluate@tapped-subject")
    assert metrics(finished) == before


def test_editing_one_row_reruns_that_row_alone(finished: Checkout) -> None:
    before = finished.params()
    try:
        changed = finished.params()
        changed["models"]["modified_mobilenet"]["dropout"] = 0.4
        changed["register"]["min_sensitivity"] = 1  # what is tried here must not stay behind as champion
        finished.set_params(changed)
        named = {stage for stage in finished.stale() if stage.startswith(("train", "embed", "pack", "augment"))}
        assert named == {"train@modified_mobilenet-subject", "train@modified_mobilenet-image"}
        ran = finished.run("dvc", "repro").stdout
        for stage in ("embed@", "pack", "augment", "split", "train@mobilenetv2", "evaluate@mobilenetv2"):
            assert f"Running stage '{stage}" not in ran
        for stage in ("train@modified_mobilenet-subject", "evaluate@modified_mobilenet-image", "report"):
            assert f"Running stage '{stage}'" in ran
    finally:
        finished.set_params(before)
        finished.run("dvc", "repro")


def test_editing_the_ensembles_reruns_an_ensemble_alone(finished: Checkout) -> None:
    before = finished.params()
    try:
        finished.set_params({**before, "ensembles": {**before["ensembles"], "turned": {"members": ROWS[::-1]}}})
        ran = finished.run("dvc", "repro").stdout
        stages = {line.split("'")[1] for line in ran.splitlines() if line.startswith("Running stage")}
        assert stages == {"members@turned", "ensemble@turned-subject", "ensemble@turned-image", "register", "report"}
        for protocol in ("subject", "image"):
            both, turned = (finished.folder / f"results/{name}-{protocol}/metrics.json" for name in ("both", "turned"))
            assert turned.read_bytes() == both.read_bytes()
        assert finished.stale() == {}
    finally:
        finished.set_params(before)
        for left in [*finished.folder.glob("models/turned-*"), *finished.folder.glob("results/turned-*")]:
            shutil.rmtree(left)  # DVC keeps the outs of a stage that is no more, and register depends on the folders
        finished.run("dvc", "repro")


def test_an_experiment_changes_a_knob_and_promotes_nothing(finished: Checkout) -> None:
    finished.run("git", "add", "dvc.lock")
    finished.run("git", "-c", "user.name=x", "-c", "user.email=x@example.org", "commit", "-qm", "results")
    champion = finished.leukoscope("champion").stdout
    try:
        knob = "+models.modified_mobilenet.learning_rate=0.004"
        ran = finished.run("dvc", "exp", "run", "--name", "faster", "-S", knob)
        assert "is a candidate" in ran.stdout
        assert finished.leukoscope("champion").stdout == champion
        changes = json.loads(finished.run("dvc", "metrics", "diff", "--json").stdout)["reports/summary.json"]
        assert any("modified_mobilenet" in name and "auroc" in name for name in changes)
        assert not any(name.startswith("mobilenetv2") for name in changes)
    finally:
        finished.run("git", "checkout", "-q", "--", "params.yaml", "dvc.lock")
        finished.run("dvc", "checkout")


def test_the_champion_gives_the_numbers_that_evaluate_wrote(finished: Checkout, tmp_path: Path) -> None:
    registered = json.loads((finished.folder / "reports/registered.json").read_text())
    assert registered["promoted"], registered["reason"]
    finished.leukoscope("predict", "data/raw/images", "--csv", str(tmp_path / "scores.csv"))
    compare_with_evaluation(finished, registered["winner"]["row"], tmp_path / "scores.csv")


@pytest.mark.parametrize("name", ["tapped", "both"])
def test_a_version_of_any_kind_gives_the_numbers_that_evaluate_wrote(
    name: str, finished: Checkout, tmp_path: Path
) -> None:
    """An ensemble, which is the mean of its members; and taps over the cell in several turns under a kernel head."""
    code = f"""
from leukoscope.registry.packaging import log_version
from leukoscope.registry.ranking import rank
print(log_version("tiny", rank(["{name}"], "subject")[0])[0])
"""
    version = finished.run(sys.executable, "-c", code).stdout.strip()
    finished.leukoscope("predict", "data/raw/images", "--version", version, "--csv", str(tmp_path / "scores.csv"))
    compare_with_evaluation(finished, name, tmp_path / "scores.csv")


def compare_with_evaluation(finished: Checkout, row: str, csv: Path) -> None:
    scores = pd.read_csv(csv)
    assert list(scores.columns)[:6] == ["file", "subject", "p_all", "call", "flags", "version"]
    images = pd.read_parquet(finished.folder / "data/images.parquet", columns=["image_id", "file", "set"])
    assert len(scores) == len(images)
    seen = dict(zip(scores["file"].str.removeprefix("data/raw/images/"), scores["seen"], strict=True))
    assert {(one, seen[file]) for one, file in zip(images["set"], images["file"], strict=True)} == {
        ("train", "file"),
        ("prelim", "no"),
        ("final", "no"),
    }
    predictions = pd.read_parquet(finished.folder / f"results/{row}-subject/predictions.parquet")
    if row == "tapped":
        predictions = pd.concat([predictions[predictions["side"] != "val"], after_val(finished, row)])
    mean_over_folds = predictions.groupby("image_id")["p_all"].mean()
    scored = scores.assign(file=scores["file"].str.removeprefix("data/raw/images/")).set_index("file")["p_all"]
    ours = scored[images.set_index("image_id")["file"].loc[mean_over_folds.index]]
    np.testing.assert_allclose(ours.to_numpy(), mean_over_folds.to_numpy(), atol=1e-4)


def after_val(finished: Checkout, row: str) -> pd.DataFrame:
    """What a row that val's images trained says of them: evaluate wrote what it said before that."""
    code = f"""
from pathlib import Path
import pandas as pd
from leukoscope.config.params import load_params
from leukoscope.training.inputs import read_inputs
from leukoscope.training.saved_folds import fold_predictions
inputs = read_inputs(load_params(), "{row}", "subject")
of_val = inputs.split[inputs.split["side"] == "val"].assign(side="train")
said = [fold_predictions(Path("models/{row}-subject"), inputs, of_fold) for _, of_fold in of_val.groupby("fold")]
pd.concat(said).to_parquet("after_val.parquet")
"""
    finished.run(sys.executable, "-c", code)
    path = finished.folder / "after_val.parquet"
    said = pd.read_parquet(path)
    path.unlink()
    return said


def test_predict_names_a_broken_image_and_scores_the_rest(finished: Checkout, tmp_path: Path) -> None:
    first = next((finished.folder / "data/raw/images").rglob("UID_*.png"))
    shutil.copy(first, tmp_path / "good.png")
    (tmp_path / "broken.png").write_bytes(first.read_bytes()[:500])
    ran = finished.leukoscope("predict", str(tmp_path), "--csv", str(tmp_path / "scores.csv"), "--prevalence", "0.1")
    assert "not scored: " in ran.stderr
    assert "broken.png" in ran.stderr
    assert "synthetic cells, untrained backbone: not for real cells" in ran.stderr
    lines = (tmp_path / "scores.csv").read_text().splitlines()
    assert len(lines) == 2
    assert len(lines[1].split(",")[2]) == len("0.123456")


def test_a_moved_checkout_still_works(finished: Checkout) -> None:
    elsewhere = finished.folder.parent.parent / "moved here"
    finished.folder.parent.rename(elsewhere)
    moved = Checkout(elsewhere / finished.folder.name)
    try:
        assert moved.stale() == {}
        assert "version" in moved.leukoscope("champion").stdout
        image = next((moved.folder / "data/raw/images").rglob("UID_*.png"))
        assert "p_all" in moved.leukoscope("predict", str(image)).stdout
    finally:
        elsewhere.rename(finished.folder.parent)


def test_an_unknown_key_stops_a_stage_with_one_line_and_nothing_half_written(finished: Checkout) -> None:
    before = finished.params()
    try:
        finished.set_params({**before, "split": {**before["split"], "flods": 3}})
        ran = finished.run("dvc", "repro", check=False)
        assert ran.returncode != 0
        assert "error: params.yaml: split.flods: unknown key" in ran.stderr
        assert "Traceback" not in ran.stderr
    finally:
        finished.set_params(before)
        finished.run("dvc", "repro")
    assert finished.stale() == {}
