"""NIfTI-1 and -2, one file or a pair, gzipped or not: all bytes checked before any is believed.

Common readers stop before the checksum or fill what is missing with zeros. Here the stream is
read to its end, its length must be what the header declares, and the geometry must be one.
"""

import math
from dataclasses import replace

import nibabel as nib
import numpy as np
from nibabel.arrayproxy import ArrayProxy
from nibabel.spatialimages import HeaderDataError

from data_prep.core.errors import DataError, words_of
from data_prep.core.findings import Findings
from data_prep.core.geometry import (
    ROUNDED,
    SAME_PLACE,
    check_affine,
    furthest,
    voxels_apart,
    with_normal,
)
from data_prep.core.memory_limits import MAX_BYTES, check_bytes, check_size
from data_prep.core.scan import Scan, times
from data_prep.files.decompress import Beside, alone, gunzip, silenced
from data_prep.formats.header_fields import ask_scale, scaled
from data_prep.formats.label_tables.in_header import in_xml

_HEADERS = {348: nib.Nifti1Header, 540: nib.Nifti2Header}
_IMAGES = {348: nib.Nifti1Image, 540: nib.Nifti2Image}
_MAGIC = (b"n+1", b"n+2")
_PAIR_MAGIC = (b"ni1", b"ni2")
_MILLIMETRES = {1: 1e3, 2: 1.0, 3: 1e-3}  # by unit code: metres, millimetres, micrometres
_VECTORS = (1007, 2003, 2004)  # codes of intent: vector, RGB, RGBA
_UNKNOWN = "codes of forms that are none"
_TABLES = (30, 0)  # codes of extensions by Connectome Workbench, and by others who copy it
_AGAIN = "fetch or export the file again"
_OF_EXTENSIONS = 16  # times their size that nibabel holds of tiny ones: up to 11, measured
_WHOLE_IN_FLOAT32 = 1 << 24  # up to which it holds every whole number


def is_nifti(data: bytes) -> bool:
    """Tell by its first bytes whether a file is gzip or has a NIfTI header."""
    return data.startswith(b"\x1f\x8b") or _header_size(data) is not None


def read_nifti(data: bytes, findings: Findings | None = None, beside: Beside = alone) -> Scan:
    """Decode a volume to `(C, X, Y, Z)`; a fourth axis gives channels, scaling is applied.

    Args:
        data: the file.
        findings: what is noticed is added to it.
        beside: reads the voxels of a pair.

    Raises:
        DataError: IO_..., HDR_... or GEO_..., see the module.
    """
    return _to_scan(_parse(data, findings := findings or Findings(), beside), findings)


def read_nifti_label(data: bytes, findings: Findings | None = None, beside: Beside = alone) -> Scan:
    """Decode a label volume to `(1, X, Y, Z)` of the values stored, with their names.

    Raises:
        DataError: LBL_SCALED if the header scales them, LBL_4D for several volumes, else as
            `read_nifti`.
    """
    findings = findings or Findings()
    image = _parse(data, findings, beside)
    if _scaling(image) != (1, 0):
        values = np.unique(np.asanyarray(_stored(image).get_unscaled()))[:5].tolist()
        raise DataError(
            "LBL_SCALED",
            f"label values scaled by {_scaling(image)}, stored are {values}",
            "save class numbers as unscaled integers",
        )
    scan = _to_scan(image, findings)
    if len(scan.array) != 1:
        raise DataError("LBL_4D", f"{len(scan.array)} volumes in one label", "save one volume")
    texts = [one.content for one in image.header.extensions if one.get_code() in _TABLES]
    tables = filter(None, map(in_xml, texts))
    return replace(scan, table=next(tables, {}))


def _to_scan(image: nib.Nifti1Image, findings: Findings) -> Scan:
    if _scaling(image) == (1, 0):
        array = np.asanyarray(_stored(image).get_unscaled())
    else:
        array = _scaled(image)
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    if array.ndim > 4 and array.shape[3] == 1:
        array = array[:, :, :, 0]  # components of a vector, see `_is_vector`
    array = array.reshape((*array.shape, 1, 1, 1, 1)[:4])  # axes past the fourth are single
    two_axes = len(image.shape) == 2
    return Scan(np.moveaxis(array, -1, 0), *_geometry(image, findings), two_axes=two_axes)


def _scaled(image: nib.Nifti1Image) -> np.ndarray:
    """Return the values that the header scales: float32, or whole numbers that it cannot hold."""
    if image.get_data_dtype().kind in "iu":
        array = scaled(np.asanyarray(_stored(image).get_unscaled()), *_scaling(image))
        if array.dtype.kind in "iu" and array.size and not _held_by_float32(array):
            return array
    return image.get_fdata(dtype=np.float32)


