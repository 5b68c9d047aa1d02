"""Palettes and modality tables of DICOM, held to pydicom's own where that reads them."""

import io
import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_files import STORED, encode, new_slice, series
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.pixels import apply_color_lut, apply_modality_lut
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRBigEndian

from data_prep.core.errors import DataError
from data_prep.core.findings import Findings
from data_prep.formats.dicom.series import read_series

RANDOM = np.random.default_rng(1)
PICTURE = {"Modality": "OT", "PhotometricInterpretation": "PALETTE COLOR"}
PICTURE |= dict.fromkeys(("RescaleSlope", "RescaleIntercept", "ImagePositionPatient"))
PICTURE |= dict.fromkeys(("ImageOrientationPatient",))
NAMES = ("Red", "Green", "Blue")


def picture(stored, tables, bits=8, first=0, segmented="", **changes):
    """A picture of indices; `tables` are the bytes of each colour."""
    wide = stored.dtype.itemsize * 8
    depth = {"BitsAllocated": wide, "BitsStored": wide, "HighBit": wide - 1}
    signed = {"PixelRepresentation": int(stored.dtype.kind == "i")}
    one = new_slice(0, stored, **PICTURE | depth | signed)
    count = changes.pop("count", 256)
    for name, table in zip(NAMES, tables, strict=True):
        descriptor = [count % 2**16, first, bits]
        setattr(one, f"{name}PaletteColorLookupTableDescriptor", descriptor)
        setattr(one, f"{segmented}{name}PaletteColorLookupTableData", table)
    for name, value in changes.items():
        setattr(one, name, value)
    return one


def read(data, accept=("DCM_PHI",)):
    return read_series([("one", data)], Findings(accept)).array


def by_pydicom(data):
    one = pydicom.dcmread(io.BytesIO(data))
    return np.moveaxis(apply_color_lut(one.pixel_array, one), -1, 0)


def random_tables(count=256, dtype=np.uint8):
    return [RANDOM.integers(0, np.iinfo(dtype).max, count, dtype).tobytes() for _ in NAMES]


def indices(low, high, dtype):
    return RANDOM.integers(low, high, (6, 8)).astype(dtype)


def test_picture_of_a_palette_is_that_of_pydicom():
    data = Path(get_testdata_file("examples_palette.dcm")).read_bytes()
    array = read(data)
    assert array.shape == (3, 350, 800)
    np.testing.assert_array_equal(array, by_pydicom(data))


# Runs of 2 and 100 entries and lines of 54 and 100 between them, as words.
WORDS = [0, 2, 5, 60000, 1, 54, 100, 0, 100, *range(7, 107), 1, 100, 65535]
BYTES = [0, 2, 5, 250, 1, 54, 100, 0, 100, *range(7, 107), 1, 100, 255]


@pytest.mark.parametrize(
    "one",
    [
        picture(indices(0, 256, np.uint8), random_tables(dtype=np.uint16), 16),
        picture(indices(0, 256, np.uint16), random_tables()),
        picture(indices(-128, 128, np.int8), random_tables(), first=-128),
        picture(indices(-300, 150, np.int16), random_tables(), first=-100),
        picture(indices(0, 2**16, np.uint16), random_tables(2**16, np.uint16), 16, count=2**16),
        picture(indices(20, 230, np.uint8), random_tables(100), first=50, count=100),
        picture(indices(0, 256, np.uint8), [np.array(WORDS, np.uint16).tobytes()] * 2
                + [np.array([*WORDS[:-1], 9], np.uint16).tobytes()], 16, segmented="Segmented"),
        picture(indices(0, 256, np.uint8), [bytes(BYTES), bytes([*BYTES[:-1], 9]), bytes(BYTES)],
                segmented="Segmented"),
    ],
    ids=["16 bits", "wide", "signed", "clipped", "all", "few", "segmented words", "segmented"],
)  # fmt: skip
def test_palettes_of_every_kind_are_those_of_pydicom(one):
    data = encode(one)
    array, theirs = read(data), by_pydicom(data)
    if len(array) == 1:
        assert all(np.array_equal(theirs[0], other) for other in theirs)
    np.testing.assert_array_equal(array, theirs[: len(array)])
    assert array.dtype == theirs.dtype


