"""Markdown tables of what the runs of the study of curves reached."""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import mean

from curves import LONGEST

from sdunet.runtime.tables import markdown

WELL = 0.95  # Dice above which a curve counts as traced
STILL = 0.05  # change of the loss from tenth to tenth below which a run counts as converged
# Bounds of the marked curve's cells, in sides of the image, by the task; about the quartiles.
SIDES = {"images": (0, 0.5, 0.75, 1, LONGEST[2]), "volumes": (0, 0.9, 1.4, 2, LONGEST[3])}

# What can be marked without tracing a curve, by its name in the runs.
WITHOUT = {"every": "mark every curve", "near": "mark curves near the dot"}

Runs = list[dict]  # of one network at one rate, a run a seed


def tables(out: Path) -> str:
    """Return the tables of all runs in a folder, those of other settings apart.

    Raises:
        SystemExit: if there are none.
    """
    alike = defaultdict(list)
    for path in sorted(out.glob("*_seed_*.json")):
        run = json.loads(path.read_text(encoding="utf-8"))
        alike[run["task"], run["count"], run["steps"]].append(run)
    if not alike:
        raise SystemExit(f"no runs in {out}")
    parts = []
    for (task, count, steps), runs in alike.items():
        best = best_rates(runs)
        tests = [name for name in runs[0]["scores"] if name != "validation"]
        parts.append(f"{task}: {count:,} for training, {steps:,} steps\n")
        parts.append(_reached(best, runs, tests))
        parts += [_by_length(best, test, SIDES[task]) for test in tests]
    return "\n".join(parts)


def best_rates(runs: Runs) -> dict[str, Runs]:
    """Return the runs of each network at the rate of the highest mean Dice in validation."""
    rates = defaultdict(lambda: defaultdict(list))
    for run in runs:
        rates[run["network"]][run["rate"]].append(run)
    return {name: max(found.values(), key=_validated) for name, found in rates.items()}


def _validated(runs: Runs) -> float:
    return mean(mean(run["scores"]["validation"]["dice"]) for run in runs)


def _reached(best: dict[str, Runs], runs: Runs, tests: list[str]) -> str:
    head = ["network", "parameters", "rate", "seeds"]
    head += [f"{what} at {test}" for test in tests for what in ("Dice", f"above {WELL}")]
    head += ["last loss", "change", "converged", "ms a step", "s a run", "validation by rate"]
    lines = [[name, *_line(found, runs, tests)] for name, found in best.items()]
    for key, title in WITHOUT.items():
        scores = [runs[0]["scores"][test][key] for test in tests]
        cells = [f"{of(dice):.3f}" for dice in scores for of in (mean, _well)]
        line = [title, "", "", "", *cells]
        lines.append(line + [""] * (len(head) - len(line)))
    return markdown(head, lines)


def _line(found: Runs, runs: Runs, tests: list[str]) -> list[str]:
    cells = [f"{found[0]['parameters']:,}", f"{found[0]['rate']:g}", f"{len(found)}"]
    for test in tests:
        scores = [run["scores"][test]["dice"] for run in found]
        cells += [_spread(map(mean, scores)), _spread(map(_well, scores))]
    cells.append(_spread(run["losses"][-1] for run in found))
    cells += _settled(found)
    cells += [f"{mean(run[key] for run in found):.0f}" for key in ("ms_per_step", "seconds")]
    return [*cells, _by_rate(run for run in runs if run["network"] == found[0]["network"])]


def _well(scores: list[float]) -> float:
    return mean(score > WELL for score in scores)


def _spread(values: Iterable[float]) -> str:
    """Return the mean, and the range if there are several."""
    values = list(values)
    several = f" ({min(values):.3f}..{max(values):.3f})" if len(values) > 1 else ""
    return f"{mean(values):.3f}{several}"


def _settled(runs: Runs) -> list[str]:
    """Return how the loss changed from the tenth before the last, and whether all stood still."""
    if len(runs[0]["losses"]) < 2:
        return ["", ""]
    changes = [run["losses"][-1] / run["losses"][-2] - 1 for run in runs]
    still = all(abs(change) < STILL for change in changes)
    return [f"{100 * mean(changes):+.1f} %", "yes" if still else "no"]


def _by_rate(runs: Iterable[dict]) -> str:
    rates = defaultdict(list)
    for run in runs:
        rates[run["rate"]].append(run)
    return ", ".join(f"{rate:g}: {_validated(found):.3f}" for rate, found in sorted(rates.items()))


def _by_length(best: dict[str, Runs], test: str, sides: Sequence[float]) -> str:
    bounds = list(pairwise(share * int(test) for share in sides))
    lengths = next(iter(best.values()))[0]["scores"][test]["lengths"]
    bins = [[low < n <= high for n in lengths] for low, high in bounds]
    head = [f"Dice at {test} by cells of the curve"]
    head += [
        f"{low:.0f} to {high:.0f}, n = {sum(inside)}"
        for (low, high), inside in zip(bounds, bins, strict=True)
    ]
    rows = {name: [run["scores"][test]["dice"] for run in found] for name, found in best.items()}
    first = next(iter(best.values()))[0]["scores"][test]
    rows |= {title: [first[key]] for key, title in WITHOUT.items()}
    lines = [[name, *(_spread_in(one, inside) for inside in bins)] for name, one in rows.items()]
    return markdown(head, lines)


def _spread_in(scores: list[list[float]], inside: list[bool]) -> str:
    if not any(inside):
        return ""
    return _spread(mean(s for s, is_in in zip(one, inside, strict=True) if is_in) for one in scores)
