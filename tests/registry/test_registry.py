"""Versions, aliases and the gate, in a real SQLite store with real Keras models."""

from __future__ import annotations

import copy
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from leukoscope.artifacts.decision import Decision
from leukoscope.artifacts.metrics import Metrics
from leukoscope.artifacts.training_cells import TRAINING_FILE
from leukoscope.cli.words import of_champions
from leukoscope.config.rows import Branch
from leukoscope.core.checkout import results, trained
from leukoscope.core.errors import ConfigError, DataError, RegistryError
from leukoscope.data.synthetic.cells import fixed_cells
from leukoscope.explain import explainer
from leukoscope.imaging.framing import centre_frame
from leukoscope.registry import loading, versions
from leukoscope.registry.challenge import unseen_groups
from leukoscope.registry.champion import Champion, Version
from leukoscope.registry.files import FILES, file_hashes, listed_files
from leukoscope.registry.notices import warning
from leukoscope.registry.packaging import log_version
from leukoscope.registry.promotion import register
from leukoscope.registry.ranking import rank
from leukoscope.registry.version_page import combination
from leukoscope.tracking import store
from leukoscope.training.assembly import raw_model
from leukoscope.training.saved_folds import load_folds
from tests.fixtures.raw_folders import encoded
from tests.fixtures.stores import checkout_with_store, empty_checkout
from tests.fixtures.trained_rows import (
    ROW,
    images,
    metrics_of,
    params,
    predictions,
    splits,
    tuned_by_study,
    write_ensemble,
    write_row,
)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return checkout_with_store(tmp_path, monkeypatch)


def registered(*rows: str, **sections: Any) -> dict[str, Any]:
    """The register stage over these rows, from the working directory."""
    return register(params(*rows, **sections), images(), splits(("subject", "image", "official"))).content


def version_numbers() -> list[str]:
    client = store.open_store()
    return sorted(str(version.version) for version in client.search_model_versions("name = 'leukoscope-cells'"))


def scores(champion: Champion, cells: np.ndarray) -> np.ndarray:
    """p(ALL) [n] of raw pictures, as `leukoscope predict` has it."""
    return np.array(list(champion.model.p_all(centre_frame(cell, champion.frame) for cell in cells)))


def change_metrics(checkout: Path, decision: Decision, change: Callable[[dict[str, Any]], Any]) -> None:
    """Write a row's metrics.json again, with what `change` does to its content."""
    content = copy.deepcopy(dict(metrics_of(checkout, decision).content))
    change(content)
    Metrics(content).write(results(decision.row, decision.protocol, checkout))


def verdict(content: dict[str, Any], name: str) -> dict[str, Any]:
    return next(check for check in content["gate"] if check["name"] == name)


def test_the_best_row_becomes_champion(checkout: Path) -> None:
    write_row(checkout, "weak", skill=1.5)
    strong = write_row(checkout, "strong", skill=3)
    content = registered("weak", "strong")
    assert [entry["row"] for entry in content["ranking"]] == ["strong", "weak"]
    assert content["winner"] == {"row": "strong", "protocol": "subject", "identity": strong.identity}
    assert content["promoted"]
    assert all(check["passed"] for check in content["gate"])
    champion = versions.champion("cells")
    assert champion.identity == strong.identity
    assert champion.tags["combination"] == "mean of 3 finetuned models"
    assert float(champion.tags["threshold"]) == strong.pooled.threshold
    assert champion.tags["leaky"] == "false"
    assert "synthetic cells, untrained backbone: not for real cells" in description(champion.version)
    assert "champion: version 1, strong (mean of 3 finetuned models)" in described("cells")


def described(data_name: str) -> str:
    """What `leukoscope champion` prints."""
    return of_champions(versions.champions(data_name))


def description(version: str) -> str:
    return str(store.open_store().get_model_version("leukoscope-cells", version).description)


def test_registering_twice_registers_nothing_twice(checkout: Path) -> None:
    write_row(checkout, "a_row", skill=3)
    first = registered("a_row")
    assert registered("a_row") == first
    assert version_numbers() == ["1"]
    assert described("cells").startswith("champion: version 1, a_row")


def test_the_model_carries_its_figures_and_its_run(checkout: Path) -> None:
    decision = write_row(checkout, "a_row", skill=3)
    registered("a_row")
    client = store.open_store()
    (model,) = client.search_logged_models([store.experiment_of(client, "cells")])
    measured = metrics_of(checkout, decision).test.estimate("auroc").value
    assert [metric.value for metric in model.metrics if metric.key == "registered/test/auroc"] == [measured]
    run = client.get_run(model.source_run_id)
    assert run.data.tags["identity"] == decision.identity
    assert [output.model_id for output in run.outputs.model_outputs] == [model.model_id]


