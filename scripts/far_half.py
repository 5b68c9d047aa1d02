"""How much of the far half of marked parts is found, of sets that `sdunet convert --seeded` made.

Far are the pixels of the target whose way from the point, inside of the target, is longer than
the median of all its pixels; steps go to eight neighbours, across corners by the root of two. What
marks everything finds all of it: so the Dice stands beside. Each argument after the set is a folder
with one run a seed, `NAME/seed_S`, and its predictions in `NAME/seed_S/predictions` (sdunet
predict). Intervals are those of a bootstrap over seeds and images; of one seed, over images.

python scripts/far_half.py OUT/seeded OUT/unet OUT/sdunet
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from skimage.graph import MCP_Geometric
from table_segmentation import over_seeds_and_groups

from data_prep import read_scan
from data_prep.files.file_tree import open_tree
from data_prep.formats.registry import read_label
from data_prep.layouts import find_layout

SCORES = ("far half found", "near half found", "Dice")


def far_half(target: np.ndarray, point: tuple[int, int]) -> np.ndarray:
    """Return the pixels of a target `(H, W)` farther from a point of it than the median of all.

    Raises:
        ValueError: if it does not hold the point, or does not hang together.
    """
    ways = MCP_Geometric(np.where(target, 1.0, np.inf)).find_costs([point])[0]
    if not target[point] or not np.isfinite(ways[target]).all():
        raise ValueError(f"the target is not one part that holds {point}")
    ways = np.round(ways, 6)  # equal ways whose steps are added in another order stay equal
    return target & (ways > np.median(ways[target]))


def scores_of(
    prediction: np.ndarray, target: np.ndarray, point: tuple[int, int]
) -> tuple[float, ...]:
    """Return `SCORES` of a prediction; all are `(H, W)`, and a half without pixels is NaN."""
    far = far_half(target, point)
    halves = [prediction[half].mean() if half.any() else np.nan for half in (far, target & ~far)]
    return (*halves, 2 * (prediction & target).sum() / (prediction.sum() + target.sum()))


def main() -> None:
    """Print a row a network."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("seeded", type=Path, help="the set that was converted")
    parser.add_argument("runs", type=Path, nargs="+")
    options = parser.parse_args()
    tree = open_tree(options.seeded)
    cases = {case.id: case for case in find_layout(tree).cases}
    images = json.loads((options.seeded / "seeds.json").read_text())["images"]
    points = {id_: tuple(place) for one in images.values() for id_, place in one["points"].items()}

    groups = {id_: case.group or id_ for id_, case in cases.items()}

    def of_run(run: Path) -> dict[str, tuple[float, ...]]:
        found = {}
        for path in sorted((run / "predictions").glob("*.png")):
            target = read_label(tree, cases[path.stem].labels[0]).array[0] > 0
            marked = read_scan(path).array[0] > 0
            found[path.stem] = scores_of(marked, target, points[path.stem])
        return found

    print("| network | seeds |", *(f"{score} (95 %) |" for score in SCORES), "images |")
    print("|---|---|" + "---|" * len(SCORES) + "---|")
    for folder in options.runs:
        seeds = [of_run(run) for run in sorted(folder.glob("seed_*"))]
        number = len({groups[id_] for seed in seeds for id_ in seed})
        written = [_written([_one(seed, i) for seed in seeds], groups) for i in range(len(SCORES))]
        print("|", " | ".join([folder.name, str(len(seeds)), *written, str(number)]), "|")


def _one(scores: Mapping[str, Sequence[float]], number: int) -> dict[str, float]:
    return {id_: s[number] for id_, s in scores.items() if not np.isnan(s[number])}


def _written(seeds: list[dict[str, float]], groups: Mapping[str, str]) -> str:
    # One seed twice: then only images are drawn.
    mean, bounds = over_seeds_and_groups(seeds if len(seeds) > 1 else seeds * 2, groups)
    return f"{mean:.3f}" + (f" ({bounds[0]:.3f} to {bounds[1]:.3f})" if bounds else "")


if __name__ == "__main__":
    main()
