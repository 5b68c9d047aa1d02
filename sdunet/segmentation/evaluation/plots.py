"""Plots about scores, as PNG."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from data_prep.files.png import figure_to_png
from sdunet.segmentation.metrics.calibration import Calibration

_MOST = 24  # panels that can still be read, and are drawn within seconds
_INK, _SOFT, _ALARM = "#2b6cb0", "#a9c3dd", "#d7301f"


def dice_by_case(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Draw the Dice of every case, sorted, one panel a class; missed and missing ones in red."""
    return _panels(rows, _dice)


def volume_agreement(rows: Sequence[Mapping[str, Any]], unit: str) -> bytes:
    """Draw predicted minus reference volume over their mean, with the limits of agreement.

    Reference:
        Bland and Altman, Statistical methods for assessing agreement, 1986.
    """
    return _panels(rows, lambda axes, mine: _agreement(axes, mine, unit))


def found_by_size(sizes: Mapping[str, Sequence[Mapping[str, Any]]], unit: str) -> bytes:
    """Draw the share of reference objects found, by groups of their size, one panel a class."""
    shares_of = {
        name: sum(group["found"] for group in groups) / sum(group["objects"] for group in groups)
        for name, groups in sizes.items()
        if groups
    }
    names = _worst(list(sizes), shares_of)
    figure, panels = _figure(names, len(sizes))
    for axes, groups in zip(panels, (sizes[name] for name in names), strict=True):
        shares = [group["found"] / group["objects"] for group in groups]
        axes.bar(range(len(groups)), shares, color=_SOFT, edgecolor=_INK)
        for place, group in enumerate(groups):
            count = f"{group['found']} of {group['objects']}"
            axes.text(place, 0.03, count, ha="center", fontsize=8, rotation=90)
        ends = [f"{_short(group['from'])}\nto {_short(group['to'])}" for group in groups]
        axes.set_xticks(range(len(groups)), ends, fontsize=8)
        axes.set(ylim=(0, 1.02), xlabel=f"size of the object, {unit}", ylabel="share found")
    return _plain(figure)


def calibration(curves: Mapping[str, Calibration]) -> bytes:
    """Draw frequency over probability, and how many voxels stand behind each point."""
    errors = {name: -(sums.compute() or 0.0) for name, sums in curves.items()}
    names = _worst(list(curves), errors, 8)
    figure = Figure((4.2 * len(names), 4.6), layout="constrained")
    _say_which(figure, names, len(curves))
    panels = figure.subplots(2, len(names), squeeze=False, height_ratios=(3, 1), sharex="col")
    for (above, below), name in zip(panels.T, names, strict=True):
        sums = curves[name]
        probabilities, share, cells = sums.curve
        above.plot((0, 1), (0, 1), color=_SOFT, linewidth=1)
        above.plot(probabilities, share, "o-", color=_INK, markersize=4)
        above.set_title(f"{name}   ECE {sums.compute():.4f}", fontsize=10, parse_math=False)
        above.set(ylabel="share that is of the class", xlim=(0, 1), ylim=(0, 1))
        below.bar(probabilities, cells, width=0.05, color=_SOFT, edgecolor=_INK)
        below.set(yscale="log", xlabel="probability", ylabel="voxels")
    return _plain(figure)


def paired_differences(tables: Mapping[str, Sequence[float]], label: str) -> bytes:
    """Draw the difference of two models on every case, one panel a pair of models and class."""
    names = _worst(list(tables), {n: -abs(float(np.mean(d))) for n, d in tables.items() if len(d)})
    figure, panels = _figure(names, len(tables))
    for axes, differences in zip(panels, (tables[name] for name in names), strict=True):
        ordered = np.sort(differences)
        colours = [_INK if value >= 0 else _ALARM for value in ordered]
        axes.bar(range(1, len(ordered) + 1), ordered, color=colours, width=1)
        axes.axhline(0, color="black", linewidth=0.6)
        _mean_line(axes, ordered)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.set(xlabel="case, sorted", ylabel=f"difference of {label}")
    return _plain(figure)


