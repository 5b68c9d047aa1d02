"""MetaImage, one file (`.mha`) or a header with its data beside (`.mhd`), as ITK writes it.

Form: https://docs.itk.org/en/latest/learn/metaio.html
"""

import math
import re

import numpy as np

from data_prep.errors import DataError
from data_prep.findings import Findings
from data_prep.geometry import AS_SCANNED, check_affine, from_lps
from data_prep.limits import check_size
from data_prep.scan import SCANNER_CODES, Scan, in_order
from data_prep.source import Beside, alone, inflate

_TYPES = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
_LAST_FIELD = "elementdatafile"
_AGAIN = "fetch or export the file again"


def is_metaimage(data: bytes) -> bool:
    """Tell by its first bytes whether a file is a MetaImage."""
    return re.match(rb"(?i)\s*(ObjectType|NDims|Comment)\s*=", data[:200]) is not None


def read_metaimage(data: bytes, findings: Findings | None = None, beside: Beside = alone) -> Scan:
    """Decode a volume to `(C, X, Y, Z)`.

    Raises:
        DataError: IO_..., HDR_... or GEO_... if it cannot be read without doubt.
    """
    findings = findings or Findings()
    fields, rest = _header(data)
    sizes = [int(n) for n in _numbers(fields, "dimsize")]
    if [len(sizes)] != _numbers(fields, "ndims") or len(sizes) not in (2, 3) or min(sizes) < 1:
        raise DataError("HDR_DIMS", f"sizes {sizes}", "save 3D volumes")
    name = fields.get("elementtype", "").upper()
    if name not in _TYPES:
        raise DataError("HDR_DTYPE", f"voxels of type {name!r}", "save plain numbers")
    channels = int(_numbers(fields, "elementnumberofchannels", "1")[0])
    dtype = np.dtype(_TYPES[name])
    if _true(fields, "binarydatabyteordermsb") or _true(fields, "elementbyteordermsb"):
        dtype = dtype.newbyteorder(">")
    if channels < 1:
        raise DataError("HDR_DIMS", f"{channels} channels", _AGAIN)
    total = check_size(channels * math.prod(sizes), dtype.itemsize)
    if not _true(fields, "binarydata"):
        raise DataError("HDR_ENCODING", "voxels written as text", "save them as binary data")
    if fields.get("headersize", "0") not in ("0", "-1"):
        raise DataError("HDR_OFFSET", f"HeaderSize {fields['headersize']!r}", "save it without")
    place = fields[_LAST_FIELD]
    if place.upper() != "LOCAL":
        if place.upper() == "LIST" or "%" in place:
            raise DataError("HDR_ENCODING", "voxels in several files", "save one file")
        rest = beside(place)
    if _true(fields, "compresseddata"):
        rest = inflate(rest, total)
    if len(rest) < total:
        raise DataError("IO_TRUNCATED", f"{len(rest)} of {total} bytes", _AGAIN)
    if len(rest) > total:
        findings.ask("IO_TRAILING", f"{len(rest) - total} bytes too many", _AGAIN)
    array = np.frombuffer(rest[:total], dtype).reshape((channels, *sizes), order="F")
    array = array.astype(dtype.newbyteorder("=")).reshape((channels, *sizes, 1)[:4])
    return Scan(in_order(array), _affine(fields, findings), SCANNER_CODES)


def _header(data: bytes) -> tuple[dict[str, str], bytes]:
    fields: dict[str, str] = {}
    at = 0
    while _LAST_FIELD not in fields:
        end = data.find(b"\n", at, at + 4096)
        if end < 0:
            raise DataError("HDR_DAMAGED", "no ElementDataFile in the header", _AGAIN)
        try:
            line = data[at:end].decode("utf-8").strip()
        except UnicodeDecodeError as error:
            raise DataError("HDR_DAMAGED", f"the header is no text: {error}", _AGAIN) from error
        name, equals, value = line.partition("=")
        name = name.strip().lower()
        if line and (not equals or name in fields):
            raise DataError("HDR_DAMAGED", f"header line {line[:60]!r}", _AGAIN)
        if line:
            fields[name] = value.strip()
        at = end + 1
    return fields, data[at:]


def _affine(fields: dict[str, str], findings: Findings) -> np.ndarray:
    rank = len(fields["dimsize"].split())
    spacing_field = "elementspacing" if "elementspacing" in fields else "elementsize"
    spacing = _numbers(fields, spacing_field, " ".join(["1"] * rank))
    if min(spacing) <= 0:
        raise DataError("HDR_SPACING", f"spacing {spacing} mm", "set the true spacing")
    directions = next(
        (f for f in ("transformmatrix", "rotation", "orientation") if f in fields), None
    )
    origin = next((f for f in ("offset", "position", "origin") if f in fields), None)
    if rank != 3 or directions is None or spacing_field not in fields:
        findings.ask("GEO_NONE", "no orientation (TransformMatrix)", "set it")
        affine = AS_SCANNED @ np.diag([*(*spacing, 1.0)[:3], 1.0])
    else:
        # Each row of the matrix as written is the direction of one axis.
        rows = np.array(_numbers(fields, directions))
        if rows.size != 9 or len(spacing) != 3:
            raise DataError("HDR_DAMAGED", f"{directions} of {rows.size} numbers", _AGAIN)
        place = _numbers(fields, origin, "0 0 0") if origin else [0.0, 0.0, 0.0]
        if len(place) != 3:
            raise DataError("HDR_DAMAGED", f"{origin} of {len(place)} numbers", _AGAIN)
        affine = from_lps(rows.reshape(3, 3).T * spacing, np.array(place))
    check_affine(affine, findings)
    return affine


def _true(fields: dict[str, str], name: str) -> bool:
    return fields.get(name, "False").lower() in ("true", "1")


def _numbers(fields: dict[str, str], name: str, default: str | None = None) -> list[float]:
    text = fields.get(name, default)
    try:
        numbers = [float(n) for n in (text or "").split()]
    except ValueError:
        numbers = []
    if not numbers:
        raise DataError("HDR_DAMAGED", f"{name}: {text!r}", _AGAIN)
    return numbers