def test_greys_are_one_channel():
    table = RANDOM.integers(0, 256, 256, np.uint8)
    stored = indices(0, 256, np.uint8)
    array = read(encode(picture(stored, [table.tobytes()] * 3)))
    np.testing.assert_array_equal(array, table[stored][None])


@pytest.mark.parametrize("count", [200, 1024])
def test_indices_past_256_of_a_palette_of_bytes_are_not_cut(count):
    tables, stored = random_tables(count), indices(0, 1024, np.uint16)
    array = read(encode(picture(stored, tables, count=count)))
    at = np.minimum(stored, count - 1)  # the last colour is that of all above it
    want = [np.frombuffer(table, np.uint8)[at] for table in tables]
    np.testing.assert_array_equal(array, want)


@pytest.mark.parametrize("bits", [8, 16])
def test_palettes_of_big_endian_files_are_turned(bits):
    dtype = np.uint8 if bits == 8 else np.uint16
    tables, stored = random_tables(dtype=dtype), indices(0, 256, np.uint16)
    want = read(encode(picture(stored, tables, bits)))
    turned = [np.frombuffer(table, np.uint16).byteswap().tobytes() for table in tables]
    one = picture(stored.byteswap(), turned, bits)
    one.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    np.testing.assert_array_equal(read(encode(one)), want)


def test_signed_palette_that_says_it_without_a_sign_is_read():
    one = picture(indices(-128, 128, np.int8), random_tables(), first=-128)
    want = read(encode(one))
    for name in NAMES:
        one.add_new(f"{name}PaletteColorLookupTableDescriptor", "US", [256, 2**16 - 128, 8])
    np.testing.assert_array_equal(read(encode(one)), want)


def test_greys_of_slices_become_a_volume():
    ramp = np.arange(4096, dtype=np.uint16)[::-1]
    slices = series(Modality="MR", RescaleSlope=None, RescaleIntercept=None,
                    PhotometricInterpretation="PALETTE COLOR")  # fmt: skip
    for one in slices:
        for name in NAMES:
            setattr(one, f"{name}PaletteColorLookupTableDescriptor", [4096, 0, 16])
            setattr(one, f"{name}PaletteColorLookupTableData", ramp.tobytes())
    array = read_series([(str(z), encode(s)) for z, s in enumerate(slices)], Findings()).array
    np.testing.assert_array_equal(array[0], ramp[STORED].transpose(2, 1, 0))


def short(one):
    one.RedPaletteColorLookupTableData = one.RedPaletteColorLookupTableData[:-2]


def other(one):
    one.BluePaletteColorLookupTableDescriptor = [256, 1, 8]


def clear(one):
    one.AlphaPaletteColorLookupTableData = bytes(256)


def nameless(one):
    del one.RedPaletteColorLookupTableData


def rescaled(one):
    one.RescaleSlope, one.RescaleIntercept = 2, 0


def indirect(one):
    for name in NAMES:
        delattr(one, f"{name}PaletteColorLookupTableData")
        parts = bytes([0, 2, 1, 2, 2, 1, 0, 0, 0, 0])
        setattr(one, f"Segmented{name}PaletteColorLookupTableData", parts)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (short, "DCM_COLOR: a lookup table of 254 bytes for 256 values"),
        (other, r"DCM_COLOR: palettes of red, green and blue as \[.*256, 1, 8"),
        (clear, "DCM_COLOR: a palette with transparency"),
        (nameless, "DCM_COLOR: a palette of which nothing is there"),
        (rescaled, "DCM_RESCALE: slope 2.0, intercept 0.0 beside a palette"),
        (indirect, "DCM_COLOR: segments of a palette that give 2 of 256 colours"),
    ],
)
def test_palettes_of_doubt_are_refused(change, message):
    one = picture(indices(0, 256, np.uint8), random_tables())
    change(one)
    with pytest.raises(DataError, match=message):
        read(encode(one))


def test_values_in_the_colours_of_a_supplement_are_told():
    findings = Findings()
    slices = series(RedPaletteColorLookupTableDescriptor=[256, 2900, 16])
    read_series([(str(z), encode(one)) for z, one in enumerate(slices)], findings)
    assert {(f.level, f.code) for f in findings.found} == {("warning", "DCM_COLOR")}
    assert "values from 2900 on are shown in colours" in findings.found[0].found


