"""Small components removed from predictions, where that helped on validation cases."""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_prep.core.parse import usable
from data_prep.core.values.regions import Region, inside, masks_of, paint
from data_prep.files.hashed_json import read_hashed
from data_prep.files.written_files import is_there
from sdunet.segmentation.metrics.connected_components import connected_components
from sdunet.segmentation.models.trained_model import WEIGHTS

RULES = "postprocess.json"
# Pieces below these shares of the class's median volume are tried to be removed.
_SHARES = (0.001, 0.003, 0.01, 0.03, 0.1)
_GAIN = 0.001  # of the mean Dice, for less nothing is changed
LARGEST = "largest"
# Name of a class or region to `LARGEST`, which keeps the largest component alone, or to the least
# mm3 (voxels of pictures) of a component that is kept.
Rules = dict[str, str | float]


@dataclass(frozen=True)
class Pieces:
    """The connected components of one class in one prediction, beside the reference.

    Attributes:
        sizes: voxels of each component, by which it is kept or not.
        right: voxels of each that the reference holds, too.
        reference: voxels of the class in the reference.
        counted: voxels of each that are not ignored. Default: all.
    """

    sizes: np.ndarray
    right: np.ndarray
    reference: int
    counted: np.ndarray | None = None

    def dice(self, kept: np.ndarray) -> float | None:
        """Return the Dice with some components kept only; `None` where both are empty."""
        counted = self.sizes if self.counted is None else self.counted
        total = int(counted[kept].sum()) + self.reference
        return 2 * int(self.right[kept].sum()) / total if total else None


def compare_pieces(
    prediction: np.ndarray,
    reference: np.ndarray,
    classes: Sequence[int],
    void: int | None = None,
) -> Pieces:
    """Return the components of a class, or of several as one, compared with the reference.

    Voxels that have the number `void` in the reference are neither right nor wrong.
    """
    numbered, sizes = connected_components(inside(prediction, classes))
    there = inside(reference, classes)
    right = np.bincount(numbered[there], minlength=len(sizes) + 1)[1:]
    counted = None
    if void is not None:
        counted = np.bincount(numbered[reference != void], minlength=len(sizes) + 1)[1:]
    return Pieces(sizes, right, int(there.sum()), counted)


def kept_pieces(sizes: np.ndarray, rule: str | float, cell: float) -> np.ndarray:
    """Return which components a rule keeps, by number; voxels have the volume `cell`."""
    if rule == LARGEST:
        return np.arange(len(sizes)) == (sizes.argmax() if len(sizes) else -1)
    return sizes * cell >= float(rule)


def choose_rule(cases: Sequence[Pieces], cell: float) -> tuple[str | float | None, float, float]:
    """Return the rule that helps most on cases of one class, with the mean Dice before and after.

    The rule is `None` where none helps by a thousandth of Dice, and more cases than it harms.
    """
    volumes = [case.reference * cell for case in cases if case.reference]
    everything = _scores(cases, 0.0, cell)
    before = _mean(everything)
    if not volumes:
        return None, before, before
    rules: list[str | float] = [LARGEST, *(s * float(np.median(volumes)) for s in _SHARES)]
    best, after = None, before
    for rule in rules:
        scores = _scores(cases, rule, cell)
        change = np.array(scores) - np.array(everything)
        if (
            _mean(scores) > after
            and _mean(scores) >= before + _GAIN
            and (change > 0).sum() > (change < 0).sum()
        ):
            best, after = rule, _mean(scores)
    return best, before, after


def remove_pieces(
    label: np.ndarray,
    rules: Rules,
    targets: Sequence[Region],
    cell: float,
    *,
    of_regions: bool = False,
) -> int:
    """Remove, in place, the components of a label that the rules do not keep.

    Those of classes become background. Those of a region are taken out of it and of all regions
    within it, and what is left there of other regions is painted again.

    Args:
        label: class numbers, `(H, W)` or `(X, Y, Z)`.
        rules: see `Rules`.
        targets: classes or regions that they are for.
        cell: volume of a voxel in mm3; 1 for pictures.
        of_regions: whether they are regions.

    Returns:
        How many components were removed.
    """
    removed = 0
    by_name = {target.name: target for target in targets}
    for name, rule in rules.items():
        classes = by_name[name].classes
        numbered, sizes = connected_components(inside(label, classes))
        gone = ~kept_pieces(sizes, rule, cell)
        there = np.concatenate([[False], gone])[numbered]
        others = [target for target in targets if not {*target.classes} <= {*classes}]
        label[there] = paint(masks_of(label[there], others), others) if of_regions and others else 0
        removed += int(gone.sum())
    return removed


def weights_of(models: Sequence[Path]) -> list[str]:
    """Return the SHA-256 of the weights of each model."""
    return [hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest() for folder in models]


def read_rules(folder: Path, names: Collection[str], models: Sequence[Path] | None = None) -> Rules:
    """Read the rules that stand in a folder of models; none where there is no file.

    Args:
        folder: that they stand in.
        names: of the classes or regions.
        models: that they have to be of, see `weights_of`. Default: any.

    Raises:
        DataError: MODEL_POSTPROCESS if the file cannot be used, or is of other weights,
            OUT_CHANGED if it is gone.
    """
    path = folder / RULES
    if not is_there(path):
        return {}
    with usable("MODEL_POSTPROCESS", path, "remove it, or run sdunet postprocess"):
        record = read_hashed(path)
        rules = dict(record["rules"])
        if models is not None and record.get("weights", weights := weights_of(models)) != weights:
            raise ValueError("of other weights")
        wrong = [
            name
            for name, rule in rules.items()
            if name not in names or (rule != LARGEST and not 0 <= float(rule) < np.inf)
        ]
        if wrong:
            raise ValueError(f"no rule for class {wrong[0]!r}")
    return rules


def _scores(cases: Sequence[Pieces], rule: str | float, cell: float) -> list[float]:
    """Return the Dice of each case; nothing in both counts as right, so that means compare."""
    found = [case.dice(kept_pieces(case.sizes, rule, cell)) for case in cases]
    return [1.0 if dice is None else dice for dice in found]


def _mean(scores: Sequence[float]) -> float:
    return float(np.mean(scores)) if scores else 0.0
