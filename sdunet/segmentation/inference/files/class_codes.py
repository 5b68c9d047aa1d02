"""What classes are in the terms of a terminology, such as SNOMED CT, for files of DICOM.

Source: DICOM PS3.3, C.8.20.4 (segment description); PS3.16, CID 7150 (property categories).
"""

import re
from collections.abc import Collection, Mapping
from typing import NamedTuple

from data_prep.core.errors import DataError
from sdunet.segmentation.inference.files.class_names import LONGEST

_CODE = re.compile(r"([A-Za-z0-9_.-]{1,16}):([A-Za-z0-9_.-]{1,16})")
_FIX = "give them as CLASS=SCT:NUMBER, or with a category, as CLASS=SCT:49755003/SCT:108369006"


class Term(NamedTuple):
    """A term of a terminology, as DICOM names it."""

    value: str
    scheme: str
    meaning: str


class ClassCodes(NamedTuple):
    """What kind of property a class is, and which one."""

    category: Term
    kind: Term


# CID 7150, written out: pydicom takes most of a second to read all of its terms.
CATEGORIES = {
    value: Term(value, "SCT", meaning)
    for value, meaning in {
        "85756007": "Tissue",
        "91723000": "Anatomical Structure",
        "49755003": "Morphologically Abnormal Structure",
        "91720002": "Body Substance",
        "105590001": "Substance",
        "246464006": "Function",
        "260787004": "Physical object",
        "309825002": "Spatial and Relational Concept",
    }.items()
}
TISSUE, ANATOMY = CATEGORIES["85756007"], CATEGORIES["91723000"]
# What 3D Slicer gives a segment of which nothing is known.
UNKNOWN = ClassCodes(TISSUE, TISSUE)


def class_codes(given: Mapping[str, str], names: Collection[str]) -> dict[str, ClassCodes]:
    """Return the codes of each class, or region.

    One that is given none is a tissue. One that is given the code of what it is, such as
    `SCT:10200004`, is an anatomical structure, unless the code of another category stands before.

    Args:
        given: by name, `SCHEME:VALUE` or `SCHEME:VALUE/SCHEME:VALUE`.
        names: of all classes but the background.

    Raises:
        DataError: PRED_CODES.

    Examples:
        >>> class_codes({"liver": "SCT:10200004"}, ["liver", "vein"])["liver"].category.meaning
        'Anatomical Structure'
    """
    if unknown := sorted(given.keys() - set(names)):
        found = f"{unknown[0]!r} is no class; classes are {', '.join(names)}"
        raise DataError("PRED_CODES", found, _FIX)
    return {name: _codes(name, given[name]) if name in given else UNKNOWN for name in names}


def _codes(name: str, text: str) -> ClassCodes:
    *before, kind = (_CODE.fullmatch(part.strip()) for part in text.split("/"))
    if kind is None or len(before) > 1 or None in before:
        raise DataError("PRED_CODES", f"{name}: {text!r:.80} is no code", _FIX)
    category = ANATOMY
    for part in before:
        if part is None or part[1] != "SCT" or part[2] not in CATEGORIES:
            known = ", ".join(f"{one.value} {one.meaning}" for one in CATEGORIES.values())
            found = f"{name}: no category {text!r:.80}; those of scheme SCT are {known}"
            raise DataError("PRED_CODES", found, _FIX)
        category = CATEGORIES[part[2]]
    return ClassCodes(category, Term(kind[2], kind[1], name[:LONGEST]))
