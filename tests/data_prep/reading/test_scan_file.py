"""A path to a header reads the voxels that lie beside it, and no others."""

import nibabel as nib
import numpy as np
import pytest

from data_prep import read_scan
from data_prep.core.errors import DataError

VOXELS = np.arange(24, dtype=np.int16).reshape(2, 3, 4)


def metaimage(folder):
    (folder / "voxels.bin").write_bytes(VOXELS.tobytes(order="F"))
    (folder / "a.mhd").write_text(
        "ObjectType = Image\nNDims = 3\nBinaryData = True\nDimSize = 2 3 4\n"
        "ElementType = MET_SHORT\nElementSpacing = 1 1 1\nOffset = 0 0 0\n"
        "TransformMatrix = 1 0 0 0 1 0 0 0 1\nBinaryDataByteOrderMSB = False\n"
        "ElementDataFile = voxels.bin\n"
    )
    return folder / "a.mhd"


def nrrd(folder):
    (folder / "a.raw").write_bytes(VOXELS.tobytes(order="F"))
    (folder / "a.nhdr").write_text(
        "NRRD0004\ntype: short\ndimension: 3\nsizes: 2 3 4\nendian: little\nencoding: raw\n"
        "space: LPS\nspace directions: (1,0,0) (0,1,0) (0,0,1)\nspace origin: (0,0,0)\n"
        "data file: a.raw\n"
    )
    return folder / "a.nhdr"


def nifti_pair(folder):
    nib.save(nib.Nifti1Pair(VOXELS, np.eye(4)), folder / "a.img")
    return folder / "a.hdr"


@pytest.mark.parametrize("make", [metaimage, nrrd, nifti_pair])
def test_voxels_are_read_from_beside(tmp_path, make):
    header = make(tmp_path)
    for name in ("b.mhd", "z.nii", "notes.txt"):
        (tmp_path / name).write_bytes(b"no image")
    np.testing.assert_array_equal(read_scan(header).array[0], VOXELS)


@pytest.mark.parametrize("make", [metaimage, nrrd, nifti_pair])
def test_voxels_that_are_not_there_or_elsewhere_are_named(tmp_path, make):
    (tmp_path / "in").mkdir()
    header = make(tmp_path / "in")
    (voxels,) = [path for path in header.parent.iterdir() if path != header]
    voxels.rename(tmp_path / voxels.name)
    with pytest.raises(DataError, match="IO_BESIDE"):
        read_scan(header)
    voxels.symlink_to(tmp_path / voxels.name)
    with pytest.raises(DataError, match="IO_LINK"):
        read_scan(header)
