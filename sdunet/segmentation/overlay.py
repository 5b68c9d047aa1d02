"""Draw where a prediction is right and wrong on its image, and the worst cases first."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from data_prep.checks import check_same_grid
from data_prep.config import DataConfig
from data_prep.display import axial_slice, to_colours
from data_prep.errors import DataError
from data_prep.findings import Findings
from data_prep.images import read_case_image
from data_prep.layouts import find_layout
from data_prep.preprocess import grid_of, to_grid
from data_prep.progress import Progress, silent
from data_prep.scan import Scan, spacing_of
from data_prep.tree import check_output, open_tree
from data_prep.writer import write_bytes
from sdunet.runs.figures import to_png
from sdunet.segmentation.evaluate import count
from sdunet.segmentation.pairs import Pair, open_pairs

# Codes of the error map, their colours and how strongly they cover the image.
CORRECT, FALSE_POSITIVE, FALSE_NEGATIVE, WRONG_CLASS = 1, 2, 3, 4
_COLOURS = {
    CORRECT: ("correct", "#2ca25f", 0.45),
    FALSE_POSITIVE: ("false positive", "#d7301f", 0.8),
    FALSE_NEGATIVE: ("false negative", "#2171b5", 0.8),
    WRONG_CLASS: ("wrong class", "#cc79a7", 0.8),
}
_SHEET_COLUMNS, _SHEET_CASES = 6, 48
_LEGEND_INCHES = 7.5
_SHEET_INCHES = 4.5  # a legend of two columns, with its title


@dataclass(frozen=True)
class _Tile:
    """What the contact sheet keeps of a case."""

    id: str
    dice: float | None
    picture: np.ndarray
    aspect: float


def error_map(prediction: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Return at each cell 0 for background in both, else one of the codes 1 to 4.

    1 correct, 2 false positive, 3 false negative, 4 foreground of the wrong class.
    """
    found, there = prediction != 0, reference != 0
    result = np.zeros(reference.shape, np.uint8)
    result[found & there] = WRONG_CLASS
    result[found & (prediction == reference)] = CORRECT
    result[found & ~there] = FALSE_POSITIVE
    result[~found & there] = FALSE_NEGATIVE
    return result


def overlay(
    images: str | Path,
    references: str | Path,
    predictions: str | Path,
    out: str | Path,
    only: set[str] | None = None,
    config: DataConfig | None = None,
    progress: Progress = silent,
) -> tuple[Path, list[DataError]]:
    """Draw `cases/ID.png` for each case and `contact_sheet.png`, worst case first.

    Correct cells are green, false positives red, false negatives blue. Volumes show the slice
    with most errors.

    Args:
        images: raw dataset or folder of images, with the ids of the references.
        references: raw dataset in a known layout.
        predictions: folder of label files named like the cases.
        out: folder for the pictures.
        only: ids of the cases to draw. Default: all.
        config: classes and label map. Default: those recorded with the predictions.
        progress: wraps the loop over cases, given a title.

    Returns:
        The contact sheet, and one error for each case that could not be drawn as it should.

    Raises:
        DataError: if no case can be drawn.
    """
    pairs = open_pairs(predictions, references, only, config)
    tree = open_tree(images)
    check_output(out, tree, images)
    check_output(out, open_tree(references), references)
    cases = {case.id: case for case in find_layout(tree, need_labels=False).cases}
    out, problems, tiles = Path(out), [], []
    for pair in progress(pairs, "drawing"):
        if pair.problem:
            problems.append(pair.problem)
        try:
            if pair.id not in cases:
                raise DataError("PAIR_NO_IMAGE", "no image", "check the folder of images")
            scan = read_case_image(tree, cases[pair.id], Findings(pairs.rules.accept))
            check_same_grid(scan, pair.reference, "reference")
        except DataError as error:
            problems.append(error.at(case=pair.id))
            continue
        png, tile = _draw(pair, scan, pairs.num_classes)
        write_bytes(out / "cases" / f"{pair.id}.png", png)
        tiles.append(tile)
    if not tiles:
        first = [*problems, *pairs.problems][0]
        raise DataError("OVERLAY_NONE", f"no case could be drawn, the first: {first}", "see it")
    sheet = out / "contact_sheet.png"
    write_bytes(
        sheet, _contact_sheet(sorted(tiles, key=lambda tile: 2 if tile.dice is None else tile.dice))
    )
    return sheet, [*pairs.problems, *problems]


