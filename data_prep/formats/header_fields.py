"""What a header says more than once: believed where it says the same each time."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from data_prep.core.errors import DataError
from data_prep.core.findings import Findings
from data_prep.core.parse import UNUSABLE, parse_json, plainly
from data_prep.files.decompress import Beside

ROUNDED = 1e-3  # what lengths written to some digits differ by, as a share
APART = 1.5  # of the thickness of slices, up to which they are a stack without holes
_AGAIN = "fetch or export the file again"
# Of the file itself, and of all its channels.
_BESIDE = {"*.json": ".json beside", "**.json": ".json beside, without a channel"}


def agreed(ways: Mapping[str, Any], tolerance: float = 0.0, smallest: float | None = None) -> Any:
    """Return the one thing that a header says in several ways, `None` if it says it in none.

    Args:
        ways: name of each way, and the value so given; `None` where the header has it not.
        tolerance: how far numbers may lie apart, as a share of the first and as such.
        smallest: how far they may lie apart as such, if not so far.

    Raises:
        DataError: HDR_CONFLICT if two differ.
    """
    there = {name: value for name, value in ways.items() if value is not None}
    if not there:
        return None
    (first, value), *others = there.items()
    for name, other in others:
        if not _same(value, other, tolerance, tolerance if smallest is None else smallest):
            raise DataError(
                "HDR_CONFLICT",
                f"{first} {_written(value)}, but {name} {_written(other)}",
                "remove the one that is wrong",
            )
    return value


def ask_scale(found: str, findings: Findings) -> None:
    """Refuse stored values that a header scales in a way that readers differ about.

    Raises:
        DataError: HDR_SCALE, unless it is accepted.
    """
    findings.ask("HDR_SCALE", found, "save the scaled values")


def tell_apart(thick: list[float], spacing: list[float], findings: Findings) -> None:
    """Warn of samples that lie far further apart along an axis than they are thick."""
    for axis, (of_one, step) in enumerate(zip(thick, spacing, strict=False)):
        if of_one > 0 and step > APART * of_one:
            found = f"samples of axis {axis} lie {step:.4g} mm apart and are {of_one:.4g} mm thick"
            findings.warn("DCM_APART", found, "check that no slices are missing")


def whole(name: str, numbers: list[float]) -> list[int]:
    """Return numbers of a header as whole ones.

    Raises:
        DataError: HDR_DAMAGED if one is not.
    """
    if not all(float(number).is_integer() for number in numbers):
        raise DataError("HDR_DAMAGED", f"{name}: {_written(numbers)}", _AGAIN)
    return [int(number) for number in numbers]


def is_true(name: str, text: str) -> bool:
    """Return a truth value of a header, in any spelling that MetaIO takes for one.

    Raises:
        DataError: HDR_DAMAGED for any other, which readers take for either.
    """
    values = {
        **dict.fromkeys(("true", "t", "1"), True),
        **dict.fromkeys(("false", "f", "0"), False),
    }
    if text.strip().lower() not in values:
        raise DataError("HDR_DAMAGED", f"{name}: {text[:60]!r}", "write True or False")
    return values[text.strip().lower()]


def _same(one: Any, other: Any, share: float, apart: float) -> bool:
    if isinstance(one, str) or isinstance(other, str):
        return one == other
    one, other = np.asarray(one, float), np.asarray(other, float)
    return one.shape == other.shape and np.allclose(one, other, rtol=share, atol=apart)


def _written(value: Any) -> str:
    if isinstance(value, np.ndarray | list | tuple):
        return " ".join(f"{number:.6g}" for number in np.ravel(value))[:80]
    return repr(value[:80]) if isinstance(value, str) else str(value)[:80]


_LENGTHS = {
    **dict.fromkeys(("", "?", "mm", "millimeter", "millimetre"), 1.0),
    **dict.fromkeys(("um", "\u00b5m", "\u03bcm", "micron", "micrometer", "micrometre"), 1e-3),
    **dict.fromkeys(("nm", "nanometer", "nanometre"), 1e-6),
    **dict.fromkeys(("cm", "centimeter", "centimetre"), 10.0),
    **dict.fromkeys(("m", "meter", "metre"), 1e3),
    **dict.fromkeys(("in", "inch"), 25.4),
    "inches": 25.4,
}


def millimetres_in(field: str, units: Iterable[str], findings: Findings) -> float:
    """Return the millimetres in the unit that a header gives all its lengths in.

    Args:
        field: that names it.
        units: one for each axis, or one.
        findings: take a note of another unit than millimetres.

    Raises:
        DataError: HDR_UNITS for a unit that is not known, or several different ones.
    """
    names = {unit.strip().lower() for unit in units}
    known = [_LENGTHS.get(name) or _LENGTHS.get(name.removesuffix("s")) for name in names]
    factors = {factor for factor in known if factor is not None}
    if None in known or len(factors) > 1:
        told = ", ".join(map(repr, sorted(names)))
        raise DataError("HDR_UNITS", f"{field} {told:.80}", "save in millimetres")
    factor = factors.pop() if factors else 1.0
    if factor != 1:
        findings.note("HDR_UNITS", f"{field}: lengths times {factor:g} for millimetres")
    return factor


def spacing_beside(beside: Beside) -> dict[str, tuple[float, ...]]:
    """Return the lengths that JSON beside a volume tells, `{"spacing": [3, 0.5, 0.5]}`, by file.

    nnU-Net puts them beside formats that tell none: one for each axis of the array, from the first
    to the last, which of pages are z, y and x.

    Args:
        beside: reads what lies beside the volume.

    Raises:
        DataError: HDR_DAMAGED for JSON that cannot be read, or lengths that are not three numbers.
    """
    found = {name: _json_spacing(beside, file) for file, name in _BESIDE.items()}
    return {name: lengths for name, lengths in found.items() if lengths is not None}


def _json_spacing(beside: Beside, name: str) -> tuple[float, ...] | None:
    try:
        data = beside(name)
    except DataError as error:
        if error.code != "IO_BESIDE":
            raise
        return None
    try:
        told = parse_json(data).get("spacing")
        if told is None:
            return None
        if not isinstance(told, list) or len(told) != 3 or not all(map(_is_number, told)):
            raise ValueError(f"spacing {told!r:.60}")
        return tuple(map(float, told))
    except UNUSABLE as error:
        found = f"the JSON beside: {plainly(error)}"
        fix = 'give {"spacing": [...]}, millimetres along each axis from the first'
        raise DataError("HDR_DAMAGED", found, fix) from error


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def check_lengths(name: str, mm: Iterable[float | None]) -> None:
    """Refuse lengths, in millimetres, that are none; `None` is not told.

    Raises:
        DataError: HDR_SPACING.
    """
    lengths = tuple(mm)
    if any(one is not None and not (one > 0 and math.isfinite(one)) for one in lengths):
        raise DataError("HDR_SPACING", f"{name}: {lengths} mm", "set the true spacing")


def scaled(stored: np.ndarray, slope: float, intercept: float) -> np.ndarray:
    """Return `stored * slope + intercept`, as headers bring stored numbers to their unit.

    Args:
        stored: whole numbers, any shape.
        slope: finite, not 0.
        intercept: finite.

    Returns:
        The exact whole numbers where slope and intercept are whole, in the first of int32, uint32
        and int64 that holds them all; float32 where one is not, or 64 bits are too few.
    """
    if stored.dtype.kind in "iu" and slope.is_integer() and intercept.is_integer():
        times, plus = int(slope), int(intercept)
        ends = [int(stored.min()), int(stored.max())] if stored.size else [0]
        results = [end * times + plus for end in ends]
        # Also what comes in between: the product, before it is moved.
        most = max(map(abs, (*ends, *results, *(end * times for end in ends), times, plus)))
        if most <= np.iinfo(np.int32).max:
            return stored.astype(np.int32) * np.int32(times) + np.int32(plus)
        if most <= np.iinfo(np.int64).max:
            exact = stored.astype(np.int64) * np.int64(times) + np.int64(plus)
            fits = 0 <= min(results) <= max(results) < 1 << 32
            return exact.astype(np.uint32) if fits else exact
    return (stored.astype(np.float64) * slope + intercept).astype(np.float32)
