"""Whether a new scan is like those a network was trained on."""

from collections.abc import Sequence

from data_prep.checks.plausibility import AIR_HU, TISSUE_HU, look_at_hounsfield
from data_prep.checks.window import require_within_window
from data_prep.core.chunked_stats import extent_of
from data_prep.core.config import Plan
from data_prep.core.errors import DataError
from data_prep.core.findings import Findings
from data_prep.core.scan import Scan, fit_channels, flat_axis, spacing_of, times
from data_prep.core.scan_checks import check_image
from data_prep.preprocessing.hot_values import look_at_hot_values

RANGE = "PRED_RANGE"
# Of intensities that are taken as they are, whatever else an image holds.
_UNITS = {"ct": "Hounsfield units", "window": "the unit of training"}
_NARROW = 20.0  # times less contrast than any training case: another unit
_FAR = 100.0  # times the contrast of all training cases, where intensities have no unit
_COARSE = 3.0  # times the spacing of all training cases


def as_trained(scan: Scan, plans: Sequence[Plan], findings: Findings) -> Scan:
    """Return a scan with the channels of training, checked and held to what training was like.

    Args:
        scan: as it was read.
        plans: of the networks, which share their channels.
        findings: what is noticed is added to it.

    Raises:
        DataError: CH_DIMS or CH_COUNT for other axes or channels; as `check_image`,
            `check_like_training` and `require_within_window`.
    """
    for plan in plans:
        _check_axes(scan, plan)
    scan = check_image(fit_channels(scan, plans[0].channels, findings), findings)
    for plan in plans:
        check_like_training(scan, plan, findings)
        require_within_window(scan, plan, findings)
    return scan


def _check_axes(scan: Scan, plan: Plan) -> None:
    """Refuse what is no 2D image, single slice or volume as those of training were.

    Raises:
        DataError: CH_DIMS.
    """
    of_slices = plan.spatial_dims == 2 and plan.spacing is not None
    flat = scan.affine is not None and flat_axis(scan.size) is not None
    if of_slices and not flat:
        found = f"{times(scan.size)} voxels, the model takes single slices that have a spacing"
        raise DataError("CH_DIMS", found, "give such scans")
    dims = len(scan.size)
    if not of_slices and dims != plan.spatial_dims:
        raise DataError(
            "CH_DIMS", f"{dims} spatial axes, the model has {plan.spatial_dims}", "give such scans"
        )


def check_like_training(scan: Scan, plan: Plan, findings: Findings) -> None:
    """Compare a scan's intensities and spacing with the bounds of the training cases.

    Single values far beyond all others are told of, whatever training was on.

    Args:
        scan: with the channels of the plan.
        plan: says what was seen in training; of too few cases, nothing, so that values of a CT
            are held to what any CT has.
        findings: warnings are added to it; it may accept PRED_RANGE.

    Raises:
        DataError: PRED_RANGE for a CT whose values cannot be Hounsfield units as in training, and
            for values of another unit than those of a window, unless accepted.
    """
    look_at_hot_values(scan, plan.channels, findings)
    if plan.spatial_dims == 3 and flat_axis(scan.size) is not None and min(plan.patch_size) > 1:
        found = f"a single slice, {times(scan.size)} voxels, and the network is one of volumes"
        findings.warn("PRED_SLICE", found, "give the whole volume")
    seen = plan.seen
    if seen is None:
        if plan.intensity == "ct":
            for values in scan.array:
                look_at_hounsfield(values, findings)
        return
    for number, name in enumerate(plan.channels):
        low, high = extent_of(scan.array[number])
        least, most = seen.span[number]
        found = (
            f"channel {name} from {low:.4g} to {high:.4g}, in training from "
            f"{seen.low[number]:.4g} to {seen.high[number]:.4g}"
        )
        whole = seen.high[number] - seen.low[number]
        fixed = plan.intensity in _UNITS
        beyond = fixed and not (
            low >= seen.low[number] - whole and high <= seen.high[number] + whole
        )
        apart = high < seen.low[number] or low > seen.high[number]
        if fixed and (apart or high - low < least / _NARROW):
            unit = _UNITS[plan.intensity]
            findings.ask(RANGE, f"{found}: not in {unit}", f"give the scan in {unit}")
        elif plan.intensity == "ct" and (
            low > AIR_HU >= seen.low[number] or high < TISSUE_HU <= seen.high[number]
        ):
            look_at_hounsfield(scan.array[number], findings)
        elif apart or beyond or not least / _FAR <= high - low <= most * _FAR:
            findings.warn(RANGE, found, "check that it is of the same kind")
    if scan.affine is None or seen.spacing is None:
        return
    # The axes of scans differ in order; only the finest and the coarsest can be compared.
    flat = flat_axis(scan.size) if len(seen.spacing) == 2 else None
    spacing = sorted(mm for axis, mm in enumerate(spacing_of(scan.affine)) if axis != flat)
    bounds = sorted(seen.spacing)
    for mm, (least, most) in zip(spacing, bounds, strict=True):
        if not least / _COARSE <= mm <= most * _COARSE:
            findings.warn(
                "PRED_SPACING",
                f"voxels of {mm:.3g} mm, in training {least:.3g} to {most:.3g} mm",
                "expect worse results",
            )
