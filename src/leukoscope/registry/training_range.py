"""The training cells of a candidate as its version will know them: computed when it is registered, from images.parquet.

How often the range flags subjects that it was not taken from is measured as the model is: each fold's own range, over
the cells of the side that ranks, which hold none of the fold's training subjects. The range that a version carries is
that of all its folds, so this rate is rather too high than too low.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from leukoscope.artifacts.training_cells import COLOUR, FLAG_OF, SIZE, TrainingCells, fingerprint
from leukoscope.config.params import Evaluate
from leukoscope.registry.ranking import Candidate
from leukoscope.stats.bootstrap import resample

TAIL = 0.001  # of the training cells, beyond either end
COLUMNS = ["image_id", "label", "subject", "group", "sha256", "cell_area", "colour"]  # of images.parquet
RATES = {"rate": None, "rate_size": SIZE, "rate_colour": COLOUR}


def training_cells(
    candidate: Candidate, images: pd.DataFrame, split: pd.DataFrame, settings: Evaluate
) -> TrainingCells:
    """From images.parquet (COLUMNS) and the candidate's protocol's rows of splits.parquet.

    `unseen` has the rate of any range flag, of size and of colour, each with its interval over resampled groups (None
    where `interval_reason` says why), on `n` images of `n_subjects` subjects of `side`.
    """
    measured = _measured(images)
    trained = images[images["sha256"].isin(candidate.decision.training_images)].drop_duplicates("sha256")
    cells = zip(trained["cell_area"], trained["colour"], strict=True)
    return TrainingCells(
        range=_range(measured.loc[trained.index]),
        unseen=_unseen(candidate.side, images, measured, split, settings),
        prevalence=float(_side(images, split, "val")["label"].astype(float).mean()),
        pictures=sorted({fingerprint(area, (red, green, blue)) for area, (red, green, blue) in cells}),
    )


def _measured(images: pd.DataFrame) -> pd.DataFrame:
    """The measures of FLAG_OF, a column each."""
    colour = np.stack(images["colour"].to_list()).astype(np.float64)
    columns = np.column_stack([images["cell_area"].to_numpy(np.float64), colour])
    return pd.DataFrame(columns, columns=list(FLAG_OF), index=images.index)


def _range(measured: pd.DataFrame) -> dict[str, tuple[float, float]]:
    ends = measured.quantile([TAIL, 1 - TAIL])
    return {name: (float(ends[name].iloc[0]), float(ends[name].iloc[1])) for name in FLAG_OF}


def _side(images: pd.DataFrame, split: pd.DataFrame, side: str) -> pd.DataFrame:
    """A row of `images` for each row of that side, with its fold."""
    return split.loc[split["side"] == side, ["image_id", "fold"]].merge(images, on="image_id", validate="many_to_one")


def _unseen(
    side: str, images: pd.DataFrame, measured: pd.DataFrame, split: pd.DataFrame, settings: Evaluate
) -> dict[str, Any]:
    table = images.assign(**{name: measured[name] for name in FLAG_OF})
    parts = []
    for _, sides in split.groupby("fold"):
        range_ = _range(_side(table, sides, "train")[list(FLAG_OF)])
        rows = _side(table, sides, side)
        outside = {name: ~rows[name].between(*range_[name]) for name in FLAG_OF}
        for flag in (SIZE, COLOUR):
            rows[flag] = np.any([outside[name] for name, raised in FLAG_OF.items() if raised == flag], axis=0)
        parts.append(rows)
    rows = pd.concat(parts, ignore_index=True)
    flagged = {name: (rows[SIZE] | rows[COLOUR]) if flag is None else rows[flag] for name, flag in RATES.items()}
    resamples = resample(rows["label"].to_numpy(np.int64), rows["group"], settings)
    content: dict[str, Any] = {}
    for name, raised in flagged.items():
        drawn = resamples.sums(np.column_stack([raised, np.ones(len(rows))]).astype(np.float64))
        low, high = resamples.interval(drawn[:, 0] / drawn[:, 1])
        content |= {name: float(raised.mean()), f"{name}_low": low, f"{name}_high": high}
    return content | {
        "side": side,
        "n": int(rows["image_id"].nunique()),
        "n_subjects": int(rows["subject"].nunique()),
        "interval_level": settings.level,
        "interval_reason": resamples.reason,
    }
