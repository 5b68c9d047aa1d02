"""Files for `fuzz_readers.py` that tell of places, units, tables and structures in other ways."""

import io
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pydicom
import tifffile
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, RTStructureSetStorage

from data_prep.core.config import Rules
from data_prep.core.findings import Findings
from data_prep.core.scan import Scan
from data_prep.files.file_tree import Tree
from data_prep.layouts import Case
from data_prep.reading.image import read_case_image
from data_prep.reading.label import read_case_label

_PAGES = np.random.default_rng(0).integers(0, 60000, (5, 6, 7)).astype(np.uint16)
_TWO = np.zeros((7, 6, 5), np.int16)
_TWO[1:3, 1:4, 1:3], _TWO[4:6, 2:5, 2:4] = 1, 2
_RULES = Rules(("image",), {"background": 0, "liver": 1, "tumour": 2})
_DRAWN = Rules(("image",), {"background": 0, "tumour": 1})

_NRRD = (
    b"NRRD0004\ntype: short\ndimension: 3\nsizes: 7 6 5\nspace: left-posterior-superior\n"
    b"space directions: (1,0,0) (0,2,0) (0,0,3)\nspace origin: (0,0,0)\nendian: little\n"
    b"encoding: raw\n"
)
_UNITS = b'space units: "um" "um" "um"\n'
_SEGMENTS = (
    b"Segment0_ID:=Segment_1\nSegment0_Name:=liver\nSegment0_LabelValue:=1\nSegment0_Layer:=0\n"
    b"Segment0_Extent:=1 2 1 3 1 2\n"
    b"Segment1_ID:=Segment_2\nSegment1_Name:=tumour\nSegment1_LabelValue:=2\nSegment1_Layer:=0\n"
    b"Segment1_Extent:=4 5 2 4 2 3\n"
)
_FLAT_NRRD = (
    b"NRRD0004\ntype: short\ndimension: 2\nsizes: 7 6\nspace dimension: 2\n"
    b"space directions: (1,0) (0,2)\nspace origin: (0,0)\nendian: little\nencoding: raw\n\n"
)
_MHA = (
    b"ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\n"
    b"CompressedData = False\nTransformMatrix = 1 0 0 0 1 0 0 0 1\nOffset = 0 0 0\n"
    b"ElementSpacing = 10 20 30\nDistanceUnits = um\nDimSize = 7 6 5\nElementType = MET_SHORT\n"
    b"ElementDataFile = LOCAL\n"
)
_FLAT_MHA = (
    b"ObjectType = Image\nNDims = 2\nBinaryData = True\nBinaryDataByteOrderMSB = False\n"
    b"CompressedData = False\nTransformMatrix = 1 0 0 1\nOffset = 0 0\n"
    b"ElementSpacing = 1 2\nDimSize = 7 6\nElementType = MET_SHORT\nElementDataFile = LOCAL\n"
)
_FOUR_NRRD = (
    b"NRRD0004\ntype: short\ndimension: 4\nspace dimension: 4\nsizes: 7 6 5 2\n"
    b"space directions: (1,0,0,0) (0,2,0,0) (0,0,3,0) (0,0,0,1)\nspace origin: (0,0,0,0)\n"
    b"kinds: domain domain domain domain\nendian: little\nencoding: raw\n\n"
)
_FOUR_MHA = (
    b"ObjectType = Image\nNDims = 4\nBinaryData = True\nBinaryDataByteOrderMSB = False\n"
    b"CompressedData = False\nTransformMatrix = 1 0 0 0 0 1 0 0 0 0 1 0 0 0 0 1\n"
    b"Offset = 0 0 0 0\nElementSpacing = 1 2 3 1\nDimSize = 7 6 5 2\nElementType = MET_SHORT\n"
    b"ElementDataFile = LOCAL\n"
)
_VOXELS = _PAGES.astype("<i2").tobytes()
_TWICE = _VOXELS + _PAGES[::-1].astype("<i2").tobytes()
_SCALED = _NRRD.replace(b"(1,0,0) (0,2,0) (0,0,3)", b"(10,0,0) (0,20,0) (0,0,30)")
_TABLES = [
    np.random.default_rng(n).integers(0, 2**16, 256).astype("<u2").tobytes() for n in range(3)
]
_STORED = np.random.default_rng(3).integers(0, 256, (12, 10)).astype(np.uint8).tobytes()
_UNSIGNED = b"\x28\x00\x03\x01US\x02\x00\x00\x00"  # how stored values are signed
_JSON = b'{"spacing": [2.5, 0.75, 0.5]}'


def tiff(**options: object) -> bytes:
    """A stack of pages."""
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, _PAGES, photometric="minisblack", **options)
    return buffer.getvalue()


_IMAGEJ = {"axes": "ZYX", "spacing": 2.5, "unit": "mm"}
_OME = {f"PhysicalSize{axis}": mm for axis, mm in zip("XYZ", (0.5, 0.75, 2.5), strict=True)}
_OME |= {f"PhysicalSize{axis}Unit": "mm" for axis in "XYZ"}


