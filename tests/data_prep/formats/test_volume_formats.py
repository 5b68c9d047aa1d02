"""NRRD, MetaImage, NIfTI pairs and NumPy arrays, against the files another library writes."""

import gzip
import io
import itertools
import math
import re
import struct

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
from volume_files import MHA, NRRD, VOLUME, VOXELS, replaced

from data_prep.core.errors import DataError
from data_prep.core.findings import Findings
from data_prep.core.scan import Scan
from data_prep.files.file_tree import open_tree
from data_prep.formats.encode import encode
from data_prep.formats.metaimage import read_metaimage
from data_prep.formats.nrrd import read_nrrd
from data_prep.formats.numpy_files import read_array
from data_prep.formats.registry import read_label, read_scan

SPACING, ORIGIN = (0.7, 1.5, 3.0), (10.0, -20.0, 35.5)
ORDERS = [
    np.eye(3)[list(axes)].T * signs
    for axes in itertools.permutations(range(3))
    for signs in itertools.product((1.0, -1.0), repeat=3)
]


def itk_image(array=VOLUME, direction=None):
    image = SimpleITK.GetImageFromArray(np.ascontiguousarray(array.T))
    image.SetSpacing(SPACING)
    image.SetOrigin(ORIGIN)
    if direction is not None:
        image.SetDirection(direction.ravel().tolist())
    return image


def world(image, cell):
    """The place of a voxel in RAS+ millimetres, as ITK has it in LPS."""
    return np.array(image.TransformIndexToPhysicalPoint(cell)) * (-1, -1, 1)


@pytest.mark.parametrize("name", ["a.nrrd", "a.nhdr", "a.mha", "a.mhd", "a.nii.gz", "a.hdr"])
@pytest.mark.parametrize("packed", [False, True])
def test_what_itk_writes_comes_back_with_its_place(tmp_path, name, packed):
    for direction in ORDERS if packed else ORDERS[:1]:
        image = itk_image(direction=direction)
        SimpleITK.WriteImage(image, str(tmp_path / name), useCompression=packed)
        scan = read_scan(open_tree(tmp_path), name, Findings({"GEO_SQFORM"}))
        np.testing.assert_array_equal(scan.array, VOLUME[None])
        assert scan.array.dtype == np.int16
        if name == "a.hdr" and np.linalg.det(direction) < 0:
            continue  # ITK writes such pairs in the form of Analyze, without a left and right
        for cell in ((0, 0, 0), (3, 0, 0), (1, 4, 2), (0, 0, 5)):
            at = scan.affine @ (*cell, 1)
            np.testing.assert_allclose(at[:3], world(image, cell), atol=1e-4)


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i4", "u4", "i8", "f4", "f8"])
@pytest.mark.parametrize("name", ["a.nrrd", "a.mha"])
def test_every_type_comes_back_exactly(tmp_path, name, dtype):
    array = (VOLUME * 1.0).astype(dtype)
    SimpleITK.WriteImage(itk_image(array), str(tmp_path / name))
    got = read_scan(open_tree(tmp_path), name).array
    assert got.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(got[0], array)


@pytest.mark.parametrize("name", ["a.nrrd", "a.mha"])
def test_several_channels_come_first(tmp_path, name):
    both = np.stack([VOLUME, VOLUME + 1], axis=-1)
    image = SimpleITK.GetImageFromArray(
        np.ascontiguousarray(both.transpose(2, 1, 0, 3)), isVector=True
    )
    image.SetSpacing(SPACING)
    SimpleITK.WriteImage(image, str(tmp_path / name))
    tree = open_tree(tmp_path)
    scan = read_scan(tree, name)
    np.testing.assert_array_equal(scan.array, np.moveaxis(both, -1, 0))
    np.testing.assert_allclose(scan.spacing, SPACING)
    with pytest.raises(DataError, match=rf"LBL_4D: 2 channels in one label \({name}\)"):
        read_label(tree, name)


def test_the_headers_written_out_here_are_right():
    np.testing.assert_array_equal(read_nrrd(NRRD + VOXELS).array[0], VOLUME)
    np.testing.assert_allclose(read_nrrd(NRRD + VOXELS).affine, np.diag([1, 2, 3, 1]))
    np.testing.assert_array_equal(read_metaimage(MHA + VOXELS).array[0], VOLUME)
    np.testing.assert_allclose(read_metaimage(MHA + VOXELS).affine, np.diag([-1, -2, 3, 1]))
    crossed = replaced(NRRD, b"\n", b"\r\n")
    np.testing.assert_array_equal(read_nrrd(crossed).array[0], VOLUME)
    packed = NRRD.replace(b"raw", b"gzip") + gzip.compress(VOXELS)
    np.testing.assert_array_equal(read_nrrd(packed).array[0], VOLUME)


