"""Folders of pictures and archives of arrays: no image is lost or of a wrong split, unsaid."""

import struct

import numpy as np
import pytest
from image_sets import assert_splits, raw_of, save_pictures, some, whole
from PIL import Image

from data_prep.core.errors import DataError
from sdunet.vae.data.packed import load_packed, pack
from sdunet.vae.data.sources import read_source


@pytest.mark.parametrize("names", [("train", "test"), ("Train", "Test"), ("training_set", "tst")])
def test_folders_tell_their_parts_by_all_words_of_segmentation(tmp_path, names):
    images = some(24, 6, 6, 3)
    for name, part in zip(names, (images[:15], images[15:]), strict=True):
        save_pictures(tmp_path / "all" / name / "any class", part)
    raw = read_source(tmp_path)
    assert_splits(raw, images[:15].transpose(0, 3, 1, 2), images[15:].transpose(0, 3, 1, 2))
    assert not raw.findings


def test_pictures_for_validation_are_a_split_of_their_own_beside_those_for_testing(tmp_path):
    images = some(24, 6, 6)[:, None]
    for name, part in zip(("train", "val", "test"), np.split(images, (10, 17)), strict=True):
        save_pictures(tmp_path / "set" / name, part[:, 0])
    raw = read_source(tmp_path / "set")
    assert_splits(raw, images[:10], images[17:])
    np.testing.assert_array_equal(whole(raw.splits["validation"]), images[10:17])
    packed = pack(raw, tmp_path / "packed")
    np.testing.assert_array_equal(packed.images("validation"), images[10:17])


def test_pictures_in_folders_of_no_part_are_told_and_not_lost(tmp_path):
    images = some(24, 6, 6)
    for name, part in zip(("test", "train", "other"), np.split(images, (4, 20)), strict=True):
        save_pictures(tmp_path / "set" / name, part)
    Image.fromarray(images[0]).save(tmp_path / "set" / "beside.png")
    raw = read_source(tmp_path / "set")
    assert {name: split.shape[0] for name, split in raw.splits.items()} == {"train": 21, "test": 4}
    assert [finding.code for finding in raw.findings] == ["SPLIT_FOLDERS"]
    assert "5 cases" in raw.findings[0].found
    assert "other" in raw.findings[0].found


@pytest.mark.parametrize("name", ["masks", "Labels", "train/mask"])
def test_masks_beside_images_are_no_images_and_told(tmp_path, name):
    images = some(24, 6, 6)
    save_pictures(tmp_path / "images", images[:20])
    save_pictures(tmp_path / name, images[20:])
    raw = read_source(tmp_path)
    assert {split: part.shape[0] for split, part in raw.splits.items()} == {"train": 18, "test": 2}
    (finding,) = raw.findings
    assert (finding.code, finding.found[:10]) == ("SOURCE_LEFT", "4 left out")


def test_a_folder_of_masks_alone_is_a_set_of_images(tmp_path):
    save_pictures(tmp_path / "masks", some(20, 6, 6))
    raw = read_source(tmp_path)
    assert raw.splits["train"].shape[0] == 18
    assert not raw.findings


def test_folders_of_two_parts_are_refused(tmp_path):
    save_pictures(tmp_path / "train" / "test", some(3, 6, 6))
    with pytest.raises(DataError, match="LAY_FOLD"):
        read_source(tmp_path)


@pytest.mark.parametrize("suffix", ["ppm", "jpeg", "BMP", "tga"])
def test_pictures_are_taken_in_every_usual_format(tmp_path, suffix):
    save_pictures(tmp_path, some(3, 6, 6))
    Image.fromarray(some(6, 6)).save(tmp_path / f"z.{suffix}")
    raw = read_source(tmp_path)
    assert raw.splits["train"].shape[0] == len(whole(raw.splits["train"])) == 4


def test_pictures_of_palettes_are_refused_and_not_lost(tmp_path):
    save_pictures(tmp_path, some(3, 6, 6))
    Image.fromarray(some(6, 6)).save(tmp_path / "z.gif")
    with pytest.raises(DataError, match="IMG_MODE"):
        list(read_source(tmp_path).splits["train"].blocks())


def test_what_is_no_picture_is_counted(tmp_path):
    save_pictures(tmp_path, some(3, 6, 6))
    (tmp_path / "one.psd").write_bytes(b"8BPS")
    (tmp_path / "Thumbs.db").write_bytes(b"0")
    raw = read_source(tmp_path)
    assert [f.code for f in raw.findings] == ["SOURCE_LEFT", "LAY_HIDDEN"]
    assert "1 left out" in raw.findings[0].found
    assert "one.psd" in raw.findings[0].found


def test_pictures_behind_a_link_are_there(tmp_path):
    save_pictures(tmp_path / "set/.store", some(3, 6, 6))
    (tmp_path / "set/linked").symlink_to(tmp_path / "set/.store", target_is_directory=True)
    (tmp_path / "itself").symlink_to(tmp_path / "set", target_is_directory=True)
    assert read_source(tmp_path / "itself").splits["train"].shape[0] == 3


