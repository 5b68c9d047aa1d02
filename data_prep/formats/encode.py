"""Scans as the bytes of a file, read back before anyone relies on them."""

import gzip
import io
import zlib
from collections.abc import Callable

import nibabel as nib
import numpy as np
import tifffile
from numpy.typing import ArrayLike

from data_prep.core.errors import DataError
from data_prep.core.findings import Findings
from data_prep.core.geometry import LPS_TO_RAS, furthest
from data_prep.core.scan import Scan
from data_prep.core.scan_checks import check_same_grid
from data_prep.files.png import array_to_png
from data_prep.formats.images_2d import read_picture
from data_prep.formats.mask_images import read_picture_label
from data_prep.formats.metaimage import TYPES, read_metaimage
from data_prep.formats.nifti import read_nifti
from data_prep.formats.nrrd import read_nrrd

# What a scan may have been accepted with, its copy has too.
_AS_BEFORE = frozenset({"GEO_NONE", "GEO_SHEAR", "HDR_SPACING_RANGE"})
_SAME_FORM = 1e-3  # mm, by which a qform may miss the affine that it is written for
_NIFTI_TYPES = ("u1", "i1", "u2", "i2", "u4", "i4", "f4", "f8")


def encode(scan: Scan, like: str = "", palette: np.ndarray | None = None) -> tuple[str, bytes]:
    """Return the suffix and the bytes of a file that holds exactly this scan.

    Volumes become `.nii.gz`, 2D images PNG, or TIFF where PNG cannot hold their type. 2D images
    that have a place become `.nii.gz` too, or MetaImage or NRRD if their suffix, `like`, is one of
    those. Nothing is copied from the header a scan was read from.

    Args:
        scan: what the file is to hold.
        like: suffix of the file that it belongs to.
        palette: `(n, 3)` uint8, colours in which a PNG of one channel and 8 bits shows its numbers.

    Raises:
        DataError: OUT_TYPE for values no format holds, OUT_WRITE if the bytes do not read back.
    """
    plane = _plane(scan)
    if plane is not None and like.lower() in (".mha", ".mhd"):
        suffix, data, read = ".mha", _metaimage(scan.array[0, ..., 0], plane), read_metaimage
    elif plane is not None and like.lower() in (".nrrd", ".nhdr"):
        suffix, data, read = ".nrrd", _nrrd(scan.array[0, ..., 0], plane), read_nrrd
    elif scan.affine is not None:
        suffix, data, read = ".nii.gz", _nifti(scan, scan.affine), read_nifti
    elif palette is not None and scan.array.dtype == np.uint8 and len(scan.array) == 1:
        suffix, data = ".png", array_to_png(scan.array[0], palette=palette)
        read = read_picture_label
    elif scan.array.dtype == np.uint8 or (scan.array.dtype == np.uint16 and len(scan.array) == 1):
        suffix, data, read = ".png", _png(scan.array), read_picture
    else:
        suffix, data, read = ".tif", _tiff(scan.array), read_picture
    check_read_back(scan, data, read)
    return suffix, data


def check_read_back(scan: Scan, data: bytes, read: Callable[[bytes, Findings], Scan]) -> None:
    """Refuse bytes that a reader does not take for the scan they were written of.

    Raises:
        DataError: OUT_WRITE; as `check_same_grid`.
    """
    again = read(data, Findings(_AS_BEFORE))
    check_same_grid(scan, again, "file")
    if not np.array_equal(again.array, scan.array):
        raise DataError("OUT_WRITE", "the file does not read back as written", "report this")


