"""The spacing of pages and arrays in JSON beside them: a length for each axis, as it is stored."""

import io

import numpy as np
import pytest
import tifffile

from data_prep.core.errors import DataError
from data_prep.core.findings import Findings
from data_prep.files.file_tree import open_tree
from data_prep.formats.registry import read_label, read_scan

ARRAY = np.arange(240, dtype=np.uint8).reshape(3, 8, 10)
SAVE = {
    ".npy": np.save,
    ".npz": np.savez_compressed,
    ".tif": lambda file, array: tifffile.imwrite(file, array, photometric="minisblack"),
}
FORMATS = pytest.mark.parametrize("suffix", SAVE)
READERS = pytest.mark.parametrize("read", [read_scan, read_label])


@pytest.fixture
def tree(written):
    def of(suffix, array=ARRAY, **beside):
        buffer = io.BytesIO()
        SAVE[suffix](buffer, array)
        told = {f"{name}.json": one for name, one in beside.items()}
        return open_tree(written({f"c_0000{suffix}": buffer.getvalue(), **told}))

    return of


@FORMATS
@READERS
@pytest.mark.parametrize("name", ["c", "c_0000"])
def test_each_axis_has_the_length_that_is_told_of_it(tree, suffix, read, name):
    scan = read(tree(suffix, **{name: {"spacing": [2.5, 0.75, 0.5]}}), f"c_0000{suffix}")
    by_size = dict(zip(scan.array.shape[1:], scan.spacing, strict=True))
    assert by_size == pytest.approx({3: 2.5, 8: 0.75, 10: 0.5})


@FORMATS
@pytest.mark.parametrize(
    ("beside", "code"),
    [
        ({}, "GEO_NONE"),
        ({"c": {"shapes": []}}, "GEO_NONE"),
        ({"c": {"spacing": [1, 2]}}, "HDR_DAMAGED"),
        ({"c": {"spacing": [1, 2, True]}}, "HDR_DAMAGED"),
        ({"c": {"spacing": {"x": 1}}}, "HDR_DAMAGED"),
        ({"c": b"{spacing"}, "HDR_DAMAGED"),
        ({"c": {"spacing": [1, 0, 1]}}, "HDR_SPACING"),
        ({"c": {"spacing": [1, -2, 1]}}, "HDR_SPACING"),
        ({"c": {"spacing": [1, 1e-4, 1]}}, "HDR_SPACING_RANGE"),
        ({"c": {"spacing": [3, 1, 1]}, "c_0000": {"spacing": [2, 1, 1]}}, "HDR_CONFLICT"),
    ],
)
def test_lengths_that_are_none_or_differ_are_refused(tree, suffix, beside, code):
    with pytest.raises(DataError, match=f"{code}: "):
        read_scan(tree(suffix, **beside), f"c_0000{suffix}")


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
@pytest.mark.parametrize("shape", [(6, 7), (6, 7, 3)], ids=str)
def test_what_lies_beside_a_2d_image_is_not_asked(tree, suffix, shape):
    there = tree(suffix, np.zeros(shape, np.uint8), c=b"{")
    assert read_scan(there, f"c_0000{suffix}").affine is None


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_the_lengths_of_an_array_replace_what_is_accepted(tree, suffix):
    findings = Findings({"GEO_NONE"})
    scan = read_scan(tree(suffix, c={"spacing": [3, 1, 2]}), f"c_0000{suffix}", findings)
    assert scan.spacing == (3, 1, 2)
    assert not findings.found


@pytest.mark.parametrize(
    ("shape", "mm", "right"),
    [
        ((20, 256, 256), (3, 0.5, 0.5), True),
        ((256, 256, 20), (3, 0.5, 0.5), False),
        ((256, 256, 20), (0.5, 0.5, 3), True),
        ((20, 256, 256), (0.5, 0.5, 3), False),
        ((64, 64, 48), (3, 0.5, 0.5), True),  # a patch, of which nobody could tell
        ((256, 256, 20), (1, 1, 1), True),
        ((15, 256, 256), (4, 0.6, 0.6), True),
    ],
)
def test_lengths_in_the_other_order_of_axes_are_told(tree, shape, mm, right):
    there = tree(".npy", np.zeros(shape, np.uint8), c={"spacing": [*mm]})
    if right:
        assert read_scan(there, "c_0000.npy").spacing == mm
    else:
        with pytest.raises(DataError, match=r"HDR_CONFLICT: .* axes from the last"):
            read_scan(there, "c_0000.npy")
