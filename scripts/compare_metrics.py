"""Score random masks as `sdunet evaluate` does and as other libraries do, and compare.

The masks are 2D and 3D, with voxels as long as wide and not: alike, noise, single voxels, one of
both empty, both empty, full, and at the border of the image.

pip install monai scipy scikit-learn torchmetrics
pip install --no-deps surface-distance nnunetv2 acvl_utils batchgenerators stardist csbdeep
python scripts/compare_metrics.py --n 100
"""

import argparse
import sys
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import surface_distance
import torch
from monai import metrics as monai
from nnunetv2.evaluation.evaluate_predictions import compute_tp_fp_fn_tn
from scipy import ndimage
from scipy.spatial.distance import dice, directed_hausdorff
from stardist.matching import matching
from torchmetrics.classification import BinaryCalibrationError

from sdunet.runtime.tables import markdown
from sdunet.segmentation.metrics.calibration import BINS, Calibration
from sdunet.segmentation.metrics.case_scores import score_case

_TOLERANCE = 1e-5  # of the larger one; MONAI's are of single precision
_MM = 1.0  # which the surface Dice forgives
_STRUCTURES = {rank: np.ones((3,) * rank) for rank in (2, 3)}
_HEAD = ["score", "other library", "pairs", "same", "differ", "by up to"]


class Pair(NamedTuple):
    """Two masks, millimetres between voxels, and a probability of each voxel."""

    prediction: np.ndarray
    reference: np.ndarray
    spacing: tuple[float, ...]
    probabilities: np.ndarray


def pair(kind: str, random: np.random.Generator) -> Pair:
    """Return two masks of one kind."""
    rank = int(random.integers(2, 4))
    shape = tuple(int(n) for n in random.integers(6, 14, rank))
    spacing = tuple(random.uniform(0.5, 4, rank)) if random.random() < 0.5 else (1.0,) * rank
    smooth = ndimage.gaussian_filter(random.normal(size=shape), 1.2)
    reference = smooth > np.quantile(smooth, 0.7)
    prediction = np.roll(reference, 1, 0) ^ (random.random(shape) < 0.02)
    if kind == "noise":
        reference, prediction = (random.random(shape) < 0.3 for _ in range(2))
    elif kind == "single voxels":
        reference, prediction = (np.zeros(shape, bool) for _ in range(2))
        for mask in (reference, prediction):
            mask[tuple(int(random.integers(n)) for n in shape)] = True
    elif kind == "border":
        reference, prediction = (np.zeros(shape, bool) for _ in range(2))
        reference[:3], prediction[:2] = True, True
    elif kind == "full":
        reference, prediction = np.ones(shape, bool), prediction | (random.random(shape) < 0.5)
    if kind in ("no prediction", "both empty"):
        prediction = np.zeros(shape, bool)
    if kind in ("no reference", "both empty"):
        reference = np.zeros(shape, bool)
    return Pair(prediction, reference, spacing, random.random(shape))


KINDS = ("alike", "noise", "single voxels", "border", "full")
EMPTY = ("no prediction", "no reference", "both empty")


def ours(p: Pair) -> dict[str, float | None]:
    """Return our scores by their names."""
    case = score_case(p.prediction.astype(int), p.reference.astype(int), p.spacing, 2)[0]
    told = Calibration()
    told.update(p.probabilities, p.reference)
    return case.values | {"calibration": told.compute()}


def _tensors(p: Pair) -> list[torch.Tensor]:
    return [torch.from_numpy(m)[None, None].float() for m in (p.prediction, p.reference)]


def _by_monai(name: str, **given: object) -> Callable[[Pair], float]:
    return lambda p: float(getattr(monai, name)(*_tensors(p), include_background=True, **given))


def _far_by_monai(name: str, **given: object) -> Callable[[Pair], float]:
    return lambda p: _by_monai(name, spacing=list(p.spacing), **given)(p)


def _by_nnunet(p: Pair) -> dict[str, float]:
    tp, fp, fn, _ = compute_tp_fp_fn_tn(p.reference, p.prediction)
    if not tp + fp + fn:
        return {"dice": np.nan, "jaccard": np.nan}
    return {"dice": 2 * tp / (2 * tp + fp + fn), "jaccard": tp / (tp + fp + fn)}


def _transformed(p: Pair) -> list[np.ndarray]:
    """Return both directions' distances of surfaces, by SciPy's distance transform."""
    edges = []
    for mask in (p.prediction, p.reference):
        cross = ndimage.generate_binary_structure(mask.ndim, 1)
        edges.append(mask & ~ndimage.binary_erosion(mask, cross))
    far = [ndimage.distance_transform_edt(~edge, p.spacing) for edge in edges]
    return [far[1][edges[0]], far[0][edges[1]]]


def _directed(p: Pair) -> float:
    points = [np.argwhere(mask) * p.spacing for mask in (p.prediction, p.reference)]
    return max(directed_hausdorff(*points)[0], directed_hausdorff(*points[::-1])[0])


def _surfels(p: Pair) -> dict[str, np.ndarray]:
    return surface_distance.compute_surface_distances(p.reference, p.prediction, p.spacing)


