"""Ids of objects to inside and boundary: against scikit-image, and laws on any label."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage
from skimage.segmentation import find_boundaries

from data_prep.core.scan import Scan
from data_prep.preprocessing.grid import grid_of, to_grid
from data_prep.preprocessing.instances import BOUNDARY, IGNORED, INSIDE, inside_and_boundary

SHAPES = st.sampled_from([(8, 9), (5, 4, 6), (6, 7, 1)])
IDS = SHAPES.flatmap(lambda shape: arrays(np.uint32, shape, elements=st.sampled_from([0, 3, 4, 9])))
BLOCKS = IDS.map(lambda ids: np.kron(ids, np.ones((3,) * ids.ndim, ids.dtype)))


@settings(max_examples=60, deadline=None)
@given(st.one_of(IDS, BLOCKS))
@example(np.full((2, 2), 7, np.uint32))
def test_boundary_is_that_of_scikit_image_but_for_a_voxel_of_objects_without_inside(ids):
    classes = inside_and_boundary(ids)
    np.testing.assert_array_equal(classes != 0, ids != 0)
    inner = find_boundaries(ids, connectivity=ids.ndim, mode="inner")
    kept = inner & (classes == INSIDE)
    np.testing.assert_array_equal((classes == BOUNDARY) | kept, inner)
    for number in np.unique(ids[ids != 0]):
        own = ids == number
        assert kept[own].sum() <= (not (own & ~inner).any())


@settings(max_examples=60, deadline=None)
@given(st.one_of(IDS, BLOCKS))
def test_insides_of_two_objects_are_never_neighbours_and_none_is_left_out_that_can_be(ids):
    inside = np.where(inside_and_boundary(ids) == INSIDE, ids, 0)
    around = np.ones((3,) * ids.ndim)
    for number in np.unique(ids[ids != 0]):
        near = ndimage.binary_dilation(inside == number, around)
        assert set(np.unique(inside[near])) <= {0, number}
        if not (inside == number).any():  # each of its voxels has another inside beside it
            assert ndimage.binary_dilation(inside != 0, around)[ids == number].all()


@settings(max_examples=30, deadline=None)
@given(st.one_of(IDS, BLOCKS), st.permutations([3, 4, 9]))
def test_how_objects_are_numbered_changes_nothing(ids, order):
    other = np.zeros_like(ids)
    for before, after in zip((3, 4, 9), order, strict=True):
        other[ids == before] = after
    np.testing.assert_array_equal(inside_and_boundary(other), inside_and_boundary(ids))


def test_what_is_ignored_and_the_border_of_the_image_make_no_boundary():
    ids = np.ones((6, 6), np.uint32)
    ids[:, 3] = IGNORED
    ids[:, 4:] = 2
    classes = inside_and_boundary(ids, void=3)
    np.testing.assert_array_equal(classes, np.where(ids == IGNORED, 3, INSIDE))


@pytest.mark.parametrize("spacing", [(1, 1, 1), (2.9, 2.9, 2.9)])
def test_objects_that_touch_are_apart_on_a_coarser_grid_too(spacing):
    ids = np.zeros((36, 36, 36), np.uint32)
    ids[2:18, 4:30, 4:30], ids[18:34, 4:30, 4:30] = 70_000, IGNORED - 1
    grid = grid_of(Scan(ids[None], np.eye(4)), spacing)
    there = to_grid(ids[None], grid, ids=True)[0]
    assert set(np.unique(there)) == {0, 70_000, IGNORED - 1}
    inside = inside_and_boundary(there) == INSIDE
    assert ndimage.label(inside, np.ones((3, 3, 3)))[1] == 2


def test_images_of_another_size_keep_their_ids():
    ids = np.kron(np.array([[1, 2], [0, 5]], np.uint32), np.ones((6, 9), np.uint32))
    small = to_grid(ids[None], grid_of(Scan(ids[None]), None, (4, 6)), ids=True)[0]
    np.testing.assert_array_equal(small, np.kron([[1, 2], [0, 5]], np.ones((2, 3))))
