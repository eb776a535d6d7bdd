"""What MLflow's pages show first: an experiment's words, its columns and charts, and each run in a sentence.

MLflow 3 opens on its pages for language models unless the address says otherwise, and on a table without a metric. A
shared view, which MLflow keeps as a tag of the experiment, has the columns and charts that compare rows at a glance.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from leukoscope.artifacts.decision import Decision
from leukoscope.artifacts.metrics import Estimate, Metrics
from leukoscope.core.cautions import RESEARCH_ONLY, RESEARCH_USE
from leukoscope.core.errors import RegistryError
from leukoscope.core.text import with_interval
from leukoscope.tracking.store import (
    ARTIFACTS,
    EXPERIMENT_PREFIX,
    answering,
    local_root,
    merged,
    open_store,
    shown_uri,
    tracking_uri,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient


NOTE = "mlflow.note.content"
VIEW = "rows"
VIEW_TAG = f"mlflow.sharedViewState.{VIEW}"
MAIN_METRIC = "test/auroc"

ABOUT_EXPERIMENT = (
    "A run for each row and ensemble under each protocol, with a child run for each fold (its epochs). `test/auroc` is "
    "over images that no fold was trained on; its interval, `test/auroc_low` to `test/auroc_high`, resamples groups of "
    "subjects. **Believe the runs tagged `leaky: false`**: `image` and `paper` have the same subjects in training and "
    "test, and stand beside the others to show by how much that flatters. Folds and tuning trials appear when the "
    f"search filter is emptied. {RESEARCH_USE.capitalize()}."
)
# Set where there are none: a person may have put others.
EXPERIMENT_TAGS = {
    NOTE: ABOUT_EXPERIMENT,
    "mlflow.experimentKind": "custom_model_development",
    "mlflow.experiment.primaryMetric.name": MAIN_METRIC,
    "mlflow.experiment.primaryMetric.greaterIsBetter": "true",
}
COLUMNS = (
    "tags.`protocol`",
    "tags.`leaky`",
    "tags.`data_kind`",
    "tags.`weights_kind`",
    "metrics.`test/auroc`",
    "metrics.`test/auroc_low`",
    "metrics.`test/auroc_high`",
    "metrics.`test/over_area/gap`",
    "metrics.`test/at_threshold/sensitivity`",
    "metrics.`test/at_threshold/specificity`",
    "params.`backbone`",
    "attributes.`Models`",
)
CHARTS = {  # kind of chart by metric, in the order in which they stand
    MAIN_METRIC: "BAR",
    "test/over_area/gap": "BAR",
    "test/at_threshold/sensitivity": "BAR",
    "test/at_threshold/specificity": "BAR",
    "val_loss": "LINE",
    "val_accuracy": "LINE",
}
SECTION = "rows-at-a-glance"
FILTER = "tags.evaluated = 'true'"


def view_state() -> dict[str, Any]:
    """The view as MLflow's pages keep it: rows by AUROC, best first, without folds and trials (`FILTER`)."""
    charts = [
        {"type": kind, "uuid": f"{VIEW}-{at}", "metricSectionId": SECTION, "metricKey": metric, "deleted": False}
        for at, (metric, kind) in enumerate(CHARTS.items())
    ]
    lines = {"selectedMetricKeys": None, "xAxisKey": "step", "scaleType": "linear", "lineSmoothness": 0}
    section = {"uuid": SECTION, "name": "Rows at a glance", "display": True, "isReordered": False, "deleted": False}
    return {
        "searchFilter": FILTER,
        "orderByKey": f"metrics.`{MAIN_METRIC}`",
        "orderByAsc": False,
        "selectedColumns": list(COLUMNS),
        "columnOrder": list(COLUMNS),
        "compareRunCharts": [
            {**chart, **({**lines, "selectedMetricKeys": [chart["metricKey"]]} if chart["type"] == "LINE" else {})}
            for chart in charts
        ],
        "compareRunSections": [{**section, "isGenerated": False}],
        "hideEmptyCharts": True,
    }


def dress(client: MlflowClient, experiment: str) -> None:
    """Give an experiment its words and its view; words that are there stay."""
    known = client.get_experiment(experiment).tags
    view = json.dumps(view_state(), sort_keys=True)
    wanted = {name: words for name, words in EXPERIMENT_TAGS.items() if name not in known}
    for name, words in {**wanted, **({VIEW_TAG: view} if known.get(VIEW_TAG) != view else {})}.items():
        merged(client.set_experiment_tag, experiment, name, words)


def page_of(root: str, experiment: str | None) -> str:
    """The address of an experiment's rows on the server `root`; of all experiments where there is none yet."""
    if experiment is None:
        return f"{root}/#/experiments?{urlencode({'workflowType': 'machine_learning'})}"
    shown = {"workflowType": "machine_learning", "viewStateShareKey": VIEW}
    return f"{root}/#/experiments/{experiment}/runs?{urlencode(shown)}"


def in_a_sentence(decision: Decision, metrics: Metrics) -> str:
    """What a run found, with its interval, its protocol and what must be known of it."""
    test = metrics.test
    where = "subjects it had not seen" if decision.honest else "the same subjects in training and test"
    said = [
        f"**AUROC {with_interval(test.estimate('auroc'))}** on {where} (protocol `{decision.protocol}`, {test.n:,} "
        f"images of {test.n_subjects} subjects)",
        _over_area(test.over_area),
        "" if decision.honest else "a leaky control: not to be believed",
        "indicative: a class has few groups" if test.indicative else "",
        decision.caveat,
    ]
    return "; ".join(filter(None, said)) + "."


def _over_area(over: Estimate | None) -> str:
    if over is None or over.value is None:
        return ""
    return f"{with_interval(over, '{:+.3f}'.format, none='')} over the cell's area alone"


def about_model(data_name: str) -> str:
    """The description of a data set's registered model."""
    return (
        f"Classifiers of single cells, ALL or hem, trained on '{data_name}'. `@champion` is what `leukoscope predict` "
        f"uses, `@previous` the one before it, `@candidate` what an experiment logged last. Each version says its "
        f"protocol, its figures with intervals and its threshold, and has a model card among its artifacts "
        f"(model_card.md). {RESEARCH_ONLY}"
    )


@answering()
def ui_page(port: int, data_name: str) -> str:
    """Where MLflow's pages on `port` show the rows of a data set beside each other."""
    client = open_store()
    found = client.get_experiment_by_name(EXPERIMENT_PREFIX + data_name)
    if found:
        dress(client, found.experiment_id)
    return page_of(f"http://127.0.0.1:{port}", found.experiment_id if found else None)


def ui_command(port: int) -> list[str]:
    """The command that serves MLflow's pages on 127.0.0.1, after the store was opened (and relocated if need be).

    Raises RegistryError where the store is a server, which has pages of its own.
    """
    uri = tracking_uri()
    if uri.startswith(("http://", "https://")):
        raise RegistryError(f"MLFLOW_TRACKING_URI names a server: open {shown_uri(uri)} in a browser")
    open_store()
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", uri]
    root = local_root(uri)
    if root:
        command += ["--default-artifact-root", str(root / ARTIFACTS)]
    return [*command, "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