@pytest.mark.parametrize(
    ("folds", "mode", "beside", "words"),
    [
        ("01234", "frozen", None, "mean of 5 fold heads on one backbone"),
        ("01234", "frozen", ("resnet50", 1), "mean of 5 fold heads on two backbones"),
        ("01", "frozen", ("resnet50", 2), "mean of 2 fold heads on two backbones"),
        ("01", "frozen", ("mobilenetv2", 2), "mean of 2 fold heads on one backbone at two scales"),
        ("012", "finetune", None, "mean of 3 finetuned models"),
        ("0", "frozen", None, "one model"),
    ],
)
def test_a_version_says_how_its_folds_became_one_model(
    tmp_path: Path, folds: str, mode: str, beside: tuple[str, int] | None, words: str
) -> None:
    decision = write_row(tmp_path, "a_row", skill=2)
    branch = Branch(backbone=beside[0], weights="none", shrink=beside[1]) if beside else None
    settings = ROW.model_copy(update={"mode": mode, "beside": branch})
    about = {"settings": settings, "mode": mode, "folds": dict.fromkeys(folds, decision.pooled)}
    assert combination(decision.model_copy(update=about)) == words


def test_the_registered_model_gives_the_p_of_its_folds(checkout: Path) -> None:
    decision = write_row(checkout, "a_row", skill=3)
    registered("a_row")
    cells = fixed_cells(3, 1)
    folds = list(load_folds(checkout / "models/a_row-subject").values())
    expected = raw_model(decision.row_settings, folds).predict(cells, verbose=0)
    champion = loading.load_champion("cells")
    assert champion.version == "1"
    assert champion.decision == decision
    np.testing.assert_allclose(scores(champion, cells), expected[:, 0], atol=1e-5)
    assert loading.load_champion("cells", 1).decision == decision


BOTH = {"both": {"members": ["one", "two"]}}


def two_rows_and_their_mean(checkout: Path) -> Decision:
    for seed, row in enumerate(("one", "two")):
        write_row(checkout, row, skill=2, seed=seed)
    return write_ensemble(checkout, "both", "one", "two")


def test_an_ensemble_registers_as_one_model_that_gives_the_mean_of_its_members(checkout: Path) -> None:
    decision = two_rows_and_their_mean(checkout)
    content = registered("one", "two", ensembles=BOTH)
    assert content["winner"] == {"row": "both", "protocol": "subject", "identity": decision.identity}
    assert content["promoted"]
    check = verdict(content, "better than its members")
    assert check["value"] == decision.val_auroc > check["bound"]
    champion = loading.load_champion("cells")
    assert champion.decision == decision
    cells = fixed_cells(3, 1)
    of_rows = [
        raw_model(ROW, list(load_folds(checkout / f"models/{row}-subject").values())).predict(cells, verbose=0)
        for row in ("one", "two")
    ]
    np.testing.assert_allclose(scores(champion, cells), np.mean(of_rows, axis=0)[:, 0], atol=1e-5)
    tags = versions.champion("cells").tags
    assert (tags["row"], tags["members"]) == ("both", "one, two")
    assert tags["combination"] == "mean of the rows one, two, each the mean of 3 folds"
    assert float(tags["threshold"]) == decision.pooled.threshold
    assert "synthetic cells, untrained backbone" in description("1")
    assert registered("one", "two", ensembles=BOTH) == content
    assert version_numbers() == ["1"]


def test_an_ensemble_that_val_does_not_prefer_to_its_members_is_refused(checkout: Path) -> None:
    decision = two_rows_and_their_mean(checkout)
    assert decision.members
    as_good = decision.members["two"].model_copy(update={"val_auroc": decision.val_auroc})
    members = {**decision.members, "two": as_good}
    decision.model_copy(update={"members": members}).write(trained("both", "subject", checkout))
    content = registered("one", "two", ensembles=BOTH)
    assert content["ranking"][0]["row"] == "both"
    assert "not above" in content["ranking"][0]["refused"][0]
    assert "of its best member, two" in content["ranking"][0]["refused"][0]
    assert content["winner"]["row"] in ("one", "two")
    assert not any(check["name"] == "better than its members" for check in content["gate"])


