"""Items of DICOM sequences: a length that puts one into another loses what it holds."""

import struct

import pytest
from dicom_files import box, encode, structures

from data_prep.core.errors import DataError
from data_prep.formats.dicom.series import parse


def test_contour_that_lies_in_another_by_its_length_is_refused():
    drawn = encode(structures([("tumour", box(2, 1, 7, 1, 5)), ("tumour", box(3, 1, 7, 1, 5))]))
    assert len(parse(drawn).ROIContourSequence[0].ContourSequence) == 2
    second = drawn.rindex(b"\xfe\xff\x00\xe0", 0, drawn.rindex(b"CLOSED_PLANAR"))
    first = drawn.rindex(b"\xfe\xff\x00\xe0", 0, second)
    both = sum(struct.unpack_from("<I", drawn, at + 4)[0] for at in (first, second)) + 8
    swallowing = drawn[: first + 4] + struct.pack("<I", both) + drawn[first + 8 :]
    with pytest.raises(DataError, match=r"IO_DAMAGED: an item inside of another, as \(FFFE,E000\)"):
        parse(swallowing)
