"""Millimetres between the samples of a TIFF, as ImageJ, OME, nnU-Net and its own tags tell them.

ImageJ: a unit and the distance of pages in its text, pixels in a unit in `XResolution`; what it
leaves out is 1, as its writer leaves out what is 1. OME: `PhysicalSizeX`, `Y` and `Z`, µm where no
unit is told (https://docs.openmicroscopy.org/ome-model/latest/). nnU-Net: `{"spacing": [z, y, x]}`
in the JSON beside. The tags of TIFF itself tell only two lengths, and mostly those of print.
"""

import math
import re
from collections.abc import Mapping
from typing import NamedTuple
from xml.etree import ElementTree

import tifffile

from data_prep.core.errors import DataError, words_of
from data_prep.core.findings import Findings
from data_prep.files.decompress import Beside
from data_prep.formats.header_fields import (
    ROUNDED,
    agreed,
    check_lengths,
    millimetres_in,
    spacing_beside,
)

_NO_LENGTH = ("", "pixel", "pixels", "reference frame")  # units that say nothing of millimetres
_INCHES, _CENTIMETRES = 2, 3  # of the tag ResolutionUnit
_MM = {_INCHES: 25.4, _CENTIMETRES: 10.0}
# Dots an inch that scanners, printers and programs without a scale write: of paper, not of pixels.
_PRINT = (72, 75, 96, 100, 120, 144, 150, 180, 200, 240, 300, 360, 400, 600, 1200, 2400, 4800)
_KINDS = {"float": "float32", "double": "float64", "bit": "bool"}  # others are called as in NumPy
_AXES = "XYZ"
_NAMES = {
    *(f"Size{axis}" for axis in "XYZCT"),
    *(f"PhysicalSize{axis}{unit}" for axis in _AXES for unit in ("", "Unit")),
    "TimeIncrementUnit",
}
_AGAIN = "fetch or export the file again"


class Told(NamedTuple):
    """What one statement tells.

    Attributes:
        mm: millimetres along x, y and z; `None` where it does not tell.
        unit: millimetres of the unit it is told in.
    """

    mm: tuple[float | None, ...]
    unit: float = 1.0


def told_spacing(file: tifffile.TiffFile, findings: Findings, beside: Beside) -> Told | None:
    """Return the spacing that a TIFF tells, `None` if nothing in it does.

    Of a single page, whose spacing no network of 2D images uses, only a contradiction is told.

    Args:
        file: the TIFF.
        findings: takes notes of units.
        beside: reads the JSON of nnU-Net for a stack of pages.

    Raises:
        DataError: HDR_CONFLICT for two statements that differ; for a stack also HDR_SPACING for
            lengths that are none, HDR_UNITS for units that are not known, HDR_DAMAGED for OME or
            JSON that cannot be read.
    """
    if len(file.pages) == 1:
        try:
            ways = _in_file(file, Findings())
        except DataError:
            return None
        _agree(ways, "XY")
        return None
    ways = _in_file(file, findings)
    for name, sizes in spacing_beside(beside).items():
        ways[name] = _in_its_unit(tuple(reversed(sizes)), ways)
    for name, told in ways.items():
        check_lengths(name, told.mm)
    _agree(ways, _AXES)
    whole = [told for told in ways.values() if None not in told.mm]
    return next(iter((*whole, *ways.values())), None)


def _in_file(file: tifffile.TiffFile, findings: Findings) -> dict[str, Told]:
    imagej, ome = _of_imagej(file, findings), _of_ome(file, findings)
    # A stack that ImageJ tells of has the numbers of its tags in the unit of ImageJ.
    tags = _of_tags(file.pages[0].aspage(), also_print=imagej is not None and len(file.pages) > 1)
    ways = {"ImageJ": imagej, "OME": ome, "XResolution": tags}
    return {name: told for name, told in ways.items() if told is not None}


def _agree(ways: Mapping[str, Told], axes: str) -> None:
    for axis, name in enumerate(axes):
        told = {f"{way}, mm along {name.lower()},": one.mm[axis] for way, one in ways.items()}
        agreed(told, ROUNDED, smallest=0.0)


def _check_once(text: str) -> None:
    """Refuse a text of ImageJ, `key=value` a line, in which a key has two values."""
    told: dict[str, str] = {}
    for line in text.splitlines():
        key, equals, value = line.partition("=")
        if equals:
            agreed({key: told.setdefault(key, value), f"{key} once more": value})


def _of_imagej(file: tifffile.TiffFile, findings: Findings) -> Told | None:
    meta = file.imagej_metadata or {}
    page = file.pages[0].aspage()
    for text in (page.description, page.description1):
        if text and text.startswith("ImageJ="):
            _check_once(text)
    names = [_plain(meta[key]) for key in ("unit", "yunit", "zunit") if key in meta]
    if not names or names[0] in _NO_LENGTH:
        return None
    unit = millimetres_in("unit of ImageJ", names, findings)
    pages = meta.get("spacing", 1.0)
    if not isinstance(pages, int | float):
        raise DataError("HDR_DAMAGED", f"spacing of ImageJ: {pages!r:.60}", _AGAIN)
    if pages < 0:
        findings.note("HDR_SPACING_SIGN", "negative spacing, its size used")
    sizes = _length(page, "XResolution"), _length(page, "YResolution"), abs(float(pages))
    return Told(tuple(None if size is None else size * unit for size in sizes), unit)


