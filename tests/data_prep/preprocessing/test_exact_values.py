"""What is taken from the nearest voxel of another grid is taken as it is, whatever its type."""

import nibabel as nib
import numpy as np
import pytest
from bad_sets import box_of_ids, gz, nifti, noise

from data_prep.checks.run import check
from data_prep.convert import convert
from data_prep.core.config import DataConfig
from data_prep.core.findings import Findings
from data_prep.core.scan import Scan
from data_prep.prepared.prepare import prepare
from data_prep.preprocessing.grid import fit_label, grid_of, to_grid

SIZE = (7, 6, 5)
OTHERS = ("GEO_SHAPE", "GEO_AFFINE")
OBJECTS = DataConfig(
    instances=True, labels={"background": 0, "cell": 1, "ignore": 60_000}, accept=OTHERS
)


def extremes(dtype, size=SIZE):
    """All that a type can hold, and numbers that single precision rounds."""
    if dtype.kind == "f":
        told = [np.finfo(dtype).max, np.finfo(dtype).tiny, -1 / 3]
    elif dtype.kind == "b":
        told = [True]
    else:
        info = np.iinfo(dtype)
        told = [info.min, info.max, info.max - 1, min(info.max, 2**24 + 1)]
    values = np.array([dtype.type(value) for value in (0, *told)])
    return np.random.default_rng(0).choice(values, (1, *size))


def moved(cells):
    affine = np.diag([2.0, 3.0, 4.0, 1.0])
    affine[:3, 3] = affine[:3, :3] @ cells
    return affine


@pytest.mark.parametrize("dtype", [np.dtype(code) for code in "?bBhHiIlLefd"], ids=str)
def test_a_label_on_another_grid_keeps_the_values_of_every_type(dtype):
    image = Scan(np.ones((1, *SIZE), np.uint8), moved((0, 0, 0)))
    array = extremes(dtype)
    wide = np.pad(array, ((0, 0), *[(2, 2)] * 3), mode="edge")
    fitted = fit_label(image, Scan(wide, moved((-2, -2, -2))), Findings(OTHERS))
    np.testing.assert_array_equal(fitted.array, array)
    fitted = fit_label(image, Scan(array, moved((1, 0, -1))), Findings(OTHERS))
    due = np.zeros_like(array)
    due[:, 1:, :, :-1] = array[:, :-1, :, 1:]
    np.testing.assert_array_equal(fitted.array, due)
    assert fitted.array.dtype == dtype


@pytest.mark.parametrize(
    ("scan", "way"),
    [
        (Scan(extremes(np.dtype("u4"))), {"resize": (14, 12)}),
        (Scan(extremes(np.dtype("u4")), np.diag([2.0, 2, 2, 1])), {"spacing": (1.0, 1.0, 1.0)}),
    ],
    ids=("2D image", "volume"),
)
def test_numbers_of_objects_on_the_grid_of_a_plan_are_those_of_the_scan(scan, way):
    if "resize" in way:
        scan = Scan(scan.array[..., 0])
    array = to_grid(scan.array, grid_of(scan, way.get("spacing"), way.get("resize")), ids=True)
    np.testing.assert_array_equal(np.unique(array), np.unique(scan.array))
    assert array.dtype == np.uint32


IDS = np.where(np.arange(20) > 17, 60_000, box_of_ids((24, 16, 20))).astype(np.uint16)


def of_labels(*labels):
    files = {f"images/{n}.nii.gz": gz(nifti(noise(n, IDS.shape))) for n in range(len(labels))}
    return files | {f"labels/{n}.nii.gz": gz(label) for n, label in enumerate(labels)}


def on_its_own_grid(name):
    """The same label on a grid that is wider, finer, or a little elsewhere."""
    affine = nib.Nifti1Image.from_bytes(nifti(IDS)).affine
    if name == "wider":
        beyond = [(3, 3)] * 3
        return nifti(np.pad(IDS, beyond), affine @ nib.affines.from_matvec(np.eye(3), [-3] * 3))
    if name == "finer":
        finer = nib.affines.from_matvec(np.eye(3) / 2, [-0.25] * 3)
        return nifti(np.kron(IDS, np.ones((2, 2, 2), np.uint16)), affine @ finer)
    return nifti(IDS, affine @ nib.affines.from_matvec(np.eye(3), [0.2] * 3))


@pytest.mark.parametrize("name", ["wider", "finer", "elsewhere"])
def test_objects_and_what_is_ignored_on_another_grid_are_those_on_the_grid(written, tmp_path, name):
    raw = written(of_labels(nifti(IDS), on_its_own_grid(name)))
    checked = check(raw, OBJECTS)
    assert not checked.errors
    assert checked.facts["0"].voxels == checked.facts["1"].voxels
    assert checked.facts["1"].ignored == np.count_nonzero(IDS == 60_000)
    dataset, problems = prepare(raw, tmp_path / "set", OBJECTS)
    assert not problems
    np.testing.assert_array_equal(dataset.arrays("0")[1], dataset.arrays("1")[1])
    convert(raw, tmp_path / "out", OBJECTS)
    first, second = (
        np.asanyarray(nib.load(tmp_path / f"out/labels/{n}.nii.gz").dataobj) for n in range(2)
    )
    np.testing.assert_array_equal(first, second)


def test_a_label_of_objects_within_its_image_loses_none(written):
    """Nothing of it lies beyond the image, so that there is nothing to count there."""
    affine = nib.Nifti1Image.from_bytes(nifti(IDS)).affine
    inner = affine @ nib.affines.from_matvec(np.eye(3), [1] * 3)
    small = nifti(np.ascontiguousarray(IDS[1:-1, 1:-1, 1:-1]), inner)
    checked = check(written(of_labels(nifti(IDS), small)), OBJECTS)
    assert not checked.errors
    assert sorted(checked.facts) == ["0", "1"]
