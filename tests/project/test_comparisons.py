"""The comparison with other libraries' readers notices what it is for."""

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from data_prep.core.scan import Scan


@pytest.fixture(scope="module")
def module(script):
    return script("compare_readers")


@pytest.fixture
def folder(tmp_path):
    """A volume, a copy of it, a picture with alpha that hides nothing, and a damaged picture."""
    values = np.random.default_rng(0).integers(0, 900, (5, 4, 3)).astype(np.int16)
    for name in ("a.nii.gz", "copy.nii.gz"):
        nib.Nifti1Image(values, np.diag([1.0, 2.0, 3.0, 1.0])).to_filename(tmp_path / name)
    (tmp_path / "copy.nii.gz").write_bytes((tmp_path / "a.nii.gz").read_bytes())
    pixels = np.dstack([values[..., :3].astype(np.uint8), np.full((5, 4), 255, np.uint8)])
    Image.fromarray(pixels).save(tmp_path / "b.png")
    (tmp_path / "c.png").write_bytes((tmp_path / "b.png").read_bytes()[:-20])
    (tmp_path / "notes.txt").write_text("no image")
    return tmp_path


def test_readers_that_agree_do_and_a_copy_counts_once(module, folder, monkeypatch):
    monkeypatch.delitem(module.OTHERS["PNG, JPEG, BMP"], "imagecodecs")  # not installed for tests
    rows, told = module.compare([folder])
    assert {tuple(row[:4]) for row in rows} == {
        ("NIfTI", "1", "nibabel", "1"),
        ("NIfTI", "1", "SimpleITK", "1"),
        ("PNG, JPEG, BMP", "2", "Pillow", "1"),
        ("PNG, JPEG, BMP", "2", "SimpleITK", "1"),
    }
    assert {(path.name, why.split()[0]) for *_, path, why in told} == {("c.png", "IO_DAMAGED")}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda scan: Scan(scan.array[:, ::-1], scan.affine), "values, by up to"),
        (lambda scan: Scan(scan.array.swapaxes(1, 2), scan.affine), "shape"),
        (lambda scan: Scan(scan.array, scan.affine @ np.diag([1, 1, 1.1, 1])), "0.3 voxels"),
    ],
    ids=["flipped", "turned", "spacing"],
)
def test_what_another_library_reads_otherwise_is_told(module, folder, monkeypatch, change, words):
    read = module.OTHERS["NIfTI"]["nibabel"]
    monkeypatch.setitem(module.OTHERS, "NIfTI", {"nibabel": lambda path: change(read(path))})
    monkeypatch.setitem(module.OTHERS, "PNG, JPEG, BMP", {})
    ((name, _, found, _, why),) = module.compare([folder])[1]
    assert (name, found) == ("NIfTI", "differ")
    assert words in why
