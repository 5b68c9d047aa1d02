"""The files that `fuzz_readers.py` damages, how each is read, and what of it nothing repeats."""

import gzip
import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import fuzz_places as more
import nibabel as nib
import numpy as np
import pydicom
import tifffile
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from data_prep.core.errors import DataError
from data_prep.core.findings import Findings
from data_prep.core.memory_limits import memory_within
from data_prep.core.scan import Scan
from data_prep.files.archives import open_archive
from data_prep.files.file_tree import Tree
from data_prep.layouts import Case
from data_prep.reading.image import read_case_image

_MEMORY = 2e9  # bytes allowed


def nifti() -> bytes:
    """A small volume whose two transforms say the same."""
    values = np.random.default_rng(0).integers(0, 900, (7, 6, 5)).astype(np.int16)
    image = nib.Nifti1Image(values, np.diag([1.5, 2.0, 3.0, 1.0]))
    image.set_qform(image.affine, 1)
    image.set_sform(image.affine, 1)
    return image.to_bytes()


def vectors() -> bytes:
    """Three channels on a fifth axis, as ITK stores them."""
    values = np.random.default_rng(0).integers(0, 900, (7, 6, 5, 1, 3)).astype(np.int16)
    image = nib.Nifti1Image(values, np.diag([1.5, 2.0, 3.0, 1.0]))
    image.set_qform(image.affine, 1)
    image.set_sform(image.affine, 1)
    image.header.set_intent("vector")
    return image.to_bytes()


def picture() -> np.ndarray:
    """Grey pixels without structure."""
    return np.random.default_rng(0).integers(0, 60000, (23, 19)).astype(np.uint16)


def png() -> bytes:
    """A 16-bit PNG."""
    buffer = io.BytesIO()
    Image.fromarray(picture()).save(buffer, "PNG")
    return buffer.getvalue()


def tiff() -> bytes:
    """A 16-bit TIFF, not compressed."""
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, picture(), metadata=None)
    return buffer.getvalue()


def dicom() -> bytes:
    """One CT slice, not compressed."""
    one = Dataset()
    one.file_meta = FileMetaDataset()
    one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    one.file_meta.MediaStorageSOPClassUID = one.SOPClassUID = CTImageStorage
    one.file_meta.MediaStorageSOPInstanceUID = one.SOPInstanceUID = "1.2.3"
    one.Modality, one.PhotometricInterpretation = "CT", "MONOCHROME2"
    one.Rows, one.Columns, one.SamplesPerPixel = 23, 19, 1
    one.BitsAllocated, one.BitsStored, one.HighBit, one.PixelRepresentation = 16, 16, 15, 0
    one.PixelSpacing, one.SliceThickness = [0.7, 0.9], 2.0
    one.RescaleSlope, one.RescaleIntercept = 1, -1024
    one.ImageOrientationPatient, one.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [5, -7, 11]
    one.PixelData = picture().tobytes()
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, one, enforce_file_format=True)
    return buffer.getvalue()


NRRD = (
    b"NRRD0004\ntype: short\ndimension: 3\nsizes: 7 6 5\nspace: left-posterior-superior\n"
    b"space directions: (1,0,0) (0,2,0) (0,0,3)\nspace origin: (0,0,0)\nendian: little\n"
    b"encoding: gzip\n\n"
)
CHANNELS = (
    b"NRRD0004\ntype: short\ndimension: 4\nsizes: 3 7 6 5\nspace: left-posterior-superior\n"
    b"space directions: none (1,0,0) (0,2,0) (0,0,3)\nspace origin: (0,0,0)\n"
    b"kinds: vector domain domain domain\nendian: little\nencoding: gzip\n\n"
)
MHA = (
    b"ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\n"
    b"CompressedData = False\nTransformMatrix = 1 0 0 0 1 0 0 0 1\nOffset = 0 0 0\n"
    b"ElementSpacing = 1 2 3\nDimSize = 7 6 5\nElementType = MET_SHORT\nElementDataFile = LOCAL\n"
)
VOXELS, VECTORS = nifti()[352:], vectors()[352:]


def jpeg() -> bytes:
    """A grey JPEG."""
    buffer = io.BytesIO()
    Image.fromarray((picture() >> 8).astype(np.uint8)).save(buffer, "JPEG")
    return buffer.getvalue()


def bmp() -> bytes:
    """A grey BMP."""
    buffer = io.BytesIO()
    Image.fromarray((picture() >> 8).astype(np.uint8)).save(buffer, "BMP")
    return buffer.getvalue()


def array(save: Callable[..., None]) -> bytes:
    """A 2D image as NumPy saves it."""
    buffer = io.BytesIO()
    save(buffer, picture())
    return buffer.getvalue()


def tar() -> bytes:
    """A tar of two volumes, of which the first is read."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in ("a.nii.gz", "b.nii.gz"):
            member = tarfile.TarInfo(name)
            member.size = len(PACKED)
            archive.addfile(member, io.BytesIO(PACKED))
    return buffer.getvalue()


def zipped(method: int) -> bytes:
    """A zip of two volumes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name in ("a.nii.gz", "b.nii.gz"):
            archive.writestr(name, nifti())
    return buffer.getvalue()


