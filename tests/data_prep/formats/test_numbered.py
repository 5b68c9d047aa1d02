"""Labels that number their objects, as Cellpose writes them beside the images."""

import numpy as np
import pytest
from bad_sets import picture, png

from data_prep.checks.run import check
from data_prep.core.config import DataConfig, Rules
from data_prep.core.findings import Findings
from data_prep.files.file_tree import open_tree
from data_prep.layouts import find_layout
from data_prep.reading.label import read_case_label
from data_prep.reading.objects import read_objects

OBJECTS = np.zeros((24, 20), np.uint16)
for number, column in ((1, 1), (2, 7), (900, 13)):
    OBJECTS[4:9, column : column + 5] = number
CLASSES = OBJECTS.copy()
CLASSES[14:20, 2:8], CLASSES[14:20, 12:18] = 1, 2


def images(masks, suffix="_masks.png"):
    found = {f"i{n}.png": png(picture(n)) for n in range(2)}
    return found | {f"i{n}{suffix}": png(masks) for n in range(2)}


def test_every_value_is_the_class_and_numbers_are_kept_for_scoring(written):
    root = written(images(OBJECTS))
    tree, layout = open_tree(root), find_layout(open_tree(root))
    case, findings = layout.cases[0], Findings()
    rules = Rules(("image",), {"background": 0, "cell": 1})
    label = read_case_label(tree, case, rules, None, findings)
    np.testing.assert_array_equal(label.array[0], OBJECTS != 0)
    assert [(f.level, f.code) for f in findings.found] == [("note", "LBL_NUMBERED")]
    numbers = read_objects(tree, case, Findings()).array[0]
    np.testing.assert_array_equal(numbers, np.where(OBJECTS == 900, 3, OBJECTS))


@pytest.mark.parametrize(
    ("masks", "suffix", "code"),
    [(CLASSES, "_masks.png", "LBL_NUMBERED"), (OBJECTS, "_mask.png", "LBL_UNKNOWN")],
)
def test_what_may_be_classes_is_an_error(written, masks, suffix, code):
    checked = check(written(images(masks, suffix)), DataConfig())
    assert {error.code for error in checked.errors} == {code}


def test_classes_that_are_named_are_classes(written):
    masks = np.where(OBJECTS == 900, 3, OBJECTS).astype(np.uint8)
    labels = {"background": 0, "a": 1, "b": 2, "c": 3}
    checked = check(written(images(masks)), DataConfig(labels=labels))
    assert len(checked.facts) == 2
    assert not any(f.code == "LBL_NUMBERED" for f in checked.findings)


def test_what_cellpose_writes_for_itself_is_not_the_label(written):
    files = images(OBJECTS) | {f"i{n}_seg.npy": b"\x93NUMPY" for n in range(2)}
    layout = find_layout(open_tree(written(files)))
    assert [case.labels for case in layout.cases] == [("i0_masks.png",), ("i1_masks.png",)]
    assert not layout.problems
    assert [f.code for f in layout.findings] == ["LAY_UNUSED"]
