"""Files of one slice are 2D images that have a place: planned so, prepared so, and written back."""

import gzip
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
from bad_sets import gz, nifti, noise

from data_prep.checks.run import check
from data_prep.core.config import DataConfig
from data_prep.core.errors import DataError
from data_prep.core.scan import Scan
from data_prep.formats.encode import encode
from data_prep.formats.metaimage import read_metaimage
from data_prep.formats.nifti import read_nifti
from data_prep.formats.nrrd import read_nrrd
from data_prep.planning.fit import fit_plan
from data_prep.prepared.dataset import load_dataset
from data_prep.prepared.prepare import prepare
from data_prep.preprocessing.grid import from_grid, grid_of, labels_from_grid, to_grid

PLANE = np.arange(20, dtype=np.int16).reshape(4, 5)
AFFINE = np.array([[-0.6, 0.8, 0, 5], [-0.8, -0.6, 0, -7], [0, 0, 1, 0], [0, 0, 0, 1.0]])
AFFINE[:3, 1] *= 2
# As ITK writes the same plane: LPS, so that both axes change their sign.
MHA = b"""ObjectType = Image
NDims = 2
BinaryData = True
BinaryDataByteOrderMSB = False
CompressedData = False
TransformMatrix = 0.6 0.8 -0.8 0.6
Offset = -5 7
ElementSpacing = 1 2
DimSize = 4 5
ElementType = MET_SHORT
ElementDataFile = LOCAL
"""
NRRD = b"""NRRD0004
type: short
dimension: 2
space dimension: 2
sizes: 4 5
space directions: (0.6,0.8) (-1.6,1.2)
space origin: (-5,7)
endian: little
encoding: raw

"""
VOXELS = PLANE.tobytes(order="F")
ONE_SLICE = {"axial": (10, 11, 1), "coronal": (10, 1, 11), "sagittal": (1, 10, 11)}


@pytest.mark.parametrize(
    "scan",
    [
        read_nifti(nifti(PLANE, AFFINE)),
        read_metaimage(MHA + VOXELS),
        read_nrrd(NRRD + VOXELS),
    ],
    ids=["nifti", "metaimage", "nrrd"],
)
def test_a_plane_is_read_with_its_place_and_written_back_as_a_plane(scan):
    assert scan.two_axes
    np.testing.assert_array_equal(scan.array, PLANE[None, :, :, None])
    np.testing.assert_allclose(scan.affine, AFFINE, atol=1e-6)
    suffix, data = encode(scan)
    again = nib.Nifti1Image.from_bytes(gzip.decompress(data))
    assert (suffix, again.shape) == (".nii.gz", PLANE.shape)
    np.testing.assert_array_equal(again.affine.astype("f4"), scan.affine.astype("f4"))


@pytest.mark.parametrize(
    ("like", "suffix", "read"),
    [
        (".MHA", ".mha", read_metaimage),
        (".mhd", ".mha", read_metaimage),
        (".nrrd", ".nrrd", read_nrrd),
        (".nhdr", ".nrrd", read_nrrd),
    ],
)
@pytest.mark.parametrize("dtype", ["u1", "i2", "u4", "f4"])
def test_a_plane_of_metaimage_or_nrrd_is_written_back_as_one(tmp_path, like, suffix, read, dtype):
    scan = read_metaimage(MHA + VOXELS) if "m" in like.lower() else read_nrrd(NRRD + VOXELS)
    scan = scan.holding(scan.array.astype(dtype))
    told, data = encode(scan, like)
    assert told == suffix
    again = read(data)
    assert again.two_axes
    np.testing.assert_array_equal(again.array, scan.array)
    assert again.array.dtype == scan.array.dtype
    np.testing.assert_allclose(again.affine, scan.affine, rtol=1e-12)
    (tmp_path / f"a{suffix}").write_bytes(data)
    image = SimpleITK.ReadImage(str(tmp_path / f"a{suffix}"))
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(image).T, PLANE)
    assert image.GetSpacing() == pytest.approx((1, 2))
    assert image.GetOrigin() == pytest.approx((-5, 7))
    assert image.GetDirection() == pytest.approx((0.6, -0.8, 0.8, 0.6))


def test_volumes_and_planes_that_are_turned_out_of_theirs_are_written_as_nifti():
    turned = read_nifti(nifti(PLANE, AFFINE[:, [2, 0, 1, 3]]))
    for scan in (turned, Scan(np.zeros((1, 4, 5, 6), np.uint8), np.eye(4), (1, 1))):
        assert encode(scan, ".mha")[0] == ".nii.gz"


def test_a_plane_of_no_orientation_needs_none_and_a_volume_does():
    assert read_nifti(nifti(PLANE, codes=(0, 0))).two_axes
    with pytest.raises(DataError, match="GEO_NONE"):
        read_nifti(nifti(PLANE[..., None], codes=(0, 0)))


def test_a_plane_whose_header_has_no_third_axis_gets_one_of_1_mm():
    flat = AFFINE.copy()
    flat[2, 2] = 0
    data = bytearray(nifti(PLANE, AFFINE, codes=(0, 1)))
    data[280:328] = flat[:3].astype("<f4").tobytes()
    np.testing.assert_allclose(read_nifti(bytes(data)).affine, AFFINE, atol=1e-6)


