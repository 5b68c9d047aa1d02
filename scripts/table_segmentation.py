"""Tables of networks side by side, from runs and their scores, as Markdown.

Each argument is a folder with one run a seed, `NAME/seed_S`, or `NAME/seed_S_fold_K` for other
validation folds than 0, and the scores of its validation cases in `scores` (sdunet evaluate) there.
Intervals of a run are those of a bootstrap over cases. Of several runs, a row for all of them
follows, whose interval is that of a bootstrap over seeds and over patients, or what else is a group
in the prepared set beside the folders, `data`. Last, how far each network is ahead of the first, in
the cases and seeds of both, with the same interval.

python scripts/table_segmentation.py runs/unet runs/sdunet
"""

import argparse
import csv
import json
import math
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np

from sdunet.segmentation.metrics.statistics import interval

_DRAWS = 10_000


def scores_of(run: Path, column: str) -> dict[str, dict[str, float]]:
    """Return the scores of a run by class and case; NaN where nothing is, and nothing predicted."""
    found = defaultdict(dict)
    with (run / "scores/cases.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            found[row["class"]][row["case"]] = float(row[column] or "nan")
    return found


def numbers(scores: Mapping[str, float]) -> dict[str, float]:
    """Return the scores that are numbers, by case."""
    return {case: score for case, score in scores.items() if not math.isnan(score)}


def with_interval(scores: Sequence[float]) -> str:
    """Return the mean with its 95 % interval by bootstrap over cases; of one case, the mean."""
    return _written(float(np.mean(scores)), interval(scores))


def over_seeds_and_groups(
    seeds: Sequence[Mapping[str, float]], groups: Mapping[str, str]
) -> tuple[float, list[float] | None]:
    """Return the mean of scores and its 95 % interval by bootstrap over seeds and groups.

    Of one seed, the interval is over groups alone; of one group, there is none.

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
    if len(names) < 2:
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


def by_seed(runs: Sequence[Path], column: str) -> dict[str, dict[str, dict[str, float]]]:
    """Return the scores of runs by class, seed and case; folds of one seed are taken together."""
    found: dict = defaultdict(lambda: defaultdict(dict))
    for run in runs:
        for name, scores in scores_of(run, column).items():
            found[name][run.name.partition("_fold_")[0]] |= scores
    return found


def ahead_of(
    first: Mapping[str, Mapping[str, float]], other: Mapping[str, Mapping[str, float]]
) -> list[dict[str, float]]:
    """Return by how much scores are above those of the first network, of each seed, by case.

    Where one of two rightly predicted nothing, its score is the best there is, as in
    `sdunet compare`; where both did, there is no difference to tell.
    """
    gains = []
    for seed in other.keys() & first.keys():
        both = {case: (first[seed][case], score) for case, score in other[seed].items()
                if case in first[seed]}  # fmt: skip
        told = {case: pair for case, pair in both.items() if not all(map(math.isnan, pair))}
        gains.append(
            {
                case: float(np.nan_to_num(pair[1], nan=1) - np.nan_to_num(pair[0], nan=1))
                for case, pair in told.items()
            }
        )
    return gains


def main() -> None:
    """Print a row a run and class, one for all runs of a network, and what each gains."""
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
        for run in runs:
            record = json.loads((run / "run.json").read_text())
            training, validation = seconds_of(run, record["epochs"])
            jaccard = scores_of(run, "jaccard")
            for name, every in scores_of(run, "dice").items():
                dice, overlap = numbers(every), numbers(jaccard[name])
                value = records[run].get("batch_pooled_dice", {}).get("classes", {}).get(name)
                _row(
                    *(folder.name, run.name.removeprefix("seed_").replace("_", " ")),
                    *(f"{record['parameters']:,}", name),
                    *(with_interval([*scores.values()]) for scores in (dice, overlap)),
                    *(len(dice), f"{training:.0f} + {validation:.0f}"),
                    *([f"{value:.4f}" if value is not None else ""] if pooled else []),
                )
        if len(runs) > 1:
            groups, jaccard = groups_of(folder), by_seed(runs, "jaccard")
            for name, dice in by_seed(runs, "dice").items():
                dice = {seed: numbers(scores) for seed, scores in dice.items()}
                both = (map(numbers, scores.values()) for scores in (dice, jaccard[name]))
                means = [_written(*over_seeds_and_groups([*scores], groups)) for scores in both]
                n = _counted({case for scores in dice.values() for case in scores}, groups)
                _row(folder.name, "all", "", name, *means, n, *[""] * (1 + pooled))
    first, *others = (
        (folder, by_seed([*folder.glob("seed_*")], "dice")) for folder in options.runs
    )
    for folder, scores in others:
        for name in scores:
            gains, groups = ahead_of(first[1][name], scores[name]), groups_of(folder)
            if any(gains):
                n = _counted({case for gain in gains for case in gain}, groups)
                gain = _written(*over_seeds_and_groups(gains, groups), sign="+")
                print(f"\n{folder.name} less {first[0].name}, {name}: {gain}, n = {n}")


def _counted(cases: Collection[str], groups: Mapping[str, str]) -> str:
    number = len({groups.get(case, case) for case in cases})
    return f"{len(cases)}" + ("" if number == len(cases) else f" of {number} groups")


def _written(mean: float, bounds: Sequence[float] | None, sign: str = "") -> str:
    interval = f" ({bounds[0]:{sign}.4f} to {bounds[1]:{sign}.4f})" if bounds else ""
    return f"{mean:{sign}.4f}{interval}"


def _row(*cells: object, space: str = " ") -> None:
    print(f"|{space}" + f"{space}|{space}".join(map(str, cells)) + f"{space}|")


if __name__ == "__main__":
    main()
