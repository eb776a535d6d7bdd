"""A checkout whose pipeline has run up to the report: real splits and evaluation over simulated predictions."""

from __future__ import annotations

import hashlib
import io
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from leukoscope.artifacts.decision import DataSet, Decision, parameters_of
from leukoscope.artifacts.layers import LayerFacts
from leukoscope.artifacts.predictions import side_of, write_predictions
from leukoscope.config.params import Params
from leukoscope.config.rows import Protocol
from leukoscope.core import checkout
from leukoscope.core.files import write_json
from leukoscope.data.splits import make_splits
from leukoscope.data.synthetic.cells import fixed_cells
from leukoscope.evaluation import result_folder
from leukoscope.evaluation.ensembles import decide_ensemble, fingerprint, mean_predictions, read_members
from leukoscope.evaluation.figures import Heading, write_figures
from leukoscope.evaluation.importance import IMPORTANCE_FOLDER, Exchanged, write_importance
from leukoscope.evaluation.results import summarise, write_tables
from leukoscope.stats.operating_point import decide

CHECKOUT = Path(__file__).resolve().parents[2]
SUBJECTS = {"ALL": 14, "hem": 10}
WITH_PARTS = ("modified_mobilenet", "subject")  # whose features are made of parts
SKILL = {"modified_mobilenet": 1.0, "proposed_efficientnetb3": 1.5}


def _layer(
    kind: str, output: list[int], parameters: int, trainable: int, detail: str = "", layers: int = 1
) -> LayerFacts:
    return {"kind": kind, "name": kind.lower(), "layers": layers, "output": output, "parameters": parameters,
            "trainable": trainable, "detail": detail}  # fmt: skip


LAYERS = [
    _layer("Rescaling", [224, 224, 3], 0, 0),
    _layer("Functional", [7, 7, 1280], 2_257_984, 0, layers=154),
    _layer("Max", [1280], 0, 0),
    _layer("BatchNormalization", [1280], 5_120, 2_560),
    _layer("Dense", [256], 327_936, 327_936, "relu, kernel L2 0.016, activity L1 0.006, bias L1 0.006"),
    _layer("Dropout", [256], 0, 0, "rate 0.2"),
    _layer("Dense", [2], 514, 514, "sigmoid"),
]


def make_params(**changes) -> Params:
    content = {
        "split": {"folds": 3},
        "protocols": ["subject", "image"],
        "models": {
            "modified_mobilenet": {"backbone": "mobilenetv2"},
            "proposed_efficientnetb3": {"backbone": "efficientnetb3"},
        },
        "evaluate": {"bootstrap": 200},
        **changes,
    }
    return Params(**content)