def _draw(pair: Pair, scan: Scan, num_classes: int) -> tuple[bytes, _Tile]:
    reference = pair.reference.array[0]
    prediction = np.zeros_like(reference) if pair.prediction is None else pair.prediction[0]
    errors = error_map(prediction, reference)
    counts = {code: int((errors == code).sum()) for code in _COLOURS}
    scores = [o.dice for o in count(pair, num_classes) if o.dice is not None]
    dice = float(np.mean(scores)) if scores else None
    image, plane, where, aspect = _plane(scan, errors)
    picture = _coloured(image, plane)

    height, width = plane.shape
    scale = 5 / max(width, height * aspect)  # inches a cell
    figure = Figure(
        (max(2 * width * scale + 0.3, _LEGEND_INCHES), height * aspect * scale + 1.1),
        layout="constrained",
    )
    left, right = figure.subplots(1, 2)
    for axes, pixels, title in ((left, image, "image"), (right, picture, "errors")):
        axes.imshow(pixels, aspect=aspect, interpolation="nearest")
        axes.set_title(title, fontsize=9)
        axes.set_axis_off()
    state = "no prediction, counted as missed" if pair.prediction is None else _score(dice)
    # Dollar signs in names would be read as formulas.
    figure.suptitle(f"{pair.id}{where}   {state}", fontsize=10, parse_math=False)
    shown = [code for code in _COLOURS if counts[code] or code != WRONG_CLASS]
    legend = [
        Patch(color=_COLOURS[code][1], label=f"{_COLOURS[code][0]} {counts[code]}")
        for code in shown
    ]
    unit = "voxels of the volume" if reference.ndim == 3 else "pixels"
    figure.legend(
        handles=legend,
        loc="outside lower center",
        ncols=4,
        frameon=False,
        fontsize=9,
        title=unit,
        title_fontsize=8,
    )
    return to_png(figure), _Tile(pair.id, dice, picture, aspect)


def _plane(scan: Scan, errors: np.ndarray) -> tuple[np.ndarray, np.ndarray, str, float]:
    """Return image `(H, W, 3)` in 0..1, error map `(H, W)`, where it is, and pixel aspect."""
    if errors.ndim == 2:
        return to_colours(scan.array), errors, "", 1.0
    grid = grid_of(scan, None)
    turned = to_grid(scan.array, grid)
    errors = to_grid(errors[None], grid, label=True)[0]
    wrong = (errors > CORRECT).sum((0, 1))
    # Without an error, the slice with most of what is correct.
    z = int((wrong if wrong.any() else errors.astype(bool).sum((0, 1))).argmax())
    spacing = spacing_of(grid.affine)
    where = f"   axial slice {z}, patient's right on the left"
    aspect = spacing[1] / spacing[0]
    return to_colours(axial_slice(turned, z)), axial_slice(errors, z), where, aspect


def _score(dice: float | None) -> str:
    return "true negative" if dice is None else f"Dice {dice:.4f}"


def _coloured(image: np.ndarray, errors: np.ndarray) -> np.ndarray:
    # Grey below the colours: on a stained section green over blue would read as a miss.
    picture = np.repeat(image.mean(-1, keepdims=True), 3, axis=-1)
    for code, (_, colour, strength) in _COLOURS.items():
        cells = errors == code
        picture[cells] = (1 - strength) * picture[cells] + strength * np.array(to_rgb(colour))
    return picture


def _contact_sheet(tiles: list[_Tile]) -> bytes:
    shown = tiles[:_SHEET_CASES]
    columns = min(_SHEET_COLUMNS, len(shown))
    rows = -(-len(shown) // columns)
    width = max(2.4 * columns, _SHEET_INCHES)
    figure = Figure((width, 2.6 * rows + 0.6), layout="constrained")
    for axes in (grid := figure.subplots(rows, columns, squeeze=False)).flat:
        axes.set_axis_off()
    for axes, tile in zip(grid.flat, shown, strict=False):
        axes.imshow(tile.picture, aspect=tile.aspect, interpolation="nearest")
        name = tile.id if len(tile.id) <= 20 else f"{tile.id[:8]}…{tile.id[-8:]}"
        axes.set_title(f"{name}\n{_score(tile.dice)}", fontsize=8, parse_math=False)
    legend = [Patch(color=colour, label=name) for name, colour, _ in _COLOURS.values()]
    figure.legend(
        handles=legend,
        loc="outside upper center",
        ncols=2,
        frameon=False,
        title=f"worst {len(shown)} of {len(tiles)} cases, worst first",
    )
    return to_png(figure)