def test_an_ensemble_whose_member_was_trained_again_is_registered_not_at_all(checkout: Path) -> None:
    two_rows_and_their_mean(checkout)
    write_row(checkout, "two", skill=1, seed=7)
    with pytest.raises(RegistryError, match=r"two-subject was trained again after it joined both, .* uv run dvc repro"):
        registered("one", "two", ensembles=BOTH)
    assert version_numbers() == []
    client = store.open_store()
    assert client.search_logged_models([store.experiment_of(client, "cells")]) == []


@pytest.mark.slow
def test_the_registered_model_loads_where_this_package_is_not(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_row(checkout, "a_row", skill=3)
    registered("a_row")
    shutil.move(checkout, tmp_path / "moved")
    monkeypatch.chdir(tmp_path / "moved")
    versions.champion("cells")  # opening a moved store is what mends it for plain MLflow too
    cells = fixed_cells(2, 1)
    np.save(tmp_path / "cells.npy", cells)
    code = """
import sys
sys.modules["leukoscope"] = None
import mlflow, numpy as np
model = mlflow.pyfunc.load_model("models:/leukoscope-cells@champion")
p = model.predict(np.load(sys.argv[1]))
assert p.shape == (2, 1), p.shape
np.save(sys.argv[2], p)
shape = [spec["tensor-spec"]["shape"] for spec in model.metadata.signature.inputs.to_dict()]
assert shape == [(-1, -1, -1, 3)], shape
"""
    environment = {**os.environ, "MLFLOW_TRACKING_URI": store.tracking_uri()}
    paths = [str(tmp_path / name) for name in ("cells.npy", "p.npy")]
    subprocess.run([sys.executable, "-c", code, *paths], env=environment, cwd=tmp_path, check=True)
    champion = loading.load_champion("cells")
    np.testing.assert_allclose(np.load(tmp_path / "p.npy")[:, 0], scores(champion, cells), atol=1e-5)
    files = [file.name for file in Path(versions.champion("cells").source).rglob("*")]
    assert {"decision.json", "input_example.json", "model.keras"} <= set(files)
    assert not [name for name in files if name.endswith((".pkl", ".pickle", ".cloudpickle"))]


def test_a_better_model_takes_over_and_a_worse_one_does_not(checkout: Path) -> None:
    write_row(checkout, "first", skill=2)
    better = write_row(checkout, "better", skill=3)
    write_row(checkout, "worse", skill=1.8, seed=3)
    registered("first")
    content = registered("first", "better")
    assert content["promoted"]
    assert verdict(content, "better than the champion")["bound"] is not None
    refused = registered("worse")
    assert not refused["promoted"]
    assert refused["winner"]["row"] == "worse"
    assert "not above" in refused["reason"]
    assert versions.champion("cells").identity == better.identity
    assert version_numbers() == ["1", "2", "3"]


def test_a_rollback_swaps_champion_and_previous(checkout: Path) -> None:
    first, second = write_row(checkout, "first", skill=2), write_row(checkout, "second", skill=3)
    registered("first")
    with pytest.raises(RegistryError, match="no champion before version 1"):
        versions.rollback("cells")
    registered("second")
    assert str(versions.rollback("cells")) == "version 1 of leukoscope-cells is champion; version 2 was before it"
    assert versions.champion("cells").identity == first.identity
    assert "previous: version 2" in described("cells")
    versions.rollback("cells")
    assert versions.champion("cells").identity == second.identity


def test_another_data_set_is_not_comparable_until_a_person_says_so(checkout: Path) -> None:
    write_row(checkout, "a_row", skill=2)
    registered("a_row")
    more = write_row(checkout, "a_row", skill=3, data_hash="e" * 64)
    content = registered("a_row")
    assert not content["promoted"]
    assert content["reason"].startswith("not comparable")
    assert "promote VERSION --reason" in content["reason"]
    with pytest.raises(RegistryError, match="needs its reason"):
        versions.promote("cells", 2, "  ")
    assert "version 2 of leukoscope-cells is champion" in str(versions.promote("cells", 2, "twice the subjects"))
    assert versions.champion("cells").identity == more.identity
    assert "promoted because: twice the subjects" in described("cells")


MORE = 20  # subjects: those of the other tests, and four new ones of each class


def later_data(checkout: Path, champion_is_right: bool) -> None:
    """Pictures of eight further subjects, whose classes the champion tells apart without a mistake, or turns around."""
    cells = fixed_cells(2, 1)
    right = bool(np.diff(scores(loading.load_champion("cells"), cells))[0] > 0) == champion_is_right
    for image in images(MORE).itertuples():
        path = checkout / "data/raw/images" / image.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(cells[image.label if right else 1 - image.label], ".png"))