def make_images(seed: int = 3, per_subject: int = 12) -> pd.DataFrame:
    """images.parquet of a training set and a preliminary set; subjects 1 and 2 share one picture."""
    random = np.random.default_rng(seed)
    rows = []
    for part, share in (("train", 1.0), ("prelim", 0.4)):
        for label, (name, count) in zip((1, 0), SUBJECTS.items(), strict=True):
            for number in range(1, max(3, int(count * share)) + 1):
                subject = f"{'' if label else 'H'}{number + (50 if part == 'prelim' else 0)}"
                area = random.normal(30_000 if label else 26_000, 2_500)
                for image in range(int(random.integers(per_subject // 2, 2 * per_subject))):
                    image_id = f"{part}-{name}-{subject}-{image}"
                    rows.append((image_id, part, label, subject, random.normal(area, 3_000)))
    images = pd.DataFrame(rows, columns=["image_id", "set", "label", "subject", "cell_area"])
    images["colour"] = list(np.random.default_rng(seed).normal((70, 30, 85), 4, (len(images), 3)).astype(np.float32))
    images["grain"] = np.float32(0.6)
    images = images.sort_values("image_id", ignore_index=True)
    images["label"] = images["label"].astype("Int8")
    images["group"] = images["subject"].replace("2", "1")
    images["file"] = images["image_id"] + ".png"
    images["sha256"] = [hashlib.sha256(name.encode()).hexdigest() for name in images["image_id"]]
    images["duplicate_of"] = pd.Series(None, index=images.index, dtype="str")
    copy, first = images.index[images["subject"] == "2"][0], images.index[images["subject"] == "1"][0]
    images.loc[copy, "sha256"] = images.loc[first, "sha256"]
    images.loc[copy, "duplicate_of"] = images.loc[first, "image_id"]
    return images


def simulate(images: pd.DataFrame, split: pd.DataFrame, skill: float, *, knows_subjects: bool) -> pd.DataFrame:
    """predictions.parquet of a model of some skill; one that knows the subjects is not misled by how they differ."""
    random = np.random.default_rng(int(skill * 10))
    known = images.set_index("image_id").loc[split["image_id"]].reset_index()
    habit = {subject: random.normal(0, 1.3) for subject in sorted(images["subject"].unique())}
    logit = skill * (2.0 * known["label"].astype(float) - 0.8) + random.normal(0, 1.2, len(known))
    if not knows_subjects:
        logit += known["subject"].map(habit)
    rows = known[["image_id", "subject", "group"]].assign(label=known["label"].astype("int8"))
    rows["p_all"] = 1 / (1 + np.exp(-logit))
    rows["fold"], rows["side"] = split["fold"].to_numpy(), split["side"].to_numpy()
    return rows[rows["side"] != "unused"].reset_index(drop=True)


def make_history(folds: int) -> pd.DataFrame:
    epochs = [(fold, epoch) for fold in range(folds) for epoch in range(1, 9 + fold)]
    fold, epoch = np.array(epochs).T
    falling = np.exp(-epoch / 3)
    columns = {
        "loss": 0.4 + 6 * falling, "accuracy": 0.92 - 0.3 * falling,
        "val_loss": 0.6 + 6.2 * falling + 0.05 * fold, "val_accuracy": 0.83 - 0.2 * falling - 0.01 * fold,
    }  # fmt: skip
    return pd.DataFrame({"fold": fold, "epoch": epoch, "all_layers": 0, **columns, "learning_rate": 0.003})


def exchange(predictions: pd.DataFrame) -> list[Exchanged]:
    """One layer that tells nothing and one that tells all but a little."""
    p = side_of(predictions, "test")["p_all"].to_numpy()
    noise = np.random.default_rng(5).random((2, len(p)))
    late = 0.2 * p + 0.8 * noise
    return [Exchanged("tap", "early", 256, np.stack([p, p]), p), Exchanged("tap", "late", 512, late, p)]


def write_result(
    root: Path, params: Params, images: pd.DataFrame, splits: pd.DataFrame, row: str, protocol: Protocol
) -> None:
    """models/ and results/ of one row and protocol, by the library's own evaluation."""
    split = splits[splits["protocol"] == protocol]
    leaky = protocol in ("image", "paper")
    predictions = simulate(images, split, SKILL.get(row, 0.8), knows_subjects=leaky)
    decided = decide(predictions, params.threshold, params.evaluate)
    settings = params.row(row)
    decision = Decision(
        row=row,
        protocol=protocol,
        settings=settings,
        identity=f"{row}-{protocol}",
        mode=settings.mode,
        weights_kind="untrained" if settings.weights == "none" else "imagenet",
        data=DataSet(name=params.fetch.name, kind="synthetic", hash="d" * 64),
        training_images={},
        training_subjects=[],
        folds=decided.folds,
        pooled=decided.pooled,
        layers=LAYERS,
        parameters=parameters_of(LAYERS),
        split_hash="5" * 64,
    )
    trained = checkout.trained(row, protocol, root)
    decision.write(trained)
    timing = {"seconds_per_epoch": 0.25, "epochs_timed": 20, "machine": "2 CPU cores"}
    write_json(trained / "timing.json", timing)
    folder = checkout.results(row, protocol, root)
    metrics = summarise(predictions, decision.folds, images, params.evaluate)
    history = make_history(split["fold"].nunique())
    metrics.write(folder)
    write_predictions(predictions, folder)
    history.to_csv(folder / "history.csv", index=False)
    write_tables(predictions, folder)
    exchanged = exchange(predictions) if (row, protocol) == WITH_PARTS else []
    write_importance(predictions, exchanged, params.evaluate, folder / IMPORTANCE_FOLDER)
    heading = Heading(row, protocol, decision.caveat)
    write_figures(folder / "figures", heading, predictions, history, metrics.test, decision.folds, params.evaluate)


def write_pictures(folder: Path, images: pd.DataFrame) -> None:
    """A drawn cell of its class for every image."""
    folder.mkdir(parents=True)
    of_class = {}
    for label, cell in zip((1, 0), fixed_cells(2, seed=1), strict=True):
        content = io.BytesIO()
        Image.fromarray(cell[125:325, 125:325]).save(content, format="PNG")
        of_class[label] = content.getvalue()
    for file, label in zip(images["file"], images["label"], strict=True):
        (folder / file).write_bytes(of_class[label])


def build_checkout(root: Path, params: Params, images: pd.DataFrame, kind: str = "synthetic") -> Path:
    """Everything that the stage report reads."""
    splits = make_splits(images, params.split, params.protocols)
    source = {"name": params.fetch.name, "kind": kind, "classes": {"1": "ALL", "0": "hem"}}
    write_json(root / "data/raw/source.json", source)
    images.to_parquet(root / "data/images.parquet", index=False)
    splits.to_parquet(root / "data/splits.parquet", index=False)
    for row in params.models:
        for protocol in params.protocols:
            write_result(root, params, images, splits, row, protocol)
    write_pictures(root / "data/raw/images", images)
    shutil.copy(CHECKOUT / "dvc.yaml", root)
    (root / "reports/validation").mkdir(parents=True)
    copies = images[images["duplicate_of"].notna()]
    pairs = copies[["duplicate_of", "image_id"]].set_axis(["first", "second"], axis=1)
    pairs = pairs.assign(kind="identical", correlation=1.0, distance=0.0)
    pairs.to_csv(root / "reports/validation/duplicates.csv", index=False)
    write_json(root / "reports/registered.json", REGISTERED)
    return root


def join_rows(root: Path, params: Params, name: str) -> None:
    """models/ and results/ of an ensemble of rows that are there, under every protocol, as its stage leaves them."""
    images = pd.read_parquet(root / checkout.IMAGES)
    for protocol in params.protocols:
        listed = {
            row: fingerprint(checkout.trained(row, protocol, root), checkout.results(row, protocol, root))
            for row in params.members(name)
        }
        members = read_members(listed, protocol, root)
        predictions = mean_predictions(name, members)
        decision = decide_ensemble(name, members, predictions, params.threshold, params.evaluate)
        decision.write(checkout.trained(name, protocol, root))
        result_folder.write_result(
            checkout.results(name, protocol, root), decision, predictions, images, params.evaluate
        )


def ranked(row: str, auroc: float, refused: list[str]) -> dict:
    interval = {"auroc": auroc, "auroc_low": auroc - 0.05, "auroc_high": auroc + 0.05}
    return {"row": row, "identity": row, "side": "test", **interval, "sensitivity": 0.5, "refused": refused}


REFUSAL = "test sensitivity at the threshold chosen on val is 0.2100, not register.min_sensitivity 0.3 or more"
REGISTERED = {
    "protocol": "subject",
    "data": {"name": "synthetic", "kind": "synthetic", "hash": "d" * 64},
    "split_hash": "5" * 64,
    "ranking": [ranked("proposed_efficientnetb3", 0.9, []), ranked("modified_mobilenet", 0.8, [REFUSAL])],
    "gate": [
        {"name": "honest protocol", "passed": True, "value": None, "bound": None, "verdict": "keeps subjects apart"},
        {"name": "sensitivity", "passed": False, "value": 0.21, "bound": 0.3, "verdict": REFUSAL},
    ],
    "winner": {"row": "proposed_efficientnetb3", "protocol": "subject", "identity": "p"},
    "training_range": {
        "range": {"area": [16_800, 49_300], "red": [52, 93], "green": [21, 46], "blue": [64, 99]},
        "unseen": {"rate": 0.016, "rate_low": 0.004, "rate_high": 0.031, "n_subjects": 28},
    },
    "promoted": False,
    "reason": "the champion is better",
}


@pytest.fixture(scope="session")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Params]:
    """A checkout before the report, not to be changed, and its params."""
    params = make_params(model_defaults={"weights": "none"})
    return build_checkout(tmp_path_factory.mktemp("ran"), params, make_images()), params


@pytest.fixture(scope="session")
def reported(ran: tuple[Path, Params], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder reports/ of a copy of it after the report."""
    from leukoscope.report.page import write_report

    root = Path(shutil.copytree(ran[0], tmp_path_factory.mktemp("reported") / "checkout"))
    write_report(ran[1], root)
    return root / "reports"
