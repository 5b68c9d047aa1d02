"""NumPy's `.npy` and `.npz`: 2D images `(H, W)` or `(H, W, 3)`, volumes `(X, Y, Z)`; no pickle.

The spacing of a volume may be in a JSON beside, see `spacing_beside`.
"""

import io
import math
import struct
import zipfile
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from data_prep.core.errors import DataError, words_of
from data_prep.core.findings import Findings
from data_prep.core.geometry import check_affine
from data_prep.core.memory_limits import check_size
from data_prep.core.scan import SCANNER_CODES, Scan
from data_prep.files.archives import check_zip, read_member
from data_prep.files.decompress import Beside, alone
from data_prep.formats.header_fields import ROUNDED, agreed, check_lengths, spacing_beside

_LONGEST = 10_000  # bytes of a header that NumPy reads; it advises to trust longer ones
# By version, the form of the length of a header, and what reads one.
_VERSIONS = {
    (1, 0): ("<H", "read_array_header_1_0"),
    (2, 0): ("<I", "read_array_header_2_0"),
}
_AGAIN = "save the array again with numpy.save"
# How many times more even a volume is with the lengths of its voxels turned round, if those are
# told in the wrong order: (512, 512, 40) of (3, 0.5, 0.5) mm is 77 times as long as it is thick.
_TURNED = 4


def is_array(data: bytes) -> bool:
    """Tell by its first bytes whether a file is `.npy` or a zip, as `.npz` is."""
    return data.startswith((b"\x93NUMPY", b"PK\x03\x04"))


def read_array(data: bytes, findings: Findings | None = None, beside: Beside = alone) -> Scan:
    """Decode to `(1, H, W)` or `(3, H, W)` for a 2D image, `(1, X, Y, Z)` for a volume.

    A volume lies along the axes of the scanner: to the right, the front and the head.

    Args:
        data: the file.
        findings: what is noticed is added to it.
        beside: reads the JSON with the spacing of a volume.

    Raises:
        DataError: IO_..., ARR_...; for a volume GEO_NONE without spacing, unless accepted: then it
            is 1 mm; as `spacing_beside`, `check_lengths` and `check_affine`; HDR_CONFLICT for two
            spacings, or one that seems to be in the other order of axes.
    """
    findings = findings or Findings()
    array = array_of(_only_member(data) if data.startswith(b"PK") else data)
    array = array.astype(np.uint8 if array.dtype.kind == "b" else array.dtype.newbyteorder("="))
    if array.size == 0 or array.ndim not in (2, 3):
        raise DataError("HDR_DIMS", f"an array {array.shape}", "save a 2D image or a volume")
    if array.ndim == 2:
        return Scan(array[None])
    if array.shape[2] == 3:
        return Scan(np.moveaxis(array, -1, 0))
    affine = np.diag([*_spacing(array.shape, findings, beside), 1.0])
    check_affine(affine, findings)
    return Scan(array[None], affine, SCANNER_CODES)


def _spacing(shape: tuple[int, ...], findings: Findings, beside: Beside) -> Sequence[float]:
    """Return the millimetres along each axis of a volume."""
    told = spacing_beside(beside)
    for name, lengths in told.items():
        check_lengths(name, lengths)
    mm = agreed(told, ROUNDED, smallest=0.0)
    if mm is None:
        fix = (
            'put {"spacing": [...]} in a .json beside, a length for each axis, or save it as NIfTI'
        )
        findings.ask("GEO_NONE", "a volume without spacing and orientation", fix)
        return (1.0,) * 3
    if _unevenness(shape, mm) > _TURNED * _unevenness(shape, mm[::-1]):
        axes = " x ".join(map(str, shape))
        found = f"{axes} voxels, but {', '.join(f'{one:g}' for one in mm)} mm in the .json beside, "
        fix = "give the lengths in the order of the axes, the first one first"
        raise DataError("HDR_CONFLICT", f"{found}which seem to be of the axes from the last", fix)
    return mm


def _unevenness(shape: Sequence[int], mm: Sequence[float]) -> float:
    """Return how many times longer a volume is along its longest side than its shortest."""
    sides = [n * one for n, one in zip(shape, mm, strict=True)]
    return max(sides) / min(sides)


def array_of(data: bytes, check: Callable[[int, int], int] = check_size) -> np.ndarray:
    """Return the array of an `.npy` file, read-only: real numbers of 8 bytes at most.

    Args:
        data: the file.
        check: returns the bytes of so many values of so many bytes each, or refuses them. Default:
            as voxels of a scan, which preparing takes several times.

    Raises:
        DataError: IO_DAMAGED, IO_TRUNCATED, IO_TRAILING, HDR_DTYPE; and of `check`.
    """
    shape, fortran, dtype, start = _header(data)
    if dtype.kind not in "buif" or dtype.itemsize > 8:
        raise DataError("HDR_DTYPE", f"an array of type {dtype}", "save plain numbers")
    if any(n < 0 for n in shape):
        raise DataError("IO_DAMAGED", f"array header: shape {shape}", _AGAIN)
    total = check(math.prod(shape), dtype.itemsize)
    left = len(data) - start
    if left != total:
        code = "IO_TRUNCATED" if left < total else "IO_TRAILING"
        raise DataError(code, f"{left} of {total} bytes", _AGAIN)
    order: Literal["F", "C"] = "F" if fortran else "C"
    return np.frombuffer(data, dtype, offset=start).reshape(shape, order=order)


def _header(data: bytes) -> tuple[tuple[int, ...], bool, np.dtype, int]:
    """Return shape, order, type of values and the place of the first, as `.npy` declares them."""
    buffer = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(buffer)
        if version not in _VERSIONS:
            raise DataError("IO_DAMAGED", f"array header of version {version}", _AGAIN)
        form, reader = _VERSIONS[version]
        length = struct.unpack_from(form, data, buffer.tell())[0]
        if length > _LONGEST:
            raise DataError("IO_DAMAGED", f"array header of {length} bytes", _AGAIN)
        shape, fortran, dtype = getattr(np.lib.format, reader)(buffer)
    except DataError:
        raise
    # NumPy reports a damaged header by whatever its parser stumbles over.
    except Exception as error:
        raise DataError("IO_DAMAGED", f"array header: {words_of(error)}", _AGAIN) from error
    return shape, fortran, dtype, buffer.tell()


def axes_of(data: bytes) -> int | None:
    """Return the most axes that any array in a file has, by what it declares; 1 of texts.

    Args:
        data: the start of an `.npy`, or an `.npz` as a whole.

    Returns:
        The number; `None` of what is neither, or damaged.
    """
    try:
        heads = [data]
        if data.startswith(b"PK"):
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                heads = [archive.open(name).read(2 * _LONGEST) for name in archive.namelist()]
        found = [_header(head) for head in heads]
    # Whatever it is, its case tells of it, if it is of one.
    except Exception:
        return None
    return max((len(s) if t.kind in "buifc" else 1 for s, _, t, _ in found), default=None)


def _only_member(data: bytes) -> bytes:
    try:
        file = io.BytesIO(data)
        with zipfile.ZipFile(file) as archive:
            check_zip(archive, file)
            members = archive.infolist()
            if len(members) != 1 or not members[0].filename.endswith(".npy"):
                names = [member.filename for member in members[:5]]
                raise DataError("ARR_MEMBERS", f"an archive of {names}", "save one array a file")
            return read_member(archive, members[0])
    except DataError:
        raise
    # zipfile raises several kinds for damaged members.
    except Exception as error:
        raise DataError("IO_CRC", f"damaged archive: {words_of(error)}", _AGAIN) from error
