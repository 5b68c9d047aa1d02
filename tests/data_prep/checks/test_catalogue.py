"""The catalogue of bad input: each row is planted in a good dataset, and must be named.

A row says what is planted, and what must come of it: an `error` keeps that case out and names it,
while the others stay usable; an error that can be accepted is gone once it is; a `warning` or a
`note` names it and keeps it in; `ok` is usable without a word.
"""

import io
import os

import header_rows
import numpy as np
import pytest
from bad_sets import (
    AFFINE,
    SIZE,
    Pictures,
    Series,
    Volumes,
    blob,
    flipped,
    gz,
    huge_png,
    jpeg,
    mask,
    nifti,
    noise,
    palette,
    patched,
    picture,
    png,
    tiff,
)
from dicom_files import OBLIQUE, STORED, encode, new_slice, series
from PIL import Image

from data_prep.checks.run import check
from data_prep.core.config import DataConfig
from data_prep.core.findings import Acceptance

ACCEPTABLE = Acceptance.__args__
f32, i16 = np.float32, np.int16


def moved(**parts):
    affine = AFFINE.copy()
    for name, value in parts.items():
        affine[int(name[1]), int(name[2])] = value
    return affine


def ct(values):
    return np.where(blob(), 40, -1000).astype(np.int16) if values is None else values


def bad_series(**changes):
    slices = series(series="1.2.3.64")
    slices[4] = new_slice(4, STORED[4], series="1.2.3.64", **changes)
    return slices


def shifted(index, value, up_to=5):
    slices = series(series="1.2.3.64")
    for z, one in enumerate(slices):
        if index == 1:
            one.ImagePositionPatient[1] = -7.0 + value * z
        elif z >= up_to:
            one.ImagePositionPatient[2] = 11 + 2.0 * z + value
    return slices


def encoded(*cuts):
    slices = [encode(one) for one in series(series="1.2.3.64")]
    for index, end in cuts:
        slices[index] = slices[index][:end]
    return slices


def rgba(alpha):
    return png(np.dstack([np.stack([picture()] * 3, -1), np.full((24, 20), alpha, np.uint8)]))


def lossy_mask():
    return np.asarray(Image.open(io.BytesIO(jpeg(mask(255)))))


def exif(tag):
    made = Image.Exif()
    made[0x0112] = tag
    return made


def fifo(s):
    (s.root / "images/bad.nii.gz").unlink()
    os.mkfifo(s.root / "images/bad.nii.gz")


def link(s, there):
    outside = s.root.parent / "outside.nii.gz"
    if there:
        outside.write_bytes(gz(nifti(noise())))
    (s.root / "images/bad.nii.gz").unlink()
    (s.root / "images/bad.nii.gz").symlink_to(outside)


