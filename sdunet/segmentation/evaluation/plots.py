"""Plots about scores, as PNG."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from data_prep.files.png import figure_to_png
from sdunet.segmentation.metrics.calibration import Calibration

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
    figure, panels = _figure(list(sizes))
    for axes, groups in zip(panels, sizes.values(), strict=True):
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
    figure = Figure((4.2 * len(curves), 4.6), layout="constrained")
    panels = figure.subplots(2, len(curves), squeeze=False, height_ratios=(3, 1), sharex="col")
    for (above, below), (name, sums) in zip(panels.T, curves.items(), strict=True):
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
    figure, panels = _figure(list(tables))
    for axes, differences in zip(panels, tables.values(), strict=True):
        ordered = np.sort(differences)
        colours = [_INK if value >= 0 else _ALARM for value in ordered]
        axes.bar(range(len(ordered)), ordered, color=colours, width=1)
        axes.axhline(0, color="black", linewidth=0.6)
        axes.axhline(float(np.mean(ordered)), color=_INK, linestyle="--", linewidth=1)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set(xlabel="case, sorted", ylabel=f"difference of {label}")
    return _plain(figure)


def _short(value: float) -> str:
    """Write a number with three digits or, if it has more before the point, as a whole one."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _panels(rows: Sequence[Mapping[str, Any]], draw: Any) -> bytes:
    names = list(dict.fromkeys(row["class"] for row in rows))
    figure, panels = _figure(names)
    for axes, name in zip(panels, names, strict=True):
        draw(axes, [row for row in rows if row["class"] == name])
    return _plain(figure)


def _figure(names: Sequence[str]) -> tuple[Figure, list[Axes]]:
    columns = min(3, len(names))
    lines = -(-len(names) // columns)
    figure = Figure((4.4 * columns, 3.6 * lines), layout="constrained")
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
    axes.scatter(range(len(scored)), values, c=colours, s=12)
    if values:
        axes.axhline(float(np.mean(values)), color=_INK, linestyle="--", linewidth=1)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(ylim=(-0.02, 1.02), xlabel=f"{len(scored)} cases, sorted", ylabel="Dice")


def _agreement(axes: Axes, rows: Sequence[Mapping[str, Any]], unit: str) -> None:
    present = [row for row in rows if row["outcome"] not in ("true negative", "missing")]
    there = np.array([row["volume_reference"] for row in present])
    found = np.array([row["volume_prediction"] for row in present])
    difference = found - there
    axes.scatter((there + found) / 2, difference, color=_INK, s=12)
    axes.axhline(0, color="black", linewidth=0.6)
    if len(present) > 1:
        middle, spread = difference.mean(), 1.96 * difference.std(ddof=1)
        for level in (middle - spread, middle, middle + spread):
            axes.axhline(float(level), color=_INK, linestyle="--", linewidth=1)
    axes.set(xlabel=f"mean volume, {unit}", ylabel=f"predicted - reference, {unit}")


def _plain(figure: Figure) -> bytes:
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
    return figure_to_png(figure)
