"""What MLflow's pages show first, in a real SQLite store."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from leukoscope.artifacts.metrics import Metrics
from leukoscope.tracking import pages
from leukoscope.tracking import runs as tracking
from tests.fixtures.stores import checkout_with_store
from tests.fixtures.trained_rows import metrics_of, write_row


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return checkout_with_store(tmp_path, monkeypatch)


def test_an_experiment_says_what_it_holds_and_which_runs_to_believe(checkout: Path) -> None:
    client, experiment = tracking.open_experiment("cells")
    tags = client.get_experiment(experiment).tags
    assert "Believe the runs tagged `leaky: false`" in tags[pages.NOTE]
    assert tags["mlflow.experimentKind"] == "custom_model_development"


def test_words_that_a_person_put_there_stay(checkout: Path) -> None:
    client, experiment = tracking.open_experiment("cells")
    client.set_experiment_tag(experiment, pages.NOTE, "ours")
    tracking.open_experiment("cells")
    assert client.get_experiment(experiment).tags[pages.NOTE] == "ours"


def test_the_view_has_columns_and_charts_of_what_is_logged(checkout: Path) -> None:
    decision = write_row(checkout, "a_row", skill=2)
    tracking.log_evaluation(decision, metrics_of(checkout, decision), checkout / "results/a_row-subject")
    client, experiment = tracking.open_experiment("cells")
    (run,) = client.search_runs([experiment], pages.FILTER)
    view = json.loads(client.get_experiment(experiment).tags[pages.VIEW_TAG])
    known = {
        **{f"metrics.`{name}`": 1 for name in run.data.metrics},
        **{f"tags.`{name}`": 1 for name in run.data.tags},
        **{f"params.`{name}`": 1 for name in run.data.params},
        "attributes.`Models`": 1,
    }
    assert [column for column in view["selectedColumns"] if column not in known] == []
    charts = {chart["metricKey"] for chart in view["compareRunCharts"] if chart["type"] == "BAR"}
    assert charts <= set(run.data.metrics)
    assert all(chart["metricSectionId"] == view["compareRunSections"][0]["uuid"] for chart in view["compareRunCharts"])


def test_the_address_is_that_of_the_view_on_pages_for_models(checkout: Path) -> None:
    _, experiment = tracking.open_experiment("cells")
    page = pages.ui_page(5001, "cells")
    assert page.startswith(f"http://127.0.0.1:5001/#/experiments/{experiment}/runs?")
    assert "workflowType=machine_learning" in page
    assert "viewStateShareKey=rows" in page
    assert pages.ui_page(5001, "not yet").startswith("http://127.0.0.1:5001/#/experiments?")


def test_a_run_says_its_figure_with_interval_protocol_and_caveats(checkout: Path) -> None:
    decision = write_row(checkout, "a_row", skill=2)
    metrics = metrics_of(checkout, decision)
    tracking.log_evaluation(decision, metrics, checkout / "results/a_row-subject")
    client, experiment = tracking.open_experiment("cells")
    (run,) = client.search_runs([experiment])
    said = run.data.tags[pages.NOTE]
    auroc = metrics.test.estimate("auroc")
    assert f"**AUROC {auroc.value:.3f} [{auroc.low:.3f}, {auroc.high:.3f}]**" in said
    assert "subjects it had not seen (protocol `subject`" in said
    assert said.endswith("synthetic cells, untrained backbone.")
    leaky = pages.in_a_sentence(decision.model_copy(update={"protocol": "image"}), metrics)
    assert "a leaky control: not to be believed" in leaky
    without = {**metrics.test.content, "auroc_low": None, "auroc_high": None}
    assert "(no interval)" in pages.in_a_sentence(decision, Metrics({**metrics.content, "test": without}))