@pytest.mark.parametrize("champion_is_right", [True, False])
def test_on_more_data_the_models_are_compared_on_groups_that_neither_was_trained_on(
    checkout: Path, champion_is_right: bool
) -> None:
    first = write_row(checkout, "first", skill=2)
    registered("first")
    later_data(checkout, champion_is_right)
    later = write_row(checkout, "later", skill=3, data_hash="e" * 64, split_hash="6" * 64, subjects=MORE)
    said = predictions(3, "subject", 0, MORE)
    unseen = said[(said["side"] == "test") & (said["subject"].astype(int) >= 12)]
    content = register(params("later"), images(MORE), splits(subjects=MORE)).content
    check = verdict(content, "better than the champion")
    assert check["value"] == roc_auc_score(unseen["label"], unseen["p_all"])
    assert check["bound"] == float(champion_is_right)
    words = r"above .* of the champion, first, on 96 images of 8 groups that neither was trained on \(difference [+-]"
    assert re.search(("not " if champion_is_right else "is ") + words, check["verdict"])
    assert content["promoted"] is not champion_is_right
    assert versions.champion("cells").identity == (first if champion_is_right else later).identity


def test_two_new_subjects_of_a_class_are_too_few_to_compare_by(checkout: Path) -> None:
    write_row(checkout, "first", skill=2)
    registered("first")
    write_row(checkout, "later", skill=3, data_hash="e" * 64, subjects=16)
    content = register(params("later"), images(16), splits(subjects=16)).content
    assert not content["promoted"]
    assert content["reason"].startswith("not comparable: the champion, first, was measured on other data")
    assert "that neither model was trained on there are 2 groups of ALL and 2 groups of hem" in content["reason"]


def test_a_champion_whose_files_are_gone_is_not_comparable_on_more_data(checkout: Path) -> None:
    write_row(checkout, "first", skill=2)
    registered("first")
    shutil.rmtree(versions.champion("cells").source)
    write_row(checkout, "later", skill=3, data_hash="e" * 64, subjects=MORE)
    content = register(params("later"), images(MORE), splits(subjects=MORE)).content
    assert content["reason"].startswith("not comparable: the files of version 1 are gone")


def test_a_group_is_seen_by_one_picture_or_one_subject_of_it(tmp_path: Path) -> None:
    table = images().assign(group=lambda table: table["subject"].replace({"3": "3+5", "5": "3+5"}))
    known = {"training_images": {table["sha256"][0]: "0"}, "training_subjects": ["5"]}  # a picture of subject 0
    decision = write_row(tmp_path, "a_row", skill=2).model_copy(update=known)
    assert unseen_groups(table, decision) == {"1", "2", "4", *map(str, range(6, 12))}


def version_of(row: str, auroc: float) -> str:
    """A version of this AUROC in the registry, without files."""
    client = store.open_store()
    with store.unless_there():
        client.create_registered_model("leukoscope-cells")
    measured = {"auroc": str(auroc), "data_hash": "d", "protocol": "subject", "split_hash": "5"}
    tags = {"row": row, "identity": row, "data_name": "cells", "leaky": "false", **measured}
    return str(client.create_model_version("leukoscope-cells", "file:///nowhere", tags=tags).version)