def _held_by_float32(array: np.ndarray) -> bool:
    return max(-int(array.min()), int(array.max())) <= _WHOLE_IN_FLOAT32


@np.errstate(invalid="ignore")
def _parse(data: bytes, findings: Findings, beside: Beside) -> nib.Nifti1Image:
    if data.startswith(b"\x1f\x8b"):
        data = gunzip(data, _declared_bytes, findings)
    size = _header_size(data)
    if size is None:
        raise DataError("IO_NOT_IMAGE", "no NIfTI header", "give a NIfTI file")
    if _magic(data) in _PAIR_MAGIC:
        data = _joined(data, size, findings, beside)
    total = _declared_bytes(data)
    if len(data) < total:
        raise DataError("IO_TRUNCATED", f"{len(data)} of {total} bytes", _AGAIN)
    if len(data) > total:
        findings.ask("IO_TRAILING", f"{len(data) - total} bytes too many", _AGAIN)
        data = data[:total]
    written = _HEADERS[size](data[:size], check=False)
    if any(float(mm) < 0 for mm in written["pixdim"][1:4]):
        findings.note("HDR_SPACING_SIGN", "negative spacing, its size used")
    slope, inter = float(written["scl_slope"]), float(written["scl_inter"])
    if not (slope and np.isfinite(slope)) and inter and np.isfinite(inter):
        # None at all by the standard; ITK adds the intercept.
        ask_scale(f"values scaled by {slope:g} and {inter:g}", findings)
    try:
        with silenced("nibabel.global"):
            image = _IMAGES[size].from_bytes(data)
    # nibabel's header code raises several kinds of error for what it cannot make sense of.
    except Exception as error:
        raise DataError("HDR_DAMAGED", words_of(error), _AGAIN) from error
    # nibabel takes codes that it does not know for 0.
    image.extra[_UNKNOWN] = [
        f"{name} {int(written[name])}"
        for name in ("qform_code", "sform_code")
        if int(written[name]) != int(image.header[name])
    ]
    return image


def _joined(start: bytes, size: int, findings: Findings, beside: Beside) -> bytes:
    """Make one file of a header and the voxels in another."""
    voxels = beside("*.img")
    if voxels.startswith(b"\x1f\x8b"):
        voxels = gunzip(voxels, lambda _: _declared_bytes(start), findings)
    header = _HEADERS[size](start[:size], check=False)
    skipped = float(header["vox_offset"])
    if not (0 <= skipped <= MAX_BYTES and skipped.is_integer()):
        raise DataError("HDR_OFFSET", f"voxels start at byte {skipped}", _AGAIN)
    header["magic"] = header["magic"].item().replace(b"ni", b"n+")
    header["vox_offset"] = size + 4
    return header.binaryblock + bytes(4) + voxels[int(skipped) :]


def _magic(data: bytes) -> bytes:
    size = _header_size(data)
    if size is None:
        return b""
    header = _HEADERS[size](data[:size], check=False)
    return bytes(header["magic"].item()).rstrip(b"\0\r\n\x1a")


def _header_size(data: bytes) -> int | None:
    sizes = {int.from_bytes(data[:4], order) for order in ("little", "big")} & _HEADERS.keys()
    return sizes.pop() if sizes and len(data) >= max(sizes) else None


