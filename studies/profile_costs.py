"""Pictures per second of every backbone of Table V on this machine's CPU, and what the profiles then take.

    python studies/profile_costs.py

Frozen passes run on our OpenVINO engine, training steps on Keras with batch norm frozen, both at 224 pixels on random
weights; a head trains on features of EfficientNetB3's width. Rates are by CPU time: pictures / (CPU seconds / cores),
so that a busy machine gives what an idle one would. The profiles' times are these rates over the numbers of images in
the complete C-NMC 2019 (Table I): computed, not measured.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from leukoscope.config.profile import profile_values
from leukoscope.config.rows import ModelSettings
from leukoscope.config.table_v import ROWS
from leukoscope.data.sources.catalogue import TABLE_I
from leukoscope.data.synthetic.cells import fixed_cells
from leukoscope.features.backbones import batchnorms, build_backbone
from leukoscope.features.engine import PooledFeatures, converted_backbone
from leukoscope.features.keras_loading import load_keras
from leukoscope.imaging.framing import frame_and_resize
from leukoscope.training.assembly import trainable_model
from leukoscope.training.fitting import STEPS_PER_EXECUTION
from leukoscope.training.heads import build_head, compile_for_training

SIZE, FRAME = 224, 300
TRAINED_AT_ONCE = 8  # a batch of 40 needs more memory than a small machine has; rates differ little
LABELLED = TABLE_I["train"].images + TABLE_I["prelim"].images
# Shares of the training set that an epoch of all folds trains on: three of five folds, five times; four of five; 70 %.
EPOCH_SHARE = {"subject": 5 * 0.6, "image": 5 * 0.6, "official": 0.8, "paper": 0.7}
HEAD_FEATURES = 1536


def cpu_rate(pictures: int, work: Callable[[], object], cores: int = len(os.sched_getaffinity(0))) -> float:
    """Pictures per second of `work` where it keeps `cores` busy. It has run once before."""
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


def head_rate(batch_size: int) -> float:
    """Of Table III's head on cached features, which keeps one core busy."""
    pictures = 200 * batch_size
    features = np.random.default_rng(0).normal(size=(pictures, HEAD_FEATURES)).astype(np.float32)
    targets = np.eye(2, dtype=np.float32)[np.arange(pictures) % 2]
    head = build_head(ModelSettings(backbone="efficientnetb3"), HEAD_FEATURES)
    compile_for_training(head, 0.003, steps_per_execution=STEPS_PER_EXECUTION)
    head.fit(features, targets, batch_size=batch_size, verbose=0)
    return cpu_rate(pictures, lambda: head.fit(features, targets, batch_size=batch_size, verbose=0), cores=1)


def epoch_pictures(profile: dict[str, Any]) -> float:
    """Training pictures of an epoch of one row under all protocols of a profile, without views."""
    return TABLE_I["train"].images * sum(EPOCH_SHARE[protocol] for protocol in profile["protocols"])


def main() -> None:
    """Measure and print a Markdown table."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--pictures", type=int, default=48, help="pictures in a timed frozen pass")
    pictures = arguments.parse_args().pictures
    load_keras()
    import keras

    cells = np.stack([frame_and_resize(cell, FRAME, SIZE) for cell in fixed_cells(pictures, 7)])
    frozen, finetune = profile_values("cnmc-frozen"), profile_values("cnmc")
    passes = 1 + frozen["model_defaults"]["views"]
    print("| backbone | frozen, pictures/s | its pass, minutes | training, pictures/s | an epoch, minutes |")
    print("|---|---|---|---|---|")
    frozen_hours, epoch_hours = 0.0, 0.0
    for name in dict.fromkeys(row["backbone"] for row in ROWS.values()):
        embedding, training = embedding_rate(name, cells), training_rate(name, cells)
        keras.backend.clear_session()
        one_pass, epoch = passes * LABELLED / embedding / 3600, epoch_pictures(finetune) / training / 3600
        frozen_hours += one_pass
        epoch_hours += epoch * sum(row["backbone"] == name for row in ROWS.values())
        print(f"| {name} | {embedding:.1f} | {60 * one_pass:.0f} | {training:.1f} | {60 * epoch:.0f} |", flush=True)
    heads, epochs = head_rate(frozen["train"]["batch_size"]), frozen["train"]["epochs"]
    head_hours = len(ROWS) * epochs * passes * epoch_pictures(frozen) / heads / 3600
    print(f"\ncnmc-frozen: {passes} x {LABELLED} pictures once through each backbone: {frozen_hours:.1f} hours;")
    print(f"heads at {heads:.0f} pictures/s, at most {epochs} epochs of {len(ROWS)} rows: {head_hours:.1f} hours")
    print(f"cnmc: an epoch of all rows, {epoch_pictures(finetune):.0f} pictures each: {epoch_hours:.0f} hours")


if __name__ == "__main__":
    main()
