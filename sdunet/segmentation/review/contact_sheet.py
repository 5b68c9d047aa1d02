"""The errors of many cases on one picture, a tile each."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from data_prep.files.png import figure_to_png
from sdunet.segmentation.review.case_figure import said, step_of
from sdunet.segmentation.review.case_view import AXIAL, View, coloured
from sdunet.segmentation.review.error_map import COLOURS, KINDS, Palette

_TILE_CELLS = 300
_SHEET_COLUMNS, _SHEET_CASES = 6, 48


class ContactSheet:
    """Small pictures of cases, kept until all are known, then drawn worst first."""

    def __init__(self, palette: Palette) -> None:
        self.palette = palette
        self.tiles: list[tuple[float, str, str, np.ndarray, float]] = []
        self.seen = 0

    def add(self, view: View, dice: float | None) -> None:
        """Keep the errors of a case, of a volume those of its worst slice."""
        z = 0
        if view.affine is not None:
            z = next(iter(view.worst_slices(1)), view.worst[AXIAL])
        step = step_of(view, AXIAL, _TILE_CELLS)
        errors = view.cut(view.errors, AXIAL, z)[::step, ::step]
        picture = coloured(view.picture(AXIAL, z, step), errors, self.palette) * 255
        picture = picture.astype(np.uint8)
        score = said(dice)
        order = 2.0 if dice is None else dice
        self.tiles.append((order, view.id, score, picture, view.aspect()))
        # Only the worst are drawn; of thousands of cases the others would fill the memory.
        self.tiles.sort(key=lambda tile: tile[:2])
        self.seen += 1
        del self.tiles[_SHEET_CASES:]

    def draw(self) -> bytes:
        """Return the sheet as PNG."""
        columns = min(_SHEET_COLUMNS, len(self.tiles))
        rows = -(-len(self.tiles) // columns)
        figure = Figure((max(2.4 * columns, 4.5), 2.6 * rows + 0.6), layout="constrained")
        for axes in (grid := figure.subplots(rows, columns, squeeze=False)).flat:
            axes.set_axis_off()
        for axes, (_, id_, score, picture, aspect) in zip(grid.flat, self.tiles, strict=False):
            axes.imshow(picture, aspect=aspect, interpolation="nearest")
            name = id_ if len(id_) <= 20 else f"{id_[:8]}…{id_[-8:]}"
            axes.set_title(f"{name}\n{score}", fontsize=8, parse_math=False)
        kinds = COLOURS[self.palette].items()
        figure.legend(
            handles=[Patch(color=colour, label=KINDS[code]) for code, colour in kinds],
            loc="outside upper center",
            ncols=2,
            frameon=False,
            title=f"worst {len(self.tiles)} of {self.seen} cases, worst first",
        )
        return figure_to_png(figure)