def slices() -> list[bytes]:
    """Three CT slices."""
    return [_encoded(_slice(z)) for z in range(3)]


def _slice(z: int) -> Dataset:
    one = Dataset()
    one.SOPClassUID, one.SOPInstanceUID = CTImageStorage, f"1.2.3.{z}"
    one.PatientID, one.StudyInstanceUID, one.SeriesInstanceUID = "P", "1.2", "1.2.3"
    one.FrameOfReferenceUID = "1.2.9"
    one.Modality, one.PhotometricInterpretation = "CT", "MONOCHROME2"
    one.Rows, one.Columns, one.SamplesPerPixel = 12, 10, 1
    one.BitsAllocated, one.BitsStored, one.HighBit, one.PixelRepresentation = 16, 16, 15, 0
    one.PixelSpacing, one.SliceThickness = [1, 1], 2.0
    one.RescaleSlope, one.RescaleIntercept = 1, -1024
    one.ImageOrientationPatient, one.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [0, 0, 2 * z]
    one.PixelData = np.full((12, 10), 100 * z, np.uint16).tobytes()
    return one


def structures() -> bytes:
    """A rectangle whose edges lead through centres of voxels, in each of two slices."""
    one, roi, shown, frame = Dataset(), Dataset(), Dataset(), Dataset()
    one.SOPClassUID, one.SOPInstanceUID = RTStructureSetStorage, "1.2.4"
    one.PatientID, one.StudyInstanceUID, one.SeriesInstanceUID = "P", "1.2", "1.2.5"
    one.Modality, one.FrameOfReferenceUID = "RTSTRUCT", "1.2.9"
    roi.ROINumber = shown.ReferencedROINumber = 1
    roi.ROIName, roi.ReferencedFrameOfReferenceUID = "tumour", "1.2.9"
    shown.ContourSequence = []
    for z in (0, 2):
        contour = Dataset()
        contour.ContourGeometricType, contour.NumberOfContourPoints = "CLOSED_PLANAR", 4
        contour.ContourData = [2, 3, z, 7, 3, z, 7, 8, z, 2, 8, z]
        shown.ContourSequence.append(contour)
    one.StructureSetROISequence, one.ROIContourSequence = [roi], [shown]
    refers, study = Dataset(), Dataset()
    refers.SeriesInstanceUID = "1.2.3"
    study.RTReferencedSeriesSequence = [refers]
    frame.RTReferencedStudySequence = [study]
    frame.FrameOfReferenceUID = "1.2.9"
    one.ReferencedFrameOfReferenceSequence = [frame]
    return _encoded(one)


def tabled(palette: bool) -> bytes:
    """A picture of indices of colours, or a slice with a modality table."""
    one, item = _slice(0), Dataset()
    one.Modality, one.BurnedInAnnotation = "OT" if palette else "CT", "NO"
    del one.RescaleSlope, one.RescaleIntercept
    one.BitsAllocated, one.BitsStored, one.HighBit, one.PixelData = 8, 8, 7, _STORED
    if palette:
        del one.ImageOrientationPatient, one.ImagePositionPatient, one.PixelSpacing
        one.PhotometricInterpretation = "PALETTE COLOR"
        for name, entries in zip(("Red", "Green", "Blue"), _TABLES, strict=True):
            setattr(one, f"{name}PaletteColorLookupTableDescriptor", [256, 0, 16])
            setattr(one, f"{name}PaletteColorLookupTableData", entries)
    else:
        item.LUTDescriptor, item.ModalityLUTType = [256, 0, 16], "HU"
        item.add_new("LUTData", "OW", _TABLES[0])
        one.ModalityLUTSequence = [item]
    return _encoded(one)


def _encoded(one: Dataset) -> bytes:
    one.file_meta = FileMetaDataset()
    one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    one.file_meta.MediaStorageSOPClassUID = one.SOPClassUID
    one.file_meta.MediaStorageSOPInstanceUID = one.SOPInstanceUID
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, one, enforce_file_format=True)
    return buffer.getvalue()


def beside(name: str, others: Mapping[str, bytes], case: Case) -> Callable[[bytes], Scan]:
    """Return a reader of a file among others: of the image of a case, or its label if it has one.

    A label of which a warning is told is not taken for what it was.
    """

    def read(data: bytes) -> Scan:
        files = {name: data, **others}
        tree = Tree(Path(), tuple(files), lambda n, limit: files[n][:limit])
        findings = Findings()
        if not case.labels:
            return read_case_image(tree, case, findings)
        rules = _DRAWN if case.kind == "contours" else _RULES
        scan = read_case_label(tree, case, rules, None, findings)
        for finding in findings.found:
            if finding.level == "warning":
                raise finding.error
        return scan

    return read


def image(suffix: str) -> Callable[[bytes], Scan]:
    """Return a reader of a file as the image of a case."""
    return beside(f"a{suffix}", {}, Case("a", ((f"a{suffix}",),)))


