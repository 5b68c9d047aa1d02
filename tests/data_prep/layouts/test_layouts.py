"""Layouts: what is a case, and what is wrong with those that are not."""

import json
import tarfile
import zipfile

import numpy as np
import pytest

from data_prep.core.config import Rules
from data_prep.core.errors import DataError
from data_prep.files.file_tree import open_tree
from data_prep.layouts import find_layout
from data_prep.reading.label import read_case_label

CLASSES = {"background": 0, "nucleus": 1}


@pytest.fixture
def nuclei_folder(tmp_path, write_picture):
    """A DSB2018 folder of two cases with two nuclei each."""
    for case in ("abc", "def"):
        write_picture(tmp_path / "dsb" / case / "images" / f"{case}.png", np.eye(6, dtype=np.uint8))
        for i in range(2):
            mask = np.zeros((6, 6), np.uint8)
            mask[3 * i : 3 * i + 2, 1] = 255
            write_picture(tmp_path / "dsb" / case / "masks" / f"{i}.png", mask)
    return tmp_path / "dsb"


def pack(folder, path):
    files = [p for p in sorted(folder.rglob("*")) if p.is_file()]
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in files:
                archive.write(file, file.relative_to(folder))
    else:
        with tarfile.open(path, "w") as archive:
            archive.add(folder, arcname=folder.name)
    return path


@pytest.mark.parametrize("suffix", [None, ".zip", ".tar"])
def test_dsb2018_is_found_as_folder_and_archive_and_its_masks_are_joined(nuclei_folder, suffix):
    path = (
        nuclei_folder if suffix is None else pack(nuclei_folder, nuclei_folder.with_suffix(suffix))
    )
    tree = open_tree(path)
    layout = find_layout(tree)
    assert (layout.name, [c.id for c in layout.cases]) == ("dsb2018", ["abc", "def"])
    label = read_case_label(tree, layout.cases[0], Rules((), CLASSES)).array
    assert label.dtype == np.uint8
    assert label[0, :, 1].tolist() == [1, 1, 0, 1, 1, 0]
    assert label.sum() == 4


def test_nucleus_mask_of_another_size_is_named(nuclei_folder, write_picture):
    write_picture(nuclei_folder / "abc" / "masks" / "9.png", np.zeros((5, 6), np.uint8))
    tree = open_tree(nuclei_folder)
    with pytest.raises(DataError, match=r"GEO_SHAPE: first mask 6x6, mask 5x6 .*masks/9.png"):
        read_case_label(tree, find_layout(tree).cases[0], Rules((), CLASSES))


@pytest.mark.parametrize("wrapped", [False, True])
def test_folder_pairs_by_equal_names(tmp_path, write_picture, wrapped):
    root = tmp_path / "set"
    inner = root / "training" if wrapped else root
    for name in ("b.c", "a", "with space"):
        write_picture(inner / "images" / f"{name}.tif", np.eye(4, dtype=np.uint8))
        write_picture(inner / "Labels" / f"{name}_mask.png", np.eye(4, dtype=np.uint8))
    layout = find_layout(open_tree(root))
    assert layout.name == "folder pairs"
    assert [c.id for c in layout.cases] == ["a", "b.c", "with space"]
    assert not layout.problems


def test_mask_of_one_object_holds_one_value(nuclei_folder, write_picture):
    write_picture(
        nuclei_folder / "abc/masks/9.png", np.arange(36, dtype=np.uint8).reshape(6, 6) % 3
    )
    tree = open_tree(nuclei_folder)
    with pytest.raises(DataError, match=r"LBL_OBJECT: several values \[0, 1, 2\]"):
        read_case_label(tree, find_layout(tree).cases[0], Rules((), CLASSES))


def test_image_called_like_a_mask_keeps_its_own(tmp_path, write_picture):
    for name in ("images/x.png", "images/x_mask.png", "masks/x_mask.png", "masks/x.png"):
        write_picture(tmp_path / name, np.eye(4, dtype=np.uint8))
    layout = find_layout(open_tree(tmp_path))
    assert [c.labels for c in layout.cases] == [("masks/x.png",), ("masks/x_mask.png",)]


