"""Where voxels lie in the world: checks that every volume format shares. Millimetres, RAS+."""

import numpy as np

from data_prep.core.errors import DataError
from data_prep.core.findings import Findings
from data_prep.core.scan import spacing_of

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
# How scanners write a stack of 2D images: columns to the left, rows to the back, slices upwards.
AS_SCANNED = LPS_TO_RAS
SAME_PLACE = 0.1  # voxels, up to which two grids are one: no voxel is nearer to another one
ROUNDED = 0.01  # voxels, up to which that is the rounding of headers, and nothing to tell of
_FLAT = 1e-9  # mm³, of axes 1 mm long that lie in a plane
_SHEAR = 1e-3  # cosine between axes that header rounding leaves


def check_affine(affine: np.ndarray, findings: Findings) -> None:
    """Refuse an affine that cannot be where voxels lie.

    Raises:
        DataError: GEO_SINGULAR if it cannot be inverted, HDR_SPACING_RANGE for voxels smaller than
            0.01 or larger than 50 mm, GEO_SHEAR for axes not at right angles.
    """
    spacing = spacing_of(affine)
    if not (np.isfinite(affine).all() and min(spacing) > 0 and _volume(affine) > _FLAT):
        raise DataError("GEO_SINGULAR", "an affine that is not invertible", "set the true affine")
    if not all(0.01 <= mm <= 50 for mm in spacing):
        numbers = ", ".join(f"{mm:.4g}" for mm in spacing)
        findings.ask(
            "HDR_SPACING_RANGE", f"spacing {numbers} mm", "set the true spacing in millimetres"
        )
    if shear_of(affine) > _SHEAR:
        findings.ask("GEO_SHEAR", "axes that are not at right angles", "resample the scan")


def _volume(affine: np.ndarray) -> float:
    """Return the volume that the axes span, made 1 mm long: voxels may be as small as they like."""
    return abs(float(np.linalg.det(affine[:3, :3] / spacing_of(affine))))


def shear_of(affine: np.ndarray) -> float:
    """Return the largest cosine between two axes of an affine, 0 where they are at right angles."""
    axes = affine[:3, :3] / spacing_of(affine)
    return float(np.abs(axes.T @ axes - np.eye(3)).max())


def furthest(one: np.ndarray, other: np.ndarray, size: tuple[int, ...]) -> float:
    """Return the largest distance along an axis, mm, between the corners that two affines give."""
    corners = np.indices((2, 2, 2)).reshape(3, -1) * np.array(size)[:, None]
    return float(np.abs((one - other)[:3] @ np.vstack([corners, np.ones(8)])).max())


def voxels_apart(one: np.ndarray, other: np.ndarray, size: tuple[int, ...]) -> float:
    """Return the largest distance between the corners that two affines give, in voxels of `one`.

    Along each axis of a voxel for itself, as voxels may be ten times as long as they are wide.
    """
    corners = np.indices((2, 2, 2)).reshape(3, -1) * np.array(size)[:, None]
    shift = (other - one)[:3] @ np.vstack([corners, np.ones(8)])
    return float(np.abs(np.linalg.solve(one[:3, :3], shift)).max())


def with_normal(affine: np.ndarray) -> np.ndarray:
    """Return the affine of a 2D image with a third axis across it, 1 mm where it has none."""
    across = np.cross(affine[:3, 0], affine[:3, 1])
    if affine[:3, 2].any() or not across.any():
        return affine
    affine = affine.copy()
    affine[:3, 2] = across / np.linalg.norm(across)
    return affine


def from_lps(directions: np.ndarray, origin: np.ndarray) -> np.ndarray:
    """Return the RAS+ affine of axes given as columns `(3, 3)` in DICOM's LPS millimetres."""
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = directions, origin
    return LPS_TO_RAS @ affine
