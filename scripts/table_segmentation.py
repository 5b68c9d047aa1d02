"""Tables of networks side by side, from runs and their scores, as Markdown.

Each argument is a folder with one run a seed, `NAME/seed_S`, and the scores of its validation
cases in `NAME/seed_S/scores` (sdunet evaluate). Intervals are those of a bootstrap over cases.

python scripts/table_segmentation.py runs/unet runs/sdunet
"""

import argparse
import csv
import json
from collections import defaultdict
from pathlib import Path

import numpy as np

from sdunet.segmentation.metrics.statistics import interval


def scores_of(run: Path, column: str) -> dict[str, list[float]]:
    """Return the scores of each case of a run, by class; what has none is left out."""
    found = defaultdict(list)
    with (run / "scores/cases.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            if row[column]:
                found[row["class"]].append(float(row[column]))
    return found


def with_interval(scores: list[float]) -> str:
    """Return the mean with its 95 % interval by bootstrap over cases; of one case, the mean."""
    bounds = interval(scores)
    return f"{np.mean(scores):.4f}" + (f" ({bounds[0]:.4f} to {bounds[1]:.4f})" if bounds else "")


def epoch_seconds(run: Path) -> tuple[float, float]:
    """Return the median seconds of training and of validation of an epoch."""
    with (run / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    columns = ("training_seconds", "validation_seconds")
    training, validation = (np.median([float(row[c]) for row in rows]) for c in columns)
    return float(training), float(validation)


def main() -> None:
    """Print a row a run and class."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("runs", nargs="+", type=Path)
    options = arguments.parse_args()
    print("| network | seed | parameters | class | Dice (95 % interval) | Jaccard | n | "
          "s an epoch, training + validation |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|")
    for folder in options.runs:
        for run in sorted(folder.glob("seed_*")):
            record = json.loads((run / "run.json").read_text())
            training, validation = epoch_seconds(run)
            jaccard = scores_of(run, "jaccard")
            for name, dice in scores_of(run, "dice").items():
                cells = (
                    folder.name,
                    run.name.removeprefix("seed_"),
                    f"{record['parameters']:,}",
                    name,
                    with_interval(dice),
                    with_interval(jaccard[name]),
                    len(dice),
                    f"{training:.0f} + {validation:.0f}",
                )
                print("| " + " | ".join(map(str, cells)) + " |")


if __name__ == "__main__":
    main()
