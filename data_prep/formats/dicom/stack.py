"""Slices of one series become one even stack, or are refused.

Slices are ordered by position; whatever keeps them from being even (a gap, a second phase, a
turned slice, a tilt, a distance other than they say) is named.
"""

from collections import defaultdict
from dataclasses import replace

import numpy as np

from data_prep.core.errors import DataError
from data_prep.core.findings import Findings
from data_prep.core.geometry import check_affine, from_lps, shear_of
from data_prep.core.scan import SCANNER_CODES, Scan
from data_prep.formats.dicom.frame import Frame
from data_prep.formats.dicom.one_image import check_identity, check_order
from data_prep.formats.header_fields import APART

_SAME_DIRECTION = 1e-3
_SAME_PLACE_MM = 1e-3
_EVEN = 1e-2  # of the distance between slices
_ROUNDING_MM = 0.02  # twice what positions written to 0.01 mm leave
_TILT = 1e-3
_AGAIN = "export the series again"


def stack(frames: list[Frame], findings: Findings) -> Scan:
    """Return slices that have a place as one volume, `(1, X, Y, Z)`.

    Raises:
        DataError: DCM_MIXED, DCM_PHASES, DCM_UID, DCM_GAP; DCM_UNEVEN, DCM_SPACING or DCM_TILT,
            unless accepted.
    """
    _, axes, spacing = frames[0].place
    if any(np.abs(f.place.axes - axes).max() > _SAME_DIRECTION for f in frames):
        raise DataError("DCM_MIXED", "slices of several orientations", "split the series")
    if any(np.abs(np.subtract(f.place.spacing, spacing)).max() > 1e-4 for f in frames):
        raise DataError("DCM_MIXED", "slices of several pixel spacings", "split the series")
    normal = np.cross(axes[0], axes[1])
    frames = sorted(frames, key=lambda frame: float(frame.place.position @ normal))
    frames = _without_copies(frames, normal, findings)
    check_identity(frames)
    places = np.array([frame.position for frame in frames])
    along = places @ normal
    check_order(frames, along, findings)
    frames, step = _evened(frames, along, findings)
    across = (places - places[0]) - (along - along[0])[:, None] * normal
    lean = across[-1] / (along[-1] - along[0]) if len(along) > 1 else np.zeros(3)
    if np.abs(across - np.outer(along - along[0], lean)).max() > 0.1 * min(spacing):
        raise DataError("DCM_MIXED", "slices that are shifted sideways", "split the series")
    direction = (normal + lean) * step
    rows, columns = spacing
    affine = from_lps(np.column_stack([axes[0] * columns, axes[1] * rows, direction]), places[0])
    if shear_of(affine) > _TILT:
        angle = np.degrees(np.arctan(np.linalg.norm(lean)))
        findings.ask("DCM_TILT", f"a gantry tilted by {angle:.3g} degrees", "resample the series")
        findings = Findings({*findings.accept, "GEO_SHEAR"})
    check_affine(affine, findings)
    volume = np.stack([frame.pixels[..., 0] for frame in frames])  # (Z, Y, X)
    return Scan(volume.transpose(2, 1, 0)[None], affine, SCANNER_CODES)


def _without_copies(frames: list[Frame], normal: np.ndarray, findings: Findings) -> list[Frame]:
    """Drop slices that are there twice; refuse two different ones at one place."""
    at = defaultdict(list)
    for frame in frames:
        at[round(float(frame.place.position @ normal) / (10 * _SAME_PLACE_MM))].append(frame)
    several = {place: group for place, group in at.items() if len(group) > 1}
    for group in several.values():
        if any(not np.array_equal(group[0].pixels, frame.pixels) for frame in group[1:]):
            raise DataError(
                "DCM_PHASES",
                f"{len(several)} places with several different slices, up to "
                f"{max(map(len, several.values()))}: phases, echoes or acquisitions",
                "split the series by acquisition",
            )
    if several:
        findings.note("DCM_COPY", f"{len(frames) - len(at)} slices were there twice")
    return [group[0] for group in at.values()]


def _evened(
    frames: list[Frame], along: np.ndarray, findings: Findings
) -> tuple[list[Frame], float]:
    """Return slices at even distances, interpolated where that is accepted, and the distance."""
    if len(frames) == 1:
        if frames[0].thickness is None:
            raise DataError("DCM_PLACE", "one slice without thickness", _AGAIN)
        return frames, frames[0].thickness
    steps = np.diff(along)
    _check_gaps(along, steps)
    mean = float((along[-1] - along[0]) / len(steps))
    even = along[0] + mean * np.arange(len(frames))
    if np.abs(along - even).max() <= max(_EVEN * mean, _ROUNDING_MM):
        _check_step(frames, mean, findings)
        return frames, mean
    findings.ask(
        "DCM_UNEVEN",
        f"distances between slices from {steps.min():.4g} to {steps.max():.4g} mm",
        "resample the series",
    )
    step = float(np.median(steps))
    return _interpolated(frames, along, np.arange(along[0], along[-1] + step / 2, step)), step


def _check_step(frames: list[Frame], step: float, findings: Findings) -> None:
    """Compare the distance of slices with what they say of it, as every second may be missing."""
    # What a tilted gantry moves by is longer than the distance across its slices.
    way = frames[-1].place.position - frames[0].place.position
    moved = float(np.linalg.norm(way)) / (len(frames) - 1)
    for between in {frame.between for frame in frames if frame.between is not None}:
        if min(abs(between - step), abs(between - moved)) > max(_EVEN * step, _ROUNDING_MM):
            findings.ask(
                "DCM_SPACING",
                f"slices lie {step:.4g} mm apart, SpacingBetweenSlices says {between:.4g}",
                "export the missing slices",
            )
    thinnest = min((frame.thickness or step for frame in frames), default=step)
    if all(frame.between is None for frame in frames) and step > APART * thinnest:
        findings.warn(
            "DCM_APART",
            f"slices lie {step:.4g} mm apart and are {thinnest:.4g} mm thick",
            "check that no slices are missing",
        )


def _check_gaps(along: np.ndarray, steps: np.ndarray) -> None:
    ratios = steps / np.median(steps)
    wide = (np.round(ratios) > 1) & (np.abs(ratios - np.round(ratios)) < 0.05)
    # Many wide steps are a second thickness, not gaps.
    if 0 < wide.sum() <= max(1, len(steps) // 5):
        places = ", ".join(f"{place:.4g}" for place in along[:-1][wide][:5])
        raise DataError(
            "DCM_GAP",
            f"slices are missing after {places} mm (step {np.median(steps):.4g} mm)",
            "export the missing slices",
        )


def _interpolated(frames: list[Frame], along: np.ndarray, at: np.ndarray) -> list[Frame]:
    out = []
    for place in at:
        above = int(np.clip(np.searchsorted(along, place), 1, len(along) - 1))
        share = (place - along[above - 1]) / (along[above] - along[above - 1])
        low, high = (frames[i].pixels.astype(np.float32) for i in (above - 1, above))
        share = float(np.clip(share, 0, 1))
        out.append(replace(frames[above - 1], pixels=low * (1 - share) + high * share))
    return out
