"""Pictures per second of every backbone of Table V on this machine's CPU, and what the profiles then take.

    python benchmarks/profile_costs.py

Frozen passes run on our OpenVINO engine, training steps on Keras with batch norm frozen, both at 224 pixels on random
weights. Rates are by CPU time: pictures / (CPU seconds / cores), so that a busy machine gives what an idle one would.
The profiles' times are these rates over the complete C-NMC 2019's numbers of images (Table I) and are not measured.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from leukoscope.config import ModelSettings
from leukoscope.data.catalogue import TABLE_I
from leukoscope.data.pack import frame_and_resize
from leukoscope.data.synthetic import fixed_cells
from leukoscope.models import load_keras
from leukoscope.models.assembly import trainable_model
from leukoscope.models.backbones import batchnorms, build_backbone
from leukoscope.models.engine import PooledFeatures, converted_backbone
from leukoscope.models.heads import build_head, compile_for_training
from leukoscope.profile import profile_values
from leukoscope.table_v import ROWS

SIZE, FRAME = 224, 300
TRAINED_AT_ONCE = 8  # a batch of 40 needs more memory than a small machine has; rates differ little
LABELLED = TABLE_I["train"].images + TABLE_I["prelim"].images
# Protocol official trains on four of five folds of the training set, paper on 70 % of it.
TRAINED_PER_EPOCH = round(TABLE_I["train"].images * (0.8 + 0.7))


def cpu_rate(pictures: int, work: Callable[[], object]) -> float:
    """Pictures per second of `work`, which has run once before."""
    cores = len(os.sched_getaffinity(0))
    start = time.process_time()
    work()
    return pictures / ((time.process_time() - start) / cores)


def embedding_rate(name: str, cells: np.ndarray) -> float:
    """Of the frozen pass that the embed stage makes."""
    with tempfile.TemporaryDirectory() as folder:
        engine = PooledFeatures(converted_backbone(name, "none", FRAME, SIZE, Path(folder) / name), SIZE)
        pictures = [lambda cell=cell: cell for cell in cells]
        engine.run(pictures[:8], lambda _: None)
        return cpu_rate(len(pictures), lambda: engine.run(pictures, lambda _: None))


def training_rate(name: str, cells: np.ndarray) -> float:
    """Of a step through all layers, as finetuning makes it."""
    row = ModelSettings(backbone=name, weights="none", frame=FRAME, size=SIZE, mode="finetune")
    backbone = build_backbone(name, "none", FRAME, SIZE)
    model = trainable_model(backbone, build_head(row, backbone.output.shape[-1]), row.pooling, "fold_0")
    for norm in batchnorms(backbone):
        norm.trainable = False
    compile_for_training(model, row.learning_rate)
    batch = cells[:TRAINED_AT_ONCE].astype(np.float32), np.eye(2, dtype=np.float32)[np.arange(TRAINED_AT_ONCE) % 2]
    model.train_on_batch(*batch)
    return cpu_rate(2 * TRAINED_AT_ONCE, lambda: [model.train_on_batch(*batch) for _ in range(2)])


def main() -> None:
    """Measure and print a Markdown table."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--pictures", type=int, default=48, help="pictures in a timed frozen pass")
    pictures = arguments.parse_args().pictures
    load_keras()
    import keras

    cells = np.stack([frame_and_resize(cell, FRAME, SIZE) for cell in fixed_cells(pictures, 7)])
    passes = 1 + profile_values("cnmc-frozen")["model_defaults"]["views"]
    print("| backbone | frozen, pictures/s | one pass, hours | training, pictures/s | an epoch, hours |")
    print("|---|---|---|---|---|")
    frozen_hours, epoch_hours = 0.0, 0.0
    for name in dict.fromkeys(row["backbone"] for row in ROWS.values()):
        embedding, training = embedding_rate(name, cells), training_rate(name, cells)
        keras.backend.clear_session()
        one_pass, epoch = passes * LABELLED / embedding / 3600, TRAINED_PER_EPOCH / training / 3600
        frozen_hours += one_pass
        epoch_hours += epoch * sum(row["backbone"] == name for row in ROWS.values())
        print(f"| {name} | {embedding:.1f} | {one_pass:.1f} | {training:.1f} | {epoch:.1f} |", flush=True)
    print(f"\ncnmc-frozen: {passes} x {LABELLED} pictures, once for each backbone: {frozen_hours:.1f} hours")
    print(
        f"cnmc: {TRAINED_PER_EPOCH} pictures an epoch under both protocols, all rows: {epoch_hours:.0f} hours an epoch"
    )


if __name__ == "__main__":
    main()
