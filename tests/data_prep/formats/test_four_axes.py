"""Volumes of four axes in NRRD and MetaImage: channels that are told, times, what may be so."""

import numpy as np
import pytest
import SimpleITK

from data_prep.core.errors import DataError
from data_prep.files.file_tree import open_tree
from data_prep.formats.nrrd import read_nrrd
from data_prep.formats.registry import read_scan

THREE = np.arange(3 * 4 * 5 * 6, dtype=np.int16).reshape(3, 4, 5, 6)  # c, x, y, z
SPACING = (0.7, 1.5, 3.0)


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


@pytest.mark.parametrize(
    ("name", "fix"), [("a.nrrd", "kind vector"), ("a.mha", "ElementNumberOfChannels")]
)
def test_fourth_axis_like_the_others_is_named(tmp_path, name, fix):
    image = SimpleITK.GetImageFromArray(np.moveaxis(THREE, 0, -1).T, isVector=False)
    SimpleITK.WriteImage(image, str(tmp_path / name))
    with pytest.raises(DataError, match=f"HDR_DIMS: a fourth axis of 3, .*{fix}"):
        read_scan(open_tree(tmp_path), name)
