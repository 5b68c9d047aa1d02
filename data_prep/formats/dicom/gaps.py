"""Planes in the middle of a drawn structure that nothing was drawn in."""

from collections.abc import Collection
from itertools import pairwise

import numpy as np

from data_prep.core.findings import Findings


def tell_gaps(
    mask: np.ndarray, axis: int, drawn: Collection[int], name: str, what: str, findings: Findings
) -> None:
    """Tell of planes between others of a structure that no contour or frame was drawn in.

    Where the planes on both sides lie over each other, what is between them was most likely
    lost or never drawn: a warning. Where they do not, it may be two separate lesions: a note.

    Args:
        mask: whether each voxel is in the structure, `(X, Y, Z)`.
        axis: across which the planes lie.
        drawn: planes that something was drawn in, be it around no voxel.
        name: of the structure.
        what: was to be drawn in each plane.
        findings: take the counts.
    """
    planes = {number: mask.take(number, axis) for number in sorted(drawn)}
    held = [number for number, plane in planes.items() if plane.any()]
    inside: list[int] = []
    between: list[int] = []
    for before, after in pairwise(held):
        both = int((planes[before] & planes[after]).sum())
        over = 2 * both >= min(planes[before].sum(), planes[after].sum())
        missing = [n for n in range(before + 1, after) if n not in planes]
        (inside if over else between).extend(missing)
    if inside:
        found = f"{_counted(inside, held, name)} no {what}, between planes that cover each other"
        findings.warn("DCM_SKIPPED", found, f"look whether a {what} is missing")
    if between:
        found = f"{_counted(between, held, name)} no {what}, between parts apart from each other"
        findings.note("DCM_SKIPPED", found)


def _counted(missing: list[int], held: list[int], name: str) -> str:
    several = ", ".join(map(str, missing[:8])) + ", ..." * (len(missing) > 8)
    verb = "has" if len(missing) == 1 else "have"
    extent = f"planes {held[0]} to {held[-1]}"
    return f"{name!r}, {extent}: {len(missing)} of them ({several}) {verb}"
