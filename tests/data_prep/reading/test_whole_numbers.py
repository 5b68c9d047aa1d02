"""One rule says what is a whole number: of classes and objects, references and predictions."""

import numpy as np
import pytest

from data_prep.core.config import DataConfig, Rules
from data_prep.core.errors import DataError
from data_prep.core.findings import Findings
from data_prep.files.file_tree import open_tree
from data_prep.layouts import Case
from data_prep.reading.label import to_classes
from data_prep.reading.objects import read_objects
from data_prep.reading.whole_numbers import nearest_whole
from sdunet.segmentation.evaluation.pairing import open_pairs


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("whole", [0, 1, 2, 9, 254, 4095])
def test_roundings_are_taken_and_no_more(whole, kind):
    small = np.nextafter(kind(whole), kind(whole + 1))
    scaled = kind(whole) * kind(0.0039215689) / kind(0.0039215689)
    for value in (kind(whole), small, scaled):
        assert nearest_whole(np.array([value])).tolist() == [whole]
    for off in (2e-3, 0.02, 0.3, 0.5):
        with pytest.raises(DataError, match="LBL_INTERPOLATED"):
            nearest_whole(np.array([whole + off], kind))


@pytest.mark.parametrize("value", [0.999, 0.001, 1.0001, 9.999])
def test_what_is_nearly_a_small_number_is_none(value):
    with pytest.raises(DataError, match=r"LBL_INTERPOLATED: 2 values such as"):
        nearest_whole(np.array([0, value], np.float32))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_is_none(value):
    with pytest.raises(DataError, match="LBL_NONFINITE"):
        nearest_whole(np.array([0, value]))


@pytest.mark.parametrize(("value", "code"), [(1 + 1e-6, None), (0.999, "LBL_INTERPOLATED")])
def test_predictions_are_held_to_it(value, code, discs, write_picture, tmp_path):
    raw = discs(count=1)
    label = np.zeros((48, 48), np.float32)
    label[9:20, 9:20] = value
    write_picture(tmp_path / "pred/disc_0.tif", label)
    pairs = open_pairs(tmp_path / "pred", raw, config=DataConfig(labels={"no": 0, "disc": 1}))
    pair = pairs.read(pairs.cases[0])
    assert (pair.problem and pair.problem.code) == code
    assert (pair.prediction is None) == bool(code)


def test_numbers_of_objects_are_held_to_it(write_picture, tmp_path):
    numbered = np.zeros((9, 9), np.float32)
    numbered[1:3], numbered[4:6], numbered[5, 4:] = 1, 7, 7 + 2e-6
    case = Case("a", (), ("a.tif",), kind="numbered")
    write_picture(tmp_path / "a.tif", numbered)
    rules = Rules((), {"no": 0, "nucleus": 1})
    scan = read_objects(open_tree(tmp_path), case, Findings(), rules)
    assert np.array_equal(scan.array[0], np.select([numbered > 6, numbered > 0], [2, 1]))
    write_picture(tmp_path / "a.tif", numbered * np.float32(0.999))
    with pytest.raises(DataError, match="LBL_INTERPOLATED"):
        read_objects(open_tree(tmp_path), case, Findings(), rules)


@pytest.mark.parametrize("value", [2**53 + 1, 2**64 - 1])
def test_numbers_that_float64_would_round_are_told_as_they_are(value):
    with pytest.raises(DataError, match=f"LBL_UNKNOWN: a label value of {value}; save class"):
        nearest_whole(np.array([0, value], np.uint64))


@pytest.mark.parametrize(
    ("value", "told"), [(2**32 + 1, "4294967297"), (0xFF0000, "0xff0000"), (65535, "65535")]
)
def test_advice_about_a_large_number_can_be_followed(value, told):
    labels = {"background": 0, "a": 1}
    array = np.array([[[0, value]]], np.int64)
    with pytest.raises(DataError, match=rf"LBL_UNKNOWN: .*value {told} .*label_map: {{{told}: 1}}"):
        to_classes(array, labels, {})
    assert to_classes(array, labels, {int(told, 0): 1}).tolist() == [[[0, 1]]]