def _mean_of_surfels(p: Pair) -> float:
    found = _surfels(p)
    areas = [found[f"surfel_areas_{side}"] for side in ("gt", "pred")]
    apart = [found["distances_gt_to_pred"], found["distances_pred_to_gt"]]
    return float(np.average(np.concatenate(apart), weights=np.concatenate(areas)))


def _matched(p: Pair, threshold: float) -> object:
    structure = _STRUCTURES[p.reference.ndim]
    objects = [ndimage.label(mask, structure)[0] for mask in (p.reference, p.prediction)]
    return matching(*objects, thresh=threshold)


def _calibration(p: Pair) -> float:
    metric = BinaryCalibrationError(n_bins=BINS, norm="l1")
    there = torch.from_numpy(p.reference.ravel().astype(int))
    return float(metric(torch.from_numpy(p.probabilities.ravel()), there))


OTHERS: dict[str, dict[str, Callable[[Pair], float]]] = {
    "dice": {
        "MONAI": _by_monai("compute_dice"),
        "nnU-Net": lambda p: _by_nnunet(p)["dice"],
        "surface-distance": lambda p: surface_distance.compute_dice_coefficient(
            p.reference, p.prediction
        ),
        "SciPy": lambda p: 1 - dice(p.prediction.ravel(), p.reference.ravel()),
    },
    "jaccard": {
        "MONAI": _by_monai("compute_iou"),
        "nnU-Net": lambda p: _by_nnunet(p)["jaccard"],
    },
    "hd": {
        "MONAI": _far_by_monai("compute_hausdorff_distance"),
        "SciPy (all voxels)": _directed,
        "SciPy (transform)": lambda p: max(map(np.max, _transformed(p))),
        "surface-distance": lambda p: surface_distance.compute_robust_hausdorff(_surfels(p), 100),
    },
    "hd95": {
        "MONAI": _far_by_monai("compute_hausdorff_distance", percentile=95),
        "SciPy (transform)": lambda p: max(np.percentile(d, 95) for d in _transformed(p)),
        "surface-distance": lambda p: surface_distance.compute_robust_hausdorff(_surfels(p), 95),
    },
    "assd": {
        "MONAI": _far_by_monai("compute_average_surface_distance", symmetric=True),
        "SciPy (transform)": lambda p: float(np.concatenate(_transformed(p)).mean()),
        "surface-distance": _mean_of_surfels,
    },
    "surface_dice": {
        "MONAI": _far_by_monai("compute_surface_dice", class_thresholds=[_MM]),
        "SciPy (transform)": lambda p: float((np.concatenate(_transformed(p)) <= _MM).mean()),
        "surface-distance": lambda p: surface_distance.compute_surface_dice_at_tolerance(
            _surfels(p), _MM
        ),
    },
    "ap50": {"StarDist": lambda p: _matched(p, 0.5).accuracy},
    "object_sensitivity": {"StarDist": lambda p: _matched(p, 0.1).recall},
    "object_precision": {"StarDist": lambda p: _matched(p, 0.1).precision},
    "calibration": {"TorchMetrics": _calibration},
}


def quietly(score: Callable[[Pair], float], p: Pair) -> float | str:
    """Return a score, or the name of the error that a library raises."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            return float(score(p))
        except Exception as error:  # whatever another library says
            return type(error).__name__


def compare(n: int, seed: int) -> list[list[str]]:
    """Return rows of scores of masks that hold voxels: `n` pairs of each kind."""
    random = np.random.default_rng(seed)
    counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    most: dict[tuple[str, str], float] = defaultdict(float)
    for kind in KINDS:
        for _ in range(n):
            p = pair(kind, random)
            mine = ours(p)
            for name, libraries in OTHERS.items():
                for library, score in libraries.items():
                    apart = abs(score(p) - mine[name])
                    far = apart > _TOLERANCE * max(1, abs(mine[name]))
                    most[name, library] = max(most[name, library], apart)
                    counts[name, library][kind if far else "same"] += 1
    return [
        [
            *(name, library, str(sum(seen.values())), str(seen["same"])),
            ", ".join(f"{kind} {seen[kind]}" for kind in KINDS if seen[kind]),
            f"{most[name, library]:.3g}",
        ]
        for (name, library), seen in counts.items()
    ]


def compare_empty(seed: int) -> list[list[str]]:
    """Return rows of what each library gives where masks are empty."""
    random = np.random.default_rng(seed)
    pairs = [pair(kind, random) for kind in EMPTY]
    rows = []
    for name, libraries in OTHERS.items():
        mine = [ours(p)[name] for p in pairs]
        rows.append([name, "ours", *("none" if m is None else f"{m:.3g}" for m in mine)])
        for library, score in libraries.items():
            told = [quietly(score, p) for p in pairs]
            rows.append([name, library, *(t if isinstance(t, str) else f"{t:.3g}" for t in told)])
    return rows


def main() -> int:
    """Compare on masks with voxels, then on empty ones, and print both tables."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--n", type=int, default=100, help="pairs of each kind")
    arguments.add_argument("--seed", type=int, default=0)
    options = arguments.parse_args()
    print(markdown(_HEAD, compare(options.n, options.seed)), flush=True)
    print(markdown(["score", "library", *EMPTY], compare_empty(options.seed)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
