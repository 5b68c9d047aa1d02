"""Numbers that headers scale are what exact arithmetic gives, and never wrap."""

from fractions import Fraction

import nibabel as nib
import numpy as np
import pytest
from dicom_files import encode, new_slice
from hypothesis import example, given
from hypothesis import strategies as st

from data_prep.core.findings import Findings
from data_prep.formats.dicom.series import read_series
from data_prep.formats.encode import encode as encode_scan
from data_prep.formats.header_fields import scaled
from data_prep.formats.nifti import read_nifti

TYPES = ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8")
NUMBERS = st.one_of(
    st.integers(-(2**40), 2**40), st.integers(-300, 300), st.floats(-1e6, 1e6, allow_nan=False)
)


@st.composite
def stored(draw):
    kind = np.dtype(draw(st.sampled_from(TYPES)))
    ends = np.iinfo(kind)
    whole = st.integers(int(ends.min), int(ends.max))
    return np.array(draw(st.lists(whole, max_size=4)), kind)


@given(stored(), NUMBERS.filter(bool), NUMBERS)
@example(np.array([3_000_000_000], "u4"), 1, 0)
@example(np.array([100_000], "i4"), 30_000, 0)
@example(np.array([-(2**31)], "i4"), 1, -1024)
@example(np.array([2**64 - 1], "u8"), -1, 2**63)
@example(np.array([0], "u1"), 2**31, 0)
@example(np.array([0], "u1"), 1e30, 0)
def test_scaled_numbers_are_those_of_exact_arithmetic(values, slope, intercept):
    got = scaled(values, float(slope), float(intercept))
    want = [Fraction(int(v)) * Fraction(slope) + Fraction(intercept) for v in values]
    if got.dtype.kind in "iu":
        assert [int(v) for v in got] == want
    else:
        assert got.dtype == np.float32
        for number, exact, value in zip(got, want, values, strict=True):
            size = abs(int(value)) * abs(float(slope)) + abs(float(intercept))
            assert (
                abs(float(number) - float(exact)) <= 1e-7 * size + 1e-37
            )  # below which float32 has 0


def series_of(pixels, **changes):
    """Three slices of the same stored numbers, of all bits of their type."""
    bits = pixels.dtype.itemsize * 8
    stored = {"BitsAllocated": bits, "BitsStored": bits, "HighBit": bits - 1}
    stored["PixelRepresentation"] = int(pixels.dtype.kind == "i")
    slices = [new_slice(z, pixels, **stored, **changes) for z in range(3)]
    return read_series([(str(z), encode(one)) for z, one in enumerate(slices)], Findings())


def test_hounsfield_units_are_whole_numbers_of_32_bits():
    assert scaled(np.array([0, 4095], "u2"), 1.0, -1024.0).dtype == np.int32


@pytest.mark.parametrize(
    ("kind", "value", "slope", "intercept", "want"),
    [
        ("u4", 3_000_000_000, 1, 0, 3_000_000_000),
        ("u4", 100_000, 30_000, 0, 3_000_000_000),
        ("i4", -(2**31), 1, -1024, -(2**31) - 1024),
        ("i2", -32768, 3, -7, -98311),
    ],
)
def test_values_of_a_series_never_wrap(kind, value, slope, intercept, want):
    pixels = np.zeros((4, 5), kind)
    pixels[1, 2] = value
    scan = series_of(pixels, RescaleSlope=slope, RescaleIntercept=intercept)
    assert {int(v) for v in np.unique(scan.array)} == {intercept, want}


@pytest.mark.parametrize("kind", ["u2", "u4", "i4"])
def test_a_picture_turned_over_keeps_its_numbers(kind):
    pixels = np.arange(20).reshape(4, 5).astype(kind)
    unscaled = {"RescaleSlope": None, "RescaleIntercept": None}
    kinds = {"PhotometricInterpretation": "MONOCHROME1", "Modality": "DX"}
    got = series_of(pixels, **kinds, **unscaled).array[0]
    top = -1 if kind[0] == "i" else 2 ** (8 * pixels.dtype.itemsize) - 1
    assert sorted({int(v) for v in np.unique(got)}) == [top - n for n in range(19, -1, -1)]


@pytest.mark.parametrize(
    ("kind", "start", "slope", "intercept"),
    [
        ("i4", 16_777_217, 1, 3),
        ("u2", 60_000, 1000, 1),
        ("i4", -(2**31), 1, 5),
        ("u4", 2**31, 1, 1),
    ],
)
def test_whole_numbers_of_nifti_beyond_float32_stay_whole(kind, start, slope, intercept):
    values = (start + np.arange(60)).astype(kind).reshape(3, 4, 5)
    image = nib.Nifti1Image(values, np.eye(4))
    image.header.set_slope_inter(slope, intercept)
    scan = read_nifti(image.to_bytes(), Findings())
    want = values.astype(object) * slope + intercept
    assert (scan.array[0].astype(object) == want).all()
    again = read_nifti(encode_scan(scan)[1], Findings())
    assert (again.array[0].astype(object) == want).all()


def test_smaller_ones_are_float32_as_before():
    image = nib.Nifti1Image(np.arange(60, dtype=np.int16).reshape(3, 4, 5), np.eye(4))
    image.header.set_slope_inter(1, -1024)
    scan = read_nifti(image.to_bytes(), Findings())
    assert scan.array.dtype == np.float32
    np.testing.assert_array_equal(scan.array[0].ravel(), np.arange(60) - 1024)
