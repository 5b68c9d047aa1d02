"""Whether intensity `window` leaves anything of the images: what lies beyond it becomes one value.

Tested are the values as they are read, before any clipping.
"""

from collections.abc import Mapping

import numpy as np

from data_prep.core.config import DataConfig, Plan, Rules
from data_prep.core.errors import DataError
from data_prep.core.findings import Findings
from data_prep.core.scan import Scan
from data_prep.planning.fingerprint import Fingerprint

_FIX = "give a dataset.window that the values lie in, or intensity: auto"


def beyond_window(
    facts: Mapping[str, Fingerprint], config: DataConfig, rules: Rules
) -> tuple[list[DataError], Findings]:
    """Return what a window takes from the cases of a set.

    A channel of a case is lost where 99% of its voxels and all of its foreground fall on one end
    of the window. Voxels that are of that end's value already lose nothing.

    Args:
        facts: of each case that can be used, by id.
        config: with the window, if there is one.
        rules: with the names of channels.

    Returns:
        INT_WINDOW as an error for each channel that all cases lose; as a warning for each case
        that loses one which others keep.
    """
    errors: list[DataError] = []
    findings = Findings()
    if config.intensity != "window" or not config.window:
        return errors, findings
    for channel, name in enumerate(rules.channels):
        extents = {id_: fact.extent[channel] for id_, fact in facts.items()}
        lost = [
            id_
            for id_, (low, high) in extents.items()
            if _at_one_end(low, high, facts[id_].foreground[channel], config.window)
        ]
        if lost and len(lost) == len(facts):
            low = min(extent[0] for extent in extents.values())
            high = max(extent[1] for extent in extents.values())
            found = f"{_told(name, low, high, config.window)}: all cases become constant"
            errors.append(DataError("INT_WINDOW", found, _FIX))
            continue
        for id_ in lost:
            found = f"{_told(name, *extents[id_], config.window)}: it becomes constant"
            findings.warn("INT_WINDOW", found, "check that the case is of the others' unit")
            findings.place(len(findings.found) - 1, case=id_)
    return errors, findings


def require_within_window(scan: Scan, plan: Plan, findings: Findings) -> None:
    """Refuse a scan of which a window leaves nothing in any channel, unless accepted.

    Args:
        scan: with the channels of the plan.
        plan: says which window, if there is one.
        findings: a warning is added for a channel that is lost alone; it may accept PRED_RANGE.

    Raises:
        DataError: PRED_RANGE.
    """
    if not plan.window:
        return
    nothing = np.empty(0, np.float32)
    bounds = [(float(values.min()), float(values.max())) for values in scan.array]
    lost = [
        f"{_told(name, low, high, plan.window)}: it becomes constant"
        for name, (low, high) in zip(plan.channels, bounds, strict=True)
        if _at_one_end(low, high, nothing, plan.window)
    ]
    if len(lost) == len(bounds):
        findings.ask("PRED_RANGE", lost[0], "give the scan in the unit of training")
    else:
        for found in lost:
            findings.warn("PRED_RANGE", found, "check that it is of the same kind")


def _at_one_end(
    low: float, high: float, foreground: np.ndarray, window: tuple[float, float]
) -> bool:
    least, most = window
    # Values of the bound itself are not clipped: an image that is empty but for a few voxels.
    below = low < least and high <= least and bool((foreground <= least).all())
    above = high > most and low >= most and bool((foreground >= most).all())
    return below or above


def _told(name: str, low: float, high: float, window: tuple[float, float]) -> str:
    return f"channel {name} from {low:.4g} to {high:.4g}, beyond the window {list(window)}"
