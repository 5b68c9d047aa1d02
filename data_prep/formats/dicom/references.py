"""Whether a label belongs to the series it is drawn on, by all that it says of it.

What either of them does not say is no contradiction.
Source: DICOM PS3.3, C.8.8.5 (structure set), C.8.8.6 (ROI contours), C.8.20.2 (segmentation).
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from unicodedata import normalize

import numpy as np
from pydicom.dataset import Dataset

from data_prep.core.errors import DataError
from data_prep.core.findings import Findings
from data_prep.core.geometry import LPS_TO_RAS
from data_prep.core.scan import Scan
from data_prep.formats.dicom.groups import groups_of, value_of

_NEAR = 0.5  # slices: an image that is further from a contour is another one
_AGAIN = "export the label again, on the series it was drawn on"
_OF_PERSONS = ("PatientID", "PatientName", "PatientBirthDate")


@dataclass(frozen=True)
class Source:
    """A series, as labels refer to it.

    Attributes:
        series: its SeriesInstanceUID.
        frame: its FrameOfReferenceUID, empty if it has none.
        person: what it says of the patient, see `person_of`.
        places: of each SOPInstanceUID, where its frames lie in LPS millimetres.
    """

    series: str
    frame: str
    person: tuple[str, ...]
    places: Mapping[str, list[np.ndarray]]


def source_of(files: Iterable[Dataset]) -> Source:
    """Return what the files of a series, their pixels aside, say of what labels refer to."""
    series = frame = ""
    person = ("",) * len(_OF_PERSONS)
    places: dict[str, list[np.ndarray]] = defaultdict(list)
    for one in files:
        series = series or _text(one, "SeriesInstanceUID")
        frame = frame or _text(one, "FrameOfReferenceUID")
        person = tuple(a or b for a, b in zip(person, person_of(one), strict=True))
        groups: list[Dataset | None] = [*groups_of(one)]
        for group in groups or [None]:
            place = value_of(one, group, "PlanePositionSequence", "ImagePositionPatient")
            places[_text(one, "SOPInstanceUID")].append(np.array(place or [np.nan] * 3, float))
    return Source(series, frame, person, dict(places))


def person_of(one: Dataset) -> tuple[str, ...]:
    """Return identifier, name and date of birth of a patient as they are compared.

    Each is empty if it is not said. Of a name, capitals, what stands between its parts, and the
    same name in other letters (after `=`) do not matter.
    """
    identifier, name, born = (_text(one, tag) for tag in _OF_PERSONS)
    parts = re.split(r"[\s^,]+", normalize("NFKC", name.partition("=")[0]).casefold())
    return identifier, " ".join(filter(None, parts)), born


def persons_in(told: Iterable[tuple[str, ...]]) -> dict[str, int]:
    """Return how many patients there are by each attribute that tells of several, of `person_of`.

    What is empty tells nothing.
    """
    counts = [len({*values} - {""}) for values in zip(*told, strict=True)]
    return {tag: n for tag, n in zip(_OF_PERSONS, counts, strict=True) if n > 1}


class References:
    """What a label says of the slices it is drawn on, held to those of its series.

    Args:
        label: an RTSTRUCT or SEG.
        source: the series.
        image: the series as it was read.

    Raises:
        DataError: DCM_PATIENTS, DCM_REFERENCE if it says it is of another patient or place.
    """

    def __init__(self, label: Dataset, source: Source, image: Scan) -> None:
        if told := persons_in([person_of(label), source.person]):
            found = f"the label of another patient than its series, by {' and '.join(told)}"
            raise DataError("DCM_PATIENTS", found, _AGAIN)
        self.source = source
        self.check_frame(label, "the label", "FrameOfReferenceUID")
        self.slices = {
            uid: [float(to_voxels(place[None], image)[0, 2]) for place in places]
            for uid, places in source.places.items()
            if uid
        }
        listed = set(self._listed(label))
        # Of a label that lists none of the series' images, these may only have been renamed.
        self.missing = len(listed - source.places.keys()) if listed & source.places.keys() else 0
        self.all = np.array([z for zs in self.slices.values() for z in zs])
        self.listed = np.array([z for uid, zs in self.slices.items() if uid in listed for z in zs])
        self.unlisted = self.unknown = self.named = 0

    def check_frame(self, item: Dataset, what: str, name: str) -> None:
        """Refuse what says it was drawn in another frame of reference."""
        if _differ(_text(item, name), self.source.frame):
            found = f"{what} is drawn in another frame of reference than the series has"
            raise DataError("DCM_REFERENCE", found, _AGAIN)

    def check_slice(self, images: Iterable[Dataset], at: float, what: str) -> None:
        """Refuse what lies in another slice than in those images that it says it was drawn on.

        Args:
            images: items that refer to an image each.
            at: number of the slice that it lies in.
            what: lies there.

        Raises:
            DataError: DCM_REFERENCE.
        """
        images = list(images)
        named = [place for item in images for place in self._slices_of(item)]
        unlisted = self.listed.size and _near(self.all, at) and not _near(self.listed, at)
        self.named += 1
        if named:
            if not _near(np.array(named), at):
                found = f"{what} lies in slice {at:.4g} and says it is of slice {named[0]:.4g}"
                raise DataError("DCM_REFERENCE", found, _AGAIN)
            self.unlisted += bool(unlisted)
        elif images:
            self.unknown += 1
        elif unlisted:
            found = f"{what} lies in slice {at:.4g}, which is none of those it says it was drawn on"
            raise DataError("DCM_REFERENCE", found, _AGAIN)

    def tell(self, findings: Findings) -> None:
        """Tell of images that are referred to and not there, or not listed.

        Raises:
            DataError: DCM_LOST if images are listed that the series lacks, unless accepted.
        """
        if self.missing:
            found = f"the label lists {self.missing} images that are not in the series"
            findings.ask("DCM_LOST", found, "add the slices")
        if self.unknown:
            found = f"{self.unknown} of {self.named} contours or frames are of images not there"
            findings.warn("DCM_REFERENCE", found, "look whether the series is the one meant")
        if self.unlisted:
            found = f"{self.unlisted} of {self.named} contours or frames lie in slices not listed"
            findings.warn("DCM_REFERENCE", found, "look whether the series is the one meant")

    def _listed(self, label: Dataset) -> Iterator[str]:
        for frame in label.get("ReferencedFrameOfReferenceSequence") or []:
            for study in frame.get("RTReferencedStudySequence") or []:
                for series in study.get("RTReferencedSeriesSequence") or []:
                    if _text(series, "SeriesInstanceUID") == self.source.series:
                        self.check_frame(frame, "the label", "FrameOfReferenceUID")
                        yield from map(_image, series.get("ContourImageSequence") or [])
        for series in label.get("ReferencedSeriesSequence") or []:
            if _text(series, "SeriesInstanceUID") == self.source.series:
                yield from map(_image, series.get("ReferencedInstanceSequence") or [])

    def _slices_of(self, item: Dataset) -> list[float]:
        """Return the slices that an item refers to: the frames it names, or all of the file."""
        slices = self.slices.get(_image(item), [])
        numbers = item.get("ReferencedFrameNumber")
        if numbers is None:
            return slices
        numbers = numbers if isinstance(numbers, Iterable) else [numbers]
        return [slices[int(n) - 1] for n in numbers if 0 < int(n) <= len(slices)]


def sources_of(group: Dataset, shared: Dataset) -> list[Dataset]:
    """Return the items that refer to the images a frame of a SEG was drawn on."""
    derived = group.get("DerivationImageSequence") or shared.get("DerivationImageSequence") or []
    return [item for one in derived for item in one.get("SourceImageSequence") or []]


def images_referred_to(label: Dataset) -> set[str]:
    """Return the SOPInstanceUIDs of all images that an RTSTRUCT or SEG says it was drawn on."""
    items: list[Dataset] = []
    for roi in label.get("ROIContourSequence") or []:
        for contour in roi.get("ContourSequence") or []:
            items += contour.get("ContourImageSequence") or []
    shared = (label.get("SharedFunctionalGroupsSequence") or [Dataset()])[0]
    for group in label.get("PerFrameFunctionalGroupsSequence") or []:
        items += sources_of(group, shared)
    return set(map(_image, items)) - {""}


def to_voxels(places: np.ndarray, image: Scan) -> np.ndarray:
    """Return the voxel indices `(n, 3)` of points in LPS millimetres.

    Raises:
        ValueError: if the image has no affine.
    """
    homogeneous = np.column_stack([places, np.ones(len(places))]) @ LPS_TO_RAS.T
    if image.affine is None:
        raise ValueError("an image without an affine")
    return np.linalg.solve(image.affine, homogeneous.T).T[:, :3]


def _near(slices: np.ndarray, at: float) -> bool:
    return bool((np.abs(slices - at) <= _NEAR).any())


def _image(item: Dataset) -> str:
    return _text(item, "ReferencedSOPInstanceUID")


def _text(one: Dataset, name: str) -> str:
    return str(one.get(name) or "").strip()


def _differ(one: str, other: str) -> bool:
    return bool(one and other) and one != other
