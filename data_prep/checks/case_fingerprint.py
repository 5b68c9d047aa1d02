"""Read one case, and say all that planning and comparing need to know of it."""

import hashlib

import numpy as np

from data_prep.checks.plausibility import coarse_picture, look_at_image, look_at_label
from data_prep.core.chunked_stats import class_counts, extent_of
from data_prep.core.config import Rules
from data_prep.core.errors import DataError
from data_prep.core.findings import Finding, Findings
from data_prep.core.scan import Scan, spacing_of
from data_prep.files.file_tree import Tree, recorded
from data_prep.layouts import Case
from data_prep.planning.fingerprint import Fingerprint
from data_prep.preprocessing.grid import Grid, foreground, grid_of
from data_prep.preprocessing.hot_values import look_at_hot_values
from data_prep.preprocessing.intensity import largest_of
from data_prep.reading.case import read_case

_QUANTILES = 501


def examine(tree: Tree, case: Case, rules: Rules) -> tuple[Fingerprint | None, list[Finding]]:
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
    inside = foreground(label.array[0], rules.void)
    look_at_label(label, image, findings, rules.void)
    findings.place(case=case.id, file=case.image)
    voxels = class_counts(label.array[0], max(rules.labels.values()) + 2).tolist()
    facts = Fingerprint(
        grid.turned_size,
        None if grid.turned_affine is None else spacing_of(grid.turned_affine),
        _orientation(grid),
        source,
        voxels[:-1],
        [float(np.median(values)) for values in image.array],
        [extent_of(values) for values in image.array],
        _foreground(image, inside),
        hashlib.sha256(image.array.data).hexdigest(),
        coarse_picture(image),
        hashlib.sha256(label.array.data).hexdigest() if inside.any() else "",
        largest_of(image.array),
        frozenset(findings.held),
        image.two_axes,
        voxels[-1],
        frozenset(findings.told),
    )
    return facts, findings.found


def _foreground(image: Scan, where: np.ndarray) -> np.ndarray:
    inside = image.array[:, where]
    if not inside.shape[1]:
        return np.zeros((len(image.array), 0), np.float32)
    return np.quantile(inside, np.linspace(0, 1, _QUANTILES), axis=1).T.astype(np.float32)


def _orientation(grid: Grid) -> str:
    if grid.orientation is None:
        return ""
    letters = ("LR", "PA", "IS")
    return "".join(letters[int(axis)][int(sense > 0)] for axis, sense in grid.orientation)