def with_table(bits=16, first=0, unit="HU", count=4096, **changes):
    """The series with a modality table in place of its rescale."""
    table = RANDOM.integers(0, 2**bits, count)
    slices = series(**{"RescaleSlope": None, "RescaleIntercept": None} | changes)
    for one in slices:
        item = Dataset()
        item.LUTDescriptor, item.ModalityLUTType = [count, first, bits], unit
        item.add_new("LUTData", "US", table.tolist())
        one.ModalityLUTSequence = Sequence([item])
    return slices, table


def read_all(slices):
    return read_series([(str(z), encode(s)) for z, s in enumerate(slices)], Findings()).array


@pytest.mark.parametrize("changes", [{}, {"bits": 8}, {"first": 700, "count": 1000}])
def test_modality_table_gives_the_values_of_pydicom(changes):
    slices, _ = with_table(**changes)
    theirs = []
    for one in slices:
        again = pydicom.dcmread(io.BytesIO(encode(one)))
        theirs.append(apply_modality_lut(again.pixel_array, again))
    array = read_all(slices)
    np.testing.assert_array_equal(array[0], np.transpose(theirs, (2, 1, 0)))
    assert array.dtype == theirs[0].dtype


def test_modality_table_of_12_bits_is_read_and_turned_over_after_it():
    slices, table = with_table(bits=12, unit="OD", Modality="MR")
    array = read_all(slices)
    np.testing.assert_array_equal(array[0], table[STORED].transpose(2, 1, 0))
    one = with_table(bits=12, unit="OD", **PICTURE)[0][3]
    table = np.array(one.ModalityLUTSequence[0].LUTData)
    one.PhotometricInterpretation = "MONOCHROME1"
    np.testing.assert_array_equal(read(encode(one))[0], 4095 - table[STORED[3]])


def two(slices):
    slices[4].ModalityLUTSequence.append(slices[3].ModalityLUTSequence[0])


def long(slices):
    slices[4].ModalityLUTSequence[0].LUTDescriptor = [4000, 0, 16]


def of_another_unit(slices):
    slices[4].ModalityLUTSequence[0].ModalityLUTType = "OD"


def without(slices):
    del slices[4].ModalityLUTSequence


def narrow(slices):
    slices[4].ModalityLUTSequence[0].LUTDescriptor = [4096, 0, 10]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (two, "DCM_RESCALE: 2 modality lookup tables"),
        (long, "DCM_RESCALE: a lookup table of 4096 values, 4000 are due"),
        (of_another_unit, "DCM_MIXED: slices of 2 ModalityLUTType"),
        (without, "DCM_MIXED: slices of 2 ModalityLUTType"),
        (narrow, r"DCM_RESCALE: \d+ in a lookup table of 10 bits"),
    ],
)
def test_modality_tables_of_doubt_are_refused(change, message):
    slices, _ = with_table(Modality="MR")
    change(slices)
    with pytest.raises(DataError, match=message):
        read_all(slices)


def test_ct_brought_to_another_unit_is_refused():
    with pytest.raises(DataError, match="DCM_RESCALE: a CT brought to 'OD'"):
        read_all(with_table(unit="OD")[0])


def test_luminance_and_colours_of_16_bits_are_refused():
    stored = RANDOM.integers(0, 60000, (6, 8, 3)).astype(np.uint16)
    form = {"PhotometricInterpretation": "YBR_FULL", "SamplesPerPixel": 3, "BitsStored": 16}
    one = new_slice(0, stored[..., 0], **PICTURE | form | {"HighBit": 15, "PlanarConfiguration": 0})
    one.PixelData = stored.tobytes()
    with pytest.raises(DataError, match="DCM_COLOR: YBR_FULL of 16 bits"):
        read(encode(one))


@pytest.mark.parametrize("form", ["YBR_FULL", "YBR_FULL_422"])
def test_uncompressed_luminance_and_colours_are_those_of_pydicom(form):
    stored = RANDOM.integers(0, 256, (6, 8, 3 if form == "YBR_FULL" else 2)).astype(np.uint8)
    depth = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "PlanarConfiguration": 0}
    one = new_slice(0, stored[..., 0], **PICTURE | depth | {"SamplesPerPixel": 3})
    one.PhotometricInterpretation, one.PixelData = form, stored.tobytes()
    data = encode(one)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = pydicom.dcmread(io.BytesIO(data)).pixel_array
    np.testing.assert_array_equal(read(data), np.moveaxis(theirs, -1, 0))