@pytest.mark.parametrize(
    ("read", "data", "message"),
    [
        (read_nrrd, (NRRD + VOXELS)[:-1], "IO_TRUNCATED: 239 of 240 bytes"),
        (read_nrrd, NRRD + VOXELS + b"1", r"IO_TRAILING: 1 bytes too many.*accept: \[IO_TRAILING"),
        (read_nrrd, NRRD, "IO_TRUNCATED: 0 of 240"),
        (read_nrrd, NRRD[:60], "HDR_"),
        (read_nrrd, replaced(NRRD, b"sizes: 4 5 6", b"sizes: 4 5"), "HDR_DIMS: sizes"),
        (read_nrrd, replaced(NRRD, b"sizes: 4 5 6", b"sizes: 4 5 x"), "HDR_DAMAGED: sizes"),
        (read_nrrd, replaced(NRRD, b"sizes: 4 5 6", b"sizes: -4 5 6"), "HDR_DIMS"),
        (read_nrrd, replaced(NRRD, b"4 5 6", b"99999 99999 99999"), "IO_TOO_LARGE"),
        (read_nrrd, replaced(NRRD, b"short", b"block"), "HDR_DTYPE: voxels of type 'block'"),
        (read_nrrd, replaced(NRRD, b"endian: little\n", b""), "HDR_DAMAGED: no field 'endian'"),
        (read_nrrd, replaced(NRRD, b"little", b"middle"), "HDR_ENDIAN: endian 'middle'"),
        (read_nrrd, replaced(NRRD, b"raw", b"hex"), "HDR_ENCODING: encoding 'hex'"),
        (read_nrrd, replaced(NRRD, b"raw", b"gzip"), "IO_CRC: damaged gzip"),
        (read_nrrd, replaced(NRRD, b"raw", b"raw\nbyte skip: 4"), "HDR_OFFSET: byte skip: '4'"),
        (read_nrrd, replaced(NRRD, b"(0,2,0)", b"(0,0,0)"), "GEO_SINGULAR"),
        (read_nrrd, replaced(NRRD, b"(0,2,0)", b"(1,2,0)"), "GEO_SHEAR"),
        (read_nrrd, replaced(NRRD, b"(0,2,0)", b"(0,nan,0)"), "GEO_SINGULAR"),
        (read_nrrd, replaced(NRRD, b"(0,2,0)", b"(0,200,0)"), "HDR_SPACING_RANGE"),
        (read_nrrd, replaced(NRRD, b"(0,2,0)", b"(0,2)"), "HDR_DAMAGED: space directions"),
        (read_nrrd, replaced(NRRD, b"(0,2,0)", b"none"), "HDR_D"),
        (read_nrrd, replaced(NRRD, b"space: right-anterior-superior\n", b""), "GEO_NONE"),
        (read_nrrd, replaced(NRRD, b"encoding: raw", b"encoding: raw\ndata file: b.raw"), "IO_BES"),
        (read_nrrd, replaced(NRRD, b"raw", b"raw\nnumber: 17"), "HDR_CONFLICT: number .*17"),
        (
            read_nrrd,
            replaced(NRRD, b"raw", b"raw\naxis mins: 0 0 0\naxis maxs: 4 5 6"),
            "HDR_CONFLICT: axis mins and maxs, spacing of axis 1",
        ),
        (
            read_nrrd,
            replaced(NRRD, b"raw", b"raw\naxis mins: 0 0\naxis maxs: 4 5 6"),
            "HDR_DAMAGED: axis mins of 2 axes",
        ),
        (read_metaimage, (MHA + VOXELS)[:-1], "IO_TRUNCATED: 239 of 240 bytes"),
        (read_metaimage, MHA + VOXELS + b"1", "IO_TRAILING: 1 bytes too many"),
        (read_metaimage, MHA[:60], "HDR_DAMAGED: no ElementDataFile"),
        (read_metaimage, replaced(MHA, b"NDims = 3", b"NDims = 4"), "HDR_DIMS"),
        (read_metaimage, replaced(MHA, b"4 5 6", b"4 5 0"), "HDR_DIMS"),
        (read_metaimage, replaced(MHA, b"4 5 6", b"99999 99999 99999"), "IO_TOO_LARGE"),
        (read_metaimage, replaced(MHA, b"MET_SHORT", b"MET_OTHER"), "HDR_DTYPE"),
        (read_metaimage, replaced(MHA, b"BinaryData = True", b"BinaryData = False"), "HDR_ENCOD"),
        (read_metaimage, replaced(MHA, b"CompressedData = False", b"CompressedData = True"), "IO_"),
        (read_metaimage, replaced(MHA, b"= LOCAL", b"= LIST"), "HDR_ENCODING: voxels in several"),
        (read_metaimage, replaced(MHA, b"= LOCAL", b"= ../b.raw"), "IO_BESIDE"),
        (read_metaimage, replaced(MHA, b"1 0 0 0 1 0 0 0 1", b"1 0 0 0 1 0"), "HDR_DAMAGED"),
        (read_metaimage, replaced(MHA, b"= 1 2 3", b"= 1 0 3"), "HDR_SPACING"),
        (read_metaimage, replaced(MHA, b"= 1 2 3", b"= 1 -2 3"), "HDR_SPACING"),
        (read_metaimage, replaced(MHA, b"ElementSpacing = 1 2 3\n", b""), "GEO_NONE"),
    ],
)
def test_damaged_or_doubtful_headers_are_refused(read, data, message):
    with pytest.raises(DataError, match=message):
        read(data)


