"""The DICOM series that a case was read from, for files that refer to it.

Source: DICOM PS3.3, C.7.2.1 and C.7.3.1 (study and series), C.7.4.1 (frame of reference).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from pydicom.dataset import Dataset

from data_prep.core.errors import DataError
from data_prep.core.findings import Findings
from data_prep.core.geometry import SAME_PLACE
from data_prep.core.scan import Scan
from data_prep.files.file_tree import Tree
from data_prep.formats.dicom.groups import groups_of, value_of
from data_prep.formats.dicom.references import to_voxels
from data_prep.formats.dicom.series import is_dicom, parse
from data_prep.formats.registry import open_file
from data_prep.layouts import Case
from sdunet.segmentation.inference.files.class_names import LONGEST, wrong_in_name

NAME = "sdunet"
PURPOSE = "research use only, no medical device"
SERIES_NUMBER = 1000  # above those that scanners give
_NEEDED = (
    *("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"),
    "FrameOfReferenceUID",
)
# That every file has, if only without a value.
OF_STUDY = (
    *("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber"),
    *("StudyID", "StudyDate", "StudyTime", "ReferringPhysicianName"),
)
_START = 256  # bytes that tell DICOM
_FIX = "give DICOM series, or leave --dicom-seg and --rtstruct out"


@dataclass(frozen=True)
class Maker:
    """What made a prediction.

    Attributes:
        version: of sdunet.
        models: SHA-256 of each network.
    """

    version: str
    models: tuple[str, ...]

    @property
    def serial(self) -> str:
        """What stands for the serial number of a device: the start of the first hash."""
        return self.models[0][:16] or "0"


@dataclass(frozen=True)
class SourceSeries:
    """What the files of a series say of themselves, without their pixels.

    Attributes:
        images: one of each slice of the scan, in the order of its third axis; or a single one,
            whose frames are the slices.
        slices: number of the slice that each frame holds, of a single file; empty otherwise.
    """

    images: Sequence[Dataset]
    slices: tuple[int, ...] = ()


def check_names(names: Sequence[str]) -> None:
    """Refuse names of classes or regions that DICOM does not take.

    Raises:
        DataError: PRED_FORMAT.
    """
    for name in names:
        if wrong := wrong_in_name(name, LONGEST):
            found = f"DICOM takes no class name {name!r:.80}: it has {wrong}"
            raise DataError("PRED_FORMAT", found, "leave --dicom-seg and --rtstruct out")


def check_dicom(tree: Tree, cases: Sequence[Case], findings: Findings) -> None:
    """Refuse cases whose first channel is no DICOM series that other files can refer to.

    Of each series all files are looked at, and what the first says is read.

    Raises:
        DataError: PRED_DICOM, with the first of such cases and how many there are.
    """
    wrong = [error for case in cases if (error := _what_is_wrong(tree, case, findings))]
    if wrong:
        first, *others = wrong
        more = f"; {len(wrong)} of {len(cases)} cases are so" if others else ""
        told = first.found + more, first.fix
        raise DataError(first.code, *told, case=first.case, file=first.file)


def _what_is_wrong(tree: Tree, case: Case, findings: Findings) -> DataError | None:
    for name in case.scans[0]:
        if not is_dicom(open_file(tree, name, findings, _START)):
            found = "its image is no DICOM series"
            return DataError("PRED_DICOM", found, _FIX, case=case.id, file=name)
    name = case.scans[0][0]
    try:
        one = parse(open_file(tree, name, findings), pixels=False)
        _check(one)
    except DataError as error:
        return error.at(case=case.id, file=name)
    return None


def _check(one: Dataset) -> None:
    lacking = [name for name in _NEEDED if not str(one.get(name) or "").strip()]
    if not groups_of(one):
        place = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing")
        lacking += [name for name in place if not one.get(name)]
    if lacking:
        raise DataError("PRED_DICOM", f"its series tells no {', '.join(lacking)}", _FIX)


def read_source(tree: Tree, case: Case, scan: Scan, findings: Findings) -> SourceSeries:
    """Return what files can refer to, of the series that gave the first channel of a scan.

    Args:
        tree: holds the files.
        case: the case.
        scan: as it was read of them.
        findings: as `open_file` takes them.

    Raises:
        DataError: PRED_DICOM if slices of the scan are not those of the series, as where they
            were interpolated, or a file tells too little.
    """
    images = [parse(open_file(tree, name, findings), pixels=False) for name in case.scans[0]]
    placed: dict[int, tuple[int, int]] = {}
    for number, one in enumerate(images):
        _check(one)
        for name in OF_STUDY:
            if name not in one:
                setattr(one, name, "")
        for frame, group in enumerate([*groups_of(one)] or [None]):
            place = partial(value_of, one, group)("PlanePositionSequence", "ImagePositionPatient")
            at = to_voxels(np.array([place], float), scan)[0]
            if np.abs(at - np.rint(at)).max() < SAME_PLACE and not np.rint(at[:2]).any():
                placed.setdefault(round(at[2]), (number, frame))
    depth = scan.size[2]
    if placed.keys() != {*range(depth)}:
        found = f"{len(placed.keys() & {*range(depth)})} of {depth} slices are where its files are"
        raise DataError("PRED_DICOM", found, "give a series of even slices, or leave the file out")
    chosen = [placed[slice_] for slice_ in range(depth)]
    if len({number for number, _ in chosen}) == depth:
        return SourceSeries([images[number] for number, _ in chosen])
    frames = {frame: slice_ for slice_, (_, frame) in enumerate(chosen)}
    if len(images) > 1 or len(frames) != int(images[0].get("NumberOfFrames") or 1):
        found = f"{len(images)} files of several frames each, or frames that are there twice"
        raise DataError("PRED_DICOM", found, _FIX)
    return SourceSeries(images, tuple(frames[frame] for frame in range(depth)))
