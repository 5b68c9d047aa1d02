"""Read one case, and say all that can be said of it."""

import hashlib
from dataclasses import dataclass

import numpy as np

from data_prep.checks import check_image
from data_prep.config import Rules
from data_prep.content import coarse_picture, look_at_image, look_at_label
from data_prep.errors import DataError
from data_prep.findings import Finding, Findings
from data_prep.hot import look_at_hot_values
from data_prep.images import read_case_image
from data_prep.labels import read_case_label
from data_prep.layouts import Case
from data_prep.preprocess import Grid, fit_label, grid_of
from data_prep.scan import Scan, fit_channels, spacing_of
from data_prep.slabs import class_counts, some_of
from data_prep.tree import Tree, recorded

_QUANTILES = 501


@dataclass(frozen=True)
class Facts:
    """What planning and comparing need to know of a case that can be used.

    Attributes:
        size: cells along each axis, in RAS+ order.
        spacing: millimetres along each axis, in RAS+ order; `None` for pictures.
        orientation: axes of the file, such as `LPS`; empty for pictures.
        source: files that were read, with the SHA-256 of their content.
        voxels: voxels of each class.
        median: median intensity of each channel.
        extent: 0.5 and 99.5 percentile of each channel.
        foreground: intensities of the foreground of each channel at even quantiles, `(C, n)`;
            empty without foreground.
        pixels_sha256: of the values alone, whatever the file.
        coarse: see `coarse_picture`.
    """

    size: tuple[int, ...]
    spacing: tuple[float, ...] | None
    orientation: str
    source: dict[str, str]
    voxels: list[int]
    median: list[float]
    extent: list[tuple[float, float]]
    foreground: np.ndarray
    pixels_sha256: str
    coarse: np.ndarray


def read_case(tree: Tree, case: Case, rules: Rules, findings: Findings) -> tuple[Scan, Scan]:
    """Read image `(C, ...)` and label `(1, ...)` of a case, checked and on one grid.

    Raises:
        DataError: if the case cannot be used without doubt.
    """
    image = read_case_image(tree, case, findings)
    try:
        image = check_image(fit_channels(image, rules.channels), findings)
    except DataError as error:
        raise error.at(file=case.image) from None
    label = read_case_label(tree, case, rules, image, findings)
    return image, fit_label(image, label, findings)


def read_checked(
    tree: Tree, case: Case, rules: Rules, findings: Findings, source: dict[str, str]
) -> tuple[Scan, Scan]:
    """Read a case as `read_case`, from the very bytes that were checked.

    Args:
        tree: where the files are.
        case: the case.
        rules: how it is read.
        findings: what is noticed is added to it.
        source: SHA-256 of each file when it was checked.

    Raises:
        DataError: IO_CHANGED if a file is another one now; as `read_case`.
    """
    recording, now = recorded(tree)
    try:
        image, label = read_case(recording, case, rules, findings)
    except DataError as error:
        if error.code == "IO_MEMORY":
            raise
        found = f"it could be read when it was checked, and cannot now: {error.code} {error.found}"
        raise DataError("IO_CHANGED", found, "run it again", file=error.file) from error
    changed = next((name for name, sha256 in now.items() if source.get(name) != sha256), None)
    if changed is not None:
        raise DataError("IO_CHANGED", "changed since it was checked", "run it again", file=changed)
    return image, label


def examine(tree: Tree, case: Case, rules: Rules) -> tuple[Facts | None, list[Finding]]:
    """Return the facts of a case, `None` if it cannot be used, and what was found."""
    findings = Findings(rules.accept)
    recording, source = recorded(tree)
    try:
        image, label = read_case(recording, case, rules, findings)
        grid = grid_of(image, None)
    except DataError as error:
        findings.place(case=case.id)
        return None, [*findings.found, Finding.of(error.at(case=case.id))]
    look_at_image(image, rules.channels, findings)
    look_at_hot_values(image, rules.channels, findings)
    look_at_label(label, image, findings)
    findings.place(case=case.id, file=case.image)
    facts = Facts(
        grid.turned_size,
        None if grid.turned_affine is None else spacing_of(grid.turned_affine),
        _orientation(grid),
        source,
        class_counts(label.array[0], max(rules.labels.values()) + 1).tolist(),
        [float(np.median(values)) for values in image.array],
        [extent_of(values) for values in image.array],
        _foreground(image, label),
        hashlib.sha256(image.array).hexdigest(),
        coarse_picture(image),
    )
    return facts, findings.found


def extent_of(values: np.ndarray) -> tuple[float, float]:
    """Return the 0.5 and 99.5 percentile of an array, of a large one those of a million values."""
    low, high = np.percentile(some_of(values), (0.5, 99.5))
    return float(low), float(high)


def _foreground(image: Scan, label: Scan) -> np.ndarray:
    inside = image.array[:, label.array[0] != 0]
    if not inside.shape[1]:
        return np.zeros((len(image.array), 0), np.float32)
    return np.quantile(inside, np.linspace(0, 1, _QUANTILES), axis=1).T.astype(np.float32)


def _orientation(grid: Grid) -> str:
    if grid.orientation is None:
        return ""
    letters = ("LR", "PA", "IS")
    return "".join(letters[int(axis)][int(sense > 0)] for axis, sense in grid.orientation)