def test_voxels_beside_a_header_cannot_lie_elsewhere(tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "secret.raw").write_bytes(VOXELS)
    for name in ("../secret.raw", "b.raw"):
        (tmp_path / "set/a.mhd").write_bytes(MHA.replace(b"LOCAL", name.encode()))
        with pytest.raises(DataError, match=r"IO_BESIDE: its voxels are missing.*\(a.mhd\)"):
            read_scan(open_tree(tmp_path / "set"), "a.mhd")


def written(shape, blanks=0, version=1):
    """An array of 1024 bytes whose header is written by hand."""
    text = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}{' ' * blanks}\n"
    head = b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H", len(text))
    return head + text.encode() + bytes(1024)


def npy(array, **options):
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


def npz(**arrays):
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def test_arrays_are_pictures_or_volumes():
    grey = np.arange(12, dtype=np.uint16).reshape(3, 4)
    np.testing.assert_array_equal(read_array(npy(grey)).array, grey[None])
    np.testing.assert_array_equal(read_array(npy(np.asfortranarray(grey))).array, grey[None])
    np.testing.assert_array_equal(read_array(npz(only=grey)).array, grey[None])
    np.testing.assert_array_equal(read_array(npy(grey.astype(">u2"))).array, grey[None])
    assert read_array(npy(np.zeros((3, 4, 3), np.uint8))).array.shape == (3, 3, 4)
    with pytest.raises(DataError, match="GEO_NONE: a volume without spacing"):
        read_array(npy(VOLUME))
    np.testing.assert_array_equal(read_array(npy(VOLUME), Findings({"GEO_NONE"})).array[0], VOLUME)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (npy(VOLUME)[:-1], "IO_TRUNCATED: 239 of 240 bytes"),
        (npy(VOLUME) + b"1", "IO_TRAILING"),
        (npy(VOLUME)[:30], "IO_DAMAGED: array header"),
        (written("(-1, 32)"), r"IO_DAMAGED: array header: shape \(-1, 32\)"),
        (written("(-4, -8)"), r"IO_DAMAGED: array header: shape \(-4, -8\)"),
        (written("(32, 32)", 20_000), r"IO_DAMAGED: array header of 20\d+ bytes; save the"),
        (written("(32, 32)", version=3), r"IO_DAMAGED: array header of version \(3, 0\)"),
        (
            npy(np.array([{"a": 1}], object), allow_pickle=True),
            "HDR_DTYPE: an array of type object",
        ),
        (npy(np.zeros((2, 2), complex)), "HDR_DTYPE"),
        (npy(np.zeros((0, 2))), "HDR_DIMS"),
        (npy(np.zeros((2, 2, 2, 2))), "HDR_DIMS"),
        (npz(a=VOLUME, b=VOLUME), r"ARR_MEMBERS: an archive of \['a.npy', 'b.npy'\]"),
        (npz(a=VOLUME)[:-30], "IO_CRC"),
    ],
)
def test_arrays_that_cannot_be_read_exactly_are_refused(data, message):
    with pytest.raises(DataError, match=message):
        read_array(data)


def test_lengths_in_other_units_become_millimetres(tmp_path, write_nifti):
    path = write_nifti(tmp_path / "a.nii", VOLUME, np.diag([500.0, 700, 900, 1]))
    image = nib.load(path)
    image.header.set_xyzt_units("micron")
    nib.save(image, path)
    findings = Findings()
    scan = read_scan(open_tree(tmp_path), "a.nii", findings)
    np.testing.assert_allclose(scan.spacing, (0.5, 0.7, 0.9))
    assert [f.code for f in findings.found] == ["HDR_UNITS"]


