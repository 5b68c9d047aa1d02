"""NRRD whose voxels are text, or lie in a list of files."""

import numpy as np
import pytest
from bad_sets import SIZE, noise

from data_prep.core.errors import DataError
from data_prep.formats.nrrd import read_nrrd

ARRAY = noise()
RAW = ARRAY.astype("<i2").tobytes(order="F")
HEAD = (
    "NRRD0004\ntype: {}\ndimension: 3\nspace: RAS\nsizes: 10 11 12\n"
    "space directions: (1,0,0) (0,1,0) (0,0,2)\nspace origin: (0,0,0)\n{}"
)
NUMBERS = " ".join(map(str, ARRAY.ravel(order="F")))


def text(numbers=NUMBERS, kind="short", encoding="ascii"):
    return (HEAD.format(kind, f"encoding: {encoding}\n\n") + numbers).encode()


@pytest.mark.parametrize("encoding", ["ascii", "text", "TXT"])
@pytest.mark.parametrize("numbers", [NUMBERS, NUMBERS.replace(" ", ",\n") + "\n"])
def test_numbers_of_text_are_voxels(encoding, numbers):
    np.testing.assert_array_equal(read_nrrd(text(numbers, "short", encoding)).array[0], ARRAY)
    np.testing.assert_array_equal(read_nrrd(text(numbers, "float")).array[0], ARRAY)


@pytest.mark.parametrize(
    ("numbers", "kind", "code"),
    [
        (NUMBERS.rsplit(" ", 1)[0], "short", "IO_TRUNCATED"),
        (NUMBERS + " 7", "short", "IO_DAMAGED"),
        (NUMBERS, "uchar", "IO_DAMAGED"),
        ("1.5 " + NUMBERS.split(" ", 1)[1], "short", "IO_DAMAGED"),
        ("x " + NUMBERS.split(" ", 1)[1], "float", "IO_DAMAGED"),
    ],
)
def test_text_that_is_not_the_voxels_declared_is_an_error(numbers, kind, code):
    with pytest.raises(DataError, match=code):
        read_nrrd(text(numbers, kind))


def listed(names, told="LIST 2"):
    lines = "".join(f"{name}\n" for name in names)
    return HEAD.format(
        "short", f"endian: little\nencoding: raw\ndata file: {told}\n{lines}"
    ).encode()


SLICES = {f"s{z:02}.raw": RAW[z * 220 : (z + 1) * 220] for z in range(SIZE[2])}


@pytest.mark.parametrize("told", ["LIST", "LIST 2"])
def test_files_of_a_list_are_slices_in_their_order(told):
    scan = read_nrrd(listed(SLICES, told), beside=SLICES.__getitem__)
    np.testing.assert_array_equal(scan.array[0], ARRAY)


@pytest.mark.parametrize(
    ("names", "told", "code"),
    [
        ([*SLICES][:-1], "LIST", r"HDR_DIMS|IO_"),
        ([*list(SLICES)[:-1], "s00.raw"], "LIST", "HDR_CONFLICT"),
        ([*SLICES], "LIST 1", "HDR_ENCODING"),
        ([], "LIST", "HDR_ENCODING"),
        ([], "s%02d.raw 0 11 1", "HDR_ENCODING"),
    ],
)
def test_a_list_that_is_not_of_all_slices_is_an_error(names, told, code):
    with pytest.raises(DataError, match=code):
        read_nrrd(listed(names, told), beside=SLICES.__getitem__)
