"""Volumes of four axes in NRRD and MetaImage: channels that are told, times, what may be so."""

import numpy as np
import pytest
import SimpleITK

from data_prep.core.errors import DataError
from data_prep.files.file_tree import open_tree
from data_prep.formats.metaimage import read_metaimage
from data_prep.formats.nrrd import read_nrrd
from data_prep.formats.registry import read_scan

THREE = np.arange(3 * 4 * 5 * 6, dtype=np.int16).reshape(3, 4, 5, 6)  # c, x, y, z
SPACING = (0.7, 1.5, 3.0)
SPACE = b"space dimension: 4"  # as ITK writes it


def nrrd(kind, at, units=None):
    """The bytes of a volume of three channels on axis `at`."""
    order = lambda space, channel: " ".join([*space[:at], channel, *space[at:]])  # noqa: E731
    directions = order(["(0.7,0,0)", "(0,1.5,0)", "(0,0,3)"], "none")
    lines = [
        "NRRD0004\ntype: short\ndimension: 4\nspace: left-posterior-superior\nendian: little",
        f"sizes: {order(['4', '5', '6'], '3')}\nspace directions: {directions}\nencoding: raw",
        f"kinds: {order(['domain'] * 3, kind)}\nspace origin: (0,0,0)",
    ]
    if units:
        lines.append("units: " + order(['"mm"'] * 3, f'"{units}"'))
    voxels = np.moveaxis(THREE, 0, at).tobytes(order="F")
    return "\n".join(lines).encode() + b"\n\n" + voxels


@pytest.mark.parametrize("at", [0, 3])
@pytest.mark.parametrize("kind", ["vector", "list", "RGB-color", "3-vector", "covariant-vector"])
def test_axis_of_any_kind_but_space_and_time_is_channels_as_for_itk(tmp_path, kind, at):
    (tmp_path / "a.nrrd").write_bytes(nrrd(kind, at))
    scan = read_scan(open_tree(tmp_path), "a.nrrd")
    np.testing.assert_array_equal(scan.array, THREE)
    np.testing.assert_allclose(scan.affine, np.diag([-0.7, -1.5, 3, 1]))
    image = SimpleITK.ReadImage(str(tmp_path / "a.nrrd"))
    theirs = SimpleITK.GetArrayFromImage(image)
    np.testing.assert_array_equal(theirs.transpose(3, 2, 1, 0), THREE)
    assert image.GetSpacing() == pytest.approx(SPACING)


@pytest.mark.parametrize(
    "data", [nrrd("time", 0), nrrd("time", 3), nrrd("list", 0, "s"), nrrd("list", 3, "ms")]
)
def test_axis_of_time_is_refused(data):
    with pytest.raises(DataError, match="HDR_DIMS: an axis of time"):
        read_nrrd(data)


def test_units_of_channels_that_are_no_times_are_read():
    np.testing.assert_array_equal(read_nrrd(nrrd("list", 3, "HU")).array, THREE)


def by_itk(path, turn=None):
    """A file of four axes as ITK writes it."""
    image = SimpleITK.GetImageFromArray(np.moveaxis(THREE, 0, -1).T, isVector=False)
    image.SetSpacing([*SPACING, 4.0])
    image.SetOrigin([5.0, -7.0, 11.0, 2.0])
    turned = np.eye(4)
    turned[:2, :2] = [[0.8, -0.6], [0.6, 0.8]]
    image.SetDirection((turned if turn is None else turn).ravel().tolist())
    SimpleITK.WriteImage(image, str(path))
    return read_scan(open_tree(path.parent), path.name)


@pytest.mark.parametrize("name", ["a.nrrd", "a.mha"])
def test_fourth_axis_like_the_others_is_channels_as_of_nifti(tmp_path, name):
    scan, same = by_itk(tmp_path / name), by_itk(tmp_path / "same.nii")
    np.testing.assert_array_equal(scan.array, THREE)
    np.testing.assert_array_equal(scan.array, same.array)
    np.testing.assert_allclose(scan.affine, same.affine, atol=1e-5)


@pytest.mark.parametrize("name", ["a.nrrd", "a.mha"])
def test_fourth_axis_turned_into_the_others_is_refused(tmp_path, name):
    turn = np.eye(4)
    turn[2:, 2:] = [[0.8, -0.6], [0.6, 0.8]]
    with pytest.raises(DataError, match="HDR_DIMS"):
        by_itk(tmp_path / name, turn)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (SPACE, b"space: LPST", "an axis of time, space 'lpst'"),
        (SPACE, b"space: left-posterior-superior-time", "an axis of time"),
        (b"kinds", b'space units: "mm" "mm" "mm" "s"\nkinds', "an axis of time"),
    ],
)
def test_fourth_axis_of_a_space_with_time_is_refused(tmp_path, old, new, message):
    by_itk(tmp_path / "a.nrrd")
    data = (tmp_path / "a.nrrd").read_bytes()
    assert old in data
    with pytest.raises(DataError, match=f"HDR_DIMS: {message}"):
        read_nrrd(data.replace(old, new, 1))


def test_four_axes_of_which_nothing_is_told_are_refused():
    told = b"NRRD0004\ntype: short\ndimension: 4\nendian: little\nencoding: raw\nsizes: 3 4 5 6\n\n"
    with pytest.raises(DataError, match=r"HDR_DIMS: four axes, .* nothing says which are of space"):
        read_nrrd(told + THREE.tobytes())


def test_channels_and_a_fourth_axis_of_metaimage_are_refused(tmp_path):
    by_itk(tmp_path / "a.mha")
    data = (tmp_path / "a.mha").read_bytes()
    more = data.replace(b"ElementType", b"ElementNumberOfChannels = 2\nElementType")
    with pytest.raises(DataError, match="HDR_DIMS: 2 channels and a fourth axis of 3"):
        read_metaimage(more)
