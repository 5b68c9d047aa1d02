"""A whole scan through networks, window by window, finished slab by slab.

What a window of Gaussian weights has passed for the last time is handed out at once, so that only
as many planes as a window has are ever held, whatever the scan.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

import numpy as np
import torch
from monai.data.utils import compute_importance_map, dense_patch_slices
from torch import Tensor, nn

from data_prep.core.errors import DataError

Probabilities = Callable[
    [Tensor], Tensor
]  # (N, C, ...) to the probability of each class (N, classes, ...)
BATCH = 4
_LEAST_WEIGHT = 1e-3  # as MONAI has it: a corner that no other window covers still counts


class WindowPredictor:
    """The mean probability of each class or region over networks and mirrored windows.

    Args:
        networks: give logits `(N, classes, ...)`, on one device.
        flips: spatial axes to mirror along, a tuple for each look; `()` is the window as it is.
        device: where the networks are, and windows are brought.
        of_regions: whether each logit is of a region by itself, and not of one class of all.

    Raises:
        DataError: PRED_NONFINITE if a network gives NaN or infinity.
    """

    def __init__(
        self,
        networks: Sequence[nn.Module],
        flips: Sequence[tuple] = ((),),
        device: torch.device | str = "cpu",
        *,
        of_regions: bool = False,
    ) -> None:
        self.networks = networks
        self.flips = flips
        self.device = torch.device(device)
        self.of_regions = of_regions

    @torch.inference_mode()
    def __call__(self, windows: Tensor) -> Tensor:
        """Return the probabilities of windows `(N, C, ...)`, float32, in main memory."""
        windows = windows.to(self.device)
        total: Tensor | None = None
        for network in self.networks:
            for flip in self.flips:
                axes = [axis + 2 for axis in flip]
                logits = network(windows.flip(axes)).float()
                if not torch.isfinite(logits).all():
                    # argmax would turn NaN into background without a word.
                    raise DataError(
                        "PRED_NONFINITE",
                        "the network gives NaN or infinity",
                        "train again, or in float32",
                    )
                found = logits.sigmoid() if self.of_regions else logits.softmax(1)
                probabilities = found.flip(axes)
                total = probabilities if total is None else total + probabilities
        if total is None:
            raise ValueError("no network to predict with")
        return (total / (len(self.networks) * len(self.flips))).cpu()


def slabs(
    image: np.ndarray,
    probabilities: Probabilities,
    patch_size: Sequence[int],
    overlap: float,
    prepare: Callable[[np.ndarray], np.ndarray] = lambda window: window,
) -> Iterator[np.ndarray]:
    """Yield the probability of each class, slab by slab along the first spatial axis.

    Windows of `patch_size` overlap and are blended with Gaussian weights; scans smaller than a
    window are padded with 0 and cropped again.

    Args:
        image: `(C, ...)`, may be memory-mapped.
        probabilities: gives the probabilities of windows.
        patch_size: voxels of a window along each axis.
        overlap: share of a window that its neighbour covers too, 0 to 1.
        prepare: makes float32 values for the network of a window of `image`.

    Yields:
        `(classes, n, ...)` float32; joined along axis 1 they are as large as the image.
    """
    sizes = image.shape[1:]
    missing = [max(0, p - n) for p, n in zip(patch_size, sizes, strict=True)]
    pads = [(m // 2, m - m // 2) for m in missing]
    padded = [n + m for n, m in zip(sizes, missing, strict=True)]
    inside = tuple(slice(low, low + n) for (low, _), n in zip(pads, sizes, strict=True))
    weight = _weight(tuple(patch_size))
    steps = [max(1, int(p * (1 - overlap))) if n > p else p
             for p, n in zip(patch_size, padded, strict=True)]  # fmt: skip
    windows = dense_patch_slices(padded, patch_size, steps)
    held: Tensor | None = None
    first = 0  # plane of the scan, padded, that `held` begins with
    for start, row in groupby(windows, lambda window: window[0].start):
        row = list(row)
        if held is not None and start > first:
            yield _finished(held, start - first, inside, first)
            _move_on(held, start - first)
        first = start
        for at in range(0, len(row), BATCH):
            batch = row[at : at + BATCH]
            values = [_cut(image, window, pads, prepare) for window in batch]
            found = probabilities(torch.from_numpy(np.stack(values)))
            if held is None:
                planes = patch_size[0], *padded[1:]
                held = found.new_zeros((found.shape[1] + 1, *planes))
            for window, one in zip(batch, found, strict=True):
                there = (slice(None), slice(None), *window[1:])
                held[there] += torch.cat([one * weight, weight[None]])
    if held is not None:
        yield _finished(held, held.shape[1], inside, first)


def class_probabilities(
    network: nn.Module, image: Tensor, patch_size: tuple[int, ...], overlap: float
) -> Tensor:
    """Return the probability of each class at each voxel of one image, `(N, classes, ...)`.

    Args:
        network: gives logits `(N, classes, ...)`.
        image: `(1, C, ...)`, normalised.
        patch_size: voxels of a window along each axis.
        overlap: share of a window that its neighbour covers too, 0 to 1.

    Raises:
        DataError: PRED_NONFINITE if the network gives NaN or infinity.
    """
    parts = slabs(
        image[0].cpu().numpy(), WindowPredictor([network], device=image.device), patch_size, overlap
    )
    return torch.from_numpy(np.concatenate(list(parts), axis=1))[None]


def _weight(patch_size: tuple[int, ...]) -> Tensor:
    weight = compute_importance_map(patch_size, mode="gaussian", sigma_scale=0.125).float()
    return weight.clamp(min=max(float(weight.min()), _LEAST_WEIGHT))


def _cut(
    image: np.ndarray,
    window: tuple[slice, ...],
    pads: Sequence[tuple[int, int]],
    prepare: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
    """Return the values of a window of the padded image, padded with 0 after preparing."""
    spans = [
        (max(0, w.start - low), min(n, w.stop - low))
        for w, (low, _), n in zip(window, pads, image.shape[1:], strict=True)
    ]
    values = prepare(image[(slice(None), *(slice(a, b) for a, b in spans))])
    around = [
        (max(0, low - w.start), w.stop - w.start - max(0, low - w.start) - (b - a))
        for w, (low, _), (a, b) in zip(window, pads, spans, strict=True)
    ]
    return (
        np.pad(values, [(0, 0), *around]) if any(map(any, around)) else np.ascontiguousarray(values)
    )


def _finished(held: Tensor, planes: int, inside: tuple[slice, ...], first: int) -> np.ndarray:
    """Divide the first planes by their weight, and leave out what was padded."""
    low = max(0, inside[0].start - first)
    high = min(planes, inside[0].stop - first)
    part = held[(slice(None), slice(low, max(low, high)), *inside[1:])]
    return (part[:-1] / part[-1:]).numpy()


def _move_on(held: Tensor, planes: int) -> None:
    """Drop the first planes, in place: a second array of this size would double the memory."""
    kept = max(0, held.shape[1] - planes)
    for plane in range(kept):
        held[:, plane] = held[:, plane + planes]
    held[:, kept:] = 0
