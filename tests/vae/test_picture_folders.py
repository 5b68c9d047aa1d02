"""Folders of pictures and archives of arrays: no image is lost or of a wrong split, unsaid."""

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
    assert [f.code for f in raw.findings] == ["SOURCE_LEFT"]
    assert "1 left out" in raw.findings[0].found
    assert "one.psd" in raw.findings[0].found


def test_pictures_behind_a_link_are_there(tmp_path):
    save_pictures(tmp_path / "store", some(3, 6, 6))
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "linked").symlink_to(tmp_path / "store", target_is_directory=True)
    assert read_source(tmp_path / "set").splits["train"].shape[0] == 3


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
