"""What predicting a scan takes of memory, worked out before it begins."""

import math
from collections.abc import Sequence

from data_prep.core.scan import Scan
from data_prep.preprocessing.grid import Grid
from data_prep.preprocessing.streaming import PLANES, needs_all
from sdunet.segmentation.inference.sliding_window import BATCH

_FLOAT = 4


def needed_bytes(
    scan: Scan, grid: Grid, classes: int, patch_size: Sequence[int], *, uncertainty: bool
) -> int:
    """Return about how many bytes predicting a scan takes at most.

    The networks, and the maps they hold for a batch of windows, are left out.

    Args:
        scan: as read, `(C, ...)`.
        grid: the plan's, for this scan.
        classes: with the background.
        patch_size: of the windows.
        uncertainty: whether entropy is kept.
    """
    cells, planned = math.prod(scan.size), math.prod(grid.size)
    channels = len(scan.array)
    values = scan.array.nbytes
    if grid.resamples:
        # In single precision: the scan once, itself on the grid.
        values += channels * _FLOAT * (cells + planned)
    thickness = patch_size[0]
    plane = math.prod(max(n, p) for n, p in zip(grid.size[1:], patch_size[1:], strict=True))
    # Held and handed out, each with its weights; and a batch of windows, there and back.
    slab = 2 * (classes + 1) * thickness * plane * _FLOAT
    slab += BATCH * math.prod(patch_size) * (channels + 3 * classes) * _FLOAT
    back = 0
    if grid.resamples:
        # What came, what goes back with its copies; of skew scans, all of it.
        some = PLANES * math.prod(grid.turned_size[1:])
        parts = 2 * planned + cells if needs_all(grid) else thickness * plane + 3 * some
        back = classes * _FLOAT * parts
    # The label, turned, as bytes of a file, and read back from it.
    label = 6 * cells * (1 if classes <= 256 else 2)
    return values + slab + back + label + (6 * cells * _FLOAT if uncertainty else 0)