def test_of_two_that_pass_the_gate_the_better_one_stays_though_the_worse_writes_last(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, best, other = version_of("good", 0.8), version_of("best", 0.9), version_of("other", 0.7)
    set_champion = versions.set_champion

    def outrun(data_name: str, version: str) -> versions.Promotion:
        monkeypatch.setattr(versions, "set_champion", set_champion)
        versions.let_pass(data_name, best)  # as another process would, without a lock
        return set_champion(data_name, version)

    monkeypatch.setattr(versions, "set_champion", outrun)
    *_, last = versions.let_pass("cells", good)
    assert last == versions.Promotion("leukoscope-cells", best, before=good, changed=True)
    assert versions.champion("cells").version == best
    versions.promote("cells", other, "a person's choice")
    versions.let_pass("cells", good)
    assert versions.champion("cells").version == good  # best was passed before the person chose


def test_the_gate_s_earlier_favourite_does_not_undo_a_rollback(checkout: Path) -> None:
    write_row(checkout, "first", skill=1.5)
    write_row(checkout, "best", skill=3)
    registered("first")
    registered("best")
    versions.rollback("cells")
    better = write_row(checkout, "better", skill=2)
    assert registered("better")["promoted"]
    assert versions.champion("cells").identity == better.identity


def test_too_few_groups_are_not_comparable(checkout: Path) -> None:
    first = write_row(checkout, "first", skill=2)
    registered("first")
    few = {"interval_reason": "2 groups of hem are fewer than 3"}
    change_metrics(checkout, write_row(checkout, "better", skill=3), lambda content: content["test"].update(few))
    content = registered("better")
    assert not content["promoted"]
    assert content["reason"].startswith("not comparable: 2 groups of hem are fewer than 3; to replace it, compare them")
    assert versions.champion("cells").identity == first.identity


def test_a_version_carries_its_training_cells_and_one_without_them_is_registered_again(checkout: Path) -> None:
    write_row(checkout, "a_row", skill=3)
    before, _ = log_version("cells", rank(["a_row"], "subject", checkout)[0])
    versions.set_champion("cells", before)
    assert loading.load_champion("cells", before).training is None
    assert "not known for this version" in description(before)
    content = registered("a_row")
    assert content["promoted"]
    training = loading.load_champion("cells").training
    assert training
    ours = {"range": training.range, "unseen": training.unseen}
    assert json.loads(json.dumps(content["training_range"])) == json.loads(json.dumps(ours))
    assert len(training.pictures) == len(images())
    assert training.prevalence == pytest.approx(0.5)
    assert versions.champions("cells").previous is None  # which is another model, where there is one
    assert f"it flags {100 * training.unseen['rate']:.1f} %" in description("2")
    assert registered("a_row") == content
    assert version_numbers() == ["1", "2"]


def test_a_new_threshold_is_a_new_version_of_the_same_model(checkout: Path) -> None:
    write_row(checkout, "a_row", skill=3)
    registered("a_row")
    decision = write_row(checkout, "a_row", skill=3, at_least=0.7)
    assert registered("a_row")["promoted"]
    assert versions.champion("cells").version == "2"
    assert loading.load_champion("cells").decision == decision


def test_an_experiment_logs_a_candidate_and_promotes_nothing(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    champion = write_row(checkout, "first", skill=2)
    registered("first")
    write_row(checkout, "tried", skill=3)
    monkeypatch.setenv("DVC_EXP_NAME", "brave-cell")
    content = registered("tried")
    assert not content["promoted"]
    assert "experiment" in content["reason"]
    assert versions.champion("cells").identity == champion.identity
    client = store.open_store()
    assert client.get_model_version_by_alias("leukoscope-cells", "candidate").tags["row"] == "tried"
    monkeypatch.delenv("DVC_EXP_NAME")
    assert registered("tried")["promoted"]  # once applied, the same version is promoted
    assert version_numbers() == ["1", "2"]


def test_a_leaky_protocol_is_refused(checkout: Path) -> None:
    write_row(checkout, "a_row", skill=3, protocol="image")
    content = registered("a_row", register={"protocol": "image"})
    assert not content["promoted"]
    assert content["winner"] is None
    assert content["reason"] == (
        "no row passes the gate: protocol image has the same subjects in training and test: nothing is promoted by it"
    )
    assert version_numbers() == []


def test_a_leaky_version_is_never_promoted_by_hand(checkout: Path) -> None:
    write_row(checkout, "a_row", skill=3)
    registered("a_row")
    store.open_store().set_model_version_tag("leukoscope-cells", "1", "leaky", "true")
    with pytest.raises(RegistryError, match="leaks"):
        versions.promote("cells", 1, "I insist")


@pytest.mark.parametrize(
    ("tested", "words"), [(5, "tuned on tested groups"), (None, "tuned on other data or another split")]
)
def test_values_tuned_on_tested_groups_are_refused_and_the_next_row_considered(
    checkout: Path, tested: int | None, words: str
) -> None:
    write_row(checkout, "tuned", skill=3, tuned=tuned_by_study(tested))
    write_row(checkout, "plain", skill=2.5)
    content = registered("tuned", "plain")
    assert [entry["row"] for entry in content["ranking"]] == ["tuned", "plain"]
    assert content["ranking"][0]["refused"] == [
        f"{words} (protocol subject, study a-study): tune under protocol subject with split.folds 1, set "
        "register.protocol to official, or give the row the paper's values"
    ]
    assert content["winner"]["row"] == "plain"
    assert [check["name"] for check in content["gate"]] == [
        "honest protocol",
        "sensitivity",
        "better than cell area",
        "better than the champion",
    ]  # of a row that was not tuned the gate says what it always said
    refused = registered("tuned")
    assert (refused["winner"], refused["promoted"]) == (None, False)
    check = verdict(refused, "not tuned on tested groups")
    assert (check["passed"], check["value"], check["bound"]) == (False, tested, 0)
    assert version_numbers() == ["1"]


def test_tuned_values_pass_where_the_study_saw_no_tested_group(checkout: Path) -> None:
    write_row(checkout, "a_row", skill=3, protocol="official", tuned=tuned_by_study(0))
    content = registered("a_row", protocols=("official",), register={"protocol": "official"})
    assert content["promoted"]
    assert verdict(content, "not tuned on tested groups")["verdict"] == (
        "no group that protocol official tests on was seen by study a-study"
    )
    tags = versions.champion("cells").tags
    assert tags["tuned_by"] == "a-study"
    assert "mark" not in tags


def test_an_ensemble_with_a_member_tuned_on_tested_groups_is_refused(checkout: Path) -> None:
    write_row(checkout, "one", skill=2, seed=0)
    write_row(checkout, "two", skill=2, seed=1, tuned=tuned_by_study(5))
    write_ensemble(checkout, "both", "one", "two")
    content = registered("one", "two", ensembles=BOTH)
    assert {entry["row"]: bool(entry["refused"]) for entry in content["ranking"]} == {
        "both": True,
        "two": True,
        "one": False,
    }


def test_a_version_tuned_on_tested_groups_says_so_and_is_never_promoted_by_hand(checkout: Path) -> None:
    decision = write_row(checkout, "a_row", skill=3, tuned=tuned_by_study(5))
    (candidate,) = rank(["a_row"], "subject", checkout)
    said = warning(Version(decision, "1"))
    assert "; tuned on tested groups: its figures are too good; " in said
    version, _ = log_version("cells", candidate)
    assert "**tuned on tested groups: its figures are too good**\n\n- data" in description(version)
    with pytest.raises(RegistryError, match=r"version 1 was tuned on tested groups: .* cannot be champion"):
        versions.promote("cells", version, "I insist")
    versions.set_champion("cells", version)
    assert "under protocol subject, tuned on tested groups, threshold" in described("cells")


def test_too_little_sensitivity_is_refused_and_the_next_row_considered(checkout: Path) -> None:
    decision = write_row(checkout, "a_row", skill=3)
    content = registered("a_row", register={"min_sensitivity": 1.0})
    check = verdict(content, "sensitivity")
    assert not check["passed"]
    assert check["value"] == metrics_of(checkout, decision).test.at_threshold("sensitivity").value
    assert content["winner"] is None
    assert "register.min_sensitivity 1" in content["reason"]
    blind = write_row(checkout, "blind", skill=3.5)
    change_metrics(checkout, blind, lambda content: content["test"]["at_threshold"].update(sensitivity=0.1))
    content = registered("a_row", "blind")
    assert [entry["row"] for entry in content["ranking"]] == ["blind", "a_row"]
    assert content["ranking"][0]["refused"]
    assert content["winner"]["row"] == "a_row"
    assert content["promoted"]


def test_a_model_no_better_than_a_ruler_is_refused(checkout: Path) -> None:
    write_row(checkout, "a_row", skill=0.0)
    content = registered("a_row", register={"min_sensitivity": 0.0})
    check = verdict(content, "better than cell area")
    assert not check["passed"]
    assert check["value"] <= check["bound"]
    assert "cell area alone" in content["reason"]
    with pytest.raises(RegistryError, match=r"no champion .* uv run dvc repro -f -s register"):
        versions.champion("cells")


def test_a_real_test_set_does_not_rank(checkout: Path) -> None:
    good_on_test = write_row(checkout, "lucky", skill=1.5, protocol="official")
    write_row(checkout, "steady", skill=2.5, protocol="official", seed=5)
    change_metrics(checkout, good_on_test, lambda content: content["test"].update(auroc=1.0))
    content = registered("lucky", "steady", protocols=("official",), register={"protocol": "official"})
    assert [(entry["row"], entry["side"]) for entry in content["ranking"]] == [("steady", "val"), ("lucky", "val")]


@pytest.mark.parametrize(
    ("difference", "what"), [({"data_hash": "e" * 64}, "data"), ({"split_hash": "6" * 64}, "splits")]
)
def test_rows_over_different_images_are_not_ranked(checkout: Path, difference: dict, what: str) -> None:
    write_row(checkout, "a_row", skill=2)
    write_row(checkout, "another", skill=2, **difference)
    with pytest.raises(RegistryError, match=f"over different {what}"):
        rank(["a_row", "another"], "subject", checkout)


def test_equal_rows_keep_the_order_of_the_parameters(checkout: Path) -> None:
    for name in ("one", "two"):
        write_row(checkout, name, skill=2)
    for order in (["one", "two"], ["two", "one"]):
        ranked = rank(order, "subject", checkout)
        assert [candidate.row for candidate in ranked] == order


def test_a_row_without_results_names_its_file(checkout: Path) -> None:
    write_row(checkout, "a_row", skill=2)
    (checkout / "results/a_row-subject/metrics.json").unlink()
    with pytest.raises(DataError, match=r"a_row-subject/metrics\.json is missing: run dvc repro"):
        registered("a_row")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda metrics: metrics.pop("test"), "says nothing of test, which ranks"),
        (lambda metrics: metrics["test"].pop("auroc"), "says nothing of auroc, which ranks"),
        (lambda metrics: metrics["test"].pop("at_threshold"), "says nothing of at_threshold, which ranks"),
        (lambda metrics: metrics["test"].update(n=68), "over 68 images of the test side, which has 144 here"),
    ],
)
def test_numbers_that_are_missing_or_of_other_images_promote_nothing(
    checkout: Path, spoil: Callable[[dict[str, Any]], Any], message: str
) -> None:
    change_metrics(checkout, write_row(checkout, "a_row", skill=3), spoil)
    with pytest.raises(RegistryError, match=message):
        registered("a_row")
    assert version_numbers() == []


