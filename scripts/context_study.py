"""How much a trained network gains from what lies far away: its Dice with smaller windows.

Predicts the validation cases of a fold with windows of each size and prints the mean Dice of each
network. What is seen of a cell's surroundings shrinks with the window; all else stays only in
networks with batch normalisation, others also take statistics of the window.

python scripts/context_study.py PREPARED RUN [RUN ...] --windows 256 128 64
"""

import argparse
import os
from pathlib import Path

from sdunet.runtime.threads import waiting_policy

os.environ.update(waiting_policy())  # before torch is imported

import numpy as np
import torch

from data_prep.prepared.dataset import load_dataset
from sdunet.segmentation.inference.sliding_window import class_probabilities
from sdunet.segmentation.metrics.overlap import overlaps, summarise
from sdunet.segmentation.models.trained_model import load_model
from sdunet.segmentation.training.data_module import WholeCases


def mean_dice(run: Path, cases: WholeCases, window: int) -> float:
    """Return the mean over cases and classes with windows of so many cells along every axis."""
    model = load_model(run)
    classes = model.plan.num_classes
    counted = []
    with torch.inference_mode():
        for case in cases:
            probabilities = class_probabilities(
                model.network,
                torch.as_tensor(case["image"])[None],
                (window,) * model.plan.spatial_dims,
                model.overlap,
            )
            prediction = probabilities.argmax(1).numpy().astype(np.uint16)
            counted.append(overlaps(prediction, np.asarray(case["label"]), classes))
    return float(np.mean([summarise(scores)["Dice"] for scores in zip(*counted, strict=True)]))


def main() -> None:
    """Print a row a network."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("prepared", type=Path)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--windows", type=int, nargs="+", default=[256, 128, 64])
    parser.add_argument("--fold", type=int, default=0)
    options = parser.parse_args()
    dataset = load_dataset(options.prepared)
    cases = WholeCases(dataset, dataset.folds[options.fold]["val"])
    print("| network | " + " | ".join(f"windows of {n}" for n in options.windows) + " |")
    print("|---|" + "---|" * len(options.windows))
    for run in options.runs:
        scores = [f"{mean_dice(run, cases, window):.4f}" for window in options.windows]
        name = "/".join(run.resolve().parts[-2:])
        print(f"| {name} | " + " | ".join(scores) + " |", flush=True)


if __name__ == "__main__":
    main()
