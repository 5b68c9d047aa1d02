"""The probabilities of a case, held to what they must be, and to the label they lie beside."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from data_prep.core.errors import DataError, case_errors
from data_prep.core.findings import Findings
from data_prep.core.memory_limits import check_bytes, memory_within
from data_prep.core.scan import Scan
from data_prep.core.scan_checks import check_same_grid
from data_prep.files.file_tree import Tree
from data_prep.formats.registry import read_scan, stem
from data_prep.preprocessing.grid import fit_image
from sdunet.segmentation.inference.prediction_record import BESIDE

FOLDER = BESIDE[1]
STEP = 0.01  # of the coarsest storage: whole percents, a little more than the steps of a byte
_FURTHEST = 0.1  # of a sum from 1, however many classes
_COPIES = 6  # single precision: a class as stored and converted, sum, largest, the label's, masks


@dataclass
class Probabilities:
    """Reads the probability of each class of a case; at first all are checked, class by class.

    Without any file of the background, that is what the others leave of 1.

    Attributes:
        tree: of the predictions, with a folder for each class.
        case: its id.
        predicted: class numbers, on whose grid they lie.
        reference: to whose grid they are brought.
        num_classes: background included.
        tidied: classes whose components may have been made background afterwards.
        recorded: whether sdunet recorded these predictions; of those the background is there.
        accept: codes of what is meant to be so.
        memory: bytes that may be taken; `None` for no limit.
    """

    tree: Tree
    case: str
    predicted: Scan
    reference: Scan
    num_classes: int
    tidied: Collection[int | str] = ()
    recorded: bool = False
    accept: Collection[str] = ()
    memory: float | None = None
    _checked: bool = False

    def __call__(self, number: int) -> np.ndarray:
        """Return the probability of a class on the grid of the reference, `(1, ...)`.

        Raises:
            DataError: as `check`.
        """
        self.check()
        with memory_within(self.memory):
            scan, findings = self._read(number), Findings(self.accept)
            return fit_image(self.reference, scan, findings, "probabilities", "reference").array

    @property
    def label(self) -> np.ndarray:
        """Class numbers that were predicted, `(1, ...)`, on their own grid."""
        return self.predicted.array

    def check(self) -> None:
        """Refuse what are no probabilities, or not those of the label.

        Raises:
            DataError: PROB_MISSING, PROB_CLASSES, PROB_RANGE, PRED_DUPLICATE; PROB_SUM and
                PROB_LABEL, unless accepted; IO_MEMORY; as `check_same_grid`.
        """
        if self._checked:
            return
        known = {str(number) for number in self.numbers}
        for name in self.tree.names:
            folder = name.removeprefix(FOLDER).partition("/")[0]
            if name.startswith(FOLDER) and stem(name) == self.case and folder not in known:
                found = (
                    f"probabilities of class {folder!r}, {self.kind} are {self.numbers[0]} to "
                    f"{self.numbers[-1]}"
                )
                raise DataError(
                    "PROB_CLASSES", found, "score them with their own classes", case=self.case
                )
        with case_errors(self.case), memory_within(self.memory):
            self._hold()
        self._checked = True

    @property
    def kind(self) -> str:
        """What they are of, in a word."""
        return "classes"

    @property
    def numbers(self) -> range:
        """Numbers of all classes, of which there may be files."""
        return range(self.num_classes)

    def of_class(self, number: int) -> np.ndarray:
        """Return the probability of a class number, `(1, ...)`, as it is called for classes."""
        return self(number)

    def _hold(self) -> None:
        """Hold the probabilities to 1, and to the label."""
        check_bytes(4 * self.label.size, _COPIES)
        total, largest, own = (np.zeros(self.label.shape, np.float32) for _ in range(3))
        background = self.label == 0
        for number in self._stored():
            found = self._read(number).array.astype(np.float32, copy=False)
            total += found
            self._compare(number, found, largest, own, background)
        if 0 not in self._stored() and total.max() <= 1 + self._apart:
            self._compare(0, 1 - total, largest, own, background)
            total[:] = 1
        self._ask(total, largest, own)

    @property
    def _apart(self) -> float:
        """How far a sum may be from 1."""
        return min(STEP / 2 * self.num_classes, _FURTHEST)

    def _stored(self) -> range:
        """Return the classes of which there must be files."""
        first = f"{FOLDER}0/"
        whole = self.recorded or any(name.startswith(first) for name in self.tree.names)
        return range(0 if whole else 1, self.num_classes)

    def _compare(
        self,
        number: int,
        found: np.ndarray,
        largest: np.ndarray,
        own: np.ndarray,
        background: np.ndarray,
    ) -> None:
        """Keep the largest probability of each voxel, and that of its label."""
        # What post-processing took away was of this class, and is background now.
        counted = ~background if number in self.tidied else True
        np.maximum(largest, found, out=largest, where=counted)
        np.copyto(own, found, where=self.label == number)

    def _ask(self, total: np.ndarray, largest: np.ndarray, own: np.ndarray) -> None:
        findings = Findings(self.accept)
        off = np.abs(total - 1)
        if count := int((off > self._apart).sum()):
            findings.ask(
                "PROB_SUM",
                f"in {count} of {total.size} voxels the classes' probabilities sum to another "
                f"number than 1, such as {total.flat[off.argmax()]:.4g}",
                "predict again, or write the probabilities of all classes",
            )
        behind = largest - own
        if count := int((behind > STEP).sum()):
            worst = behind.argmax()
            findings.ask(
                "PROB_LABEL",
                f"in {count} of {total.size} voxels another class is more probable than that of "
                f"the label, such as by {largest.flat[worst]:.4g} to {own.flat[worst]:.4g}",
                "give labels and probabilities of one prediction",
            )

    def _read(self, number: int) -> Scan:
        folder = f"{FOLDER}{number}/"
        there = [name for name in self.tree.names if name.startswith(folder)]
        files = [name for name in there if stem(name) == self.case]
        if len(files) > 1:
            found = f"{' and '.join(files)}: none is taken"
            raise DataError("PRED_DUPLICATE", found, "keep one", case=self.case)
        file = next(iter(files), None)
        if file is None:
            raise DataError(
                "PROB_MISSING",
                f"no probabilities of class {number}",
                "predict it with --probabilities",
                case=self.case,
            )
        try:
            with memory_within(self.memory):
                scan = read_scan(self.tree, file, Findings(self.accept))
            check_same_grid(self.predicted, scan, "probabilities", "prediction")
            _check_range(scan.array)
        except DataError as error:
            raise error.at(case=self.case, file=file) from None
        return scan


def _check_range(array: np.ndarray) -> None:
    if len(array) != 1:
        found = f"{len(array)} channels"
    elif not np.isfinite(array).all():
        found = f"{int((~np.isfinite(array)).sum())} voxels are NaN or infinite"
    elif array.min() < 0 or array.max() > 1:
        found = f"values from {array.min():.4g} to {array.max():.4g}, outside of 0 to 1"
    else:
        return
    raise DataError("PROB_RANGE", found, "predict again")
