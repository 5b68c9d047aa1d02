"""NumPy's `.npy` and `.npz`: 2D images `(H, W)` or `(H, W, 3)`, volumes `(X, Y, Z)`; no pickle."""

import io
import math
import struct
import zipfile
from collections.abc import Callable
from typing import Literal

import numpy as np

from data_prep.core.errors import DataError, words_of
from data_prep.core.findings import Findings
from data_prep.core.memory_limits import check_size
from data_prep.core.scan import SCANNER_CODES, Scan
from data_prep.files.archives import check_zip, read_member

_LONGEST = 10_000  # bytes of a header that NumPy reads; it advises to trust longer ones
# By version, the form of the length of a header, and what reads one.
_VERSIONS = {
    (1, 0): ("<H", "read_array_header_1_0"),
    (2, 0): ("<I", "read_array_header_2_0"),
}
_AGAIN = "save the array again with numpy.save"


def is_array(data: bytes) -> bool:
    """Tell by its first bytes whether a file is `.npy` or a zip, as `.npz` is."""
    return data.startswith((b"\x93NUMPY", b"PK\x03\x04"))


def read_array(data: bytes, findings: Findings | None = None) -> Scan:
    """Decode to `(1, H, W)` or `(3, H, W)` for a 2D image, `(1, X, Y, Z)` for a volume.

    Raises:
        DataError: IO_..., ARR_...; GEO_NONE for a volume, unless accepted.
    """
    array = array_of(_only_member(data) if data.startswith(b"PK") else data)
    array = array.astype(np.uint8 if array.dtype.kind == "b" else array.dtype.newbyteorder("="))
    if array.size == 0 or array.ndim not in (2, 3):
        raise DataError("HDR_DIMS", f"an array {array.shape}", "save a 2D image or a volume")
    if array.ndim == 2:
        return Scan(array[None])
    if array.shape[2] == 3:
        return Scan(np.moveaxis(array, -1, 0))
    (findings or Findings()).ask(
        "GEO_NONE", "a volume without spacing and orientation", "save it as NIfTI"
    )
    return Scan(array[None], np.eye(4), SCANNER_CODES)


def array_of(data: bytes, check: Callable[[int, int], int] = check_size) -> np.ndarray:
    """Return the array of an `.npy` file, read-only: real numbers of 8 bytes at most.

    Args:
        data: the file.
        check: returns the bytes of so many values of so many bytes each, or refuses them. Default:
            as voxels of a scan, which preparing takes several times.

    Raises:
        DataError: IO_DAMAGED, IO_TRUNCATED, IO_TRAILING, HDR_DTYPE; and of `check`.
    """
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
    if dtype.kind not in "buif" or dtype.itemsize > 8:
        raise DataError("HDR_DTYPE", f"an array of type {dtype}", "save plain numbers")
    if any(n < 0 for n in shape):
        raise DataError("IO_DAMAGED", f"array header: shape {shape}", _AGAIN)
    total = check(math.prod(shape), dtype.itemsize)
    left = len(data) - buffer.tell()
    if left != total:
        code = "IO_TRUNCATED" if left < total else "IO_TRAILING"
        raise DataError(code, f"{left} of {total} bytes", _AGAIN)
    order: Literal["F", "C"] = "F" if fortran else "C"
    return np.frombuffer(data, dtype, offset=buffer.tell()).reshape(shape, order=order)


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
