"""Where a prediction is wrong, by voxel and by connected component, and in which colours.

Colours: green, red and blue are what most pictures of errors use; the others are those of Okabe and
Ito, told apart by colour-blind readers, too.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy import ndimage
from skimage.measure import label as number_pieces

from data_prep.core.memory_limits import check_bytes

CORRECT, FALSE_POSITIVE, FALSE_NEGATIVE, WRONG_CLASS = 1, 2, 3, 4
KINDS = {
    CORRECT: "correct",
    FALSE_POSITIVE: "false positive",
    FALSE_NEGATIVE: "false negative",
    WRONG_CLASS: "wrong class",
}
Palette = Literal["usual", "colour_blind"]
_COPIES = 32  # bytes that finding components takes a voxel, measured on noise
COLOURS: dict[Palette, dict[int, str]] = {
    "usual": {1: "#2ca25f", 2: "#d7301f", 3: "#2171b5", 4: "#cc79a7"},
    "colour_blind": {1: "#009e73", 2: "#d55e00", 3: "#0072b2", 4: "#f0e442"},
}


def error_map(prediction: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Return at each voxel 0 for background in both, else one of the codes 1 to 4.

    1 correct, 2 false positive, 3 false negative, 4 foreground of the wrong class.
    """
    found, there = prediction != 0, reference != 0
    result = np.zeros(reference.shape, np.uint8)
    result[found & there] = WRONG_CLASS
    result[found & (prediction == reference)] = CORRECT
    result[found & ~there] = FALSE_POSITIVE
    result[~found & there] = FALSE_NEGATIVE
    return result


@dataclass(frozen=True)
class Wrong:
    """A connected component of voxels that are wrong alike.

    Attributes:
        kind: code of the error map.
        predicted: class number predicted, 0 for background.
        reference: class number that is right.
        cells: how many.
        middle: the voxel of the component that is nearest to its centre of gravity.
        chance: mean probability of the predicted class, where it is foreground, else of the right
            one; `None` if unknown.
    """

    kind: int
    predicted: int
    reference: int
    cells: int
    middle: tuple[int, ...]
    chance: float | None


def wrong_pieces(
    prediction: np.ndarray,
    reference: np.ndarray,
    most: int,
    probabilities: Callable[[int], np.ndarray] | None = None,
) -> tuple[list[Wrong], int]:
    """Return the largest wrong components, largest first, and how many there are in all.

    Args:
        prediction: class numbers.
        reference: class numbers, the same shape.
        most: components to return at most.
        probabilities: returns the probability of a class, the same shape.

    Raises:
        DataError: IO_MEMORY, see `memory_within`; as `probabilities`.
    """
    (around,) = ndimage.find_objects(prediction != reference, 1)
    if around is None:
        return [], 0
    found, there = prediction[around], reference[around]
    check_bytes(found.size, _COPIES)
    classes = int(max(found.max(), there.max())) + 1
    mixed = np.where(found == there, 0, found.astype(np.uint32) * np.uint32(classes) + there)
    pieces = number_pieces(mixed, background=0, connectivity=mixed.ndim)
    sizes = np.bincount(pieces.ravel())[1:]
    boxes = ndimage.find_objects(pieces)
    result, insides = [], []
    for piece in np.argsort(-sizes, kind="stable")[:most]:
        box = tuple(
            slice(outer.start + s.start, outer.start + s.stop)
            for outer, s in zip(around, boxes[piece], strict=True)
        )
        inside = pieces[boxes[piece]] == piece + 1
        cells = np.argwhere(inside)
        nearest = cells[((cells - cells.mean(0)) ** 2).sum(1).argmin()]
        middle = tuple(int(s.start + n) for s, n in zip(box, nearest, strict=True))
        predicted, right = int(prediction[middle]), int(reference[middle])
        kind = FALSE_NEGATIVE if not predicted else (WRONG_CLASS if right else FALSE_POSITIVE)
        result.append(Wrong(kind, predicted, right, len(cells), middle, None))
        insides.append((box, inside))
    if probabilities is not None:
        # Class by class: together their probabilities may be larger than the memory.
        for number in {piece.predicted or piece.reference for piece in result}:
            known = probabilities(number)
            for i, (piece, (box, inside)) in enumerate(zip(result, insides, strict=True)):
                if (piece.predicted or piece.reference) == number:
                    result[i] = replace(piece, chance=float(known[box][inside].mean()))
    return result, len(sizes)


def itksnap_labels(palette: Palette) -> str:
    """Return the error map's names and colours as a label description file of ITK-SNAP."""
    head = [
        "################################################",
        "# ITK-SnAP Label Description File",
        "# File format:",
        "# IDX   -R-  -G-  -B-  -A--  VIS MSH  LABEL",
        "################################################",
        '    0     0    0    0        0  0  0    "Clear Label"',
    ]
    rows = [
        f'{code:5d} {red:5d} {green:4d} {blue:4d}        1  1  1    "{KINDS[code]}"'
        for code, (red, green, blue) in _bytes(palette).items()
    ]
    return "\n".join([*head, *rows, ""])


def slicer_colours(palette: Palette) -> str:
    """Return them as a colour table of 3D Slicer."""
    rows = [
        f"{code} {KINDS[code].replace(' ', '_')} {red} {green} {blue} 255"
        for code, (red, green, blue) in _bytes(palette).items()
    ]
    return "\n".join(["0 background 0 0 0 0", *rows, ""])


def _bytes(palette: Palette) -> dict[int, tuple[int, ...]]:
    return {code: tuple(bytes.fromhex(hex_[1:])) for code, hex_ in COLOURS[palette].items()}