def test_the_protocol_of_register_must_be_made(checkout: Path) -> None:
    with pytest.raises(ConfigError, match=r"register\.protocol is official"):
        registered("a_row", register={"protocol": "official"})


def test_models_of_another_data_set_are_not_registered_under_this_ones_name(checkout: Path) -> None:
    write_row(checkout, "a_row", skill=3, data="elsewhere")
    with pytest.raises(RegistryError, match="trained on 'elsewhere'"):
        registered("a_row")


def test_a_version_that_is_not_there_names_those_that_are(checkout: Path) -> None:
    with pytest.raises(RegistryError, match="it has none"):
        loading.load_champion("cells", 7)
    write_row(checkout, "a_row", skill=3)
    registered("a_row")
    with pytest.raises(RegistryError, match="no version 7: it has 1"):
        versions.promote("cells", 7, "because")


def test_a_file_that_is_not_the_registered_one_is_not_loaded(checkout: Path) -> None:
    write_row(checkout, "a_row", skill=3)
    registered("a_row")
    for name in ("openvino/model.bin", "decision.json", "data/model.keras"):
        file = Path(versions.champion("cells").source) / name
        whole = file.read_bytes()
        file.write_bytes(whole[:100] + bytes([whole[100] ^ 1]) + whole[101:])
        with pytest.raises(RegistryError, match=f"{name} of version 1 is not the file that was registered"):
            loading.load_champion("cells")
        file.write_bytes(whole)
    assert loading.load_champion("cells").version == "1"


