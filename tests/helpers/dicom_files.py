"""DICOM files as tests need them: a small CT series and structures drawn on it."""

import io
from copy import deepcopy

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    PositronEmissionTomographyImageStorage,
    generate_uid,
)

RANDOM = np.random.default_rng(0)
STORED = RANDOM.integers(0, 3000, (10, 6, 8)).astype(np.uint16)  # (Z, Y, X)
STORED_AS = {"MR": MRImageStorage, "PT": PositronEmissionTomographyImageStorage}
OBLIQUE = [0.8, 0.6, 0, -0.6, 0.8, 0]


def new_slice(z, pixels, series="1.2.3", orientation=(1, 0, 0, 0, 1, 0), step=2.0, **changes):
    """One CT slice; attributes are changed by name, `None` takes them away."""
    one = Dataset()
    one.file_meta = FileMetaDataset()
    one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    stored_as = STORED_AS.get(changes.get("Modality"), CTImageStorage)
    one.file_meta.MediaStorageSOPClassUID = one.SOPClassUID = stored_as
    one.file_meta.MediaStorageSOPInstanceUID = one.SOPInstanceUID = generate_uid()
    one.PatientID, one.StudyInstanceUID, one.SeriesInstanceUID = "P1", "1.2", series
    one.Modality, one.PhotometricInterpretation = "CT", "MONOCHROME2"
    one.Rows, one.Columns = pixels.shape
    one.SamplesPerPixel, one.BitsAllocated, one.BitsStored, one.HighBit = 1, 16, 12, 11
    one.PixelRepresentation = 0
    one.PixelSpacing, one.SliceThickness = [0.7, 0.9], 2.0
    one.RescaleSlope, one.RescaleIntercept = 1, -1024
    one.ImageOrientationPatient = list(orientation)
    normal = np.cross(orientation[:3], orientation[3:])
    place = np.array([5.0, -7.0, 11.0]) + normal * step * z
    one.ImagePositionPatient = [round(float(n), 4) for n in place]
    one.PixelData = pixels.tobytes()
    for name, value in changes.items():
        if value is None:
            delattr(one, name)
        else:
            setattr(one, name, value)
    return one


def encode(one):
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, one, enforce_file_format=True)
    return buffer.getvalue()


def series(count=10, **options):
    return [new_slice(z, STORED[z], **options) for z in range(count)]


def multi_frame():
    """The series as frames of one file, out of order."""
    one = new_slice(0, STORED[0])
    for name in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleSlope",
                 "RescaleIntercept", "SliceThickness"):  # fmt: skip
        delattr(one, name)

    def group(**parts):
        out = Dataset()
        for sequence, values in parts.items():
            item = Dataset()
            for name, value in values.items():
                setattr(item, name, value)
            setattr(out, sequence, Sequence([item]))
        return out

    one.SharedFunctionalGroupsSequence = [
        group(
            PlaneOrientationSequence={"ImageOrientationPatient": [1, 0, 0, 0, 1, 0]},
            PixelMeasuresSequence={"PixelSpacing": [0.7, 0.9], "SliceThickness": 2.0},
            PixelValueTransformationSequence={"RescaleSlope": 1, "RescaleIntercept": -1024},
        )
    ]
    order = RANDOM.permutation(10)
    one.PerFrameFunctionalGroupsSequence = [
        group(PlanePositionSequence={"ImagePositionPatient": [5.0, -7.0, 11.0 + 2.0 * float(z)]})
        for z in order
    ]
    one.NumberOfFrames = 10
    one.PixelData = STORED[order].tobytes()
    return one


def structures(contours, referenced="1.2.3"):
    """An RTSTRUCT with contours as `(name, points in LPS millimetres)`."""
    one = new_slice(0, STORED[0], series="9.9", Modality="RTSTRUCT", PixelData=None)
    names = list(dict.fromkeys(name for name, _ in contours))
    one.StructureSetROISequence, one.ROIContourSequence = Sequence(), Sequence()
    for number, name in enumerate(names, 1):
        roi, drawn = Dataset(), Dataset()
        roi.ROINumber = drawn.ReferencedROINumber = number
        roi.ROIName = name
        drawn.ContourSequence = Sequence()
        for points in (points for n, points in contours if n == name):
            contour = Dataset()
            contour.ContourGeometricType = "CLOSED_PLANAR"
            contour.NumberOfContourPoints = len(points)
            contour.ContourData = [round(float(n), 4) for n in np.ravel(points)]
            drawn.ContourSequence.append(contour)
        one.StructureSetROISequence.append(roi)
        one.ROIContourSequence.append(drawn)
    refers, study, frame = Dataset(), Dataset(), Dataset()
    refers.SeriesInstanceUID = referenced
    study.RTReferencedSeriesSequence = [refers]
    frame.RTReferencedStudySequence = [study]
    one.ReferencedFrameOfReferenceSequence = [frame]
    return one


def box(z, left, right, top, bottom):
    """Corners of a rectangle around whole voxels of slice z, in LPS millimetres."""
    columns, rows = np.array([left, right, right, left]), np.array([top, top, bottom, bottom])
    return np.column_stack(
        [5 + 0.9 * (columns - 0.5), -7 + 0.7 * (rows - 0.5), np.full(4, 11 + 2.0 * z)]
    )


def segments(turn=False):
    """A DICOM-SEG of the second segment in two slices of the series."""
    one = multi_frame()
    one.Modality, one.SeriesInstanceUID = "SEG", "8.8"
    one.SegmentationType = "BINARY"
    one.SegmentSequence = Sequence()
    for number, name in ((1, "organ"), (2, "tumour")):
        segment = Dataset()
        segment.SegmentNumber, segment.SegmentLabel = number, name
        one.SegmentSequence.append(segment)
    frames = []
    for z, number in ((2, 2), (3, 2), (5, 1)):
        group = deepcopy(one.PerFrameFunctionalGroupsSequence[0])
        group.PlanePositionSequence[0].ImagePositionPatient = [5.0, -7.0, 11.0 + 2.0 * z + turn]
        item = Dataset()
        item.ReferencedSegmentNumber = number
        group.SegmentIdentificationSequence = [item]
        frames.append(group)
    one.PerFrameFunctionalGroupsSequence = frames
    one.NumberOfFrames, one.BitsAllocated, one.BitsStored, one.HighBit = 3, 8, 8, 7
    masks = np.zeros((3, 6, 8), np.uint8)
    masks[0, 1:3, 2:5] = masks[1, 0, 0] = masks[2, 5, 7] = 1
    one.PixelData = masks.tobytes()
    refers = Dataset()
    refers.SeriesInstanceUID = "1.2.3"
    one.ReferencedSeriesSequence = [refers]
    return one
