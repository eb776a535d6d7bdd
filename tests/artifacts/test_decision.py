"""decision.json as a value: it is read as it was written, and what is none is refused in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from leukoscope.artifacts.decision import DECISION_FILE, Decision
from leukoscope.core.errors import DataError
from tests.fixtures.trained_rows import tuned_by_study, write_ensemble, write_row

NAMES = ("plain", "tuned", "both")  # a row, a row whose values come from a study, and the ensemble of these


@pytest.fixture(scope="module")
def decisions(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Decision, Path]]:
    """Each decision and the folder of its file."""
    root = tmp_path_factory.mktemp("checkout")
    written = {
        "plain": write_row(root, "plain", skill=2),
        "tuned": write_row(root, "tuned", skill=2, seed=1, tuned=tuned_by_study(None)),
        "both": write_ensemble(root, "both", "plain", "tuned"),
    }
    return {name: (decision, root / "models" / f"{name}-subject") for name, decision in written.items()}


def content_of(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / DECISION_FILE).read_text())
    return content


@pytest.mark.parametrize("name", NAMES)
def test_a_decision_is_read_back_as_it_was_and_written_byte_for_byte(
    name: str, decisions: dict[str, tuple[Decision, Path]], tmp_path: Path
) -> None:
    decision, folder = decisions[name]
    found = Decision.read(folder)
    assert found == decision
    found.write(tmp_path)
    assert (tmp_path / DECISION_FILE).read_bytes() == (folder / DECISION_FILE).read_bytes()
    assert found.as_json() == content_of(folder)
    assert found.content_hash == decision.content_hash


def test_keys_that_a_model_does_not_have_are_absent_and_those_that_are_not_known_are_null(
    decisions: dict[str, tuple[Decision, Path]],
) -> None:
    plain, tuned, both = (content_of(decisions[name][1]) for name in NAMES)
    assert set(tuned) - set(plain) == {"tuned"}
    assert (set(both) - set(plain), set(plain) - set(both)) == ({"members", "val_auroc"}, {"weights_identity"})
    assert (set(both["members"]["plain"]), set(both["members"]["tuned"])) == (
        {"identity", "val_auroc"},
        {"identity", "val_auroc", "tuned"},
    )
    assert (tuned["tuned"]["tested_groups"], tuned["tuned"]["tested_images"]) == (None, None)
    assert plain["folds"]["0"]["refer_low"] is None
    assert plain["folds"]["0"]["refer_reason"] == "2 groups of hem: too few to resample"


def test_another_threshold_is_another_content(decisions: dict[str, tuple[Decision, Path]]) -> None:
    decision, _ = decisions["plain"]
    point = decision.pooled.model_copy(update={"threshold": 0.123})
    assert decision.model_copy(update={"pooled": point}).content_hash != decision.content_hash
    assert decision.model_copy(update={"pooled": decision.pooled.model_copy()}).content_hash == decision.content_hash


def test_a_row_has_settings_of_its_own_and_an_ensemble_has_members(
    decisions: dict[str, tuple[Decision, Path]],
) -> None:
    row, ensemble = decisions["tuned"][0], decisions["both"][0]
    assert (row.is_ensemble, ensemble.is_ensemble) == (False, True)
    assert (row.frame, row.rotations) == (row.row_settings.frame, row.row_settings.rotations)
    with pytest.raises(ValueError, match="both is an ensemble"):
        _ = ensemble.row_settings
    assert row.tunings == ensemble.tunings == [tuned_by_study(None)]


def without(content: dict[str, Any], *keys: str) -> dict[str, Any]:
    """The content without what lies at the end of these keys."""
    first, *rest = keys
    if rest:
        return {**content, first: without(content[first], *rest)}
    return {key: value for key, value in content.items() if key != first}


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda content: {**content, "epochs": 3}, "epochs: Extra inputs"),
        (lambda content: {**content, "data": {**content["data"], "from": "here"}}, r"data\.from: Extra inputs"),
        (lambda content: {**content, "pooled": {**content["pooled"], "p": 1}}, r"pooled\.p: Extra inputs"),
        (lambda content: without(content, "pooled"), "pooled: Field required"),
        (
            lambda content: without(content, "folds", "1", "calibration", "slope"),
            r"1\.calibration\.slope: Field required",
        ),
        (lambda content: {**content, "protocol": "nights"}, "protocol: Input should be"),
        (lambda content: [content], "Input should be a valid dictionary"),
    ],
    ids=["a key", "a key of data", "a key of a point", "no point", "no slope", "a protocol", "a list"],
)
def test_a_file_that_is_no_decision_is_refused_in_one_line(
    change: Any, where: str, decisions: dict[str, tuple[Decision, Path]], tmp_path: Path
) -> None:
    path = tmp_path / DECISION_FILE
    path.write_text(json.dumps(change(content_of(decisions["plain"][1]))))
    with pytest.raises(DataError, match=rf"is no decision of a model \(.*{where}.*\): run dvc repro") as raised:
        Decision.read(tmp_path)
    assert str(raised.value).startswith(str(path))
    assert "\n" not in str(raised.value)


def test_a_file_that_is_cut_off_or_missing_is_refused_in_one_line(
    decisions: dict[str, tuple[Decision, Path]], tmp_path: Path
) -> None:
    path = tmp_path / DECISION_FILE
    with pytest.raises(DataError) as missing:
        Decision.read(tmp_path)
    assert str(missing.value) == f"{path} is missing: run dvc repro"
    path.write_bytes((decisions["plain"][1] / DECISION_FILE).read_bytes()[:1000])
    with pytest.raises(DataError, match="is not readable JSON") as raised:
        Decision.read(tmp_path)
    assert str(raised.value).startswith(str(path))
    assert "\n" not in str(raised.value)