A = gz(nifti(noise()))
ROWS = [
    # Bytes and containers.
    ("A01", Volumes, lambda s: s.image(b""), "error", "IO_EMPTY"),
    ("A01 label", Volumes, lambda s: s.label(b""), "error", "IO_EMPTY"),
    ("A01 png", Pictures, lambda s: s.image(b""), "error", "IO_EMPTY"),
    ("A02", Volumes, lambda s: s.image(A[: len(A) // 2]), "error", "IO_TRUNCATED"),
    ("A02 label", Volumes, lambda s: s.label(gz(nifti(blob()))[:-30]), "error", "IO_TRUNCATED"),
    ("A03", Volumes, lambda s: s.image(A[:-8]), "error", "IO_TRUNCATED"),
    ("A04", Volumes, lambda s: s.image(flipped(A, len(A) // 2)), "error", "IO_CRC"),
    ("A05", Volumes, lambda s: s.image(flipped(A, len(A) - 7)), "error", "IO_CRC"),
    ("A06", Volumes, lambda s: s.image(gz(nifti(noise())[:-9])), "error", "IO_TRUNCATED"),
    ("A07", Volumes, lambda s: s.image(nifti(noise())[:-1], ".nii"), "error", "IO_TRUNCATED"),
    ("A07 head", Volumes, lambda s: s.image(nifti(noise())[:352], ".nii"), "error", "IO_TRUNC"),
    ("A08", Volumes, lambda s: s.image(nifti(noise()) + b"1", ".nii"), "error", "IO_TRAILING"),
    ("A08 gz", Volumes, lambda s: s.image(gz(nifti(noise()) + b"12")), "error", "IO_TRAILING"),
    ("A09", Volumes, lambda s: s.image(nifti(noise())), "note", "IO_SUFFIX"),
    ("A10", Volumes, lambda s: s.image(A, ".nii"), "note", "IO_SUFFIX"),
    ("A11", Volumes, lambda s: s.image(b"<!DOCTYPE html><html>"), "error", "IO_NOT_IMAGE"),
    ("A12", Volumes, lambda s: s.image(b"version https://git-lfs.github.com/spec/v1\noid"), "error",
     "IO_LFS_POINTER"),
    ("A12 annex", Volumes, lambda s: s.image(b"/annex/objects/SHA256E-s1--2"), "error",
     "IO_LFS_POINTER"),
    ("A13", Volumes, lambda s: s.image(png(picture()), ".nii"), "error", "IO_WRONG_TYPE"),
    ("A14", Volumes, lambda s: s.image(gz(nifti(noise())[:900]) + gz(nifti(noise())[900:])), "ok",
     None),
    ("A15", Volumes, lambda s: s.image(gz(patched(42, i16(30000), i16(30000), i16(30000)))),
     "error", "IO_TOO_LARGE"),
    ("A16", Volumes, lambda s: s.image(gz(nifti(noise()) + bytes(1 << 24))), "error",
     "IO_TRAILING"),
    ("A18", Volumes, fifo, "error", "IO_NOT_FILE"),
    ("A19 broken", Volumes, lambda s: link(s, False), "error", "IO_"),
    ("A19", Volumes, lambda s: link(s, True), "error", "IO_LINK"),
    # NIfTI headers and geometry.
    ("B01", Volumes, lambda s: s.image(gz(patched(42, *[i16(32767)] * 3))), "error",
     "IO_TOO_LARGE"),
    ("B02", Volumes, lambda s: s.image(gz(patched(40, i16(7), *[i16(32767)] * 7))), "error",
     "HDR_DIMS"),
    ("B03", Volumes, lambda s: s.image(gz(patched(42, i16(-4)))), "error", "HDR_DIMS"),
    ("B04", Volumes, lambda s: s.image(gz(patched(42, i16(0)))), "error", "HDR_DIMS"),
    ("B04 rank", Volumes, lambda s: s.image(gz(patched(40, i16(0)))), "error", "HDR_D"),
    ("B05", Volumes, lambda s: s.image(gz(patched(80, f32(0)))), "error", "HDR_SPACING"),
    ("B06", Volumes, lambda s: s.image(gz(patched(80, f32(np.nan)))), "error", "HDR_SPACING"),
    ("B06 inf", Volumes, lambda s: s.image(gz(patched(80, f32(np.inf)))), "error", "HDR_SPACING"),
    ("B07", Volumes, lambda s: s.image(gz(patched(80, f32(1e30)))), "error", "HDR_SPACING"),
    ("B07 mm", Volumes, lambda s: (s.image(gz(nifti(noise(), moved(_00=0.001)))),
     s.label(gz(nifti(blob(), moved(_00=0.001))))), "error", "HDR_SPACING_RANGE"),
    ("B08", Volumes, lambda s: s.image(gz(patched(80, f32(-1.5)))), "note", "HDR_SPACING_SIGN"),
    ("B09", Volumes, lambda s: (s.image(gz(nifti(noise(), np.diag([1500.0, 2000, 3000, 1]),
     xyzt_units=3))), s.label(gz(nifti(blob(), np.diag([1.5, 2, 3, 1]))))), "note", "HDR_UNITS"),
    ("B10", Volumes, lambda s: s.image(gz(patched(112, f32(np.inf)))), "error", "HDR_SCALING"),
    ("B10 none", Volumes, lambda s: s.image(gz(patched(112, f32(np.nan)))), "ok", None),
    ("B11", Volumes, lambda s: s.label(gz(patched(112, f32(1.5), array=blob()))), "error",
     "LBL_SCALED"),
    ("B12", Volumes, lambda s: s.image(gz(patched(70, i16(77)))), "error", "HDR_DTYPE"),
    ("B13", Volumes, lambda s: s.image(gz(patched(70, i16(16)))), "error", "HDR_DTYPE"),
    ("B14", Volumes, lambda s: s.image(gz(patched(108, f32(-8)))), "error", "HDR_OFFSET"),
    ("B14 huge", Volumes, lambda s: s.image(gz(patched(108, f32(1e30)))), "error", "HDR_OFFSET"),
    ("B14 nan", Volumes, lambda s: s.image(gz(patched(108, f32(np.nan)))), "error", "HDR_OFFSET"),
    ("B15", Volumes, lambda s: s.image(gz(patched(344, np.bytes_(b"bad")))), "error", "HDR_MAGIC"),
    ("B15 size", Volumes, lambda s: s.image(gz(patched(0, np.int32(347)))), "error",
     "IO_NOT_IMAGE"),
    ("B16", Volumes, lambda s: s.image(gz(nifti(noise().astype(np.complex64)))), "error",
     "HDR_DTYPE"),
    ("B16 rgb", Volumes, lambda s: s.image(gz(nifti(np.zeros(SIZE, [("R", "u1"), ("G", "u1"),
     ("B", "u1")])))), "error", "HDR_DTYPE"),
    ("B17", Volumes, lambda s: s.image(gz(patched(268, f32(40)))), "error", "GEO_SQFORM"),
    ("B18", Volumes, lambda s: (s.image(gz(nifti(noise(), codes=(0, 0)))),
     s.label(gz(nifti(blob(), codes=(0, 0))))), "error", "GEO_NONE"),
    ("B19", Volumes, lambda s: (s.image(gz(nifti(noise(), moved(_01=0.4), (0, 1)))),
     s.label(gz(nifti(blob(), moved(_01=0.4), (0, 1))))), "error", "GEO_SHEAR"),
    ("B19 little", Volumes, lambda s: s.image(gz(nifti(noise(), moved(_01=1e-5)))), "ok", None),
    ("B20", Volumes, lambda s: s.image(gz(patched(252, i16(0), i16(1), *[f32(0)] * 18))), "error",
     "GEO_S"),
    ("B21", Volumes, lambda s: s.label(gz(nifti(blob()[:-1]))), "error", "GEO_SHAPE"),
    ("B22", Volumes, lambda s: s.label(gz(nifti(blob(), moved(_00=1.6)))), "error", "GEO_AFFINE"),
    ("B23", Volumes, lambda s: s.label(gz(nifti(blob(), moved(_03=105.0)))), "error", "GEO_AFF"),
    ("B23 little", Volumes, lambda s: s.label(gz(nifti(blob(), moved(_03=5.0001)))), "ok", None),
    ("B24", Volumes, lambda s: s.label(gz(nifti(blob(), moved(_00=-1.5, _03=18.5)))), "note",
     "GEO_TURNED"),
    ("B24 apart", Volumes, lambda s: s.label(gz(nifti(blob(), moved(_00=-1.5)))), "error",
     "GEO_AFFINE"),
    ("B27", Volumes, lambda s: s.label(gz(nifti(blob(), AFFINE * (1 + 1e-6)))), "ok", None),
    ("B28", Volumes, lambda s: s.image(gz(nifti(noise()[..., None]))), "ok", None),
    ("B28 4D", Volumes, lambda s: s.image(gz(nifti(np.stack([noise()] * 3, -1)))), "error",
     "CH_COUNT"),
    ("B28 label", Volumes, lambda s: s.label(gz(nifti(np.stack([blob()] * 2, -1)))), "error",
     "LBL_4D"),
    ("B29", Volumes, lambda s: s.image(gz(nifti(np.zeros((*SIZE, 2, 2), np.int16)))), "error",
     "HDR_DIMS"),
    ("B30", Volumes, lambda s: (s.image(gz(nifti(noise(size=(10, 11, 1))))),
     s.label(gz(nifti(blob()[:, :, 5:6])))), "ok", None),
    ("B31", Volumes, lambda s: (s.image(gz(nifti(noise(), np.diag([0.3, 0.3, 10, 1])))),
     s.label(gz(nifti(blob(), np.diag([0.3, 0.3, 10, 1]))))), "ok", None),
    # Labels.
    ("C01", Volumes, lambda s: s.label(gz(nifti(blob() * f32(1.0000002)))), "note", "LBL_ROUNDED"),
    ("C02", Volumes, lambda s: s.label(gz(nifti(blob() * f32(0.5)))), "error", "LBL_INTERPOLATED"),
    ("C03", Volumes, lambda s: s.label(gz(nifti(blob(number=255)))), "error", "LBL_UNKNOWN"),
    ("C03 png", Pictures, lambda s: s.label(png(mask(255))), "error", "LBL_UNKNOWN"),
    ("C04", Pictures, lambda s: s.label(png(picture())), "error", "LBL_LOSSY"),
    ("C05", Volumes, lambda s: s.label(gz(nifti(noise() - i16(450)))), "error", "LBL_IMAGE"),
    ("C06", Volumes, lambda s: s.label(gz(nifti(-blob().astype(np.int16)))), "error", "LBL_UNK"),
    ("C07", Volumes, lambda s: s.label(gz(nifti(blob(number=3)))), "error", "LBL_UNKNOWN"),
    ("C08", Volumes, lambda s: s.label(gz(nifti(np.zeros(SIZE, np.uint8)))), "note", "LBL_EMPTY"),
    ("C11", Volumes, lambda s: s.label(gz(nifti(np.ones(SIZE, np.uint8)))), "warning", "LBL_FULL"),
    ("C12", Volumes, lambda s: s.label(gz(nifti(np.where(blob(), np.nan, 0).astype(f32)))), "error",
     "LBL_NONFINITE"),
    ("C12 inf", Volumes, lambda s: s.label(gz(nifti(np.where(blob(), np.inf, 0).astype(f32)))),
     "error", "LBL_NONFINITE"),
    ("C13", Volumes, lambda s: s.label(gz(nifti(blob().astype(np.int32) * 70000))), "error",
     "LBL_UNKNOWN"),
    ("C17", Volumes, lambda s: s.label(gz(nifti(np.where(np.arange(12) == 11, 1, blob()) *
     (np.indices(SIZE).sum(0) % 3 == 0).astype(np.uint8)))), "note", "LBL_DUST"),
    # Intensities.
    ("D01", Volumes, lambda s: s.image(gz(nifti(np.where(blob(), np.nan, noise()).astype(f32)))),
     "error", "INT_NONFINITE"),
    ("D02", Volumes, lambda s: s.image(gz(nifti(np.where(blob(), np.inf, noise()).astype(f32)))),
     "error", "INT_NONFINITE"),
    ("D03", Volumes, lambda s: s.image(gz(nifti(np.full(SIZE, 7, np.int16)))), "error",
     "INT_CONSTANT"),
    ("D09", Volumes, lambda s: s.image(gz(nifti(np.where(noise() > 450, 65500, noise())
     .astype(np.uint16)))), "warning", "INT_WRAPPED"),
    ("D10", Volumes, lambda s: s.image(gz(nifti(np.where(blob(), 3e38, noise()).astype(f32)))),
     "error", "INT_RANGE"),
    # 2D images.
    ("E01", Pictures, lambda s: s.label(palette(mask())), "note", "LBL_PALETTE"),
    ("E02", Pictures, lambda s: s.label(png(mask()[..., None] * np.array([255, 0, 16], np.uint8))),
     "error", "LBL_MIXED"),
    ("E03", Pictures, lambda s: s.label(png(np.stack([mask()] * 3, -1))), "note", "LBL_GREY"),
    ("E04", Pictures, lambda s: s.image(rgba(255)), "note", "IMG_OPAQUE"),
    ("E04 clear", Pictures, lambda s: s.image(rgba(99)), "error", "IMG_ALPHA"),
    ("E05", Pictures, lambda s: s.image(png(np.dstack([picture(), picture(1)]))), "error",
     "IMG_ALPHA"),
    ("E06", Pictures, lambda s: s.label(png(mask() > 0)), "ok", None),
    ("E07", Pictures, lambda s: s.image(png(picture().astype(np.uint16) * 257)), "ok", None),
    ("E07 mask", Pictures, lambda s: s.label(png(mask().astype(np.uint16))), "ok", None),
    ("E08", Pictures, lambda s: s.label(jpeg(mask(255)), ".jpg"), "error", "LBL_LOSSY"),
    ("E08 kept", Pictures, lambda s: s.label(png(lossy_mask())), "error", "LBL_"),
    ("E09", Pictures, lambda s: s.label(jpeg(mask(255))), "error", "LBL_LOSSY"),
    ("E10", Pictures, lambda s: s.image(png(picture())[:-99]), "error", "IO_DAMAGED"),
    ("E10 crc", Pictures, lambda s: s.image(flipped(png(picture()), 60)), "error", "IO_DAMAGED"),
    ("E11", Pictures, lambda s: s.image(huge_png(100_000)), "error", "IMG_TOO_LARGE"),
    ("E12", Pictures, lambda s: s.image(huge_png(20_000)), "error", "IMG_TOO_LARGE"),
    ("E13", Pictures, lambda s: s.image(tiff(picture(), picture(1)), ".tif"), "error", "GEO_NONE"),
    ("E14", Pictures, lambda s: s.image(tiff(picture(), picture(1)[:9]), ".tif"), "error",
     "IMG_PAGES"),
    ("E15 float", Pictures, lambda s: s.image(tiff(picture().astype(f32)), ".tif"), "ok", None),
    ("E15 big", Pictures, lambda s: s.image(tiff(picture(), bigtiff=True), ".tif"), "ok", None),
    ("E15 packed", Pictures, lambda s: s.image(tiff(picture(), compression="zlib"), ".tif"), "ok",
     None),
    ("E15 tiled", Pictures, lambda s: s.image(tiff(picture(), tile=(16, 16)), ".tif"), "ok", None),
    ("E15 cmyk", Pictures, lambda s: s.image(tiff(np.dstack([picture()] * 4),
     photometric="separated"), ".tif"), "error", "IMG_COLORS"),
    ("E15 white", Pictures, lambda s: s.label(tiff(mask(), photometric="miniswhite"), ".tif"),
     "error", "IMG_WHITE_ZERO"),
    ("E16", Pictures, lambda s: (s.image(jpeg(picture().T.copy(), exif=exif(6)), ".jpg")), "note",
     "IMG_ROTATED"),
    ("E16 shape", Pictures, lambda s: s.image(jpeg(picture(), exif=exif(6)), ".jpg"), "error",
     "GEO_SHAPE"),
    ("E17", Pictures, lambda s: s.label(png(mask()[::2, ::2].copy())), "error", "GEO_SHAPE"),
    ("E18", Pictures, lambda s: s.image(png(picture()), ".PNG"), "ok", None),
    ("E18 tiff", Pictures, lambda s: s.image(tiff(picture()), ".tiff"), "ok", None),
    ("E19", Pictures, lambda s: s.image(png(picture(), save_all=True,
     append_images=[Image.fromarray(picture(1))])), "error", "IMG_FRAMES"),
    # DICOM; the other rows stand in test_dicom.py.
    ("F01", Series, lambda s: s.slices([one for z, one in enumerate(bad_series()) if z != 5]),
     "error", "DCM_GAP"),
    ("F02", Series, lambda s: s.slices([*bad_series(), bad_series()[6]]), "note", "DCM_COPY"),
    ("F03", Series, lambda s: s.slices([*bad_series(), *(new_slice(z, STORED[z - 1],
     series="1.2.3.64") for z in range(10))]), "error", "DCM_PHASES"),
    ("F05", Series, lambda s: s.slices(bad_series(orientation=OBLIQUE)), "error", "DCM_MIXED"),
    ("F06", Series, lambda s: s.slices(shifted(1, 0.3)), "error", "DCM_TILT"),
    ("F07", Series, lambda s: s.slices(shifted(2, 0.7)), "error", "DCM_"),
    ("F08", Series, lambda s: s.slices(shifted(2, 1e-4)), "ok", None),
    ("F09", Series, lambda s: s.slices(bad_series(ImagePositionPatient=None)), "error",
     "DCM_PLACE"),
    ("F10", Series, lambda s: s.slices(bad_series(RescaleSlope=None, RescaleIntercept=None)),
     "error", "DCM_RESCALE"),
    ("F12", Series, lambda s: s.slices(bad_series(RescaleSlope=0)), "error", "DCM_RESCALE"),
    ("F13", Series, lambda s: s.slices(bad_series(Rows=8, Columns=6)), "error", "DCM_MIXED"),
    ("F14", Series, lambda s: s.slices(encoded((3, -40))), "error", "DCM_LOST"),
    ("F15", Series, lambda s: s.slices(bad_series(PixelData=STORED[4].tobytes()[:-8])), "error",
     "IO_DAMAGED"),
    ("F20", Series, lambda s: s.slices(bad_series(NumberOfFrames=10**9)), "error", "IO_TOO_LARGE"),
    ("F24", Series, lambda s: s.slices(bad_series(BurnedInAnnotation="YES")), "error", "DCM_PHI"),
    ("F25", Series, lambda s: s.slices(bad_series()), "ok", None),
    # Datasets.
    ("G01", Volumes, lambda s: s.write("images/bad.nii", nifti(noise())), "error",
     "PAIR_DUPLICATE"),
    ("G01 case", Volumes, lambda s: (s.write("images/BAD.nii.gz", gz(nifti(noise(5)))),
     s.write("labels/BAD.nii.gz", gz(nifti(blob())))), "error", "PAIR_DUPLICATE"),
    ("G02", Volumes, lambda s: (s.image(gz(nifti(noise(1).astype(np.int16)))),), "error",
     "SET_DUPLICATE"),
    ("G04", Volumes, lambda s: s.image(gz(nifti((noise(1)[::-1] * 2).astype(np.int16)))), "warning",
     "SET_NEAR_DUPLICATE"),
    ("G05", Volumes, lambda s: (s.root / "labels/bad.nii.gz").unlink(), "error", "PAIR_NO_LABEL"),
    ("G05 image", Volumes, lambda s: (s.root / "images/bad.nii.gz").unlink(), "error",
     "PAIR_NO_IMAGE"),
    *header_rows.ROWS,
]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "plant", "level", "code"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS]
)
def test_bad_case_is_named_and_the_others_are_used(tmp_path, kind, plant, level, code):
    planted = kind(tmp_path / "set")
    plant(planted)
    checked = check(tmp_path / "set", DataConfig(**kind.config))
    of_bad = [f for f in checked.findings if (f.case or "").lower() == "bad"]
    told = {(f.level, f.code) for f in of_bad}
    usable = {name.lower() for name in checked.facts}
    others = {"good_0", "good_1", "good_2"} - ({"good_1"} if code == "SET_DUPLICATE" else set())
    assert others <= usable, checked.findings
    assert ("bad" in usable) == (level != "error" or code == "SET_DUPLICATE"), of_bad
    if level == "ok":
        assert not [f for f in of_bad if f.level != "note"]
        return
    if code.startswith(("SET_", "LAY_UNUSED")):  # either of two alike may be named, or the set
        told = {(f.level, f.code) for f in checked.findings}
    assert any(lvl == level and c.startswith(code) for lvl, c in told), of_bad
    for finding in checked.findings:
        assert finding.level == "note" or (finding.found and finding.fix)


# A 2D image lies nowhere in the world: no label of another shape can be brought to it.
ACCEPTED = [
    row
    for row in ROWS
    if row[4] in ACCEPTABLE
    and not (row[1] is Pictures and row[4].startswith("GEO_"))
    and row[0] != "B24 apart"  # nothing of such a label is left, see LBL_LOST
    and row[0] != "F14"  # of DCM_LOST, only that a label lists what is not there is accepted
    and row[4] != "LAY_UNUSED"  # which only prediction accepts
]


@pytest.mark.parametrize(
    ("kind", "plant", "code"),
    [(row[1], row[2], row[4]) for row in ACCEPTED],
    ids=[row[0] for row in ACCEPTED],
)
def test_what_is_accepted_is_used_and_noted(tmp_path, kind, plant, code):
    planted = kind(tmp_path / "set")
    plant(planted)
    checked = check(tmp_path / "set", DataConfig(**kind.config, accept=(code,)))
    assert {"bad", "good_1"} <= set(checked.facts), checked.findings
    assert any(f.code == code and f.level == "note" for f in checked.findings)


def test_the_catalogue_is_long_and_its_datasets_are_good_before(tmp_path):
    assert len(ROWS) >= 120
    for kind in (Volumes, Pictures, Series):
        kind(tmp_path / kind.__name__)
        checked = check(tmp_path / kind.__name__, DataConfig(**kind.config))
        assert sorted(checked.facts) == ["bad", "good_0", "good_1", "good_2"]
        assert {f.level for f in checked.findings} <= {"note"}, checked.findings


@pytest.mark.parametrize(
    ("values", "code"),
    [
        (noise() + i16(500), "CT_NOT_HU"),
        ((noise() - 1000) * i16(4), "CT_NOT_HU"),
        (np.where(blob(), -3000, noise() - 1000).astype(np.int16), "CT_PADDING"),
    ],
)
def test_scans_that_are_not_in_hounsfield_units_are_told(tmp_path, values, code):
    planted = Volumes(tmp_path / "set")
    planted.image(gz(nifti(values)))
    checked = check(tmp_path / "set", DataConfig(channels=("CT",)))
    assert code in {f.code for f in checked.findings if f.case == "bad"}
