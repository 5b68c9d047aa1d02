"""Tables of networks side by side, from runs and their scores, as Markdown.

Each argument is a folder with one run a seed, `NAME/seed_S`, and the scores of its validation
cases in `NAME/seed_S/scores` (sdunet evaluate). Intervals of a run are those of a bootstrap over
cases. Of several seeds, a row for all of them follows, whose interval is that of a bootstrap over
seeds and over patients, or what else is a group in the prepared set beside the folders, `data`.

python scripts/table_segmentation.py runs/unet runs/sdunet
"""

import argparse
import csv
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from sdunet.segmentation.metrics.statistics import interval

_DRAWS = 10_000


def scores_of(run: Path, column: str) -> dict[str, dict[str, float]]:
    """Return the scores of a run by class and case; what has none is left out."""
    found = defaultdict(dict)
    with (run / "scores/cases.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            if row[column]:
                found[row["class"]][row["case"]] = float(row[column])
    return found


def with_interval(scores: Sequence[float]) -> str:
    """Return the mean with its 95 % interval by bootstrap over cases; of one case, the mean."""
    return _written(float(np.mean(scores)), interval(scores))


def over_seeds_and_groups(
    seeds: Sequence[Mapping[str, float]], groups: Mapping[str, str]
) -> tuple[float, list[float] | None]:
    """Return the mean of scores and its 95 % interval by bootstrap over seeds and groups.

    Args:
        seeds: scores of each seed, by case.
        groups: of each case; one that is not there is a group of its own.
    """
    names = sorted({groups.get(case, case) for scores in seeds for case in scores})
    places = {name: place for place, name in enumerate(names)}
    sums = np.zeros((2, len(seeds), len(names)))  # of scores, and their number
    for seed, scores in enumerate(seeds):
        for case, score in scores.items():
            sums[:, seed, places[groups.get(case, case)]] += score, 1
    mean = float(sums[0].sum() / sums[1].sum())
    if min(sums.shape) < 2:
        return mean, None
    random = np.random.default_rng(0)
    drawn = []
    for _ in range(_DRAWS):
        seed, group = (random.integers(0, n, n) for n in sums.shape[1:])
        total, number = sums[:, seed][:, :, group].sum((1, 2))
        if number:
            drawn.append(total / number)
    return mean, np.percentile(drawn, (2.5, 97.5)).tolist()


def seconds_of(run: Path, epochs: float) -> tuple[float, float]:
    """Return the seconds of training and of validation of an epoch: the median, or of checks all.

    Args:
        run: its folder.
        epochs: that it was trained.
    """
    with (run / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    columns = ("training_seconds", "validation_seconds")
    spent = [[float(row[column]) for row in rows] for column in columns]
    checks = "check" in rows[0]
    training, validation = (sum(s) / epochs if checks else np.median(s) for s in spent)
    return float(training), float(validation)


def groups_of(folder: Path) -> dict[str, str]:
    """Return the group of each case of the prepared set beside a folder of runs, if any."""
    described = folder.parent / "data/dataset.json"
    cases = json.loads(described.read_text())["cases"] if described.exists() else []
    return {case["id"]: case["group"] for case in cases}


def main() -> None:
    """Print a row a run and class, and one for all seeds of a network."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("runs", nargs="+", type=Path)
    options = arguments.parse_args()
    records = {run: json.loads((run / "scores/summary.json").read_text())
               for folder in options.runs for run in folder.glob("seed_*")}  # fmt: skip
    pooled = any("batch_pooled_dice" in record for record in records.values())
    titles = ("network", "seed", "parameters", "class", "Dice (95 % interval)", "Jaccard", "n")
    titles += ("s an epoch, training + validation", *["batch-pooled, no image's Dice"] * pooled)
    _row(*titles)
    _row(*["---"] * len(titles), space="")
    for folder in options.runs:
        runs = sorted(folder.glob("seed_*"))
        by_class = defaultdict(list)
        for run in runs:
            record = json.loads((run / "run.json").read_text())
            training, validation = seconds_of(run, record["epochs"])
            jaccard = scores_of(run, "jaccard")
            for name, dice in scores_of(run, "dice").items():
                by_class[name].append((dice, jaccard[name]))
                value = records[run].get("batch_pooled_dice", {}).get("classes", {}).get(name)
                _row(
                    *(folder.name, run.name.removeprefix("seed_")),
                    *(f"{record['parameters']:,}", name),
                    *(with_interval([*scores.values()]) for scores in (dice, jaccard[name])),
                    *(len(dice), f"{training:.0f} + {validation:.0f}"),
                    *([f"{value:.4f}" if value is not None else ""] if pooled else []),
                )
        groups = groups_of(folder)
        for name, scores in by_class.items() if len(runs) > 1 else ():
            means = [over_seeds_and_groups(one, groups) for one in zip(*scores, strict=True)]
            cases = {case for dice, _ in scores for case in dice}
            number = len({groups.get(case, case) for case in cases})
            wide = "" if number == len(cases) else f" of {number} groups"
            written = [_written(*mean) for mean in means]
            _row(
                folder.name, "all", "", name, *written, f"{len(cases)}{wide}", *[""] * (1 + pooled)
            )


def _written(mean: float, bounds: Sequence[float] | None) -> str:
    return f"{mean:.4f}" + (f" ({bounds[0]:.4f} to {bounds[1]:.4f})" if bounds else "")


def _row(*cells: object, space: str = " ") -> None:
    print(f"|{space}" + f"{space}|{space}".join(map(str, cells)) + f"{space}|")


if __name__ == "__main__":
    main()
