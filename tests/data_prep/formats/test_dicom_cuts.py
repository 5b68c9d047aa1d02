"""DICOM files that were cut are refused wherever it was; whole ones of any encoding are read."""

import io
import struct

import numpy as np
import pydicom
import pytest
from dicom_files import STORED, box, encode, new_slice, segments, structures
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from data_prep.core.errors import DataError
from data_prep.formats.dicom.series import parse

CONTOURS = [("tumour", box(2, 1, 7, 1, 5)), ("organ", box(3, 1, 7, 1, 5))]
KINDS = {
    "structures": lambda: structures(CONTOURS),
    "segments": segments,
    "slice": lambda: new_slice(0, STORED[0]),
}
SYNTAXES = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian)
ITEM = b"\xfe\xff\x00\xe0"


def undefined(one):
    """Let all sequences and items of a dataset end by delimiters."""
    for element in one:
        if element.VR == "SQ":
            element.is_undefined_length = True
            for item in element.value:
                item.is_undefined_length_sequence_item = True
                undefined(item)


def written(kind, syntax, delimited=False):
    one = KINDS[kind]()
    if delimited:
        undefined(one)
    one.file_meta.TransferSyntaxUID = syntax
    if "PixelData" in one:
        one["PixelData"].VR = "OW"
    return encode(one)


def ends_of(data):
    """Where a top-level element starts or the file ends, by pydicom's own account."""
    one = pydicom.dcmread(io.BytesIO(data))
    small, implicit = one.original_encoding[1], one.original_encoding[0]
    order = "<HH" if small else ">HH"
    starts, at = [], 0
    for tag in sorted(one.keys()):
        at = data.index(struct.pack(order, tag.group, tag.elem), max(at, 300))
        starts.append(at)
        raw = one.get_item(tag)
        where = raw.value_tell if hasattr(raw, "value_tell") else raw.file_tell
        assert where - at in ((8,) if implicit else (8, 12))
        at = where
    return {*starts, len(data)}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("syntax", "delimited"), [*((s, False) for s in SYNTAXES), (SYNTAXES[0], True)]
)
def test_a_cut_is_refused_but_between_two_elements(kind, syntax, delimited):
    data = written(kind, syntax, delimited)
    between = ends_of(data)
    first = min(between)
    parse(data)
    items = {at for at in range(first, len(data)) if data[at : at + 4] == ITEM}
    cuts = {*range(first, len(data), 7), *range(len(data) - 40, len(data)), *items, *between}
    for cut in sorted(cuts):
        if cut in between:
            parse(data[:cut])
            continue
        with pytest.raises(DataError, match=r"IO_TRUNCATED|IO_DAMAGED"):
            parse(data[:cut])


def test_half_of_the_contours_is_no_structure():
    data = written("structures", ExplicitVRLittleEndian)
    second = data.rindex(ITEM, 0, data.rindex(ITEM, 0, data.rindex(b"CLOSED_PLANAR")))
    assert len(pydicom.dcmread(io.BytesIO(data[:second])).ROIContourSequence) == 1
    with pytest.raises(DataError, match=r"IO_TRUNCATED: the file ends early: \(3006,0039\) ends"):
        parse(data[:second], pixels=False)


def test_a_sequence_within_another_ends_in_its_item():
    data = bytearray(written("structures", ExplicitVRLittleEndian))
    inner = data.index(b"\x06\x30\x40\x00SQ")
    (length,) = struct.unpack_from("<I", data, inner + 8)
    struct.pack_into("<I", data, inner + 8, length + 16)
    with pytest.raises(DataError, match=r"IO_DAMAGED: \(3006,0040\) ends after what holds it"):
        parse(bytes(data))


def packed_frames():
    one = new_slice(0, STORED[0])
    one.file_meta.TransferSyntaxUID = RLELossless
    one.PixelData = encapsulate([ITEM + bytes(96)])
    one["PixelData"].VR = "OB"
    one["PixelData"].is_undefined_length = True
    return encode(one)


def test_frames_that_are_cut_are_refused():
    data = packed_frames()
    parse(data)
    for missing in range(1, 120):
        with pytest.raises(DataError, match=r"IO_TRUNCATED|IO_DAMAGED"):
            parse(data[:-missing])


def unknown_sequence():
    """A private sequence of undefined length as UN, whose items are implicit."""
    item = struct.pack("<2HI", 0x0029, 0x1001, 4) + b"abcd"
    items = ITEM + struct.pack("<I", len(item)) + item + b"\xfe\xff\xdd\xe0" + bytes(4)
    data = written("structures", ExplicitVRLittleEndian)
    return data + struct.pack("<2H2s2xI", 0x4009, 0x1010, b"UN", 2**32 - 1) + items


@pytest.mark.parametrize(
    "data",
    [
        *(written(kind, DeflatedExplicitVRLittleEndian) for kind in KINDS),
        *(written(kind, ImplicitVRLittleEndian, delimited=True) for kind in KINDS),
        *(written("slice", ExplicitVRLittleEndian) + bytes(count) for count in (1, 7, 512)),
        unknown_sequence(),
    ],
)
def test_whole_files_are_read(data):
    one = parse(data)
    assert one.SeriesInstanceUID in ("1.2.3", "8.8", "9.9")
    if "PixelData" in one and one.Modality == "CT":
        np.testing.assert_array_equal(one.pixel_array, STORED[0])
