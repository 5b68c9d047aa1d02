"""Files of one case that different EXIF orientations turn upright are told, once and by name."""

from itertools import product

import numpy as np
import PIL.Image
import pytest
from bad_sets import box_of_ids, jpeg, png, tiff

from data_prep.checks.run import check
from data_prep.core.config import DataConfig

SQUARE, WIDE = (24, 24), (24, 20)
SWAPPING = (5, 6, 7, 8)


def values(size, number):
    return np.random.default_rng(number).integers(0, 255, size).astype(np.uint8)


def label(size):
    array = np.zeros(size, np.uint8)
    array[3:9, 5:15] = 1
    return array


def stored(array, turn, write=png):
    """A file of an array that its EXIF orientation turns to have the size of that array."""
    exif = PIL.Image.Exif()
    exif[0x0112] = turn
    array = array.swapaxes(0, 1) if turn in SWAPPING else array
    return write(np.ascontiguousarray(array), **({"exif": exif} if turn != 1 else {}))


def told(root, config=None):
    checked = check(root, config or DataConfig())
    assert not checked.errors
    found = [f for f in checked.findings if f.code == "PAIR_TURNED"]
    assert all(f.level == "warning" for f in found)
    return found


def pair(size, image, mask, write=png):
    suffix = {png: ".png", jpeg: ".jpg"}[write]
    files = {}
    for n in range(2):
        files[f"images/{n}{suffix}"] = stored(values(size, n), image, write)
        files[f"labels/{n}.png"] = stored(label(size), mask)
    return files


@pytest.mark.parametrize("write", [png, jpeg], ids=("PNG", "JPEG"))
@pytest.mark.parametrize(
    ("image", "mask", "found"),
    [
        (3, 1, "the image is turned by its EXIF orientation, 3, the mask is not"),
        (1, 6, "the mask is turned by its EXIF orientation, 6, the image is not"),
        (
            6,
            8,
            "the image is turned by its EXIF orientation, 6, "
            "the mask is turned by its EXIF orientation, 8",
        ),
    ],
)
def test_an_image_and_a_mask_that_are_turned_differently_are_told(
    written, write, image, mask, found
):
    warned = told(written(pair(SQUARE, image, mask, write)))
    assert [(f.case, f.file, f.found) for f in warned] == [
        ("0", "labels/0.png", found),
        ("1", "labels/1.png", found),
    ]


def test_it_is_told_where_sizes_do_not_tell_which_way_a_mask_was_drawn(written):
    """Of a wide image that is turned by a quarter, a mask of its size is upright, too."""
    for image, mask in product((1, 2, 3, 6, 8), repeat=2):
        shown = image != mask and (image in SWAPPING) == (mask in SWAPPING)
        warned = told(written(pair(WIDE, image, mask), f"{image}{mask}"))
        assert len(warned) == 2 * shown, (image, mask)


@pytest.mark.parametrize("turn", [1, 2, 3, 6])
def test_equal_orientations_stay_a_note(written, turn):
    root = written(pair(SQUARE, turn, turn))
    assert not told(root)
    notes = [f.level for f in check(root, DataConfig()).findings if f.code == "IMG_ROTATED"]
    assert notes == ["note"] * (4 * (turn != 1))


def test_a_tiff_without_the_tag_beside_a_mask_with_it_is_told(written):
    files = {f"images/{n}.tif": tiff(values(SQUARE, n)) for n in range(2)}
    files |= {f"labels/{n}.png": stored(label(SQUARE), 3) for n in range(2)}
    assert len(told(written(files))) == 2


def test_a_tiff_with_a_rotation_tag_is_refused_as_ever(written):
    turned = tiff(values(SQUARE, 0), extratags=[(274, 3, 1, 3, True)])
    files = {"images/0.tif": turned, "labels/0.png": png(label(SQUARE))}
    assert [error.code for error in check(written(files), DataConfig()).errors] == ["IMG_ROTATED"]


def test_a_channel_that_is_turned_and_others_are_not_is_told(written):
    files = {
        f"imagesTr/{n}_000{channel}.png": stored(values(SQUARE, 2 * n + channel), 1 + 2 * channel)
        for n, channel in product(range(2), range(2))
    }
    files |= {f"labelsTr/{n}.png": png(label(SQUARE)) for n in range(2)}
    files["dataset.json"] = {
        "channel_names": {"0": "a", "1": "b"},
        "labels": {"background": 0, "organ": 1},
        "numTraining": 2,
        "file_ending": ".png",
    }
    found = told(written(files))
    assert [f.file for f in found] == ["imagesTr/0_0001.png", "imagesTr/1_0001.png"]
    assert found[0].found.startswith("the channel is turned by its EXIF orientation, 3, the first")


def test_a_mask_of_a_class_that_is_turned_and_others_are_not_is_told(written):
    files = {f"{n}/image.png": png(values(SQUARE, n)) for n in range(2)}
    for n, turn in enumerate((1, 3)):
        files[f"{n}/segmentations/lesion.png"] = png(label(SQUARE))
        files[f"{n}/segmentations/organ.png"] = stored(label(SQUARE)[:: turn - 2], turn)
    labels = {"background": 0, "organ": 1, "lesion": 2}
    (found,) = told(written(files), DataConfig(labels=labels))
    assert found.case == "1"
    assert "mask of" in found.found


def test_masks_of_objects_that_are_turned_differently_are_told_once_a_case(written):
    ids = box_of_ids(SQUARE)
    files = {f"c{n}/images/c{n}.png": png(values(SQUARE, n)) for n in range(2)}
    for n, number in product(range(2), (1, 2, 3)):
        mask = np.where(ids == number, 255, 0).astype(np.uint8)
        files[f"c{n}/masks/m{number}.png"] = stored(mask, 3 if number > 1 else 1)
    found = told(written(files), DataConfig(instances=True))
    assert [(f.case, f.file) for f in found] == [(f"c{n}", f"c{n}/masks/m2.png") for n in range(2)]
