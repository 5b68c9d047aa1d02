"""What voxels say of a case: hints that it is not what it is taken for. Warnings and notes."""

import numpy as np
from scipy import ndimage

from data_prep.core.chunked_stats import block_means
from data_prep.core.findings import Findings
from data_prep.core.scan import Scan
from data_prep.preprocessing.grid import foreground

AIR_HU = -300  # above it no air: a CT scan of a body has some at its edge
TISSUE_HU = -500  # below it lung and air alone: a body has some above
_PADDING_HU = -1100  # below it no tissue and no air
_DESCRIPTOR = 12  # voxels along each axis of the coarse picture that finds near-duplicates


def look_at_image(image: Scan, channels: tuple[str, ...], findings: Findings) -> None:
    """Add what is doubtful about the intensities of an image."""
    for name, values in zip(channels, image.array, strict=True):
        if name.strip().lower().startswith("ct") and image.affine is not None:
            look_at_hounsfield(values, findings)
        if values.dtype.kind in "iuf" and 60000 < values.max() < 1 << 17:
            # Also where they were moved since, as to Hounsfield units.
            high, low = (values > 60000 - 2048).mean(), (values < 5000).mean()
            if min(high, low) > 1e-3 and high + low > 0.999:
                findings.warn(
                    "INT_WRAPPED",
                    f"{high:.1%} of voxels above 60000, all others below 5000",
                    "signed values may have been saved as unsigned: export again",
                )


def look_at_hounsfield(values: np.ndarray, findings: Findings) -> None:
    """Add what is doubtful about the values of a CT, if they are Hounsfield units."""
    low, high = float(values.min()), float(values.max())
    if high < TISSUE_HU:
        findings.warn(
            "CT_NOT_HU",
            f"CT values from {low:g} to {high:g}, without tissue",
            "export Hounsfield units: the intercept may have been added twice",
        )
    elif low > AIR_HU:
        findings.warn(
            "CT_NOT_HU",
            f"CT values from {low:g} to {high:g}, without air",
            "export Hounsfield units: rescaled, not cut or normalised",
        )
    elif (dark := _typical_dark(values, low)) < _PADDING_HU:
        findings.warn(
            "CT_NOT_HU",
            f"CT values from {low:g} to {high:g}, half of those below {AIR_HU} under {dark:.0f}",
            "export Hounsfield units: the slope may have been applied twice or be that of another",
        )
    elif low < _PADDING_HU and (values == low).mean() > 1e-3:
        findings.note("CT_PADDING", f"{(values == low).mean():.1%} of voxels padded with {low:g}")


def _typical_dark(values: np.ndarray, padding: float) -> float:
    """Return the median of the voxels darker than tissue, the padding left out; 0 if none is."""
    dark = values[(values < AIR_HU) & (values > padding)]
    return float(np.median(dark)) if dark.size else 0.0


def look_at_label(label: Scan, image: Scan, findings: Findings, void: int | None = None) -> None:
    """Add what is doubtful about a label on the grid of its image; `void` marks what is ignored."""
    mask = foreground(label.array[0], void)
    if not mask.any():
        findings.note("LBL_EMPTY", "no foreground")
        return
    if (label.array != 0).all():
        findings.warn("LBL_FULL", "no background", "check that the label is not inverted")
        return
    (around,) = ndimage.find_objects(mask.astype(np.uint8))
    components, count = ndimage.label(mask[around])
    dust = int((np.bincount(components.ravel())[1:] == 1).sum())
    if dust and count > 1:
        findings.note("LBL_DUST", f"{dust} of {count} pieces are single voxels")
    inside = image.array[0][mask]
    low, high = np.quantile(image.array[0], (0.02, 0.98))
    if image.affine is not None and high > low and np.median(inside) <= low:
        findings.warn(
            "LBL_OUTSIDE",
            "most of the foreground lies on the darkest 2% of the image",
            "check that the label is of this image and not flipped",
        )


def coarse_picture(image: Scan) -> np.ndarray:
    """Return what re-encoding, rescaling and flipping of an image leave alike, float32 `(n,)`.

    Block means of the first channel, flipped so that its centre of mass lies in the first half
    of each axis, standardised: equal pictures have products of n.
    """
    values = block_means(image.array[0], _DESCRIPTOR)
    weights = values - values.min()
    for axis in range(values.ndim):
        at = np.arange(_DESCRIPTOR) - (_DESCRIPTOR - 1) / 2
        others = tuple(a for a in range(values.ndim) if a != axis)
        if (weights.sum(others) @ at) > 0:
            values, weights = np.flip(values, axis), np.flip(weights, axis)
    flat = values.ravel() - values.mean()
    return (flat / max(float(flat.std()), 1e-12)).astype(np.float32)
