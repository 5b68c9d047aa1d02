"""The probabilities of regions, held to the label that is painted of them."""

from dataclasses import dataclass

import numpy as np

from data_prep.core.findings import Findings
from data_prep.core.memory_limits import check_bytes
from data_prep.core.values.regions import Region
from sdunet.segmentation.evaluation.probabilities import STEP, Probabilities
from sdunet.segmentation.inference.decision import LIKELY

_COPIES = 8  # single precision: a region as stored and converted, what is painted, masks


@dataclass
class RegionProbabilities(Probabilities):
    """Reads the probability of each region of a case, which are numbered from 1.

    Attributes:
        regions: in the order in which they are painted.
    """

    regions: tuple[Region, ...] = ()

    @property
    def kind(self) -> str:
        """What they are of, in a word."""
        return "regions"

    @property
    def numbers(self) -> range:
        """Numbers of all regions."""
        return range(1, len(self.regions) + 1)

    def of_class(self, number: int) -> np.ndarray:
        """Return the probability of the last region that is painted as a class, `(1, ...)`."""
        painted = [region.painted for region in self.regions]
        return self(len(painted) - painted[::-1].index(number))

    def _hold(self) -> None:
        label = self.label
        check_bytes(4 * label.size, _COPIES)
        painted, unsure = np.zeros(label.shape, np.uint16), np.zeros(label.shape, bool)
        for number, region in zip(self.numbers, self.regions, strict=True):
            found = self._read(number).array
            painted[found > LIKELY] = region.painted
            unsure |= np.abs(found - LIKELY) <= STEP  # storage may have rounded it across
        for region in self.regions:
            if region.name in self.tidied:
                there, kept = (np.isin(some, region.classes) for some in (painted, label))
                unsure |= there & ~kept
        if count := int(((painted != label) & ~unsure).sum()):
            Findings(self.accept).ask(
                "PROB_LABEL",
                f"in {count} of {label.size} voxels the label is not the class that the regions "
                "are painted as",
                "give labels and probabilities of one prediction",
            )
