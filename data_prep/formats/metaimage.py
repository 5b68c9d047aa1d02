"""MetaImage, one file (`.mha`) or a header with its data beside (`.mhd`), as ITK writes it.

Form: https://docs.itk.org/en/latest/learn/metaio.html
"""

import math
import re

import numpy as np

from data_prep.core.errors import DataError, words_of
from data_prep.core.findings import Findings
from data_prep.core.geometry import AS_SCANNED, check_affine, from_lps
from data_prep.core.memory_limits import check_size
from data_prep.core.scan import SCANNER_CODES, Scan
from data_prep.files.decompress import Beside, alone, inflate
from data_prep.formats.header_fields import agreed, ask_scale, is_true, millimetres_in, whole

TYPES = {
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
_MOST_HEADER = 1 << 20  # bytes, far above any real one
_LAST_FIELD = "elementdatafile"
_SCALE = {"ElementToIntensityFunctionSlope": "1", "ElementToIntensityFunctionOffset": "0"}
_PLACES = ("Offset", "Position", "Origin", "ImagePosition", "ImagePositionPatient")
_OPPOSITE = ("RL", "AP", "IS")  # of LPS: where an axis leads to with a negative number, or positive
_BY_HABIT = ("RAI", "LPS")
_NEAR = 0.8  # cosine of an axis and the one that it is called by
_ROUNDED = 1e-4  # what numbers written to some digits differ by
_DIRECTION = 1e-3  # what directions written to some digits are longer or shorter by
_AGAIN = "fetch or export the file again"


def is_metaimage(data: bytes) -> bool:
    """Tell by its first bytes whether a file is a MetaImage."""
    return re.match(rb"(?i)\s*(ObjectType|NDims|Comment)\s*=", data[:200]) is not None


def read_metaimage(data: bytes, findings: Findings | None = None, beside: Beside = alone) -> Scan:
    """Decode a volume to `(C, X, Y, Z)`; a fourth axis gives channels, as of NIfTI.

    Raises:
        DataError: IO_..., HDR_... or GEO_... if it cannot be read without doubt.
    """
    findings = findings or Findings()
    fields, rest = _header(data)
    if (kind := fields.get("objecttype", "Image")).lower() != "image":
        raise DataError("IO_NOT_IMAGE", f"ObjectType {kind!r:.60}", "give an image")
    sizes = whole("DimSize", _numbers(fields, "dimsize"))
    if [len(sizes)] != _numbers(fields, "ndims") or len(sizes) not in (2, 3, 4) or min(sizes) < 1:
        raise DataError("HDR_DIMS", f"sizes {sizes}", "save 3D volumes")
    name = fields.get("elementtype", "").upper()
    if name not in TYPES:
        raise DataError("HDR_DTYPE", f"voxels of type {name!r}", "save plain numbers")
    number = "ElementNumberOfChannels"
    channels = whole(number, _numbers(fields, number.lower(), "1"))
    dtype = np.dtype(TYPES[name])
    if agreed({n: _truth(fields, n) for n in ("BinaryDataByteOrderMSB", "ElementByteOrderMSB")}):
        dtype = dtype.newbyteorder(">")
    if len(channels) != 1 or channels[0] < 1:
        raise DataError("HDR_DIMS", f"{channels} channels", _AGAIN)
    if len(sizes) == 4 and channels != [1]:
        found = f"{channels[0]} channels and a fourth axis of {sizes[3]}"
        raise DataError("HDR_DIMS", found, "save 3D volumes")
    sizes = [*channels, *sizes]
    total = check_size(math.prod(sizes), dtype.itemsize)
    if not _truth(fields, "BinaryData"):
        raise DataError("HDR_ENCODING", "voxels written as text", "save them as binary data")
    if fields.get("headersize", "0") not in ("0", "-1"):
        raise DataError("HDR_OFFSET", f"HeaderSize {fields['headersize']!r}", "save it without")
    place = fields[_LAST_FIELD]
    if place.upper() != "LOCAL":
        if place.upper() == "LIST" or "%" in place:
            raise DataError("HDR_ENCODING", "voxels in several files", "save one file")
        rest = beside(place)
    if _truth(fields, "CompressedData"):
        declared = None
        if fields.get("compresseddatasize"):
            declared = whole("CompressedDataSize", _numbers(fields, "compresseddatasize"))
        agreed({"CompressedDataSize": declared or None, "bytes found": [len(rest)]})
        rest = inflate(rest, total)
    if len(rest) < total:
        raise DataError("IO_TRUNCATED", f"{len(rest)} of {total} bytes", _AGAIN)
    if len(rest) > total:
        findings.ask("IO_TRAILING", f"{len(rest) - total} bytes too many", _AGAIN)
    scale = {n: _numbers(fields, n.lower(), d)[0] for n, d in _SCALE.items()}
    if scale != {name: float(default) for name, default in _SCALE.items()}:
        ask_scale(f"values to be scaled by {scale}", findings)
    array = np.frombuffer(rest[:total], dtype).reshape(sizes, order="F")
    if len(sizes) == 5:
        array = np.moveaxis(array[0], -1, 0)
    array = array.astype(dtype.newbyteorder("=")).reshape((*array.shape, 1)[:4])
    two_axes = len(fields["dimsize"].split()) == 2
    return Scan(array, _affine(fields, findings), SCANNER_CODES, two_axes=two_axes)


def _header(data: bytes) -> tuple[dict[str, str], bytes]:
    fields: dict[str, str] = {}
    at = 0
    while _LAST_FIELD not in fields:
        end = data.find(b"\n", at, min(at + 4096, _MOST_HEADER))
        if end < 0:
            raise DataError("HDR_DAMAGED", "no ElementDataFile in the header", _AGAIN)
        try:
            line = data[at:end].decode("utf-8").strip()
        except UnicodeDecodeError as error:
            raise DataError(
                "HDR_DAMAGED", f"the header is no text: {words_of(error)}", _AGAIN
            ) from error
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
    spacing = _agreed_numbers(fields, "ElementSpacing", "ElementSize")
    rows = _agreed_numbers(fields, "TransformMatrix", "Rotation", "Orientation")
    place = _agreed_numbers(fields, *_PLACES)
    for name, numbers, due in (("spacing", spacing, rank), ("matrix", rows, rank * rank)):
        if numbers is not None and len(numbers) != due:
            raise DataError("HDR_DAMAGED", f"{name} of {len(numbers)} numbers", _AGAIN)
    if rank == 4:  # of which the last is channels
        spacing, rows, place = _of_space(spacing, rows, place)
        rank = 3
    if spacing is not None and not min(spacing) > 0:
        raise DataError("HDR_SPACING", f"spacing {spacing} mm", "set the true spacing")
    if spacing is None or (rank == 3 and rows is None):
        missing = "spacing (ElementSpacing)" if spacing is None else "orientation (TransformMatrix)"
        findings.ask("GEO_NONE", f"no {missing}", "set it")
    if rank == 3 and (rows is None or spacing is None):
        affine = AS_SCANNED @ np.diag([*(spacing or [1.0] * rank), 1.0])
    else:
        place = [0.0] * rank if place is None else place
        if len(place) != rank:
            raise DataError("HDR_DAMAGED", f"origin of {len(place)} numbers", _AGAIN)
        # Each row as written is the direction of an axis, whose length the spacing says.
        axes = np.eye(3)
        axes[:rank, :rank] = np.eye(rank) if rows is None else np.reshape(rows, (rank, rank))
        lengths = np.linalg.norm(axes, axis=1)
        if lengths.all():  # else it is singular
            agreed({"lengths of directions": [1, 1, 1], "TransformMatrix": lengths}, _DIRECTION)
        if rank == 3 and lengths.all():
            _hold_to_letters(fields.get("anatomicalorientation", ""), axes, findings)
        sides = [*(spacing or [1.0] * rank), 1.0][:3]
        affine = from_lps(axes.T * sides, np.array([*place, 0.0][:3]))
    unit = fields.get("distanceunits", "mm").strip(" '\"")
    affine[:3] *= millimetres_in("DistanceUnits", [unit], findings)
    check_affine(affine, findings)
    return affine


def _hold_to_letters(text: str, axes: np.ndarray, findings: Findings) -> None:
    """Warn of letters for where axes lead that say another thing than the matrix, which is used.

    Some write where axes lead to and others where they come from, and `RAI` by habit.

    Args:
        text: such as `LPS`; anything else is passed over.
        axes: of LPS, a row each.
        findings: take the warning.
    """
    letters = text.upper()
    if len(letters) != 3 or any(len({*pair} & {*letters}) != 1 for pair in _OPPOSITE):
        return
    axes = axes / np.linalg.norm(axes, axis=1, keepdims=True)
    if np.abs(axes).max(axis=1).min() < _NEAR:
        return  # of axes halfway, several letters are right
    nearest = [(int(np.argmax(np.abs(axis))), axis) for axis in axes]
    towards = "".join(_OPPOSITE[k][int(axis[k] > 0)] for k, axis in nearest)
    away = "".join(_OPPOSITE[k][int(axis[k] < 0)] for k, axis in nearest)
    if letters not in (towards, away, *_BY_HABIT):
        found = (
            f"AnatomicalOrientation is {letters}, and the axes of TransformMatrix are {towards} "
        )
        findings.warn(
            "GEO_LETTERS", f"{found}({away} by where they begin)", "correct the wrong one"
        )


def _of_space(
    spacing: list[float] | None, rows: list[float] | None, place: list[float] | None
) -> tuple[list[float] | None, list[float] | None, list[float] | None]:
    """Return what is told of the first three of four axes."""
    if rows is not None:
        turn = np.reshape(rows, (4, 4))
        if turn[3, :3].any() or turn[:3, 3].any():
            raise DataError("HDR_DIMS", "a fourth axis turned into the others", "save 3D volumes")
        rows = turn[:3, :3].ravel().tolist()
    if place is not None and len(place) == 4:
        place = place[:3]
    return spacing and spacing[:3], rows, place


def _truth(fields: dict[str, str], name: str) -> bool | None:
    text = fields.get(name.lower())
    return None if text is None else is_true(name, text)


def _agreed_numbers(fields: dict[str, str], *names: str) -> list[float] | None:
    """Return what stands under these names, which all mean the same."""
    there = [name for name in names if name.lower() in fields]
    return agreed({name: _numbers(fields, name.lower()) for name in there}, _ROUNDED)


def _numbers(fields: dict[str, str], name: str, default: str | None = None) -> list[float]:
    text = fields.get(name, default)
    try:
        numbers = [float(n) for n in (text or "").split()]
    except ValueError:
        numbers = []
    if not numbers:
        raise DataError("HDR_DAMAGED", f"{name}: {text!r}", _AGAIN)
    return numbers
