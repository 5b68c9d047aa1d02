"""Scans as the bytes of a file, read back before anyone relies on them."""

import gzip
import io

import nibabel as nib
import numpy as np
import tifffile

from data_prep.core.errors import DataError
from data_prep.core.findings import Findings
from data_prep.core.geometry import furthest
from data_prep.core.scan import Scan
from data_prep.core.scan_checks import check_same_grid
from data_prep.files.png import array_to_png
from data_prep.formats.images_2d import read_picture
from data_prep.formats.nifti import read_nifti

# What a scan may have been accepted with, its copy has too.
_AS_BEFORE = frozenset({"GEO_NONE", "GEO_SHEAR", "HDR_SPACING_RANGE"})
_SAME_FORM = 1e-3  # mm, by which a qform may miss the affine that it is written for
_NIFTI_TYPES = ("u1", "i1", "u2", "i2", "u4", "i4", "f4", "f8")


def encode(scan: Scan) -> tuple[str, bytes]:
    """Return the suffix and the bytes of a file that holds exactly this scan.

    Volumes become `.nii.gz`, 2D images PNG, or TIFF where PNG cannot hold their type. Nothing is
    copied from the header a scan was read from.

    Raises:
        DataError: OUT_TYPE for values no format holds, OUT_WRITE if the bytes do not read back.
    """
    if scan.affine is not None:
        suffix, data, read = ".nii.gz", _nifti(scan, scan.affine), read_nifti
    elif scan.array.dtype == np.uint8 or (scan.array.dtype == np.uint16 and len(scan.array) == 1):
        suffix, data, read = ".png", _png(scan.array), read_picture
    else:
        suffix, data, read = ".tif", _tiff(scan.array), read_picture
    again = read(data, Findings(_AS_BEFORE))
    check_same_grid(scan, again, "file")
    if not np.array_equal(again.array, scan.array):
        raise DataError("OUT_WRITE", "the file does not read back as written", "report this")
    return suffix, data


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
