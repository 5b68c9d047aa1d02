"""What is no mask or label is refused by every score, whatever NumPy would make of it."""

import numpy as np
import pytest

from sdunet.metrics import dice, find_objects, overlaps, score_case, surface_distances
from sdunet.segmentation.metrics.arguments import lengths_of

GOOD = np.pad(np.ones((2, 3), np.uint8), 2)
SCORES = {
    "dice": dice,
    "overlaps": lambda *masks: overlaps(*masks, 2),
    "find_objects": find_objects,
    "surface_distances": lambda *masks: surface_distances(*masks, (1.0, 1.0)),
    "score_case": lambda *masks: score_case(*masks, (1.0, 1.0), 2),
}
BAD = {
    "NaN": (np.where(GOOD, np.nan, 0), "must hold whole numbers, got NaN or infinity"),
    "infinity": (np.where(GOOD, np.inf, 0), "must hold whole numbers, got NaN or infinity"),
    "probabilities": (GOOD * 0.4, "must hold whole numbers, got 0.4"),
    "complex": (GOOD * 1j, "must hold whole numbers, got an array of complex128"),
    "text": (GOOD.astype(str), "must hold whole numbers, got an array of <U"),
    "masked": (np.ma.masked_array(GOOD, GOOD == 1), "must hold whole numbers, got 6 masked"),
    "a truth value": (True, "must be an array of voxels, got True"),
    "one row": (GOOD[:1], "must have the reference's shape"),
    "another axis": (GOOD[None], "must have the reference's shape"),
}


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("score", SCORES)
def test_what_is_no_mask_is_named(score, bad):
    array, words = BAD[bad]
    with pytest.raises(ValueError, match=f"^prediction {words}"):
        SCORES[score](array, GOOD)
    with pytest.raises(ValueError, match=r"^(reference|prediction|spacing) must "):
        SCORES[score](GOOD, array)


@pytest.mark.parametrize("kind", [bool, np.int8, np.uint16, np.int64, np.float16, np.float64])
def test_a_mask_may_be_of_any_type_that_holds_it(kind):
    other = np.roll(GOOD, 1, 0)
    assert dice(other.astype(kind), GOOD) == dice(other, GOOD)
    assert overlaps(other.astype(kind), GOOD.astype(bool), 2) == overlaps(other, GOOD, 2)
    (given,), (plain,) = (score_case(o, GOOD, (1.0, 1.0), 2) for o in (other.astype(kind), other))
    assert given.values == plain.values


def test_spacing_and_numbers_of_objects_fit_the_masks():
    with pytest.raises(ValueError, match="spacing must be 2 lengths above 0"):
        score_case(GOOD, GOOD, (1.0,), 2)
    with pytest.raises(ValueError, match="numbered must have the reference's shape"):
        find_objects(GOOD, GOOD, GOOD[:1])
    with pytest.raises(ValueError, match="reference must hold classes below 2, got 3"):
        score_case(None, GOOD * 3, (1.0, 1.0), 2)


def test_a_masked_array_that_leaves_nothing_out_is_its_data():
    assert dice(np.ma.masked_array(GOOD, False), GOOD) == 1


@pytest.mark.parametrize(
    ("numbered", "words"),
    [
        (GOOD * 0, "the object of each voxel of the reference, got 0 at 6 voxels"),
        (np.where(np.arange(6)[:, None] > 2, GOOD, 0), "got 0 at 3 voxels"),
        (-GOOD.astype(int), "from 0 on"),
        (np.ones((9, 9), int), "the reference's shape"),
        (GOOD * 0.5, "whole numbers"),
    ],
)
def test_numbers_of_objects_that_contradict_the_reference_are_refused(numbered, words):
    with pytest.raises(ValueError, match=f"^numbered must .*{words}"):
        find_objects(GOOD, GOOD, numbered)
    with pytest.raises(ValueError, match=f"^numbered must .*{words}"):
        score_case(GOOD, GOOD, (1.0, 1.0), 2, numbered=numbered)


@pytest.mark.parametrize("diagonal", [-5, 0, np.nan, np.inf])
def test_a_diagonal_is_a_length(diagonal):
    with pytest.raises(ValueError, match="diagonal must be a length above 0"):
        surface_distances(GOOD * 0, GOOD, (1.0, 1.0), diagonal)


@pytest.mark.parametrize("spacing", [(True, True), (1 + 0j, 1), ("1", "1"), (None, 1), 1.5])
def test_what_is_no_real_length_is_no_spacing(spacing):
    with pytest.raises(ValueError, match="spacing must be 2 lengths above 0"):
        lengths_of(spacing, 2)


@pytest.mark.parametrize("number", [True, 2.5, "2", 0, None])
def test_what_counts_nothing_is_no_number_of_classes(number):
    with pytest.raises(ValueError, match="num_classes must be a whole number, at least 1"):
        overlaps(np.zeros((2, 2), int), np.zeros((2, 2), int), number)