def _nifti(scan: Scan, affine: np.ndarray) -> bytes:
    array = scan.array
    if array.dtype.str[1:] not in _NIFTI_TYPES:
        small = array.astype(np.int32)
        if not np.array_equal(small, array):
            raise DataError("OUT_TYPE", f"values of {array.dtype} beyond 32 bits", "rescale them")
        array = small
    shown = array[0] if len(array) == 1 else np.moveaxis(array, 0, -1)
    if scan.two_axes and len(array) == 1:
        shown = shown[..., 0]
    image = nib.Nifti1Image(np.asfortranarray(shown), affine)
    image.header.set_slope_inter(1, 0)
    image.header.set_xyzt_units("mm")
    qform_code, sform_code = scan.codes
    image.set_qform(affine if qform_code else None, qform_code)
    # A qform has no words for skew axes, not even for those that rounding leaves.
    if qform_code and not furthest(image.get_qform(), affine, scan.size) < _SAME_FORM:
        image.set_qform(None, 0)
        sform_code = max(scan.codes)
    image.set_sform(affine if sform_code else None, sform_code)
    # A fixed time keeps the bytes of equal scans equal.
    return gzip.compress(image.to_bytes(), mtime=0)


def _plane(scan: Scan) -> np.ndarray | None:
    """Return where a 2D image lies, `(3, 3)` in LPS millimetres; `None` if turned out of it."""
    if scan.affine is None or not scan.two_axes or len(scan.array) > 1:
        return None
    place = LPS_TO_RAS @ scan.affine
    third = np.eye(4)[2]
    held = np.array_equal(place[2], third) and np.array_equal(place[:, 2], third)
    known = scan.array.dtype.str[1:] in _NIFTI_TYPES
    return place[np.ix_([0, 1, 3], [0, 1, 3])] if held and known else None


def _metaimage(array: np.ndarray, place: np.ndarray) -> bytes:
    spacing = np.linalg.norm(place[:2, :2], axis=0)
    packed = zlib.compress(array.tobytes(order="F"))
    names = {code: name for name, code in TYPES.items()}
    lines = [
        "ObjectType = Image\nNDims = 2\nBinaryData = True\nBinaryDataByteOrderMSB = False",
        f"CompressedData = True\nCompressedDataSize = {len(packed)}",
        f"TransformMatrix = {_written((place[:2, :2] / spacing).T)}",
        f"Offset = {_written(place[:2, 2])}\nElementSpacing = {_written(spacing)}",
        f"DimSize = {_written(array.shape)}\nElementType = {names[array.dtype.str[1:]]}",
        "ElementDataFile = LOCAL\n",
    ]
    return "\n".join(lines).encode() + packed


def _nrrd(array: np.ndarray, place: np.ndarray) -> bytes:
    kind = {"float32": "float", "float64": "double"}.get(array.dtype.name, array.dtype.name)
    vectors = [f"({_written(vector, ',')})" for vector in place[:2].T]
    lines = [
        f"NRRD0004\ntype: {kind}\ndimension: 2\nspace dimension: 2",
        f"sizes: {_written(array.shape)}\nspace directions: {' '.join(vectors[:2])}",
        f"kinds: domain domain\nendian: little\nencoding: gzip\nspace origin: {vectors[2]}\n\n",
    ]
    return "\n".join(lines).encode() + gzip.compress(array.tobytes(order="F"), mtime=0)


def _written(numbers: ArrayLike, between: str = " ") -> str:
    return between.join(repr(number) for number in np.ravel(numbers).tolist())


def _png(array: np.ndarray) -> bytes:
    return array_to_png(array[0] if len(array) == 1 else np.moveaxis(array, 0, -1))


def _tiff(array: np.ndarray) -> bytes:
    if array.dtype.kind not in "uif" or len(array) not in (1, 3):
        raise DataError("OUT_TYPE", f"a 2D image of {len(array)} {array.dtype}", "rescale it")
    buffer = io.BytesIO()
    shown = array[0] if len(array) == 1 else np.ascontiguousarray(np.moveaxis(array, 0, -1))
    kind = "minisblack" if len(array) == 1 else "rgb"
    tifffile.imwrite(buffer, shown, photometric=kind, compression="zlib", metadata=None)
    return buffer.getvalue()
