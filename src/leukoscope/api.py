"""For notebooks: a registered model that scores pictures, and what the pipeline measured of it, as pandas tables.

    from leukoscope import by_subject, load_champion
    model = load_champion()
    table = model.predict("my_cells/")
    by_subject(table)

Nothing here loads TensorFlow. `checkout` is the folder with params.yaml that a model was trained in; it is the working
directory unless another is named.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import chdir
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from leukoscope.artifacts.decision import Decision
from leukoscope.artifacts.metrics import METRICS_FILE, Estimate, Metrics
from leukoscope.artifacts.predictions import PREDICTIONS_FILE, read_predictions
from leukoscope.config.params import load_params
from leukoscope.core.checkout import MODELS, RESULTS, results
from leukoscope.core.errors import DataError
from leukoscope.imaging.reading import read_bytes
from leukoscope.prediction.command import check_prevalence, score_files
from leukoscope.prediction.output import records
from leukoscope.prediction.pictures import Picture, check_scale, decoded
from leukoscope.prediction.scoring import Score, score_pictures
from leukoscope.prediction.sources import images_below
from leukoscope.prediction.subjects import by_subject as summaries_by_subject
from leukoscope.registry.champion import Champion
from leukoscope.registry.notices import warning

PathLike = str | Path
Images = PathLike | np.ndarray | Sequence[PathLike] | Sequence[np.ndarray] | Mapping[str, np.ndarray]
NUMBERS = ("p_all", "scale", "prevalence", "p_at_prevalence")
MEASURED = ("accuracy", "auroc", "brier", "ece")


class Model:
    """A registered version. `version`, `threshold`, `refer_band` and `warning` say how to read what it predicts."""

    def __init__(self, champion: Champion) -> None:
        self._champion = champion
        self.version = champion.version
        self.threshold = champion.threshold
        self.refer_band = champion.refer_band
        self.warning = warning(champion)

    def __repr__(self) -> str:
        return f"<{self.warning}>"

    def predict(self, images: Images, *, scale: float = 1.0, prevalence: float | None = None) -> pd.DataFrame:
        """p(ALL) of images of one cell on black each: one row an image, as `leukoscope predict --csv` has them.

        `images` are paths (of images, folders, zip or tar archives), one picture uint8 [height, width, 3], RGB, a
        sequence or an array [n, height, width, 3] of them, or what `read_images` returns. Columns: file, subject, p_all
        (0..1), call ("ALL", "hem", or None where there are flags), flags (a list of words), version, refer (whether
        p_all is in the refer band; None where nothing is called or no band is known), seen (in training: "file",
        "picture" or "no"), trained_on, caution.

        `scale` enlarges pictures of other optics to the training pictures' scale. `prevalence` adds p_at_prevalence,
        p reweighed for that share of ALL. Files that do not read are left out with a warning. Raises DataError where
        none reads, and for arrays that are no pictures.
        """
        check_scale(scale)
        check_prevalence(self._champion, prevalence)
        scores = self._scores(images, scale, prevalence)
        rows = records(scores, self._champion, scale=scale, prevalence=prevalence)
        table = pd.DataFrame(rows, dtype=object)
        return table.astype({name: float for name in NUMBERS if name in table})

    def _scores(self, images: Images, scale: float, prevalence: float | None) -> list[Score]:
        if paths := _paths(images):
            with images_below(paths) as files:
                scores, unreadable = score_files(files, self._champion, scale=scale, prevalence=prevalence)
            _warn(unreadable)
        else:
            pictures = _pictures(images)
            scores = list(score_pictures(pictures, self._champion, scale=scale, prevalence=prevalence))
        if not scores:
            raise DataError("no image to score could be read")
        return scores


def load_champion(version: int | None = None, *, checkout: PathLike = ".") -> Model:
    """The promoted model of the data set that params.yaml names, or another registered `version` of it.

    Raises RegistryError where it is not registered, its files are gone, or they are not those that were registered.
    """
    from leukoscope.registry import loading

    with chdir(checkout):
        return Model(loading.load_champion(load_params().fetch.name, version))


def read_images(paths: PathLike | Sequence[PathLike]) -> dict[str, np.ndarray]:
    """The pictures that paths (of images, folders, zip or tar archives) name: uint8 [height, width, 3], RGB, by name.

    They are read as the pipeline reads them (grey, 16 bits and transparency become RGB of 8 bits). Files that do not
    read are left out with a warning. Raises DataError for a path that is not there.
    """
    pictures: dict[str, np.ndarray] = {}
    unreadable = []
    with images_below(_paths(paths)) as files:
        for file in files:
            try:
                pictures[file.name] = decoded(read_bytes(file.path), file.name).pixels
            except DataError as error:
                unreadable.append(str(error))
    _warn(unreadable)
    return pictures


def by_subject(table: pd.DataFrame) -> pd.DataFrame:
    """What `Model.predict` returned, summed up by subject: the share of a subject's cells that are called ALL.

    One row for each subject that file names carry: subject, cells, called (those without flags), called_all, share_all
    = called_all / called with Wilson's 95 % interval low to high, refer, seen. It is no diagnosis: the cells of one
    subject share a class in the training data, so shares are not validated on mixed smears, and the interval is of the
    subject's own cells, as if independent.
    """
    names = [field.name for field in fields(Score) if field.name in table]
    known = table[names].astype(object).where(table[names].notna(), None)
    scores = (Score(**dict(zip(names, row, strict=True))) for row in known.itertuples(index=False, name=None))
    return pd.DataFrame([asdict(one) for one in summaries_by_subject(scores)])


def load_results(checkout: PathLike = ".") -> pd.DataFrame:
    """What was measured on test images: one row for each row of params.yaml and protocol that has been evaluated.

    Columns: row, protocol, honest (whether subjects are kept apart), n images, n_subjects, accuracy at p > 0.5, auroc,
    brier, ece, and sensitivity and specificity at the thresholds chosen on val, each with its interval over resampled
    groups of subjects (name_low, name_high; None where there is none), and caveat: synthetic cells, an untrained
    backbone, values tuned on tested groups. Raises DataError where nothing has been evaluated.
    """
    rows = []
    for decision, folder in _evaluated(Path(checkout)):
        test = Metrics.read(folder).test
        estimates = {name: test.estimate(name) for name in MEASURED}
        estimates |= {name: test.at_threshold(name) for name in ("sensitivity", "specificity")}
        known = {"row": decision.row, "protocol": decision.protocol, "honest": decision.honest}
        counted = {"n": test.n, "n_subjects": test.n_subjects}
        rows.append({**known, **counted, **_with_intervals(estimates), "caveat": decision.caveat})
    return pd.DataFrame(rows)


def load_predictions(row: str, protocol: str, checkout: PathLike = ".") -> pd.DataFrame:
    """p(ALL) that a row's folds gave to images that they were not trained on, under `protocol`.

    Columns: image_id, subject, group, label (1 is ALL), p_all, fold. Under an honest protocol no fold was trained on a
    subject of its test images, so figures and figures of one's own may be drawn from them. Raises DataError for what
    has not been evaluated.
    """
    folder = results(row, protocol, Path(checkout))
    if not (folder / PREDICTIONS_FILE).exists():
        there = ", ".join(sorted(one.name for _, one in _evaluated(Path(checkout))))
        raise DataError(f"{folder / PREDICTIONS_FILE} is not there; evaluated are: {there}")
    table = read_predictions(folder, "test")
    columns = ["image_id", "subject", "group", "label", "p_all", "fold"]
    return table[columns].reset_index(drop=True)


def _evaluated(checkout: Path) -> Iterator[tuple[Decision, Path]]:
    """The decision and the results folder of each row and protocol."""
    found = sorted((checkout / RESULTS).glob(f"*/{METRICS_FILE}"))
    if not found:
        raise DataError(f"{checkout / RESULTS} has no {METRICS_FILE}: run uv run dvc repro there")
    for metrics in found:
        yield Decision.read(checkout / MODELS / metrics.parent.name), metrics.parent


def _with_intervals(estimates: Mapping[str, Estimate]) -> dict[str, float | None]:
    columns: dict[str, float | None] = {}
    for name, (value, low, high, _) in estimates.items():
        columns |= {name: value, f"{name}_low": low, f"{name}_high": high}
    return columns


def _paths(images: Images) -> list[Path]:
    """The paths that are given; none where pictures are."""
    if isinstance(images, str | Path):
        return [Path(images)]
    if isinstance(images, np.ndarray | Mapping):
        return []
    paths = [Path(one) for one in images if isinstance(one, str | Path)]
    if paths and len(paths) < len(images):
        raise DataError("give either paths or pictures, and not both in one call: read_images makes pictures of paths")
    return paths


def _pictures(images: Any) -> Iterator[Picture]:
    if isinstance(images, Mapping):
        yield from (Picture(name, np.asarray(pixels)) for name, pixels in images.items())
        return
    single = isinstance(images, np.ndarray) and images.ndim == 3
    for number, pixels in enumerate([images] if single else images):
        yield Picture(f"image {number}", np.asarray(pixels))


def _warn(unreadable: Iterable[str]) -> None:
    for line in unreadable:
        warnings.warn(f"left out: {line}", stacklevel=3)
