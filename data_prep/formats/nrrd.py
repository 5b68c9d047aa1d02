"""NRRD, one file or a header with its data beside (`.nhdr`).

Only what images and label maps use is taken: raw, gzip, bzip2 and text encodings, data in one file
or in a list of them, three axes of space and at most one of channels.
Form: https://teem.sourceforge.net/nrrd/format.html
"""

import math
import re

import numpy as np

from data_prep.core.errors import DataError, words_of
from data_prep.core.findings import Findings
from data_prep.core.geometry import AS_SCANNED, LPS_TO_RAS, check_affine, from_lps
from data_prep.core.memory_limits import check_size
from data_prep.core.scan import SCANNER_CODES, Scan
from data_prep.files.decompress import Beside, alone, bunzip2, gunzip
from data_prep.formats.header_fields import agreed, ask_scale, millimetres_in, tell_apart
from data_prep.formats.label_tables.in_header import of_groups
from data_prep.formats.slicer_segments import check_extents, segments_of

_TYPES = {
    **dict.fromkeys(("signed char", "int8", "int8_t"), "i1"),
    **dict.fromkeys(("uchar", "unsigned char", "uint8", "uint8_t"), "u1"),
    **dict.fromkeys(("short", "short int", "signed short", "signed short int", "int16"), "i2"),
    **dict.fromkeys(("int16_t",), "i2"),
    **dict.fromkeys(("ushort", "unsigned short", "unsigned short int", "uint16"), "u2"),
    **dict.fromkeys(("uint16_t",), "u2"),
    **dict.fromkeys(("int", "signed int", "int32", "int32_t"), "i4"),
    **dict.fromkeys(("uint", "unsigned int", "uint32", "uint32_t"), "u4"),
    **dict.fromkeys(("longlong", "long long", "long long int", "int64", "int64_t"), "i8"),
    **dict.fromkeys(("ulonglong", "unsigned long long", "uint64", "uint64_t"), "u8"),
    "float": "f4",
    "double": "f8",
}
# All that a header may hold, without blanks; what a writer adds of its own is written `key:=value`.
_FIELDS = (
    *("axismaxs", "axismins", "blocksize", "byteskip", "centerings", "centers", "content"),
    *("datafile", "dimension", "encoding", "endian", "kinds", "labels", "lineskip", "max"),
    *("measurementframe", "min", "number", "oldmax", "oldmin", "sampleunits", "sizes", "space"),
    *("spacedimension", "spacedirections", "spaceorigin", "spaceunits", "spacings"),
    *("thicknesses", "type", "units"),
)
_SPACES = {
    "left-posterior-superior": LPS_TO_RAS,
    "lps": LPS_TO_RAS,
    "right-anterior-superior": np.eye(4),
    "ras": np.eye(4),
    "left-anterior-superior": np.diag([-1.0, 1.0, 1.0, 1.0]),
    "las": np.diag([-1.0, 1.0, 1.0, 1.0]),
}
_KIND_SIZES = {
    **{f"{n}-{what}": n for n in (2, 3, 4) for what in ("vector", "color", "normal", "gradient")},
    **dict.fromkeys(("rgb-color", "hsv-color", "xyz-color"), 3),
    **{"rgba-color": 4, "complex": 2},
}
_TIMES = ("s", "sec", "second", "seconds", "ms", "msec", "us", "min", "minutes")  # units
_WITH_TIME = ("rast", "last", "lpst")  # spaces, which others spell out
_TEXT = ("ascii", "text", "txt")
_TOKEN = 64  # bytes that a number takes while it is text
_ROUNDED = 1e-3  # what spacings written to some digits differ by
_AGAIN = "fetch or export the file again"


def is_nrrd(data: bytes) -> bool:
    """Tell by its first bytes whether a file is NRRD."""
    return data.startswith(b"NRRD000")