_SLICES = {f"{z}.dcm": one for z, one in enumerate(slices())}
_SERIES = Case("a", (tuple(_SLICES),), ("rt.dcm",), kind="contours")
_TIFF = Case("a", (("a_0000.tif",),))
FORMATS: dict[str, tuple[bytes, Callable[[bytes], Scan]]] = {
    "nrrd.2d": (_FLAT_NRRD + _VOXELS[:84], image(".nrrd")),
    "nrrd.four": (_FOUR_NRRD + _TWICE, image(".nrrd")),
    "metaimage.four": (_FOUR_MHA + _TWICE, image(".mha")),
    "dicom.palette": (tabled(palette=True), image(".dcm")),
    "dicom.modality": (tabled(palette=False), image(".dcm")),
    "nrrd.units": (_SCALED + _UNITS + b"\n" + _VOXELS, image(".nrrd")),
    "nrrd.segments": (
        _NRRD + _SEGMENTS + b"\n" + _TWO.tobytes(order="F"),
        beside("b.nrrd", {}, Case("a", (("a.nrrd",),), ("b.nrrd",))),
    ),
    "metaimage.2d": (_FLAT_MHA + _VOXELS[:84], image(".mha")),
    "metaimage.units": (_MHA + _VOXELS, image(".mha")),
    "tiff.imagej": (tiff(imagej=True, resolution=(2, 4 / 3), metadata=_IMAGEJ), image(".tif")),
    "tiff.ome": (tiff(ome=True, metadata={"axes": "ZYX", **_OME}), image(".tif")),
    "tiff.json": (_JSON, beside("a.json", {"a_0000.tif": tiff(metadata=None)}, _TIFF)),
    "rtstruct": (structures(), beside("rt.dcm", _SLICES, _SERIES)),
}
STORED = {
    **dict.fromkeys(("nrrd.2d", "metaimage.2d"), _VOXELS[:84]),
    **dict.fromkeys(("nrrd.units", "metaimage.units"), _VOXELS),
    **dict.fromkeys(("tiff.imagej", "tiff.ome"), _PAGES.tobytes()),
    **dict.fromkeys(("nrrd.four", "metaimage.four"), _TWICE),
    **dict.fromkeys(("dicom.palette", "dicom.modality"), _STORED),
    "nrrd.segments": _TWO.tobytes(order="F"),
}
# A name that is damaged is one that another program may have put there: nothing tells of it.
ALONE = {
    "nrrd.2d": (b" (1,0) (0,2)", b" (0,0)"),
    "nrrd.four": (b" (1,0,0,0) (0,2,0,0) (0,0,3,0) (0,0,0,1)", b" (0,0,0,0)"),
    "metaimage.four": (
        b" False\n",
        b" 1 0 0 0 0 1 0 0 0 0 1 0 0 0 0 1",
        b" 0 0 0 0\n",
        b" 1 2 3 1\n",
    ),
    "dicom.palette": (*_TABLES, _UNSIGNED),
    "dicom.modality": (
        *(_TABLES[0], _UNSIGNED, b"US\x06\x00\x00\x01\x00\x00\x10\x00"),
        *(b"1.0\\0.0\\0.0\\0.0\\1.0\\0.0", b"0.0\\0.0\\0.0 ", b"DS\x08\x001.0\\1.0 ", b"2.0 "),
    ),
    "nrrd.units": (b" (10,0,0) (0,20,0) (0,0,30)", b" (0,0,0)", _UNITS),
    "nrrd.segments": (b" (1,0,0) (0,2,0) (0,0,3)", b" (0,0,0)"),
    "metaimage.2d": (b" False\n", b" 1 0 0 1", b" 0 0\n", b" 1 2\n"),
    "metaimage.units": (
        *(b" False\n", b" 1 0 0 0 1 0 0 0 1", b" 0 0 0\n", b" 10 20 30\n", b"DistanceUnits = um"),
    ),
    "tiff.imagej": (b"\nspacing=2.5\nunit=mm\n",),
    "tiff.ome": (b'="0.5"', b'="0.75"', b'="2.5"', *(b'%cUnit="mm"' % a for a in b"XYZ")),
    "tiff.json": (b"2.5, 0.75, 0.5",),
}


def numbers(data: bytes) -> set[int]:
    """Return the bytes of the resolution and the place of the pixels of every page."""
    names = "XResolution", "YResolution", "StripOffsets"
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        tags = [page.tags[name] for page in file.pages for name in names]
    return {tag.valueoffset + n for tag in tags for n in range(tag.valuebytecount)}


def drawn(data: bytes) -> set[int]:
    """Return the bytes of the points of contours."""
    free: set[int] = set()
    one = pydicom.dcmread(io.BytesIO(data))
    for contour in one.ROIContourSequence[0].ContourSequence:
        text = "\\".join(str(n) for n in contour.ContourData).encode()
        at = data.index(text)
        free |= {*range(at, at + len(text))}
    return free