def read_file(suffix: str) -> Callable[[bytes], Scan]:
    """Return a reader of bytes as a case of one file is read."""
    case = Case("a", ((f"a{suffix}",),))

    def read(data: bytes) -> Scan:
        tree = Tree(Path(), (case.image,), lambda _, limit: data[:limit])
        findings = Findings()
        with memory_within(_MEMORY):
            scan = read_case_image(tree, case, findings)
        for finding in findings.found:
            if finding.code == "GEO_SQFORM":  # a note: which of two places is taken was told
                raise finding.error
        return scan

    return read


def read_archive(suffix: str) -> Callable[[bytes], Scan]:
    """Return a reader of the first of the two volumes in an archive."""

    def read(data: bytes) -> Scan:
        with TemporaryDirectory() as folder, memory_within(_MEMORY):
            path = Path(folder) / f"a{suffix}"
            path.write_bytes(data)
            archive = open_archive(path)
            if archive is None or archive.names != ("a.nii.gz", "b.nii.gz"):
                raise DataError("IO_ARCHIVE", "no such archive", "fetch it again")
            tree = Tree(path, archive.names, archive.read, lost=archive.lost)
            return read_case_image(tree, Case("a", (("a.nii.gz",),)), Findings())

    return read


PACKED = gzip.compress(nifti(), mtime=0)
ZIP = zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA
FORMATS: dict[str, tuple[bytes, Callable[[bytes], Scan]]] = {
    "nifti.gz": (PACKED, read_file(".nii.gz")),
    "nifti": (nifti(), read_file(".nii")),
    "nifti.vector": (gzip.compress(vectors(), mtime=0), read_file(".nii.gz")),
    "npz": (array(np.savez_compressed), read_file(".npz")),
    "npy": (array(np.save), read_file(".npy")),
    "png": (png(), read_file(".png")),
    "bmp": (bmp(), read_file(".bmp")),
    "tiff": (tiff(), read_file(".tif")),
    "jpeg": (jpeg(), read_file(".jpg")),
    "dicom": (dicom(), read_file(".dcm")),
    "nrrd": (NRRD + gzip.compress(VOXELS, mtime=0), read_file(".nrrd")),
    "nrrd.head": (NRRD + gzip.compress(VOXELS, mtime=0), read_file(".nrrd")),
    "nrrd.channels": (CHANNELS + gzip.compress(VECTORS, mtime=0), read_file(".nrrd")),
    "metaimage": (MHA + VOXELS, read_file(".mha")),
    "metaimage.head": (MHA + VOXELS, read_file(".mha")),
    "tar": (tar(), read_archive(".tar")),
    "zip": (zipped(ZIP[0]), read_archive(".zip")),
    "zip.bzip2": (zipped(ZIP[1]), read_archive(".zip")),
    "zip.lzma": (zipped(ZIP[2]), read_archive(".zip")),
    **more.FORMATS,
}
HEADS = {"nrrd.head": NRRD, "metaimage.head": MHA}
SCALING = nifti()[112:120]
# What of the header nothing else in the file repeats; the first "False" is the order of bytes.
ALONE = {
    "nifti": (SCALING,),
    "dicom": (
        *("PixelSpacing", "SliceThickness", "RescaleSlope", "RescaleIntercept"),
        *("ImageOrientationPatient", "ImagePositionPatient", "PixelRepresentation"),
    ),
    "nrrd": (b" (1,0,0) (0,2,0) (0,0,3)", b" (0,0,0)"),
    "nrrd.channels": (b" (1,0,0) (0,2,0) (0,0,3)", b" (0,0,0)"),
    "metaimage": (b" False\n", b" 1 0 0 0 1 0 0 0 1", b" 0 0 0\n", b" 1 2 3\n"),
}


def unknowable(name: str, data: bytes) -> set[int]:
    """Return the bytes whose change nothing in the file speaks against."""
    name = name.removesuffix(".head")
    stored = {"nifti": VOXELS, "metaimage": VOXELS}
    stored |= dict.fromkeys(("tiff", "npy"), picture().tobytes())
    stored |= more.STORED
    spans = [(data.rindex(stored[name]), len(stored[name]))] if name in stored else []
    if name.startswith("rtstruct"):
        return more.drawn(data)
    if name == "bmp":
        spans += [(18, 4), (46, 4), (54, len(data))]  # width in its filled row, colours, pixels
    elif name == "jpeg":
        spans.append((20, len(data)))  # tables and pixels; what they do is not told apart
    elif name == "dicom":
        one = pydicom.dcmread(io.BytesIO(data))
        for keyword in (*ALONE[name], "PixelData"):
            value = one.get_item(keyword)
            spans.append((value.value_tell, value.length))
    else:
        spans += [(data.index(part), len(part)) for part in {**ALONE, **more.ALONE}.get(name, ())]
    free = {at for start, length in spans for at in range(start, start + length)}
    return free | more.numbers(data) if name in ("tiff.imagej", "tiff.ome") else free