def all_sets(root):
    """Write a set of every kind that is a folder."""
    save_pictures(root / "pictures/sub", some(2, 6, 6))
    for part in ("train", "valid"):
        save_pictures(root / f"old/{part}_32x32", some(2, 32, 32, 3))
    for kind in ("new", "idx", "cifar"):
        (root / kind).mkdir()
    for name in ("train_data_batch_1", "val_data"):
        np.savez(root / f"new/{name}.npz", data=some(2, 3072))
    for name in ("train", "t10k"):
        data = struct.pack(">4I", 0x803, 2, 3, 3) + bytes(18)
        (root / f"idx/{name}-images-idx3-ubyte").write_bytes(data)
    for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
        (root / f"cifar/{name}.bin").write_bytes(bytes(3073))


@pytest.mark.parametrize(
    "name",
    [
        *("pictures/sub", "pictures/sub/000.png", "old/valid_32x32", "old/train_32x32/000.png"),
        *("new/train_data_batch_1.npz", "new/val_data.npz"),
        *("idx/t10k-images-idx3-ubyte", "cifar/test_batch.bin"),
    ],
)
def test_links_out_of_a_set_are_refused(tmp_path, name):
    all_sets(tmp_path)
    kind, file = tmp_path / name.split("/")[0], tmp_path / name
    file.rename(kind / "moved")
    file.symlink_to(kind / "moved")
    read_source(kind)  # leads to a place in the set
    (kind / "moved").rename(tmp_path / "out")
    file.unlink()
    file.symlink_to(tmp_path / "out")
    with pytest.raises(DataError, match="IO_LINK"):
        read_source(kind)


def test_several_pictures_in_one_file_are_refused(tmp_path):
    first, *others = map(Image.fromarray, some(3, 6, 6))
    first.save(tmp_path / "pages.tif", save_all=True, append_images=others)
    with pytest.raises(DataError, match=r"IMG_STACK.*3 pictures"):
        read_source(tmp_path)


def test_arrays_of_npz_are_kept_or_told(tmp_path):
    train, test, validation = some(9, 5, 5), some(2, 5, 5), some(3, 5, 5)
    file = tmp_path / "a.npz"
    np.savez(file, train=train, test=test, validation=validation, val=validation, labels=test)
    raw = read_source(file)
    assert {name: split.shape[0] for name, split in raw.splits.items()} == {
        "train": 9,
        "test": 2,
        "validation": 3,
    }
    assert "2 left out" in raw.findings[0].found
    assert "labels, val" in raw.findings[0].found
    np.savez(file, train=train, images=test)
    with pytest.raises(DataError, match="SOURCE_TWICE"):
        read_source(file)


def test_images_of_two_splits_are_counted(tmp_path):
    train, test = some(9, 1, 5, 5), some(4, 1, 5, 5)
    assert not pack(raw_of(train, test=test), tmp_path / "apart").findings()
    test[2:] = train[:2]
    (found,) = pack(raw_of(train, test=test), tmp_path / "shared").findings()
    assert found.code == "SOURCE_COPIES"
    assert "2 of 4 test images" in found.found
    assert load_packed(tmp_path / "shared").findings() == (found,)


def test_hidden_pictures_and_folders_are_told(tmp_path):
    save_pictures(tmp_path / "set", some(3, 6, 6))
    save_pictures(tmp_path / "set/.more", some(2, 6, 6))
    (tmp_path / "set/.a.png").write_bytes((tmp_path / "set/000.png").read_bytes())
    raw = read_source(tmp_path / "set")
    assert raw.splits["train"].shape[0] == 3
    assert [(f.level, f.code) for f in raw.findings] == [("note", "LAY_HIDDEN")]
    assert raw.findings[0].found.endswith("are not read: .a.png, .more")
    for part in ("train", "valid"):
        save_pictures(tmp_path / f"old/{part}_32x32", some(2, 32, 32, 3))
        save_pictures(tmp_path / f"old/{part}_32x32/.more", some(1, 32, 32, 3))
    codes = [f.code for f in read_source(tmp_path / "old").findings]
    assert codes == ["LAY_HIDDEN", "LAY_HIDDEN", "SOURCE_COUNT"]


@pytest.mark.parametrize("suffix", ["png", "jpg"])
@pytest.mark.parametrize("tag", [3, 6])
def test_pictures_that_a_tag_says_are_turned_are_packed_upright_and_told(tmp_path, suffix, tag):
    upright = np.kron(some(3, 6), np.ones((8, 8), np.uint8))
    stored = {3: np.rot90(upright, 2), 6: np.rot90(upright)}[tag]
    exif = Image.Exif()
    exif[0x0112] = tag
    picture = Image.fromarray(np.ascontiguousarray(stored))
    picture.save(tmp_path / f"b.{suffix}", exif=exif)
    Image.fromarray(upright).save(tmp_path / "a.png")
    raw = read_source(tmp_path)
    both = whole(raw.splits["train"])[:, 0].astype(int)
    assert np.abs(both[1] - both[0]).max() <= (20 if suffix == "jpg" else 0)
    (found,) = raw.turned()
    assert (found.level, found.code) == ("note", "IMG_ROTATED")
    assert found.found == f"1 turned upright, as their tags say: b.{suffix}"


@pytest.mark.parametrize(("name", "tag"), [("a.png", 9), ("a.tif", 3), ("a.tif", 6)])
def test_a_tag_that_tells_no_turn_or_is_of_a_tiff_is_refused(tmp_path, name, tag):
    exif = Image.Exif()
    exif[0x0112] = tag
    Image.fromarray(some(6, 6)).save(tmp_path / name, exif=exif)
    with pytest.raises(DataError, match="IMG_ROTATED"):
        read_source(tmp_path)
