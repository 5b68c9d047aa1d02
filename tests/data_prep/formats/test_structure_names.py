"""Names nearly those of classes are told; a class that is there by such a name only is refused."""

import pytest
from dicom_files import box, segments, series, structures

from data_prep.core.config import Rules
from data_prep.core.errors import DataError
from data_prep.core.findings import Findings
from data_prep.formats.structure_names import check_names
from data_prep.layouts import find_layout
from data_prep.reading.label import read_case_label

CLASSES = {"lymph node": 1, "tumeur": 2}
NEAR = ["Lymph_Node", "lymphnode", "Lymph nodes", "lymph-node", "LYMPH  NODES "]


def told(names, accept=(), classes=CLASSES):
    findings = Findings(accept)
    check_names(names, classes, findings)
    return [(finding.level, finding.code) for finding in findings.found]


@pytest.mark.parametrize("name", [*NEAR, "tumêur"])
def test_a_class_by_a_near_name_only_is_refused_unless_accepted(name):
    other = "tumeur" if name in NEAR else "lymph node"
    with pytest.raises(DataError, match=r"LBL_NEAR: \['.*'\] are no class, and called nearly as"):
        told([name, other])
    assert told([name, other], {"LBL_NEAR"}) == [("note", "LBL_NEAR")]


@pytest.mark.parametrize(
    ("names", "want"),
    [
        ([" Lymph Node", "TUMEUR"], []),
        (["lymph node"], []),  # nothing else is there that could be the other one
        (["lymph node", "BODY"], [("warning", "LBL_MISSING")]),
        (["lymph node", "tumeur", "lymph_node"], [("warning", "LBL_NEAR")]),
        (["lymph node", "tumeur", "lymph node 2", "lymph node+5", "--"], []),
        (["lymph node", "tumeur", "ignored nodes"], []),
        (["lymph node", "tumeur", " Ignore"], [("warning", "DCM_UNUSED")]),
    ],
)
def test_other_names_do_not_stop_a_case(names, want):
    assert told(names) == want


def test_what_is_to_be_ignored_and_is_called_so_is_not_told():
    assert told(["lymph node", "tumeur", "ignore"], classes=CLASSES | {"ignore": 3}) == []


def test_several_names_of_one_class_are_one():
    assert told(["GTV", "BODY"], classes={"gtv": 1, "gtvp": 1}) == []


def called(name):
    one = segments()
    one.SegmentSequence[1].SegmentLabel = name
    return one


@pytest.mark.parametrize(
    "label",
    [
        structures([("Tumours", box(2, 1, 7, 1, 5)), ("organ", box(4, 1, 7, 1, 5))]),
        structures([("Tumours", box(2, 1, 7, 1, 5))]),
        called("tumours"),
    ],
)
def test_contours_and_segments_are_held_to_it(write_tree, label):
    tree = write_tree(ct=series(), label=[label])
    rules = Rules(("CT",), {"background": 0, "tumour ": 1, "organ": 2})
    with pytest.raises(DataError, match="LBL_NEAR") as raised:
        read_case_label(tree, find_layout(tree).cases[0], rules)
    assert "umours" not in str(raised.value.for_records())
