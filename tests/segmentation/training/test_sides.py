"""No patch is mirrored into the other side's name, unless that is asked for."""

import pytest

from data_prep.core.config import Plan
from sdunet.segmentation.config import TrainingConfig
from sdunet.segmentation.training.augmentation import flip_axes
from sdunet.segmentation.training.sides import doubt_about_sides, sides_named


def plan(*classes, dims=3, spacing=(1.0, 1.0, 1.0)):
    labels = {name: number for number, name in enumerate(("background", *classes))}
    size = (8,) * dims
    return Plan(dims, ("a",), labels, {}, "zscore", spacing and spacing[:dims], size)


@pytest.mark.parametrize(
    ("names", "sides"),
    [
        (["kidney_left", "kidney_right", "liver"], ["kidney_left", "kidney_right"]),
        (["Left Ventricle"], ["Left Ventricle"]),
        (["rightLung"], ["rightLung"]),
        (["L-kidney", "R-kidney"], ["L-kidney", "R-kidney"]),
        (["hippocampus lh", "hippocampus rh"], ["hippocampus lh", "hippocampus rh"]),
        (["C2 L", "C3 L"], []),  # vertebrae, or whatever: there is no other side
        (["l", "r"], ["l", "r"]),
        (["anterior", "posterior", "bright", "cleft", "L5"], []),
    ],
)
def test_sides_are_told_by_whole_words(names, sides):
    assert sides_named(["background", *names]) == sides


@pytest.mark.parametrize(
    ("classes", "dims", "spacing", "axes"),
    [
        (("kidney_left",), 3, (1.0, 1.0, 1.0), (1, 2)),
        (("kidney_left",), 2, (1.0, 1.0), (1,)),  # slices, turned to RAS+
        (("kidney_left",), 2, None, (0,)),  # pictures, of rows and columns
        (("liver",), 3, (1.0, 1.0, 1.0), (0, 1, 2)),
    ],
)
def test_by_default_only_the_axis_of_the_sides_is_left_out(classes, dims, spacing, axes):
    of_set, config = plan(*classes, dims=dims, spacing=spacing), TrainingConfig()
    assert flip_axes(of_set, config) == axes
    told = doubt_about_sides(of_set, config, axes)
    assert [f.level for f in told] == ["note"] * (classes != ("liver",))


def test_settings_decide_and_are_warned_of():
    of_set, config = plan("left", "right"), TrainingConfig(flip_axes=(0, 2))
    assert flip_axes(of_set, config) == (0, 2)
    (told,) = doubt_about_sides(of_set, config, (0, 2))
    assert (told.level, told.code) == ("warning", "CONFIG_SIDES")
    assert not doubt_about_sides(of_set, TrainingConfig(augmentation="none"), ())