@pytest.mark.parametrize("save", [np.save, np.savez], ids=["npy", "npz"])
@pytest.mark.parametrize("shape", [(6, 7), (6, 7, 3), (6, 7, 8)], ids=str)
def test_arrays_of_any_order_come_with_the_last_axis_fastest(save, shape):
    array = np.arange(math.prod(shape), dtype=np.int16).reshape(shape)
    orders = [array, np.asfortranarray(array), array[::-1].copy()[::-1], array.T.copy().T]
    scans = []
    for one in orders:
        buffer = io.BytesIO()
        save(buffer, one)
        scans.append(read_array(buffer.getvalue(), Findings({"GEO_NONE"})))
    assert all(scan.array.flags.c_contiguous for scan in scans)
    assert all(np.array_equal(scan.array, scans[0].array) for scan in scans)


@pytest.mark.parametrize("axes", [*itertools.permutations(range(4))], ids=str)
def test_a_scan_is_in_order_whoever_makes_it(axes):
    array = np.arange(5 * 6 * 7 * 8).reshape(5, 6, 7, 8)
    scan = Scan(array.transpose(axes), np.eye(4))
    assert scan.array.flags.c_contiguous
    np.testing.assert_array_equal(scan.array, array.transpose(axes))


@pytest.mark.parametrize("name", ["a.mha", "a.nrrd"])
def test_2d_image_is_written_as_nifti_where_itk_sees_it_at_its_place(tmp_path, name):
    image = SimpleITK.GetImageFromArray(VOLUME[..., 0])
    image.SetSpacing(SPACING[:2])
    image.SetOrigin(ORIGIN[:2])
    image.SetDirection((0, 1, -1, 0))
    SimpleITK.WriteImage(image, str(tmp_path / name))
    suffix, data = encode(read_scan(open_tree(tmp_path), name))
    assert suffix == ".nii.gz"
    (tmp_path / "out.nii.gz").write_bytes(data)
    written = SimpleITK.ReadImage(str(tmp_path / "out.nii.gz"))
    for of in ("GetSpacing", "GetOrigin", "GetDirection"):
        assert getattr(written, of)() == pytest.approx(getattr(image, of)())
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(written), VOLUME[..., 0])


def test_2d_metaimage_without_spacing_is_refused_unless_accepted():
    header = replaced(MHA, b"ElementSpacing = 1 2 3\n", b"")[: -len(VOXELS)]
    changes = {b"NDims = 3": b"NDims = 2", b"4 5 6": b"4 5", b"1 0 0 0 1 0 0 0 1": b"1 0 0 1"}
    for old, new in {**changes, b"Offset = 0 0 0": b"Offset = 0 0"}.items():
        header = header.replace(old, new)
    data = header + VOXELS[:40]
    with pytest.raises(DataError, match=r"GEO_NONE: no spacing \(ElementSpacing\)"):
        read_metaimage(data)
    assert read_metaimage(data, Findings({"GEO_NONE"})).spacing == (1, 1, 1)


FLAT = (
    b"NRRD0004\ntype: short\ndimension: 2\nsizes: 4 5\nspace dimension: 2\n"
    b"space directions: (1,0) (0,2)\nendian: little\nencoding: raw\n\n"
)
PLANE = np.arange(20, dtype="<i2").tobytes()


@pytest.mark.parametrize("told", [b"0", b"3", b"4", b"6"])
def test_directions_of_another_space_are_refused(told):
    changed = FLAT.replace(b"space dimension: 2", b"space dimension: " + told)
    with pytest.raises(DataError, match=r"HDR_CONFLICT: space dimension .*of a space direction 2"):
        read_nrrd(changed + PLANE)


@pytest.mark.parametrize("told", [b"space dimension: 2\n", b""])
def test_directions_tell_the_spacing_whatever_is_known_of_the_space(told):
    flat = read_nrrd(FLAT.replace(b"space dimension: 2\n", told) + PLANE)
    assert np.linalg.norm(flat.affine[:3, :2], axis=0).tolist() == [1, 2]
    unknown = re.sub(rb"space: [^\n]*", b"space: scanner-xyz", NRRD)
    assert unknown != NRRD
    scan = read_nrrd(unknown + VOXELS, Findings(["GEO_NONE"]))
    assert np.linalg.norm(scan.affine[:3, :3], axis=0).tolist() == [1, 2, 3]