def _short(value: float) -> str:
    """Write a number with three digits or, if it has more before the point, as a whole one."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _panels(rows: Sequence[Mapping[str, Any]], draw: Any) -> bytes:
    by_class: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        by_class[row["class"]].append(row)
    dice = {name: [r["dice"] for r in of if r["dice"] is not None] for name, of in by_class.items()}
    names = _worst([*by_class], {name: float(np.mean(all_)) for name, all_ in dice.items() if all_})
    figure, panels = _figure(names, len(by_class))
    for axes, name in zip(panels, names, strict=True):
        draw(axes, by_class[name])
    return _plain(figure)


def _worst(names: Sequence[str], worth: Mapping[str, float], most: int = _MOST) -> list[str]:
    """Return the names, in their order; of more than can be shown, those of least worth."""
    ranked = sorted(names, key=lambda name: worth.get(name, np.inf))
    chosen = set(ranked[:most])
    return [name for name in names if name in chosen]


def _say_which(figure: Figure, names: Sequence[str], of: int) -> None:
    if len(names) < of:
        figure.suptitle(f"the {len(names)} worst of {of}; the tables have all", fontsize=10)


def _figure(names: Sequence[str], of: int) -> tuple[Figure, list[Axes]]:
    """Return a figure of a panel for each name, of as many as there are."""
    columns = min(3, len(names))
    lines = -(-len(names) // columns)
    figure = Figure((4.4 * columns, 3.6 * lines), layout="constrained")
    _say_which(figure, names, of)
    panels = list(figure.subplots(lines, columns, squeeze=False).flat)
    for axes in panels[len(names) :]:
        axes.set_axis_off()
    for axes, name in zip(panels, names, strict=False):
        axes.set_title(name, fontsize=10, parse_math=False)
    return figure, panels[: len(names)]


def _dice(axes: Axes, rows: Sequence[Mapping[str, Any]]) -> None:
    scored = sorted((r for r in rows if r["dice"] is not None), key=lambda r: r["dice"])
    colours = [_ALARM if row["outcome"] != "scored" else _INK for row in scored]
    values = [row["dice"] for row in scored]
    axes.scatter(range(1, len(scored) + 1), values, c=colours, s=12)
    if values:
        _mean_line(axes, values)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_xlim(0.5, max(len(scored), 1) + 0.5)
    axes.set(ylim=(-0.02, 1.02), xlabel=f"case, sorted (n = {len(scored)})", ylabel="Dice")


def _mean_line(axes: Axes, values: Sequence[float] | np.ndarray) -> None:
    mean = float(np.mean(values))
    axes.axhline(mean, color=_INK, linestyle="--", linewidth=1, label=f"mean {mean:.3g}")
    axes.legend(frameon=False, fontsize=8)


def _agreement(axes: Axes, rows: Sequence[Mapping[str, Any]], unit: str) -> None:
    present = [row for row in rows if row["outcome"] not in ("true negative", "missing")]
    there = np.array([row["volume_reference"] for row in present])
    found = np.array([row["volume_prediction"] for row in present])
    difference = found - there
    axes.scatter((there + found) / 2, difference, color=_INK, s=12)
    axes.axhline(0, color="black", linewidth=0.6)
    if len(present) > 1:
        middle, spread = difference.mean(), 1.96 * difference.std(ddof=1)
        for level, style in ((middle - spread, ":"), (middle, "--"), (middle + spread, ":")):
            axes.axhline(float(level), color=_INK, linestyle=style, linewidth=1)
    difference_of = f"predicted - reference, {unit}\n(mean ± 1.96 SD)"
    axes.set(xlabel=f"mean volume, {unit}", ylabel=difference_of)


def _plain(figure: Figure) -> bytes:
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
    return figure_to_png(figure)
