"""A prediction as an RT Structure Set: contours of each class in each slice of its series.

Contours run half-way between voxels inside and outside (`skimage.measure.find_contours`), around
parts that hang together by their edges. One in another is a hole. They hold the centres of the
voxels that were predicted and of no others.
Source: DICOM PS3.3, A.19 (RT structure set), C.8.8.5 (structure set), C.8.8.6 (ROI contours).
"""

import io
from collections.abc import Iterator, Sequence
from datetime import datetime

import numpy as np
import pydicom
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.tag import Tag
from pydicom.uid import ImplicitVRLittleEndian, RTStructureSetStorage, generate_uid
from skimage.measure import find_contours

from data_prep.core.geometry import LPS_TO_RAS
from data_prep.core.values.regions import Region, inside
from data_prep.prepared.rendering import bytes_of_colour
from sdunet.segmentation.inference.files.source_series import (
    NAME,
    OF_STUDY,
    PURPOSE,
    SERIES_NUMBER,
    Maker,
    SourceSeries,
)

_STUDY = "1.2.840.10008.3.1.2.3.1"  # the class by which a study is referred to here, since retired
_DATA = Tag("ContourData")
_DIGITS = 4  # of millimetres


def contours_of(mask: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the contours around and in the parts of a slice, in voxels `(n, 2)`, each point once.

    Args:
        mask: whether each voxel is inside, `(X, Y)`.
    """
    for closed in find_contours(np.pad(mask, 1).astype(np.float32), 0.5):
        points = closed[:-1] - 1
        before, after = points - np.roll(points, 1, 0), np.roll(points, -1, 0) - points
        turns = before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]
        yield points[turns]


def rtstruct(
    label: np.ndarray,
    affine: np.ndarray,
    structures: Sequence[Region],
    source: SourceSeries,
    maker: Maker,
) -> bytes:
    """Return the file: a structure of each class or region, one that is nowhere without contours.

    Args:
        label: class numbers `(X, Y, Z)`, on the grid of the scan.
        affine: of the scan, RAS+.
        structures: classes or regions; these may overlap.
        source: the series.
        maker: named in the file.
    """
    one = _head(source, maker)
    frame = str(source.images[0].FrameOfReferenceUID)
    images = [_reference(source, slice_) for slice_ in range(label.shape[2])]
    one.ReferencedFrameOfReferenceSequence = [_referred(source, frame, images)]
    one.StructureSetROISequence, one.ROIContourSequence = [], []
    one.RTROIObservationsSequence = []
    for number, structure in enumerate(structures, 1):
        roi = _item(ROINumber=number, ReferencedFrameOfReferenceUID=frame)
        roi.ROIName, roi.ROIGenerationAlgorithm = structure.name, "AUTOMATIC"
        drawn = _item(ReferencedROINumber=number)
        drawn.ROIDisplayColor = list(bytes_of_colour(structure.painted))
        mask = inside(label, structure.classes)
        if contours := list(_contours(mask, LPS_TO_RAS @ affine, images)):
            drawn.ContourSequence = contours
        observed = _item(ObservationNumber=number, ReferencedROINumber=number)
        observed.RTROIInterpretedType = observed.ROIInterpreter = ""
        one.StructureSetROISequence.append(roi)
        one.ROIContourSequence.append(drawn)
        one.RTROIObservationsSequence.append(observed)
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, one, enforce_file_format=True)
    return buffer.getvalue()


def _head(source: SourceSeries, maker: Maker) -> Dataset:
    """Return what says whose file it is and what made it."""
    one, now = Dataset(), datetime.now()
    one.file_meta = FileMetaDataset()
    # Lengths of explicit types end at 64 kB, which a long contour has.
    one.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    one.file_meta.MediaStorageSOPClassUID = one.SOPClassUID = RTStructureSetStorage
    one.file_meta.MediaStorageSOPInstanceUID = one.SOPInstanceUID = generate_uid()
    one.SpecificCharacterSet = "ISO_IR 192"
    for name in (*OF_STUDY, "StudyInstanceUID"):
        setattr(one, name, str(source.images[0].get(name) or ""))
    one.Modality, one.SeriesInstanceUID = "RTSTRUCT", generate_uid()
    one.SeriesNumber, one.InstanceNumber, one.OperatorsName = SERIES_NUMBER + 1, 1, ""
    one.SeriesDescription = f"{NAME}, {PURPOSE}"
    one.Manufacturer = one.ManufacturerModelName = NAME
    one.SoftwareVersions, one.DeviceSerialNumber = maker.version, maker.serial
    one.FrameOfReferenceUID = str(source.images[0].FrameOfReferenceUID)
    one.PositionReferenceIndicator = ""
    one.StructureSetLabel, one.ApprovalStatus = "SDUNET", "UNAPPROVED"
    one.StructureSetDescription = f"Prediction, {PURPOSE}"
    one.StructureSetDate = one.InstanceCreationDate = now.strftime("%Y%m%d")
    one.StructureSetTime = one.InstanceCreationTime = now.strftime("%H%M%S")
    return one


def _referred(source: SourceSeries, frame: str, images: Sequence[Dataset]) -> Dataset:
    """Return the item that refers to the series and to all of its images."""
    first = source.images[0]
    series = _item(SeriesInstanceUID=str(first.SeriesInstanceUID))
    series.ContourImageSequence = images
    study = _item(ReferencedSOPClassUID=_STUDY)
    study.ReferencedSOPInstanceUID = str(first.StudyInstanceUID)
    study.RTReferencedSeriesSequence = [series]
    return _item(FrameOfReferenceUID=frame, RTReferencedStudySequence=[study])


def _reference(source: SourceSeries, slice_: int) -> Dataset:
    """Return the item that refers to the image of a slice."""
    one = source.images[0 if source.slices else slice_]
    found = _item(ReferencedSOPClassUID=str(one.SOPClassUID))
    found.ReferencedSOPInstanceUID = str(one.SOPInstanceUID)
    if source.slices:
        found.ReferencedFrameNumber = source.slices.index(slice_) + 1
    return found


def _contours(mask: np.ndarray, place: np.ndarray, images: Sequence[Dataset]) -> Iterator[Dataset]:
    """Yield an item for each contour, of points in LPS millimetres."""
    for slice_ in np.flatnonzero(mask.any((0, 1))).tolist():
        for points in contours_of(mask[..., slice_]):
            voxels = np.column_stack([points, np.full((len(points), 2), (slice_, 1))])
            found = _item(ContourGeometricType="CLOSED_PLANAR")
            found.ContourImageSequence = [images[slice_]]
            found.NumberOfContourPoints = len(points)
            written = "\\".join(f"{n:.{_DIGITS}f}" for n in (voxels @ place[:3].T).ravel())
            # As bytes: pydicom makes an object of 500 bytes of each number.
            data = written.encode() + b" " * (len(written) % 2)
            found[_DATA] = RawDataElement(_DATA, "DS", len(data), data, 0, True, True)
            yield found


def _item(**values: object) -> Dataset:
    found = Dataset()
    for name, value in values.items():
        setattr(found, name, value)
    return found
