"""One case that is compared: its reference, its prediction, and whether others have the same."""

import hashlib
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from data_prep.core.errors import DataError
from data_prep.core.findings import Finding
from data_prep.core.memory_limits import memory_within
from data_prep.core.scan import Scan
from data_prep.core.values.regions import Region
from data_prep.layouts.cases import sample
from sdunet.segmentation.evaluation.probabilities import Probabilities
from sdunet.segmentation.metrics.case_scores import ClassScores, ScoreOptions, score_case


@dataclass(frozen=True)
class Pair:
    """A case with its reference and, if it could be read, its prediction.

    Attributes:
        id: of the case.
        reference: class numbers; background where it is ignored.
        prediction: class numbers, `(1, ...)` like the reference, background where that is ignored;
            `None` if there is none.
        reference_file: name of its file, the first of several.
        prediction_file: name of its file, if there is one.
        problem: why there is no prediction.
        lost: one for each class that the prediction lost on the way to the reference's grid.
        objects: number of the object at each voxel, `(1, ...)`, of references that tell them apart.
        probabilities: reads the probability of a class, `(1, ...)`; `None` if none were predicted.
        memory: bytes that the work on the case may take; `None` for no limit.
        source: SHA-256 of the files it was predicted from; empty if that was not recorded.
        held: numbers or names in each file that is mapped to classes, see `Findings.held`, by the
            id of the case, and that with a word for its prediction.
        ignored: where the reference says nothing, `(1, ...)`; `None` where it does everywhere.
        predicted_objects: as `objects`, of predictions that tell them apart.
        regions: that are scored in place of classes; empty for those.
    """

    id: str
    reference: Scan
    prediction: np.ndarray | None
    reference_file: str
    prediction_file: str | None
    problem: DataError | None = None
    lost: tuple[DataError, ...] = ()
    objects: np.ndarray | None = None
    probabilities: Probabilities | None = None
    memory: float | None = None
    source: frozenset[str] = frozenset()
    held: dict[str, frozenset[int | str]] = field(default_factory=dict)
    ignored: np.ndarray | None = None
    predicted_objects: np.ndarray | None = None
    regions: tuple[Region, ...] = ()

    @property
    def problems(self) -> list[DataError]:
        """All that is wrong with the case, and does not keep it out."""
        return [*self.lost, *([] if self.problem is None else [self.problem])]

    @property
    def spacing(self) -> tuple[float, ...]:
        """Millimetres between voxels along each axis; ones for pictures."""
        return self.reference.spacing or (1.0,) * len(self.reference.size)

    @property
    def is_reference(self) -> bool:
        """Whether every voxel is predicted as in the reference."""
        return self.prediction is not None and np.array_equal(self.prediction, self.reference.array)

    def scores(self, num_classes: int, options: ScoreOptions) -> list[ClassScores]:
        """Score each class or region; without a prediction all is missed.

        Raises:
            DataError: IO_MEMORY.
        """
        with memory_within(self.memory):
            return score_case(
                None if self.prediction is None else self.prediction[0],
                self.reference.array[0],
                self.spacing,
                num_classes,
                options,
                None if self.objects is None else self.objects[0],
                None if self.ignored is None else self.ignored[0],
                None if self.predicted_objects is None else self.predicted_objects[0],
                [region.classes for region in self.regions] or None,
            )


def hash_of(label: np.ndarray, ignored: np.ndarray | None = None) -> str:
    """Return the SHA-256 of class numbers, whatever integers hold them, and of what is ignored."""
    label = label.astype("<u2")
    if ignored is not None:
        label[ignored] = 0xFFFF
    return hashlib.sha256(label.tobytes()).hexdigest()


class _Case(NamedTuple):
    id: str
    reference: str
    source: frozenset[str]


class Copies:
    """Looks for cases of which one prediction stands for several references."""

    def __init__(self) -> None:
        self._same: dict[tuple[str, tuple[int, ...]], list[_Case]] = defaultdict(list)

    def add(self, pair: Pair, record: Mapping[str, Any]) -> None:
        """Add a case.

        One of a single value everywhere, such as background, may be right for many.

        Args:
            pair: with what was predicted.
            record: holds the SHA-256 of the reference and of the prediction.
        """
        if pair.prediction is not None and pair.prediction.min() != pair.prediction.max():
            case = _Case(pair.id, record["reference_sha256"], pair.source)
            self._same[record["prediction_sha256"], pair.prediction.shape].append(case)

    def findings(self) -> list[Finding]:
        """Return a warning, EVAL_COPIES, for each prediction of several images."""
        found = []
        for cases in self._same.values():
            sources = {case.source for case in cases}
            of_one_image = len(sources) == 1 and all(sources)
            if len({case.reference for case in cases}) > 1 and not of_one_image:
                ids = sample([case.id for case in cases])
                text = f"{len(cases)} cases have one prediction and several references: {ids}"
                fix = "look whether each has its own, or predict again"
                found.append(Finding("warning", "EVAL_COPIES", text, fix))
        return found
