"""Damage files of every format at random, read them, and count what comes back wrong unsaid.

A mutant may be refused by a named error, or be read as what it was before. Everything else is
counted: as wrong, or as a crash, which is any other error than a named one. Where a format has no
checksum, no reader can know that a voxel, or a number of the header that nothing else repeats, was
another one before: those bytes are cut, but not changed. In `nrrd.head` and `metaimage.head` whole
words of the header are put in place of others, such as no damage of single bytes makes.

python scripts/fuzz_readers.py --n 20000
"""

import argparse
import gzip
import io
import re
import sys
import tarfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import nibabel as nib
import numpy as np
import pydicom
import tifffile
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from data_prep.core.errors import DataError
from data_prep.core.findings import Findings
from data_prep.core.geometry import ROUNDED, voxels_apart
from data_prep.core.memory_limits import memory_within
from data_prep.core.scan import Scan
from data_prep.files.archives import open_archive
from data_prep.files.file_tree import Tree
from data_prep.layouts import Case
from data_prep.reading.image import read_case_image

_SLOW_SECONDS = 5.0
_MEMORY = 2e9  # bytes allowed
_WORDS = (
    *(b"", b"0", b"-1", b"1e999", b"nan", b"inf", b"-inf", b"99999999999999999999", b"1.5", b"()"),
    *(
        b"none",
        b"True",
        b"\xff\xfe",
        b"\xc2\x85",
        b":",
        b"=",
        b"(1,2",
        b"LOCAL",
        b"3 4",
        b"*",
        b"../a",
    ),
)


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
    spans = [(data.rindex(stored[name]), len(stored[name]))] if name in stored else []
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
        spans += [(data.index(part), len(part)) for part in ALONE.get(name, ())]
    return {at for start, length in spans for at in range(start, start + length)}


def header_mutant(head: bytes, free: set[int], random: np.random.Generator) -> bytes:
    """Return a text header with a word or a line of it exchanged, doubled or left out."""
    found = list(re.finditer(rb"[^\s,()]+|\s|[,()]", head))
    pieces = [one.group() for one in found]
    places = [i for i, one in enumerate(found) if one.group().strip() and one.start() not in free]
    for _ in range(random.integers(1, 3)):
        at = places[random.integers(len(places))]
        word = _WORDS[random.integers(len(_WORDS))]
        pieces[at] = (word, pieces[places[random.integers(len(places))]])[random.integers(2)]
    lines = b"".join(pieces).split(b"\n")
    kind, at = random.integers(4), random.integers(len(lines) - 1)
    if kind == 0:
        lines.insert(at, lines[random.integers(len(lines) - 1)])
    elif kind == 1:
        del lines[at]
    return b"\n".join(lines)


def mutant(data: bytes, free: set[int], random: np.random.Generator) -> tuple[bytes, str]:
    """Return damaged bytes, none of those in `free` changed, and which kind of damage it was."""
    places = [i for i in range(len(data)) if i not in free]
    kind = ("cut", "bit", "byte", "field")[random.integers(4)]
    if kind == "cut":
        return data[: random.integers(0, len(data))], kind
    out = bytearray(data)
    at = int(random.choice(places))
    if kind == "bit":
        out[at] ^= 1 << int(random.integers(8))
    elif kind == "byte":
        out[at] = int(random.integers(256))
    else:
        for i in range(at, min(at + 4, len(out))):
            if i not in free:
                out[i] = int(random.choice([0, 1, 0x7F, 0x80, 0xFF]))
    return bytes(out), kind


def verdict(read: Callable[[bytes], Scan], good: Scan, data: bytes) -> str:
    """Return what became of a mutant: refused, as before, WRONG or CRASH."""
    try:
        got = read(data)
    except DataError:
        return "refused"
    except BaseException as error:
        return f"CRASH {type(error).__name__}: {error}"[:100]
    same = got.array.dtype == good.array.dtype and np.array_equal(got.array, good.array)
    if same and good.affine is not None:
        # What a header says twice may differ by what its rounding does.
        same = voxels_apart(got.affine, good.affine, good.size) <= ROUNDED
    return "as before" if same else "WRONG"


def fuzz(name: str, n: int, seed: int) -> tuple[Counter, list[tuple[str, str, int]]]:
    """Return how many of `n` mutants ended how, and the bad ones: verdict, kind, first byte."""
    data, read = FORMATS[name]
    good, random = read(data), np.random.default_rng([seed, *name.encode()])
    free = unknowable(name, data)
    counts: Counter = Counter()
    bad = []
    for _ in range(n):
        if head := HEADS.get(name):
            broken, kind = header_mutant(head, free, random) + data[len(head) :], "words"
        else:
            broken, kind = mutant(data, free, random)
        started = time.monotonic()
        found = verdict(read, good, broken)
        if time.monotonic() - started > _SLOW_SECONDS:
            found = "CRASH hangs"
        counts[found.split(" ")[0] if found.startswith("CRASH") else found] += 1
        if found not in ("refused", "as before"):
            first = next((i for i, (a, b) in enumerate(zip(data, broken, strict=False)) if a != b),
                         len(broken))  # fmt: skip
            bad.append((found, kind, first))
    return counts, bad


def main() -> int:
    """Run, print a table, and return whether any mutant was wrong unsaid."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("formats", nargs="*", default=list(FORMATS))
    arguments.add_argument("--n", type=int, default=500, help="mutants of each format")
    arguments.add_argument("--seed", type=int, default=0)
    options = arguments.parse_args()
    worst = 0
    for name in options.formats:
        counts, bad = fuzz(name, options.n, options.seed)
        told = ", ".join(f"{found} {count}" for found, count in counts.most_common())
        print(f"{name:<15}{options.n} mutants: {told}", flush=True)
        for found, kind, at in bad[:20]:
            print(f"    {found} ({kind} at byte {at})")
        worst |= bool(bad)
    return worst


if __name__ == "__main__":
    sys.exit(main())
