"""Compare synthetic cells with real ones: studies/compare_synthetic.py PATH_TO_REAL_CNMC [--figures docs/figures]

Draws a set with as many subjects as fold 0 of C-NMC 2019, measures both sets' cells, prints a table of class means,
standard deviations within and between subjects and AUROCs (also with subjects alike: strength 0), and with --figures
writes the two pictures of docs/synthetic-cells.md. Only statistics of the real cells are printed or drawn.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from multiprocessing.pool import ThreadPool
from pathlib import Path

import cv2
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from leukoscope.config.params import Synthetic
from leukoscope.core.errors import DataError, run_reporting_errors
from leukoscope.data.sources.names import CLASSES, IMAGE_SUFFIXES, parse_uid
from leukoscope.data.synthetic.cells import FRAME, REPEATED, REPEATING, ROOT, TRAINING, draw_cells
from leukoscope.imaging.cell import find_cell
from leukoscope.imaging.reading import read_rgb

BANDS = {"fine texture (1-2 px)": (1, 2), "middle texture (2-4 px)": (2, 4), "coarse texture (4-8 px)": (4, 8)}
RIM = 18  # pixels from the edge that texture leaves out
MEASURES = ["area", "red", "green", "blue", "contrast", *BANDS, "green in texture", "eccentricity", "solidity"]
SHOWN = {"area": "px", "red": "grey levels", "green": "grey levels", "blue": "grey levels", "contrast": "grey levels"}


def measure(file: Path) -> dict[str, float | str]:
    """Subject, label and what MEASURES names, of one cell."""
    uid = parse_uid(file.stem)
    cell = find_cell(read_rgb(file))
    if uid is None or cell is None:
        raise DataError(f"{file} shows no cell or has no C-NMC name")
    mask = cv2.copyMakeBorder(cell.mask, 1, 1, 1, 1, cv2.BORDER_CONSTANT)
    core = cv2.distanceTransform(mask, cv2.DIST_L2, 5)[1:-1, 1:-1] > RIM
    grey = cell.pixels.mean(axis=2, dtype=np.float32)
    blurred = {sigma: cv2.GaussianBlur(grey, (0, 0), sigma) for sigma in (1, 2, 4, 8)}
    coloured = cell.pixels.astype(np.float32)
    mottle = (cv2.GaussianBlur(coloured, (0, 0), 2) - cv2.GaussianBlur(coloured, (0, 0), 8))[core].std(axis=0)
    rows, columns = np.nonzero(cell.mask)
    short, long = np.linalg.eigvalsh(np.cov(columns, rows))
    outline = max(cv2.findContours(cell.mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0], key=cv2.contourArea)
    return {
        "subject": uid[0],
        "label": uid[1],
        "area": float(cell.area),
        **dict(zip(("red", "green", "blue"), cell.colour, strict=True)),
        "contrast": float(grey[cell.mask > 0].std()),
        **{name: float((blurred[narrow] - blurred[wide])[core].std()) for name, (narrow, wide) in BANDS.items()},
        "green in texture": float(mottle[1] / mottle[0]),
        "eccentricity": float(np.sqrt(1 - short / long)),
        "solidity": cv2.contourArea(outline) / cv2.contourArea(cv2.convexHull(outline)),
    }


def draw_training(settings: Synthetic, folder: Path) -> Path:
    """Draw a set into `folder` and return where its training images are."""
    draw_cells(settings, folder)
    return folder / ROOT / TRAINING


def measure_folder(folder: Path) -> pd.DataFrame:
    """One row for each named training image below `folder`."""
    files = sorted(f for f in folder.rglob("*") if f.suffix.lower() in IMAGE_SUFFIXES and parse_uid(f.stem))
    if not files:
        raise DataError(f"{folder} holds no images named as C-NMC's (UID_...): give the folder of the real data")
    with ThreadPool() as pool:
        return pd.DataFrame(pool.map(measure, files))


def spread(cells: pd.DataFrame, name: str) -> dict[str, float]:
    """A class's mean of one measure, its standard deviation, and those within subjects and of the subjects' means."""
    by_subject = cells.groupby("subject")[name]
    return {
        "mean": cells[name].mean(),
        "sd": cells[name].std(),
        "within": float((cells[name] - by_subject.transform("mean")).std()),
        "between": float(by_subject.mean()[by_subject.size() >= 15].std()),
    }


def table(sets: dict[str, pd.DataFrame]) -> str:
    """The comparison as a Markdown table."""
    lines = ["| measure | class | " + " | ".join(f"{name}: mean | sd | within | between" for name in sets) + " |"]
    lines.append("|---|---|" + "---:|" * 4 * len(sets))
    for name in MEASURES:
        for label, class_name in CLASSES.items():
            values = [spread(cells[cells["label"] == label], name) for cells in sets.values()]
            figures = [f"{value:.3g}" if value < 1000 else f"{value:,.0f}" for row in values for value in row.values()]
            lines.append(f"| {name} | {class_name} | " + " | ".join(figures) + " |")
    return "\n".join(lines)


def aurocs(cells: pd.DataFrame) -> dict[str, float]:
    """AUROC of the area alone and of a linear classifier on all measures, split by subject and by image (5 folds)."""
    features, label = np.log(cells[MEASURES] + 1e-6), cells["label"]
    groups = cells["subject"].replace(REPEATING, REPEATED)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    found = {"area alone": float(roc_auc_score(label, cells["area"]))}
    for name, folds, kept_together in (("subject", StratifiedGroupKFold, groups), ("image", StratifiedKFold, None)):
        scores = []
        for seed in range(5):
            split = list(folds(5, shuffle=True, random_state=seed).split(features, label, kept_together))
            p_all = cross_val_predict(model, features, label, cv=split, method="predict_proba")[:, 1]
            scores.append(roc_auc_score(label, p_all))
        found[f"all measures, split by {name}"] = float(np.mean(scores))
    return found


def draw_grid(folder: Path, file: Path, subjects: int = 5, cells: int = 8, crop: int = 290) -> None:
    """Rows of one subject's synthetic cells, both classes, half size."""
    margin = (FRAME - crop) // 2
    figure, axes = plt.subplots(2 * subjects, 1, figsize=(cells * 1.35, 2 * subjects * 1.35 + 0.5), facecolor="black")
    for row, axis in enumerate(axes):
        class_name = ("all", "hem")[row // subjects]
        names = sorted({f.name.split("_")[1] for f in folder.rglob(f"UID_*_{class_name}.png")} - {REPEATING})
        subject = names[row % subjects]
        files = sorted(folder.rglob(f"UID_{subject}_*_{class_name}.png"))[:cells]
        pictures = [read_rgb(f)[margin : margin + crop, margin : margin + crop] for f in files]
        axis.imshow(np.hstack(pictures))
        axis.set_axis_off()
        axis.text(
            -12, crop / 2, f"{class_name.replace('all', 'ALL')} {subject}", color="white", ha="right", va="center"
        )
    figure.suptitle("Synthetic cells: one subject in each row", color="white", y=0.985)
    figure.subplots_adjust(left=0.09, right=0.995, top=0.955, bottom=0.005, hspace=0.02)
    figure.savefig(file, dpi=80)
    plt.close(figure)


def draw_distributions(sets: dict[str, pd.DataFrame], file: Path) -> None:
    """Histograms of area, colour and texture: real as outlines, synthetic filled."""
    figure, axes = plt.subplots(2, 3, figsize=(12, 6.4), layout="constrained")
    for axis, name in zip(
        axes.flat, ["area", "red", "green", "blue", "fine texture (1-2 px)", "solidity"], strict=True
    ):
        pooled = pd.concat(cells[name] for cells in sets.values())
        low, high = np.quantile(pooled, [0.002, 0.998])
        bins = np.linspace(low, high, 40)
        for label, colour in ((1, "tab:red"), (0, "tab:blue")):
            for source, cells in sets.items():
                style = {"histtype": "step", "lw": 1.6} if source == "real" else {"alpha": 0.3}
                values = cells.loc[cells["label"] == label, name]
                axis.hist(values, bins, density=True, color=colour, label=f"{CLASSES[label]}, {source}", **style)
        axis.set(xlabel=f"{name} ({SHOWN[name]})" if name in SHOWN else name, yticks=[])
    axes[0, 0].legend(fontsize=8)
    figure.suptitle("Cells' size, colour, texture and outline: real C-NMC 2019 (lines) and synthetic (filled)")
    figure.savefig(file, dpi=80)
    plt.close(figure)


def main() -> None:
    """Measure, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("real", type=Path, help="a folder with real C-NMC 2019 images, anywhere below it")
    parser.add_argument("--figures", type=Path, help="folder for synthetic_grid.png and synthetic_distributions.png")
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    settings = Synthetic(seed=arguments.seed, subjects_all=19, subjects_hem=9, images_per_subject=60, final_images=0)
    real = measure_folder(arguments.real)
    with tempfile.TemporaryDirectory() as scratch:
        training = draw_training(settings, Path(scratch) / "strength-1")
        alike = draw_training(settings.model_copy(update={"subject_strength": 0.0}), Path(scratch) / "strength-0")
        sets = {"real": real, "synthetic": measure_folder(training)}
        for name, cells in sets.items():
            print(f"{name}: {len(cells):,} cells of {cells['subject'].nunique()} subjects")
        print(f"\n{table(sets)}\n")
        with_alike = sets | {"subjects alike": measure_folder(alike)}
        print(pd.DataFrame({name: aurocs(cells) for name, cells in with_alike.items()}).round(3).to_string())
        if arguments.figures:
            arguments.figures.mkdir(parents=True, exist_ok=True)
            draw_grid(training, arguments.figures / "synthetic_grid.png")
            draw_distributions(sets, arguments.figures / "synthetic_distributions.png")


if __name__ == "__main__":
    sys.exit(run_reporting_errors(main))