def _of_ome(file: tifffile.TiffFile, findings: Findings) -> Told | None:
    text = file.ome_metadata
    if not text:
        return None
    try:
        if "<!ENTITY" in text:
            raise ValueError("entities")
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError) as error:
        raise DataError("HDR_DAMAGED", f"OME: {words_of(error)}", _AGAIN) from error
    fields = [e.attrib for e in root.iter() if e.tag.endswith("}Pixels")]
    for one in fields:
        _hold_to_page(one, file.pages[0].aspage())
    found = [_of_pixels(one, findings) for one in fields]
    if len({told.mm for told in found}) > 1:
        _agree({f"OME, image {n}": told for n, told in enumerate(found)}, _AXES)
    told = found[0] if found else Told((None,) * 3)
    return None if told.mm == (None,) * 3 else told


def _hold_to_page(fields: Mapping[str, str], page: tifffile.TiffPage) -> None:
    """Refuse sizes and a type of samples that are not those of the pages.

    `BigEndian` is of data in the text itself: pages have a byte order of their own.
    """
    agreed({"SizeX": fields.get("SizeX"), "columns of the pages": str(page.imagewidth)})
    agreed({"SizeY": fields.get("SizeY"), "rows of the pages": str(page.imagelength)})
    kind = fields.get("Type", "").lower()
    agreed({"Type": _KINDS.get(kind, kind) or None, "samples of the pages": str(page.dtype)})


def _of_pixels(fields: Mapping[str, str], findings: Findings) -> Told:
    # A name that OME has not may be that of a length whose damage would leave micrometres.
    if unknown := [n for n in fields if re.search("size|unit", n, re.I) and n not in _NAMES]:
        raise DataError("HDR_DAMAGED", f"OME: {unknown[0]!r:.60}", _AGAIN)
    names = {axis: fields.get(f"PhysicalSize{axis}Unit", "µm") for axis in _AXES}
    told = [a for a in _AXES if f"PhysicalSize{a}" in fields and _plain(names[a]) not in _NO_LENGTH]
    units = {a: millimetres_in(f"PhysicalSize{a}Unit", [names[a]], Findings()) for a in told}
    factors = sorted(set(units.values()) - {1.0})
    if factors:
        text = " and ".join(f"{factor:g}" for factor in factors)
        findings.note("HDR_UNITS", f"PhysicalSize: lengths times {text} for millimetres")
    try:
        sizes = {axis: float(fields[f"PhysicalSize{axis}"]) * units[axis] for axis in told}
    except ValueError as error:
        raise DataError("HDR_DAMAGED", f"OME: {words_of(error)}", _AGAIN) from error
    return Told(tuple(sizes.get(axis) for axis in _AXES), next(iter(units.values()), 1.0))


def _of_tags(page: tifffile.TiffPage, *, also_print: bool) -> Told | None:
    unit = page.tags.get("ResolutionUnit")
    factor = _MM.get(int(unit.value)) if unit and isinstance(unit.value, int) else None
    sizes = [_length(page, name) for name in ("XResolution", "YResolution")]
    if factor is None or None in sizes:
        return None
    mm = [size * factor for size in sizes if size is not None]
    dots = [_MM[_INCHES] / size for size in mm]
    printed = all(any(abs(n - usual) < usual / 100 for usual in _PRINT) for n in dots)
    # One dot a unit is what writers put where they know of none.
    nothing = sizes == [1.0, 1.0]
    return None if nothing or (printed and not also_print) else Told((*mm, None), factor)


def _length(page: tifffile.TiffPage, name: str) -> float | None:
    """Return the size of a pixel in the unit of a tag that tells pixels in a unit."""
    value = page.tags[name].value if name in page.tags else None
    if not isinstance(value, tuple) or len(value) != 2 or not all(value):
        return None
    return value[1] / value[0]


def _in_its_unit(sizes: tuple[float, ...], ways: Mapping[str, Told]) -> Told:
    """Return lengths that no unit is told of: in the unit of the file if they agree so."""
    for told in ways.values():
        whole = None not in told.mm
        if whole and all(
            mm is not None and math.isclose(size * told.unit, mm, rel_tol=ROUNDED)
            for size, mm in zip(sizes, told.mm, strict=True)
        ):
            return told
    return Told(sizes)


def _plain(unit: object) -> str:
    """Return the name of a unit, where ImageJ writes letters beyond ASCII by their numbers."""
    return str(unit).replace("\\u00B5", "µ").strip().lower()
