"""What is refused of any scan, whatever file it came from."""

import warnings

import numpy as np
import pytest

from data_prep.core.errors import DataError
from data_prep.core.findings import Findings
from data_prep.core.scan import Scan
from data_prep.core.scan_checks import check_image, check_same_grid
from data_prep.reading.label import to_classes


def test_half_precision_is_taken_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_image(Scan(np.linspace(-60000, 60000, 24, dtype=np.float16).reshape(1, 4, 6)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_values_beyond_any_scale_are_refused(dtype):
    with pytest.raises(DataError, match=r"INT_RANGE: values up to 1e\+31"):
        check_image(Scan(np.array([[[0, 1e31]]], dtype)))


@pytest.mark.parametrize("kind", ["empty", "copy"])
def test_a_channel_of_a_volume_that_says_nothing_is_refused_unless_accepted(kind):
    one = np.random.default_rng(0).normal(size=(4, 5, 6)).astype(np.float32)
    array = np.stack([one, one * 0 if kind == "empty" else one])
    with pytest.raises(DataError, match="INT_CHANNEL: channel 1"):
        check_image(Scan(array, np.eye(4)))
    findings = Findings({"INT_CHANNEL"})
    check_image(Scan(array, np.eye(4)), findings)
    assert [finding.code for finding in findings.found] == ["INT_CHANNEL"]
    check_image(Scan(array[..., 0]))  # colours of a 2D image may be alike


SPACING = np.array([0.5, 0.5, 5.0])


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize(
    ("part", "codes"), [(0.009, []), (0.09, ["GEO_AFFINE"]), (0.11, None)], ids=str
)
def test_a_place_is_the_same_up_to_a_tenth_of_a_voxel(axis, part, codes):
    affine, findings = np.diag([*SPACING, 1]), Findings()
    one = Scan(np.zeros((1, 4, 5, 6)), affine)
    moved = affine.copy()
    moved[axis, 3] += part * SPACING[axis]
    other = Scan(one.array, moved)
    if codes is None:
        with pytest.raises(DataError, match="GEO_AFFINE"):
            check_same_grid(one, other)
        return
    check_same_grid(one, other, findings=findings)
    assert [(f.level, f.code) for f in findings.found] == [("note", code) for code in codes]


LABELS = {"background": 0, "organ": 1, "lesion": 2}


@pytest.mark.parametrize(
    ("values", "labels", "advice"),
    [
        ([0, 255], {"background": 0, "organ": 1}, "label_map: {255: 1}"),
        ([0, 1, 255], {"background": 0, "organ": 1}, "add `ignore: 255` to dataset.labels"),
        ([0, 2, 3], {"background": 0, "organ": 1}, "label_map: {2: its class}"),
        ([0, 1, 7], LABELS, "label_map: {7: its class}"),
        ([0, *range(3, 20)], LABELS, "if each is the number of an object"),
        ([0, *(n << 16 for n in range(1, 9))], LABELS, "label_map: {0x010000: its class}"),
    ],
    ids=["mask", "void", "two", "another", "objects", "colours"],
)
def test_no_class_is_proposed_for_a_value_that_may_be_none(values, labels, advice):
    array = np.repeat(np.array(values), 4)[None, None]
    with pytest.raises(DataError, match="LBL_UNKNOWN") as raised:
        to_classes(array, labels, {})
    assert advice in raised.value.fix


def test_a_code_is_accepted_as_the_command_has_it():
    for findings, how in (
        (Findings(), r"dataset\.accept"),
        (Findings((), "--accept {code}"), "--acc"),
    ):
        with pytest.raises(DataError, match=how):
            check_image(Scan(np.array([[[0, np.nan, 1]]])), findings)
