"""What is decided of probabilities: the label, and how uncertain it is."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from data_prep.core.config import Plan
from data_prep.core.errors import DataError
from data_prep.core.findings import Findings
from data_prep.core.values.regions import Region, paint
from data_prep.preprocessing.grid import Grid, turn_back
from data_prep.preprocessing.instances import BOUNDARY, INSIDE
from sdunet.segmentation.inference.instances import SURE, tell_apart
from sdunet.segmentation.inference.postprocessing import Rules, remove_pieces

LIKELY = 0.5  # above which a voxel is in a region
# Of the probability of inside. Chosen on 88 nuclei images, of networks trained for ten minutes:
# lower ones join what touches and make objects of specks, higher ones lose small objects.
_INSIDE_FROM, _SURE_FROM = 0.7, 0.9


@dataclass(frozen=True)
class Prediction:
    """What was predicted for a scan, on its own grid.

    Attributes:
        label: class numbers, `(1, ...)` uint8 or uint16; or numbers of objects, uint16 or uint32.
        entropy: of the probabilities, `(1, ...)` float32, 0 (certain) to 1; if asked for.
        turned: probability of each class, or region, on axes turned to RAS+, `(classes, ...)`; if
            asked for.
        grid: that they were turned by.
    """

    label: np.ndarray
    entropy: np.ndarray | None
    turned: np.ndarray | None
    grid: Grid

    def probability_of(self, number: int) -> np.ndarray:
        """Return the probability of a class, or region, on the scan's own axes, `(1, ...)` float32.

        Args:
            number: of the class, or of the region in their order, from 0.

        Raises:
            ValueError: if they were not asked for.
        """
        if self.turned is None:
            raise ValueError("no probabilities were kept")
        return turn_back(np.array(self.turned[number : number + 1]), self.grid)


def label_of(probabilities: np.ndarray, regions: Sequence[Region] = ()) -> np.ndarray:
    """Return class numbers, uint16.

    Args:
        probabilities: of each class, `(classes, ...)`, of which the largest decides; or of each
            region, `(regions, ...)`, which are painted over each other.
        regions: in the order in which they are painted; none for classes.
    """
    if not regions:
        return probabilities.argmax(0).astype(np.uint16)
    return paint(probabilities > LIKELY, regions)


def entropy_of(probabilities: np.ndarray, *, of_regions: bool = False) -> np.ndarray:
    """Return the entropy of probabilities `(classes, ...)`, 0 for certain, 1 for all alike.

    Of regions it is the mean of their own, 1 where each is as likely as not.
    """
    if of_regions:
        both = np.stack([probabilities, 1 - probabilities])
        return entropy_of(both).mean(0)
    terms = probabilities * np.log(np.maximum(probabilities, np.finfo(np.float32).tiny))
    return np.clip(-terms.sum(0) / np.log(len(probabilities)), 0, 1)


def most_probable(probabilities: np.ndarray, plan: Plan) -> np.ndarray:
    """Return the class of each voxel by what a network learned, `(...)`.

    Of objects, a voxel is foreground where inside and boundary together are more probable than the
    background: `INSIDE` where that has a probability of 0.7, `SURE` of 0.9, else `BOUNDARY`.

    Args:
        probabilities: of each class, or region, `(classes, ...)`.
        plan: of the network.
    """
    if plan.instances is None:
        return label_of(probabilities, plan.regions)
    inside = probabilities[INSIDE]
    label = np.where(probabilities[1:].sum(0) > probabilities[0], BOUNDARY, 0)
    label[inside >= _INSIDE_FROM] = INSIDE
    label[inside >= _SURE_FROM] = SURE
    return label


def stated_probabilities(probabilities: np.ndarray, plan: Plan) -> np.ndarray:
    """Return the probability of each class of `Plan.stated`: of objects that of the foreground."""
    if plan.instances is None:
        return probabilities
    return np.stack([probabilities[0], probabilities[1:].sum(0)])


def stated_label(label: np.ndarray, plan: Plan) -> np.ndarray:
    """Return the numbers of `Plan.stated` of learned classes; what is ignored is left as it is.

    Args:
        label: class numbers, any shape.
        plan: of the network.
    """
    if plan.instances is None:
        return label
    return np.where((label == BOUNDARY) | (label == SURE), INSIDE, label)


def decided(
    planes: Iterable[np.ndarray],
    grid: Grid,
    plan: Plan,
    rules: Rules,
    findings: Findings,
    *,
    uncertainty: bool = False,
    instances: bool = False,
    probabilities_into: Callable[[tuple[int, ...]], np.ndarray] | None = None,
) -> Prediction:
    """Decide the label of a scan by the probabilities of its voxels.

    Args:
        planes: of the scan on axes turned to RAS+, in pieces `(classes, n, ...)` that follow each
            other along axis 1, see `planes_back`.
        grid: of the scan.
        plan: of the networks.
        rules: what is removed.
        findings: is told of what was removed.
        uncertainty: whether to give the entropy.
        instances: whether the label is to number objects.
        probabilities_into: makes an array of a shape to keep all probabilities in, if wanted.

    Raises:
        DataError: PRED_GRID if the planes are not those of the scan.
    """
    label = np.empty(grid.turned_size, np.uint8 if plan.num_classes <= 256 else np.uint16)
    entropy = np.empty(grid.turned_size, np.float32) if uncertainty else None
    kept = probabilities_into and probabilities_into((plan.probability_maps, *grid.turned_size))
    first = 0
    for probabilities in planes:
        here = slice(first, first := first + probabilities.shape[1])
        label[here] = most_probable(probabilities, plan)
        if entropy is not None:
            entropy[here] = entropy_of(probabilities, of_regions=bool(plan.regions))
        if kept is not None:
            kept[:, here] = stated_probabilities(probabilities, plan)
    if first != len(label):
        raise DataError("PRED_GRID", f"{first} of {len(label)} planes predicted", "report this")
    # Rules were found on the plan's grid: pixels there, millimetres of volumes.
    stated = stated_label(label, plan)
    if removed := remove_pieces(
        stated, rules, plan.scored, grid.cell, of_regions=bool(plan.regions)
    ):
        findings.note("PRED_TIDIED", f"{removed} small connected components removed")
    if instances:
        label[stated == 0] = 0
        stated = tell_apart(label)
    return Prediction(
        turn_back(stated[None], grid),
        None if entropy is None else turn_back(entropy[None], grid),
        kept,
        grid,
    )
