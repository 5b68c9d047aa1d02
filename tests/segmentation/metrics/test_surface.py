"""Surface distances against plain comparison of all voxels with all, and against MONAI."""

import numpy as np
import pytest
import torch
from monai.metrics import (
    compute_average_surface_distance,
    compute_hausdorff_distance,
    compute_surface_dice,
)
from scipy import ndimage

from sdunet.segmentation.metrics.surface import diagonal_of, surface, surface_distances

MASKS = 2000
TOLERANCE = 1e-9  # millimetres; measured: below 1e-14


def random_pair(seed):
    """Two masks of 2 or 3 axes, often alike, sometimes empty or full, with a spacing."""
    random = np.random.default_rng(seed)
    shape = tuple(random.integers(1, 8, random.integers(2, 4)))
    first = random.random(shape) < random.choice([0, 0.05, 0.3, 0.7, 1])
    second = first ^ (random.random(shape) < random.choice([0, 0.05, 0.5]))
    return first, second, tuple(random.uniform(0.3, 4, len(shape)))


def plain_surface(mask):
    padded = np.pad(mask, 1)
    faces = ndimage.generate_binary_structure(mask.ndim, 1)
    inside = ndimage.minimum_filter(padded, footprint=faces)
    return (padded & ~inside)[(slice(1, -1),) * mask.ndim]


def all_distances(prediction, reference, spacing):
    """Both directions' smallest distances, by comparing all voxels with all."""
    a, b = (np.argwhere(plain_surface(m)) * spacing for m in (prediction, reference))
    table = np.sqrt(((a[:, None] - b[None]) ** 2).sum(-1))
    return table.min(1), table.min(0)


@pytest.mark.long
def test_distances_are_those_of_all_cells_with_all():
    compared = 0
    for seed in range(MASKS):
        prediction, reference, spacing = random_pair(seed)
        got = surface_distances(prediction, reference, spacing)
        if not (prediction.any() and reference.any()):
            continue
        out, back = all_distances(prediction, reference, spacing)
        both = np.concatenate([out, back])
        tolerance = float(np.median(both)) + 0.1
        compared += 1
        want = (
            both.max(),
            max(np.percentile(out, 95), np.percentile(back, 95)),
            both.mean(),
            (both <= tolerance).mean(),
        )
        have = (got.hausdorff(), got.hausdorff(95), got.mean, got.within(tolerance))
        np.testing.assert_allclose(have, want, rtol=0, atol=TOLERANCE, err_msg=str(seed))
    assert compared > MASKS / 2


# MONAI warns of an argument that it passes itself.
@pytest.mark.filterwarnings("ignore:.*always_return_as_numpy:FutureWarning")
def test_distances_are_monais():
    for seed in range(300):
        prediction, reference, spacing = random_pair(seed)
        if not (prediction.any() and reference.any()):
            continue
        got = surface_distances(prediction, reference, spacing)
        masks = [torch.from_numpy(m)[None, None].float() for m in (prediction, reference)]
        given = {"include_background": True, "spacing": list(spacing)}
        want = (
            compute_hausdorff_distance(*masks, **given),
            compute_hausdorff_distance(*masks, percentile=95, **given),
            compute_average_surface_distance(*masks, symmetric=True, **given),
            compute_surface_dice(*masks, class_thresholds=[1.0], **given),
        )
        have = (got.hausdorff(), got.hausdorff(95), got.mean, got.within(1.0))
        # MONAI works in single precision; so is the place of its percentile among n distances, and
        # with it up to that share of the step to the next one.
        step = np.finfo(np.float32).eps * max(len(got.predicted), len(got.missed)) * have[0]
        want = [float(w) for w in want]
        np.testing.assert_allclose(have, want, rtol=2e-6, atol=step, err_msg=str(seed))


def test_surfaces_are_cells_with_a_face_to_the_outside():
    for seed in range(200):
        mask, _, _ = random_pair(seed)
        np.testing.assert_array_equal(surface(mask), plain_surface(mask))


@pytest.mark.parametrize("empty", ["prediction", "reference"])
def test_without_one_of_both_all_is_as_far_as_the_image_reaches(empty):
    masks = {"prediction": np.zeros((3, 4), bool), "reference": np.zeros((3, 4), bool)}
    masks.update({name: np.ones((3, 4), bool) for name in masks if name != empty})
    got = surface_distances(**masks, spacing=(1.0, 2.0))
    assert got.hausdorff() == got.hausdorff(95) == got.mean == np.hypot(3, 8)
    assert got.within(1000) == 0


def test_two_empty_masks_have_no_distance():
    assert surface_distances(*np.zeros((2, 3, 3), bool), (1, 1)) is None


def test_diagonal_is_measured_in_millimetres():
    assert diagonal_of((3, 4), (1.0, 1.0)) == 5
    assert diagonal_of((1, 2, 2), (1.0, 1.0, 0.5)) == pytest.approx(np.sqrt(1 + 4 + 1))


@pytest.mark.parametrize(
    ("size", "spacing"),
    [((4, 5), (1, 1)), ((4, 4), (1, 0)), ((4, 4), (1, -1)), ((4, 4), (1,)), ((4, 4), (1, np.nan))],
)
def test_masks_and_lengths_that_do_not_fit_are_refused(size, spacing):
    with pytest.raises(ValueError, match=r"the reference's shape|spacing must be 2 lengths"):
        surface_distances(np.ones(size, bool), np.ones((4, 4), bool), spacing)