@pytest.fixture(scope="module")
def registered_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with one registered version, the champion."""
    with pytest.MonkeyPatch.context() as patch:
        root = checkout_with_store(tmp_path_factory.mktemp("registered"), patch)
        write_row(root, "a_row", skill=3)
        registered("a_row")
    return root


@pytest.fixture
def promoted(registered_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that checkout, as the working directory."""
    root = empty_checkout(tmp_path, monkeypatch)
    shutil.copytree(registered_once, root, dirs_exist_ok=True)
    return root


def listed() -> dict[str, str]:
    """What the champion's tag lists."""
    return listed_files(versions.champion("cells").tags)


def set_tag(name: str, value: str) -> None:
    store.open_store().set_model_version_tag("leukoscope-cells", "1", name, value)


def list_files(folder: Path) -> None:
    """Make the tag of version 1 list the files that `folder` holds now, as whoever registers a version may."""
    set_tag(FILES, json.dumps(file_hashes(folder)))


HOSTILE = ["../../../victim", "{victim}", "a" * 63, "a" * 64 + "\n", "A" * 64, "", None, 7]


@pytest.mark.parametrize("with_scoring_file", [True, False])
@pytest.mark.parametrize("identity", HOSTILE)
def test_an_identity_that_is_no_hash_is_refused_and_no_folder_is_touched(
    promoted: Path, identity: Any, with_scoring_file: bool
) -> None:
    victim = promoted.parent / "victim"
    victim.mkdir()
    (victim / "work.txt").write_text("of years")
    if identity == "{victim}":
        identity = str(victim)
    folder = Path(versions.champion("cells").source)
    decision = json.loads((folder / "decision.json").read_text())
    (folder / "decision.json").write_text(json.dumps({**decision, "identity": identity}))
    if not with_scoring_file:
        shutil.rmtree(folder / "openvino")
    list_files(folder)
    set_tag("identity", str(identity))
    before = sorted(promoted.parent.rglob("*"))
    no_hash = (
        r"is not 64 hexadecimal digits" if isinstance(identity, str) else r"is no decision of a model \(identity: "
    )
    words = no_hash if with_scoring_file else r"lists every file it needs"
    for load in (loading.load_champion, loading.load_card):
        with pytest.raises(RegistryError, match=rf"{words}.* uv run dvc repro -f -s register, or promote another"):
            load("cells")
    assert sorted(promoted.parent.rglob("*")) == before
    assert (victim / "work.txt").read_text() == "of years"