def dataset(written, sizes, spacing=(1.5, 2.0)):
    files = {}
    for n, size in enumerate(sizes):
        affine = np.diag([*spacing, 3.0][: len(size)] + [1.0] * (4 - len(size)))
        label = np.zeros(size, np.uint8)
        label[tuple(slice(n // 3, 2 * n // 3 + 1) for n in size)] = 1
        files[f"images/{n}.nii.gz"] = gz(nifti(noise(n, size), affine))
        files[f"labels/{n}.nii.gz"] = gz(nifti(label, affine))
    return written(files)


def kinds_told(root):
    checked = check(root, DataConfig())
    return checked, {e.case: e.code for e in checked.errors}


@pytest.mark.parametrize("size", [(10, 11), *ONE_SLICE.values()], ids=str)
def test_a_set_of_single_slices_is_planned_and_prepared_in_2d(written, tmp_path, size):
    root = dataset(written, [size] * 3)
    made, problems = prepare(root, tmp_path / "set", DataConfig(folds=2))
    assert not problems
    plan = load_dataset(tmp_path / "set").plan
    spacing = tuple(mm for mm, n in zip((1.5, 2.0, 3.0), (*size, 1)[:3], strict=True) if n > 1)
    assert (plan.spatial_dims, plan.spacing, plan.patch_size) == (2, spacing, (32, 32))
    image, label = made.arrays(next(iter(made.cases)))
    assert image.shape == label.shape == (1, 10, 11)


@pytest.mark.parametrize(
    ("sizes", "dims", "wrong"),
    [
        ([(10, 11)] * 2 + [(10, 11, 12)], 2, {"2"}),  # planes and a volume
        ([(10, 11, 12)] * 2 + [(10, 11)], 3, {"2"}),  # volumes and a plane
        ([(10, 11, 12)] * 2 + [(10, 11, 1)], 3, set()),  # a volume of one slice is one, too
        ([(10, 11, 1)] * 2 + [(10, 11, 12)], 2, {"2"}),  # unless most are
        ([(10, 11, 1)] * 2 + [(10, 11)], 2, set()),
        ([(10, 11, 1)] * 2 + [(1, 10, 11)], 2, {"2"}),  # across another axis
    ],
    ids=str,
)
def test_slices_and_volumes_are_not_mixed(written, sizes, dims, wrong):
    checked, errors = kinds_told(dataset(written, sizes))
    assert errors == dict.fromkeys(wrong, "GEO_MIXED")
    assert fit_plan(DataConfig(), checked.rules, [*checked.facts.values()]).spatial_dims == dims


def test_as_many_planes_as_volumes_are_no_dataset(written):
    checked, errors = kinds_told(dataset(written, [(10, 11), (10, 11, 12)]))
    assert not errors
    with pytest.raises(DataError, match="GEO_MIXED: single axial slices and volumes"):
        fit_plan(DataConfig(), checked.rules, [*checked.facts.values()])


def test_spacing_of_slices_has_two_numbers(written):
    checked, _ = kinds_told(dataset(written, [(10, 11)] * 2))
    facts = [*checked.facts.values()]
    assert fit_plan(DataConfig(spacing=(1.0, 2.0)), checked.rules, facts).spacing == (1.0, 2.0)
    with pytest.raises(DataError, match="PLAN_SPACING"):
        fit_plan(DataConfig(spacing=(1.0, 2.0, 3.0)), checked.rules, facts)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("spacing", [(1.5, 2.0), (1.1, 2.7)], ids=str)
def test_a_slice_is_resampled_as_a_volume_of_such_slices_is(axis, spacing):
    """Of a volume that is the same in every slice, each slice is resampled to the same values."""
    affine = np.diag([*np.insert([-1.5, 2.0], axis, 3.0), 1.0])  # turned on the way
    plane = noise(1, (1, 12, 13)).astype(np.float32)
    slice_ = Scan(np.expand_dims(plane, 1 + axis), affine, (1, 1))
    volume = replace(slice_, array=np.repeat(slice_.array, 5, axis=1 + axis))
    flat = grid_of(slice_, spacing)
    whole = grid_of(volume, tuple(np.insert(spacing, axis, 3.0)))
    got, want = to_grid(slice_.array, flat), to_grid(volume.array, whole)
    assert got.shape[1:] == flat.size == tuple(np.delete(whole.size, axis))
    np.testing.assert_allclose(got, want.take(2, 1 + axis), rtol=1e-4)
    back = from_grid(got, flat)
    assert back.shape == slice_.array.shape
    np.testing.assert_allclose(back, from_grid(want, whole).take([2], 1 + axis), rtol=1e-4)
    if not flat.resamples:
        np.testing.assert_array_equal(back, slice_.array)
    label = (got > 400).astype(np.uint8)
    assert labels_from_grid(label, flat).shape == slice_.array.shape


def test_a_slice_is_wanted_and_a_volume_is_given():
    volume = read_nifti(nifti(noise()))
    with pytest.raises(DataError, match="CH_DIMS: a volume 10x11x12"):
        grid_of(volume, (1.0, 1.0))
