"""A case as it is looked at: image, reference and prediction side by side, and what is wrong."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from matplotlib.colors import to_rgb

from data_prep.core.config import Rules
from data_prep.core.errors import DataError
from data_prep.core.findings import Findings
from data_prep.core.memory_limits import memory_within
from data_prep.core.scan import Scan, spacing_of
from data_prep.files.file_tree import Tree, recorded
from data_prep.layouts import Case, find_layout
from data_prep.layouts.nnunet import joined_channels
from data_prep.prepared.rendering import plane_of, to_colours, turned, window_of
from data_prep.preprocessing.grid import fit_image
from data_prep.reading.image import read_case_image
from sdunet.segmentation.evaluation.pair import Pair
from sdunet.segmentation.evaluation.pairing import ask_other_image
from sdunet.segmentation.review.error_map import (
    COLOURS,
    CORRECT,
    KINDS,
    Palette,
    Wrong,
    wrong_pieces,
)
from sdunet.segmentation.review.error_map import error_map as find_errors

MOST_WRONG = 200
AXIAL = 2
_STRENGTH = {code: 0.45 if code == CORRECT else 0.8 for code in KINDS}


def find_images(tree: Tree, references: Iterable[Case]) -> dict[str, Case]:
    """Return the images of cases by id: as they are called, else without nnU-Net's `_0000`.

    Raises:
        DataError: as `find_layout`.
    """
    layout = find_layout(tree, need_labels=False)
    found = {case.id: case for case in layout.cases}
    if found.keys() & {case.id for case in references}:
        return found
    return {case.id: case for case in joined_channels(layout).cases}


@dataclass(frozen=True)
class View:
    """A case on axes that run to right, anterior and superior; of pictures, as they are.

    Attributes:
        id: of the case.
        image: `(C, ...)`.
        reference: class numbers, `(H, W)` or `(X, Y, Z)`.
        prediction: the same; background where there is none.
        affine: of these axes; `None` for pictures.
        missing: whether there is no prediction.
        wrong: the largest wrong components, and how many there are.
    """

    id: str
    image: np.ndarray
    reference: np.ndarray
    prediction: np.ndarray
    affine: np.ndarray | None
    missing: bool
    wrong: tuple[list[Wrong], int]

    @cached_property
    def errors(self) -> np.ndarray:
        """Codes of the error map, see `error_map`."""
        return find_errors(self.prediction, self.reference)

    @cached_property
    def window(self) -> tuple[float, float]:
        """Intensities that are shown black and white."""
        return window_of(self.image)

    @property
    def counts(self) -> dict[int, int]:
        """Voxels of each kind."""
        return dict(enumerate(np.bincount(self.errors.ravel(), minlength=5)[1:].tolist(), start=1))

    @property
    def slices(self) -> int:
        """Axial slices; 1 for pictures."""
        return 1 if self.affine is None else self.reference.shape[AXIAL]

    @cached_property
    def worst(self) -> tuple[int, ...]:
        """A voxel of the largest error; without one, of the foreground, or the middle."""
        if self.wrong[0]:
            return self.wrong[0][0].middle
        there = np.argwhere(self.errors)
        if not len(there):
            return tuple(n // 2 for n in self.reference.shape)
        return tuple(there[((there - there.mean(0)) ** 2).sum(1).argmin()].tolist())

    def worst_slices(self, most: int) -> list[int]:
        """Return the axial slices with most wrong voxels, those first."""
        wrong = (self.errors > CORRECT).sum((0, 1))
        return [int(z) for z in np.argsort(-wrong, kind="stable")[:most] if wrong[z]]

    def cut(self, array: np.ndarray, axis: int, index: int) -> np.ndarray:
        """Return a plane of an array like the image or the reference; of pictures, the array."""
        return array if self.affine is None else plane_of(array, axis, index)

    def picture(self, axis: int = AXIAL, index: int = 0, step: int = 1) -> np.ndarray:
        """Return every so many voxels of a plane of the image, `(H, W, 3)` in 0..1."""
        return to_colours(self.cut(self.image, axis, index)[..., ::step, ::step], self.window)

    def aspect(self, axis: int = AXIAL) -> float:
        """Return the height of a voxel over its width in a plane."""
        if self.affine is None:
            return 1.0
        across, up = (s for i, s in enumerate(spacing_of(self.affine)) if i != axis)
        return up / across

    def width(self, axis: int = AXIAL) -> float | None:
        """Return the width of a voxel in a plane in millimetres; `None` for pictures."""
        if self.affine is None:
            return None
        return next(s for i, s in enumerate(spacing_of(self.affine)) if i != axis)

    def row_and_column(self, cell: tuple[int, ...]) -> tuple[int, int, int]:
        """Return the axial slice of a voxel, and where in that slice it is seen."""
        if self.affine is None:
            return 0, cell[0], cell[1]
        x, y, z = cell
        columns, rows, _ = self.reference.shape
        return z, rows - 1 - y, columns - 1 - x


def open_view(
    pair: Pair, tree: Tree, case: Case | None, rules: Rules
) -> tuple[View, DataError | None]:
    """Read the image of a pair, and return the view with what is wrong with its probabilities.

    Probabilities that cannot be used are left out of the view.

    Raises:
        DataError: PAIR_NO_IMAGE; PAIR_OTHER_IMAGE if it is not the one that was predicted; or if
            the image cannot be read or lies on another grid; IO_MEMORY.
    """
    if case is None:
        raise DataError("PAIR_NO_IMAGE", "no image", "check the folder of images")
    with memory_within(pair.memory):
        reading, now = recorded(tree)
        scan = read_case_image(reading, case, Findings(rules.accept))
        if pair.source and pair.source != frozenset(now.values()):
            ask_other_image(Findings(rules.accept))
        scan = fit_image(pair.reference, scan, Findings(rules.accept), "image", "reference")
        return _view(pair, scan)


def _view(pair: Pair, scan: Scan) -> tuple[View, DataError | None]:

    def seen(array: np.ndarray) -> np.ndarray:
        return array if scan.affine is None else turned(array, scan.affine)[0]

    reference = seen(pair.reference.array)[0]
    there = pair.prediction
    prediction = np.zeros_like(reference) if there is None else seen(there)[0]

    def wrong(chance: Callable[[int], np.ndarray] | None) -> tuple[list[Wrong], int]:
        of_class = None if chance is None else lambda number: seen(chance(number))[0]
        return wrong_pieces(prediction, reference, MOST_WRONG, of_class)

    problem = None
    try:
        found = wrong(pair.probabilities and pair.probabilities.of_class)
    except DataError as error:
        problem, found = error, wrong(None)
    affine = None if scan.affine is None else turned(scan.array, scan.affine)[1]
    view = View(pair.id, seen(scan.array), reference, prediction, affine, there is None, found)
    return view, problem


def coloured(picture: np.ndarray, errors: np.ndarray, palette: Palette) -> np.ndarray:
    """Lay the colours of an error map `(H, W)` over a picture `(H, W, 3)`."""
    # Grey below the colours: on a stained section green over blue would read as a miss.
    result = np.repeat(picture.mean(-1, keepdims=True), 3, axis=-1)
    for code, colour in COLOURS[palette].items():
        cells, strength = errors == code, _STRENGTH[code]
        result[cells] = (1 - strength) * result[cells] + strength * np.array(to_rgb(colour))
    return result