def read_nrrd(data: bytes, findings: Findings | None = None, beside: Beside = alone) -> Scan:
    """Decode a volume to `(C, X, Y, Z)`.

    Raises:
        DataError: IO_..., HDR_... or GEO_... if it cannot be read without doubt.
    """
    findings = findings or Findings()
    fields, keys, rest = _header(data)
    sizes = _numbers(fields, "sizes", int)
    rank = len(sizes)
    if _numbers(fields, "dimension", int) != [rank] or not 2 <= rank <= 4 or min(sizes) < 1:
        raise DataError("HDR_DIMS", f"sizes {sizes}", _AGAIN)
    name = _one(fields, "type").lower()
    if name not in _TYPES:
        raise DataError("HDR_DTYPE", f"voxels of type {name!r}", "save plain numbers")
    dtype = np.dtype(_TYPES[name])
    text = _one(fields, "encoding").lower() in _TEXT
    if dtype.itemsize > 1 and not text:
        endian = _one(fields, "endian").lower()
        if endian == "little":
            dtype = dtype.newbyteorder("<")
        elif endian == "big":
            dtype = dtype.newbyteorder(">")
        else:
            raise DataError("HDR_ENDIAN", f"endian {endian!r}", _AGAIN)
    told = _numbers(fields, "number", int) if "number" in fields else None
    agreed({"number": told, "the product of the sizes": [math.prod(sizes)]})
    if limits := {n: fields[n] for n in ("oldmin", "oldmax") if n in fields}:
        ask_scale(f"values that were brought from other limits, {limits}", findings)
    total = check_size(math.prod(sizes), dtype.itemsize)
    files = _files_of(fields, rank)
    if text:
        check_size(math.prod(sizes), _TOKEN)
    parts = [beside(file) for file in files] or [rest]
    if total % len(parts):
        raise DataError("HDR_DIMS", f"{total} bytes in {len(parts)} files alike", _AGAIN)
    total //= len(parts)
    if text:
        voxels = b"".join(_of_text(part, total // dtype.itemsize, dtype) for part in parts)
    else:
        voxels = b"".join(_decoded(part, fields, total, findings) for part in parts)
    array = np.frombuffer(voxels, dtype).reshape(sizes, order="F")
    array = array.astype(dtype.newbyteorder("="))
    channels = _channel_axis(fields, sizes)
    array = array[None] if channels is None else np.moveaxis(array, channels, 0)
    array = array.reshape((*array.shape, 1)[:4])
    affine = _affine(fields, channels, sizes, findings)
    two_axes = rank - (channels is not None) == 2
    segments = segments_of(keys, len(array))
    check_extents(keys, segments, array, findings)
    table = of_groups(keys)
    return Scan(array, affine, SCANNER_CODES, segments, two_axes, table=table)


def _header(data: bytes) -> tuple[dict[str, str], dict[str, str], bytes]:
    """Return the fields by name, lower case without spaces, the writer's own keys, and the rest."""
    parts = re.split(rb"\r?\n\r?\n", data[: 1 << 20], maxsplit=1)
    try:
        lines = parts[0].decode("utf-8").splitlines()[1:]
    except UnicodeDecodeError as error:
        raise DataError(
            "HDR_DAMAGED", f"the header is no text: {words_of(error)}", _AGAIN
        ) from error
    fields: dict[str, str] = {}
    keys: dict[str, str] = {}
    for number, line in enumerate(lines):
        if line.startswith("#"):
            continue
        if ":=" in line:
            key, _, text = line.partition(":=")
            if keys.setdefault(key, text) != text:
                raise DataError("HDR_CONFLICT", f"{key[:60]!r} is there twice", _AGAIN)
            continue
        name, colon, value = line.partition(":")
        name = name.replace(" ", "").lower()  # `data file` is also written `datafile`
        if not colon or name in fields or name not in _FIELDS:
            raise DataError("HDR_DAMAGED", f"header line {line[:60]!r}", _AGAIN)
        fields[name] = value.strip()
        if name == "datafile" and fields[name].startswith("LIST"):
            fields["list"] = "\n".join(lines[number + 1 :])  # to the end, a file a line
            break
    start = len(data) if len(parts) == 1 else min(len(data), 1 << 20) - len(parts[1])
    return fields, keys, data[start:]


def _files_of(fields: dict[str, str], rank: int) -> list[str]:
    """Return the files that hold the data, in their order; none if it follows the header.

    Raises:
        DataError: HDR_ENCODING for files that are not slices of the last axis, or are told by a
            pattern.
    """
    if "list" in fields:
        files = [line.strip() for line in fields["list"].splitlines() if line.strip()]
        if fields["datafile"].split()[1:] not in ([], [str(rank - 1)]) or not files:
            found = f"data file {fields['datafile']!r:.60} of {len(files)} names"
            raise DataError("HDR_ENCODING", found, "save it in one file")
        if len(set(files)) < len(files):
            raise DataError("HDR_CONFLICT", "a data file is listed twice", _AGAIN)
        return files
    if "%" in fields.get("datafile", ""):
        found = f"data files by a pattern, {fields['datafile']!r:.60}"
        raise DataError("HDR_ENCODING", found, "save it in one file")
    return [fields["datafile"]] if "datafile" in fields else []


def _of_text(rest: bytes, count: int, dtype: np.dtype) -> bytes:
    """Return the bytes of numbers that are written as text, parted by blanks or commas."""
    words = rest.replace(b",", b" ").split(None, count)
    if len(words) != count:
        more = len(words) > count
        found = f"{'more' if more else len(words)} numbers, {count} are due"
        raise DataError("IO_DAMAGED" if more else "IO_TRUNCATED", found, _AGAIN)
    try:
        if dtype.kind == "f":
            return np.array([float(word) for word in words], dtype).tobytes()
        return np.array([int(word) for word in words], dtype).tobytes()
    except (ValueError, OverflowError) as error:
        raise DataError("IO_DAMAGED", f"voxels as text: {words_of(error)}", _AGAIN) from error


def _decoded(rest: bytes, fields: dict[str, str], total: int, findings: Findings) -> bytes:
    for unit in ("line", "byte"):
        if (skip := fields.get(f"{unit}skip", "0")) != "0":
            raise DataError("HDR_OFFSET", f"{unit} skip: {skip!r}", "save it without skips")
    encoding = _one(fields, "encoding").lower()
    if encoding in ("gzip", "gz"):
        rest = gunzip(rest, lambda _: total, findings)
    elif encoding in ("bzip2", "bz2"):
        rest = bunzip2(rest, total, findings)
    elif encoding != "raw":
        raise DataError("HDR_ENCODING", f"encoding {encoding!r}", "save it raw or with gzip")
    if len(rest) < total:
        raise DataError("IO_TRUNCATED", f"{len(rest)} of {total} bytes", _AGAIN)
    if len(rest) > total:
        findings.ask("IO_TRAILING", f"{len(rest) - total} bytes too many", _AGAIN)
    return rest[:total]


def _channel_axis(fields: dict[str, str], sizes: list[int]) -> int | None:
    """Return the axis that is not of space: without a direction, or said to be so."""
    rank, ways = len(sizes), {}
    if "spacedirections" in fields:
        directions = _vectors(fields["spacedirections"])
        _check_count("space directions", directions, rank)
        ways["space directions"] = [int(vector is None) for vector in directions]
    if "kinds" in fields:
        kinds = fields["kinds"].lower().split()
        _check_count("kinds", kinds, rank)
        for kind, size in zip(kinds, sizes, strict=True):
            if kind == "time":
                raise DataError("HDR_DIMS", "an axis of time", "save one volume a file")
            agreed({f"the kind {kind} of": _KIND_SIZES.get(kind), "the size": size})
        if not any(kind in ("???", "none") for kind in kinds):
            ways["kinds"] = [int(kind not in ("domain", "space")) for kind in kinds]
    space = fields.get("space", "").lower()
    if space.endswith("-time") or space in _WITH_TIME:
        raise DataError("HDR_DIMS", f"an axis of time, space {space!r}", "save one volume a file")
    apart = agreed(ways) or [0] * rank
    if rank == 4 and not any(apart):
        if not ways:
            found = f"four axes, {sizes}, of which nothing says which are of space"
            fix = "save channels with the kind vector and no direction, times a volume a file"
            raise DataError("HDR_DIMS", found, fix)
        apart = [0, 0, 0, 1]  # as ITK writes volumes of four axes, and NIfTI
    if sum(apart) > 1 or rank - sum(apart) not in (2, 3):
        raise DataError("HDR_DIMS", f"{rank} axes, {sum(apart)} not of space", "save 3D volumes")
    if 1 not in apart:
        return None
    for name in ("units", "spaceunits"):
        units = re.findall(r'"([^"]*)"', fields.get(name, ""))
        if len(units) == rank and units[apart.index(1)].strip().lower() in _TIMES:
            raise DataError("HDR_DIMS", "an axis of time", "save one volume a file")
    return apart.index(1)


def _affine(
    fields: dict[str, str], channels: int | None, sizes: list[int], findings: Findings
) -> np.ndarray:
    rank, space = len(sizes), fields.get("space", "").lower()
    dimension = _numbers(fields, "spacedimension", int) if "spacedimension" in fields else None
    axes = rank - (channels is not None)
    agreed(
        {"space dimension": dimension, "the axes of the space": [3] if space in _SPACES else None}
    )
    told = _vectors(fields["spacedirections"]) if "spacedirections" in fields else []
    columns = [vector for vector in told if vector is not None]
    numbers = sorted({len(vector) for vector in columns})
    agreed({"space dimension": dimension, "the numbers of a space direction": numbers or None})
    spacing = _numbers(fields, "spacings", float) if "spacings" in fields else None
    _check_count("spacings", spacing, rank)
    spacing = spacing and [mm for axis, mm in enumerate(spacing) if axis != channels]
    _check_centres(fields, channels, rank)
    if space in _SPACES and "spacedirections" in fields:
        origin = _vectors(fields.get("spaceorigin", "(0,0,0)"))[0]
        if origin is None or any(len(v) != 3 for v in (*columns, origin)) or len(columns) != 3:
            raise DataError("HDR_DAMAGED", f"space directions {columns}", _AGAIN)
        lengths = np.linalg.norm(columns, axis=1)
        agreed({"space directions of": lengths, "spacings": spacing or None}, _ROUNDED)
        affine = np.eye(4)
        affine[:3, :3], affine[:3, 3] = np.array(columns).T, origin
        mins = _numbers(fields, "axismins", float) if "axismins" in fields else []
        _hold_to_mins([mm for n, mm in enumerate(mins) if n != channels], affine, findings)
        affine = _SPACES[space] @ affine
    elif dimension in ([2], [4]) and "spacedirections" in fields:
        lengths, affine = _as_itk_writes(fields, axes, dimension[0], spacing)
    else:
        if axes > 2:
            findings.ask("GEO_NONE", f"no orientation (space {space!r})", "set the space")
        known = [float(np.linalg.norm(vector)) for vector in columns] or None
        agreed({"space directions of": known, "spacings": spacing or None}, _ROUNDED)
        lengths = np.array([*(known or spacing or [1.0] * rank), 1.0][:3])
        affine = AS_SCANNED @ np.diag([*lengths, 1.0])
    _check_extent(fields, channels, sizes, lengths)
    if "thicknesses" in fields:
        thick = _numbers(fields, "thicknesses", float)
        _check_count("thicknesses", thick, rank)
        thick = [mm for axis, mm in enumerate(thick) if axis != channels]
        tell_apart(thick, lengths.tolist(), findings)
    affine[:3] *= _millimetres(fields, channels, rank, findings)
    check_affine(affine, findings)
    return affine


def _as_itk_writes(
    fields: dict[str, str], axes: int, dimension: int, spacing: list[float] | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return spacing and affine in a space of two axes or four, which is LPS as ITK writes it."""
    columns = [v for v in _vectors(fields["spacedirections"]) if v is not None]
    origin = _vectors(fields.get("spaceorigin", "(" + ",".join("0" * dimension) + ")"))[0]
    told = [*columns, origin or []]
    if any(len(v) != dimension for v in told) or len(columns) != dimension:
        raise DataError("HDR_DAMAGED", f"space directions {columns}", _AGAIN)
    turn, place = np.eye(4), np.zeros(4)
    turn[:dimension, :dimension], place[:dimension] = np.array(columns).T, origin
    if axes != min(dimension, 3) or turn[3, :3].any() or turn[:3, 3].any():
        raise DataError("HDR_DIMS", f"{axes} axes of a space of {dimension}", "save 3D volumes")
    lengths = np.linalg.norm(turn[:3, :3], axis=0)
    agreed({"space directions of": lengths[:axes], "spacings": spacing or None}, _ROUNDED)
    return lengths, from_lps(turn[:3, :3], place[:3])


def _check_count(name: str, values: list | None, rank: int) -> None:
    if values is not None and len(values) != rank:
        raise DataError("HDR_DAMAGED", f"{name} of {len(values)} axes, there are {rank}", _AGAIN)


def _check_centres(fields: dict[str, str], channels: int | None, rank: int) -> None:
    """Refuse samples that are centres of voxels along one axis, and corners along another."""
    centres = re.split(r"\s+", (fields.get("centerings") or fields.get("centers", "")).lower())
    if centres == [""]:
        return
    _check_count("centerings", centres, rank)
    told = {c for axis, c in enumerate(centres) if axis != channels} - {"???", "none"}
    if len(told) > 1:
        found = f"centerings {' '.join(centres)}"
        raise DataError("HDR_CONFLICT", found[:80], "write one of them for all axes")


def _check_extent(
    fields: dict[str, str], channels: int | None, sizes: list[int], spacing: np.ndarray
) -> None:
    """Refuse ends of the axes that speak of other spacings than are taken."""
    ends = [_numbers(fields, n, float) for n in ("axismins", "axismaxs") if n in fields]
    for name, values in zip(("axis mins", "axis maxs"), ends, strict=False):
        _check_count(name, values, len(sizes))
    if len(ends) < 2:
        return
    axes = [axis for axis in range(len(sizes)) if axis != channels]
    for axis, mm in zip(axes, spacing, strict=False):
        length, size = abs(ends[1][axis] - ends[0][axis]), sizes[axis]
        # Ends are those of the outer cells, or their centres.
        told = [length / size, length / max(1, size - 1)]
        if np.isfinite(length) and not np.isclose(told, mm, rtol=_ROUNDED).any():
            agreed({f"axis mins and maxs, spacing of axis {axis}": told[0], "taken is": mm})


def _hold_to_mins(mins: list[float], space: np.ndarray, findings: Findings) -> None:
    """Warn of begins of the axes that are not where the origin of a `(4, 4)` space lies.

    Signs are those of the space or of the axes, and begins those of the outer cells, or their
    centres. Zeros begin at the data's own corner.
    """
    lengths = np.linalg.norm(space[:3, :3], axis=0)
    if len(mins) != 3 or not np.isfinite(mins).all() or not any(mins) or not lengths.all():
        return
    centre = np.abs(space[:3, 3] @ space[:3, :3] / lengths)
    apart, near = np.abs(centre - np.abs(mins)), _ROUNDED * np.maximum(centre, lengths)
    if not ((apart <= near) | (np.abs(apart - lengths / 2) <= near)).all():
        found = f"axis mins are {mins}, and the space origin {space[:3, 3].tolist()} is used"
        findings.warn("GEO_ORIGIN", found, "correct the wrong one")


def _millimetres(
    fields: dict[str, str], channels: int | None, rank: int, findings: Findings
) -> float:
    """Return the millimetres in the unit of all lengths: `"mm" "mm" "mm"`."""
    told = {}
    for name in ("units", "spaceunits"):
        units = re.findall(r'"([^"]*)"', fields.get(name, ""))
        if len(units) == rank and channels is not None:
            del units[channels]
        if any(unit.strip() for unit in units):
            told[name] = [millimetres_in(name, units, findings)]
    return (agreed(told) or [1.0])[0]


def _vectors(text: str) -> list[list[float] | None]:
    """Read `none (1,0,0) (0,1,0)`."""
    found = re.findall(r"none|\(([^)]*)\)", text, re.IGNORECASE)
    try:
        vectors = [[float(n) for n in inner.split(",")] if inner else None for inner in found]
    except ValueError as error:
        raise DataError("HDR_DAMAGED", f"vectors {text[:60]!r}", _AGAIN) from error
    if not vectors:
        raise DataError("HDR_DAMAGED", f"vectors {text[:60]!r}", _AGAIN)
    return vectors


def _one(fields: dict[str, str], name: str) -> str:
    if name not in fields:
        raise DataError("HDR_DAMAGED", f"no field {name!r} in the header", _AGAIN)
    return fields[name]


def _numbers(fields: dict[str, str], name: str, kind: type) -> list:
    try:
        return [kind(n) for n in _one(fields, name).split()]
    except ValueError as error:
        raise DataError("HDR_DAMAGED", f"{name}: {fields[name][:60]!r}", _AGAIN) from error
