"""Error maps and pictures: the right colour at the right place, counts that are the metrics'."""

import io

import numpy as np
import pytest
from PIL import Image

from data_prep.display import axial_slice, thumbnail, to_colours
from data_prep.scan import Scan
from sdunet.segmentation import overlay as drawing
from sdunet.segmentation.metrics import overlaps
from sdunet.segmentation.overlay import error_map
from sdunet.segmentation.pairs import Pair


def test_error_map_tells_the_four_kinds_apart():
    prediction = np.array([0, 1, 1, 0, 2, 2])
    reference = np.array([0, 1, 0, 2, 2, 1])
    assert error_map(prediction, reference).tolist() == [0, 1, 2, 3, 1, 4]


def test_error_counts_are_the_metric_counts():
    random = np.random.default_rng(0)
    prediction, reference = random.integers(0, 2, (2, 30, 40)).astype(np.uint8)
    errors = error_map(prediction, reference)
    (counted,) = overlaps(prediction, reference, 2)
    assert [(errors == code).sum() for code in (1, 2, 3)] == [counted.tp, counted.fp, counted.fn]


def test_colours_stand_where_the_errors_are():
    image = np.zeros((2, 2, 3))
    picture = drawing._coloured(image, np.array([[0, 1], [2, 3]], np.uint8))
    assert not picture[0, 0].any()
    assert picture[0, 1].argmax() == 1  # correct: green
    assert picture[1, 0].argmax() == 0  # false positive: red
    assert picture[1, 1].argmax() == 2  # false negative: blue
    assert not image.any()


@pytest.mark.parametrize("flipped", [False, True])
def test_volumes_show_the_slice_with_most_errors_right_on_the_left(flipped):
    errors = np.zeros((4, 5, 6), np.uint8)
    errors[0, 4, 2] = 2  # patient's left, anterior
    errors[1, 1, 2] = 3
    errors[:, :, 4] = 1
    array, affine = np.random.default_rng(0).random((1, 4, 5, 6)), np.diag([2.0, 3, 1, 1])
    if flipped:
        array, errors, affine = array[:, ::-1], errors[::-1], affine * [-1, 1, 1, 1]
    image, plane, where, aspect = drawing._plane(Scan(array, affine), errors)
    assert "slice 2" in where
    assert aspect == 1.5
    assert plane.shape == (5, 4)
    assert plane[0, 3] == 2  # top: anterior; right: the patient's left
    assert plane[3, 2] == 3
    assert image.shape == (5, 4, 3)


def test_axial_slice_has_anterior_up_and_right_on_the_left():
    array = np.zeros((2, 3, 1))
    array[1, 2, 0] = 1  # right, anterior
    assert axial_slice(array, 0)[0, 0] == 1


def test_colours_are_stretched_and_constant_images_stay_dark():
    grey = np.linspace(0, 60000, 100).reshape(1, 10, 10).astype(np.uint16)
    shown = to_colours(grey)
    assert shown.shape == (10, 10, 3)
    assert (shown.min(), shown.max()) == (0, 1)
    assert not to_colours(np.full((1, 3, 3), 7)).any()


def decoded(png):
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def test_case_picture_is_drawn_whatever_the_name_and_without_a_prediction():
    reference = np.zeros((1, 20, 12), np.uint8)
    reference[0, 5:9, 3:7] = 1
    scan = Scan(np.random.default_rng(0).integers(0, 99, (1, 20, 12)).astype(np.uint8))
    pair = Pair("50$ & <b>_^{x}$", Scan(reference), None, "a.png", None)
    png, tile = drawing._draw(pair, scan, 2)
    assert tile.dice == 0
    picture = decoded(png)
    blue = (picture[..., 2] > 150) & (picture[..., 0] < 90)
    assert blue.sum() > 1000  # all of the reference is missed


def test_contact_sheet_is_sorted_and_says_what_it_leaves_out(discs, tmp_path, monkeypatch):
    seen = []
    original = drawing._contact_sheet
    monkeypatch.setattr(drawing, "_contact_sheet", lambda t: seen.extend(t) or original(t))
    raw = discs(count=4)
    predictions = tmp_path / "pred"
    predictions.mkdir()
    for i, kept in enumerate((48, 20, 30, 25)):
        mask = np.asarray(Image.open(raw / f"masks/disc_{i}.png")).copy()
        mask[kept:] = 0
        Image.fromarray(mask).save(predictions / f"disc_{i}.png")
    sheet, problems = drawing.overlay(raw, raw, predictions, tmp_path / "out")
    assert not problems
    assert [t.dice for t in seen] == sorted(t.dice for t in seen)
    assert seen[-1].id == "disc_0"
    assert seen[-1].dice == 1
    assert decoded(sheet.read_bytes()).shape[2] == 3


def test_thumbnail_outlines_the_label():
    label = np.zeros((1, 9, 9, 3), np.uint8)
    label[0, 2:7, 2:7, 1] = 1
    picture = decoded(thumbnail(np.zeros((1, 9, 9, 3)), label))
    red = (picture == [215, 48, 31]).all(-1)
    assert red.sum() == 16  # the edge of a 5x5 square