def _declared_bytes(start: bytes) -> int:
    """Return the length the header declares, having checked all that it declares."""
    size = _header_size(start)
    if size is None:
        raise DataError("IO_NOT_IMAGE", "no NIfTI header", "give a NIfTI file")
    header = _HEADERS[size](start[:size], check=False)
    try:
        item = header.get_data_dtype().itemsize
    except (HeaderDataError, KeyError) as error:
        raise DataError("HDR_DTYPE", f"data type code {header['datatype']}", _AGAIN) from error
    pair = _magic(start) in _PAIR_MAGIC
    if not pair and _magic(start) not in _MAGIC:
        raise DataError(
            "HDR_MAGIC", f"magic {header['magic'].item()!r}", "give .nii, .nii.gz or .hdr with .img"
        )
    if header.get_data_dtype().kind not in "iuf":
        raise DataError(
            "HDR_DTYPE", f"voxels of type {header.get_data_dtype()}", "save numbers, not colours"
        )
    if int(header["bitpix"]) != 8 * item:
        raise DataError(
            "HDR_DTYPE", f"{header['bitpix']} bits a voxel for {header.get_data_dtype()}", _AGAIN
        )
    rank, *dims = (int(n) for n in header["dim"])
    if rank not in range(1, 8) or any(n < 1 for n in dims[:rank]):
        raise DataError("HDR_DIMS", f"sizes {dims[: max(rank, 0)]} of {rank} axes", _AGAIN)
    if any(n != 1 for n in dims[4:rank]) and not _is_vector(header, dims[:rank]):
        raise DataError("HDR_DIMS", f"{rank} axes, {times(tuple(dims[:rank]))}", "save 3D volumes")
    units = int(header["xyzt_units"]) & 7
    if units and units not in _MILLIMETRES:
        raise DataError("HDR_UNITS", f"unit code {units}, not a length", "save in millimetres")
    spacing = [float(mm) for mm in header["pixdim"][1 : min(rank, 3) + 1]]
    if not all(np.isfinite(mm) and 1e-6 <= abs(mm) <= 1e6 for mm in spacing):
        raise DataError("HDR_SPACING", f"spacing {spacing} mm", "set the true spacing")
    slope, inter = float(header["scl_slope"]), float(header["scl_inter"])
    # By the standard a slope of 0 means no scaling; writers also use NaN for that.
    if np.isinf(slope) or (slope and np.isfinite(slope) and not np.isfinite(inter)):
        raise DataError("HDR_SCALING", f"scaled by {slope} and {inter}", _AGAIN)
    offset = float(header["vox_offset"])
    if not ((0 if pair else size) <= offset <= MAX_BYTES and offset.is_integer()):
        raise DataError("HDR_OFFSET", f"voxels start at byte {offset}", _AGAIN)
    check_bytes(int(offset), _OF_EXTENSIONS)
    return check_bytes(int(offset) + check_size(math.prod(dims[:rank]), item))


def _is_vector(header: nib.Nifti1Header, dims: list[int]) -> bool:
    """Tell whether a fifth axis holds channels, as ITK stores them: no times, and so declared."""
    return len(dims) == 5 and dims[3] == 1 and int(header["intent_code"]) in _VECTORS


def _scaling(image: nib.Nifti1Image) -> tuple[float, float]:
    """Return slope and intercept; nibabel keeps them with the data, not in the header."""
    stored = _stored(image)
    return float(stored.slope), float(stored.inter)


def _stored(image: nib.Nifti1Image) -> ArrayProxy:
    """Return the voxels of an image that was read, as they are stored.

    Raises:
        TypeError: if it was made of an array.
    """
    if not isinstance(image.dataobj, ArrayProxy):
        raise TypeError("an image that was not read")
    return image.dataobj


# NaN in damaged headers, which are refused by name: NumPy need not warn of it too.
@np.errstate(invalid="ignore")
def _geometry(image: nib.Nifti1Image, findings: Findings) -> tuple[np.ndarray, tuple[int, int]]:
    header = image.header
    codes = int(header["qform_code"]), int(header["sform_code"])
    unknown = " and ".join(image.extra.get(_UNKNOWN, ()))
    if codes == (0, 0) and len(image.shape) > 2:
        why = f"{unknown}, where codes are 0 to 5" if unknown else "qform and sform codes are 0"
        findings.ask("GEO_NONE", f"no orientation ({why})", "set the true affine")
    elif unknown and codes != (0, 0):
        found = f"{unknown}, where codes are 0 to 5: the other form is used"
        findings.warn("GEO_SQFORM", found, "set the true affine and its code")
    if 0 not in codes:
        try:
            qform, sform = image.get_qform(), image.get_sform()
        except ValueError as error:
            raise DataError("HDR_DAMAGED", f"qform: {words_of(error)}", _AGAIN) from error
        size = (*image.shape, 1, 1)[:3]
        found = f"qform and sform differ by {furthest(qform, sform, size):.3g} mm"
        apart = voxels_apart(qform, sform, size)  # a quaternion of single precision is that rough
        if not apart <= SAME_PLACE:
            findings.ask("GEO_SQFORM", found, "make them the same")
        elif apart > ROUNDED:
            findings.note("GEO_SQFORM", f"{found}, {apart:.2g} of a voxel: the sform is used")
    affine = image.affine.copy()
    if len(image.shape) == 2:
        affine = with_normal(affine)
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    stored = np.abs((*header.get_zooms(), 1, 1, 1)[:3])
    rank = min(len(image.shape), 3)
    if 0 in codes and not np.allclose(lengths[:rank], stored[:rank], rtol=1e-2, atol=0):
        raise DataError(
            "GEO_SPACING",
            f"spacing {lengths.tolist()} in the affine, {stored.tolist()} in the header",
            "make them the same",
        )
    units = int(header["xyzt_units"]) & 7
    if _MILLIMETRES.get(units, 1.0) != 1:
        affine[:3] *= _MILLIMETRES[units]
        findings.note("HDR_UNITS", f"lengths times {_MILLIMETRES[units]:g} for millimetres")
    check_affine(affine, findings)
    return affine, codes
