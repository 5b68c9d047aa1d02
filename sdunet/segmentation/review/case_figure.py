"""Pictures of one case: image, reference, prediction and errors beside each other."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from data_prep.files.png import figure_to_png
from data_prep.prepared.rendering import class_colour
from sdunet.segmentation.review.case_view import AXIAL, View, coloured
from sdunet.segmentation.review.error_map import COLOURS, KINDS, WRONG_CLASS, Palette

_COLUMNS = ("image", "reference", "prediction", "errors")
_PLANES = {AXIAL: "axial", 1: "coronal", 0: "sagittal"}
_SLICES = 4  # of the worst, one in each column
_SIDE = 2.4  # inches
_MOST_CELLS = 1200  # along a side; larger planes are drawn at every second voxel, third ...


def draw_case(view: View, title: str, names: Sequence[str], palette: Palette) -> bytes:
    """Draw a case as PNG; of a volume three planes through its worst error, and its worst slices.

    Args:
        view: of the case.
        title: stands above.
        names: of the classes, background first.
        palette: of the errors.
    """
    if view.affine is None:
        planes = [(AXIAL, 0)]
        others = []
    else:
        planes = [(axis, view.worst[axis]) for axis in _PLANES]
        others = [z for z in view.worst_slices(_SLICES + 1) if z != view.worst[AXIAL]][:_SLICES]
    heights = [_height(view, axis) for axis, _ in planes]
    heights += [heights[0]] * bool(others)
    figure = Figure((_SIDE * len(_COLUMNS), sum(heights) + 1.1), layout="constrained")
    grid = figure.subplots(len(heights), len(_COLUMNS), squeeze=False, height_ratios=heights)
    for axes in grid.flat:
        axes.set_axis_off()
    for line, (axis, index) in zip(grid, planes, strict=False):
        _draw_plane(line, view, axis, index, palette)
    for axes, z in zip(grid[-1], others, strict=False):
        picture = coloured(view.picture(AXIAL, z), view.cut(view.errors, AXIAL, z), palette)
        axes.imshow(picture, aspect=view.aspect(), interpolation="nearest")
        axes.set_title(f"errors, axial {z}", fontsize=8)
    # Dollar signs in names would be read as formulas.
    figure.suptitle(title, fontsize=10, parse_math=False)
    figure.legend(
        handles=_legend(view, names, palette),
        loc="outside lower center",
        ncols=4,
        frameon=False,
        fontsize=8,
        title="pixels" if view.affine is None else "voxels of the volume; right is on the left",
        title_fontsize=8,
    )
    return figure_to_png(figure)


def _height(view: View, axis: int) -> float:
    """Return the inches of a row, so that its planes fill the width unless they are very high."""
    height, width = view.cut(view.reference, axis, 0).shape
    return min(1.6 * _SIDE, max(0.8, _SIDE * height * view.aspect(axis) / width)) + 0.2


def _draw_plane(line: Sequence[Axes], view: View, axis: int, index: int, palette: Palette) -> None:
    step = step_of(view, axis, _MOST_CELLS)
    picture = view.picture(axis, index, step)
    labels = (view.reference, view.prediction, view.errors)
    *masks, codes = (view.cut(label, axis, index)[::step, ::step] for label in labels)
    errors = coloured(picture, codes, palette)
    where = "" if view.affine is None else f", {_PLANES[axis]} {index}"
    for axes, name, pixels in zip(line, _COLUMNS, (*[picture] * 3, errors), strict=True):
        axes.imshow(pixels, aspect=view.aspect(axis), interpolation="nearest")
        axes.set_title(name + where, fontsize=8)
    for axes, mask in zip(line[1:3], masks, strict=True):
        for number in np.unique(mask[mask > 0]):
            inside = np.pad(mask == number, 1)  # closes outlines at the image's edge
            places = [np.arange(-1, n + 1) for n in reversed(mask.shape)]
            axes.contour(*places, inside, [0.5], colors=[class_colour(number)], linewidths=0.9)
        axes.set(xlim=(-0.5, mask.shape[1] - 0.5), ylim=(mask.shape[0] - 0.5, -0.5))


def step_of(view: View, axis: int, most: int) -> int:
    """Return of how many voxels one is drawn, so that there are no more along a side."""
    return -(-max(view.cut(view.reference, axis, 0).shape) // most)


def _legend(view: View, names: Sequence[str], palette: Palette) -> list[Patch]:
    kinds = [
        Patch(color=COLOURS[palette][code], label=f"{KINDS[code]} {cells}")
        for code, cells in view.counts.items()
        if cells or code != WRONG_CLASS
    ]
    classes = [
        Patch(edgecolor=class_colour(number), facecolor="none", label=name)
        for number, name in enumerate(names)
        if number and ((view.reference == number).any() or (view.prediction == number).any())
    ]
    return kinds + classes


def said(dice: float | None) -> str:
    """Return a Dice in words."""
    return "true negative" if dice is None else f"Dice {dice:.4f}"