@pytest.mark.parametrize("cut", [1024, 2048, 3072])
def test_cut_tar_is_refused_and_not_a_smaller_dataset(discs, cut):
    path = pack(discs(), discs().with_suffix(".tar"))
    size = path.read_bytes().rstrip(b"\0")
    path.write_bytes(path.read_bytes()[: len(size) // 512 * 512 - cut])
    with pytest.raises(DataError, match="IO_ARCHIVE"):
        open_tree(path)


def test_linked_folders_are_followed_once(discs):
    root = discs(count=3)
    (root / "images").rename(root.parent / "elsewhere")
    (root / "images").symlink_to(root.parent / "elsewhere")
    (root / "masks/back").symlink_to(root)
    assert len(find_layout(open_tree(root)).cases) == 3


def test_incomplete_and_ambiguous_pairs_are_problems_and_the_rest_are_cases(discs):
    root = discs(count=5)
    (root / "masks" / "disc_0.png").unlink()
    (root / "images" / "disc_1.png").unlink()
    (root / "images" / "disc_2.tif").write_bytes(b"again")
    (root / "images" / "DISC_3.png").write_bytes(b"clash")
    (root / "masks" / "DISC_3.png").write_bytes(b"clash")
    layout = find_layout(open_tree(root))
    assert [c.id for c in layout.cases] == ["disc_4"]
    assert {(p.code, p.case) for p in layout.problems} == {
        ("PAIR_NO_LABEL", "disc_0"),
        ("PAIR_NO_IMAGE", "disc_1"),
        ("PAIR_DUPLICATE", "disc_2"),
        ("PAIR_DUPLICATE", "DISC_3"),
    }


def test_without_need_of_labels_every_image_is_a_case(discs):
    root = discs(count=3)
    (root / "masks" / "disc_0.png").unlink()
    layout = find_layout(open_tree(root), need_labels=False)
    assert [c.id for c in layout.cases] == ["disc_0", "disc_1", "disc_2"]
    assert not layout.problems
    images_only = find_layout(open_tree(root / "images"), need_labels=False)
    assert [c.id for c in images_only.cases] == ["disc_0", "disc_1", "disc_2"]
    single = find_layout(open_tree(root / "images" / "disc_1.png"), need_labels=False)
    assert [c.id for c in single.cases] == ["disc_1"]


@pytest.mark.parametrize("suffix", [None, ".tar"])
def test_decathlon_gives_cases_classes_and_channels(balls, suffix):
    root = balls()
    layout = find_layout(
        open_tree(root if suffix is None else pack(root, root.with_suffix(suffix)))
    )
    assert layout.name == "decathlon"
    assert [c.id for c in layout.cases] == ["ball_0", "ball_1", "ball_2", "ball_3"]
    assert layout.labels == {"background": 0, "front": 1, "back": 2}
    assert layout.channels == ("MRI",)


def test_decathlon_with_missing_files_names_them(balls):
    root = balls()
    (root / "labelsTr" / "ball_2.nii.gz").unlink()
    (root / "imagesTr" / "ball_3.nii.gz").unlink()
    layout = find_layout(open_tree(root))
    assert [c.id for c in layout.cases] == ["ball_0", "ball_1"]
    texts = {problem.case: str(problem) for problem in layout.problems}
    assert "looked for labelsTr/ball_2.nii.gz" in texts["ball_2"]
    assert "looked for imagesTr/ball_3.nii.gz" in texts["ball_3"]


def test_decathlon_cannot_name_files_outside(balls):
    root = balls()
    described = json.loads((root / "dataset.json").read_text())
    described["training"][0]["image"] = "../secret.nii.gz"
    (root / "dataset.json").write_text(json.dumps(described))
    with pytest.raises(DataError, match=r"LAY_PATH: dataset.json names '\.\./secret.nii.gz'"):
        find_layout(open_tree(root))


def test_unknown_layout_shows_what_was_there(tmp_path):
    (tmp_path / "scan.dat").write_bytes(b"1")
    with pytest.raises(DataError, match=r"LAY_UNKNOWN: no known layout in .*: scan\.dat; give"):
        find_layout(open_tree(tmp_path))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: p / "nowhere", "IO_MISSING: nothing at"),
        (lambda p: p, "IO_NO_FILES: no files in"),
    ],
)
def test_nothing_to_read_is_said(tmp_path, make, message):
    with pytest.raises(DataError, match=message):
        open_tree(make(tmp_path))


def test_damaged_archive_member_is_named(discs):
    path = pack(discs(), discs().with_suffix(".zip"))
    data = bytearray(path.read_bytes())
    data[60] ^= 0xFF
    path.write_bytes(data)
    tree = open_tree(path)
    with pytest.raises(DataError, match=r"IO_CRC: damaged archive member.*images/disc_0.png"):
        tree.read("images/disc_0.png")