def test_a_decision_of_another_model_than_the_registry_names_is_refused(promoted: Path) -> None:
    set_tag("identity", "b" * 64)
    with pytest.raises(RegistryError, match="of another model than its tag 'identity' names"):
        loading.load_champion("cells")


def without(name: str) -> Callable[[dict[str, str]], str]:
    return lambda files: json.dumps({path: sha256 for path, sha256 in files.items() if path != name})


@pytest.mark.parametrize(
    "tag",
    [
        lambda files: "",
        lambda files: "no JSON",
        lambda files: "{}",
        lambda files: json.dumps(list(files)),
        lambda files: json.dumps({**files, "MLmodel": "a" * 63}),
        lambda files: json.dumps({**files, "MLmodel": None}),
        lambda files: json.dumps({**files, "../x": file_hashes(Path.cwd().parent)["x"]}),
        lambda files: json.dumps({**files, str(Path.cwd().parent / "x"): "a" * 64}),
        lambda files: json.dumps({**files, "..\\x": "a" * 64}),
        lambda files: json.dumps({**files, "C:x": "a" * 64}),
        without("decision.json"),
        without("data/model.keras"),
        without("openvino/model.xml"),
        without("openvino/model.bin"),
        without("model_card.json"),
    ],
)
def test_a_version_that_does_not_list_its_files_is_refused(
    promoted: Path, tag: Callable[[dict[str, str]], str]
) -> None:
    (promoted.parent / "x").write_text("a file beside the checkout")
    set_tag(FILES, tag(listed()))
    with pytest.raises(RegistryError, match=r"version 1 has no tag 'files' .* uv run dvc repro -f -s register"):
        loading.load_champion("cells")


def test_a_version_without_its_files_tag_is_refused_and_registering_again_mends_it(promoted: Path) -> None:
    store.open_store().delete_model_version_tag("leukoscope-cells", "1", FILES)
    for load in (loading.load_champion, explainer.load_explainer, loading.load_card):
        with pytest.raises(RegistryError, match=r"version 1 has no tag 'files' .* uv run dvc repro -f -s register"):
            load("cells")
    assert registered("a_row")["promoted"]
    assert loading.load_champion("cells").version == "2"


def test_a_file_that_the_registry_does_not_list_is_not_used(promoted: Path) -> None:
    assert loading.load_champion("cells").training
    set_tag(FILES, without(TRAINING_FILE)(listed()))
    assert loading.load_champion("cells").training is None


@pytest.mark.parametrize("name", ["../two", "/two", "two/../../two"])
def test_a_member_whose_name_leads_elsewhere_is_not_registered(checkout: Path, name: str) -> None:
    decision = two_rows_and_their_mean(checkout)
    assert decision.members
    members = {"one": decision.members["one"], name: decision.members["two"]}
    decision.model_copy(update={"members": members}).write(trained("both", "subject", checkout))
    with pytest.raises(RegistryError, match="leads outside models"):
        registered("one", "two", ensembles=BOTH)
    assert version_numbers() == []


def test_the_champion_loads_after_its_checkout_moved(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_row(checkout, "a_row", skill=3)
    registered("a_row")
    cells = fixed_cells(1, 1)
    before = scores(loading.load_champion("cells"), cells)
    elsewhere = checkout.parent / "moved to here"
    shutil.move(checkout, elsewhere)
    monkeypatch.chdir(elsewhere)
    np.testing.assert_array_equal(scores(loading.load_champion("cells"), cells), before)
    assert versions.champion("cells").source.startswith(str(elsewhere))
    registered("a_row")
    assert version_numbers() == ["1"]


def test_a_lost_store_is_mended_by_registering_again(checkout: Path) -> None:
    decision = write_row(checkout, "a_row", skill=3)
    registered("a_row")
    shutil.rmtree(checkout / "mlruns" / "artifacts")
    with pytest.raises(RegistryError, match=r"files of version 1 are gone .* uv run dvc repro -f -s register"):
        loading.load_champion("cells")
    registered("a_row")
    assert loading.load_champion("cells").decision == decision
