"""Planes of a structure that nothing was drawn in are counted, in contours and segments alike."""

from copy import deepcopy

import numpy as np
import pytest
from dicom_files import STORED, box, segments, series, structures

from data_prep.core.config import Rules
from data_prep.core.findings import Findings
from data_prep.layouts import find_layout
from data_prep.reading.label import read_case_label

RULES = Rules(("CT",), {"background": 0, "tumour": 1})
ONE, OTHER = (1, 4, 1, 4), (5, 8, 4, 6)  # left, right, top, bottom: apart from each other
NOTHING = (0, 0, 0, 0)


def contours(drawn):
    return [structures([("tumour", box(z, *where)) for z, where in drawn])]


def frames(drawn):
    one = segments()
    groups, masks = [], np.zeros((len(drawn), *STORED.shape[1:]), np.uint8)
    for mask, (z, (left, right, top, bottom)) in zip(masks, drawn, strict=True):
        mask[top:bottom, left:right] = 1
        group = deepcopy(one.PerFrameFunctionalGroupsSequence[0])
        group.PlanePositionSequence[0].ImagePositionPatient = [5.0, -7.0, 11.0 + 2.0 * z]
        groups.append(group)
    one.PerFrameFunctionalGroupsSequence = groups
    one.NumberOfFrames, one.PixelData = len(drawn), masks.tobytes()
    return [one]


def said_of(write_tree, files):
    tree, findings = write_tree(ct=series(), label=files), Findings()
    label = read_case_label(tree, find_layout(tree).cases[0], RULES, findings=findings)
    return label.array[0], [
        str(finding) for finding in findings.found if "UNUSED" not in str(finding)
    ]


@pytest.mark.parametrize(("drawn_by", "what"), [(contours, "contour"), (frames, "frame")])
@pytest.mark.parametrize(
    ("drawn", "said"),
    [
        ([(z, ONE) for z in (2, 3, 4, 5)], None),
        ([(4, ONE)], None),
        (
            [(z, ONE) for z in (2, 3, 5, 8)],
            "warning DCM_SKIPPED (label/00): 'tumour', planes 2 to 8: 3 of them (4, 6, 7) have no "
            "{}, between planes that cover each other; look whether a {} is missing",
        ),
        (
            [(2, ONE), (4, OTHER)],
            "note DCM_SKIPPED (label/00): 'tumour', planes 2 to 4: 1 of them (3) has no {}, "
            "between parts apart from each other",
        ),
    ],
)
def test_gaps_are_counted_where_they_are(write_tree, drawn, said, drawn_by, what):
    label, found = said_of(write_tree, drawn_by(drawn))
    assert np.flatnonzero(label.any((0, 1))).tolist() == [z for z, _ in drawn]
    assert found == ([] if said is None else [said.format(what, what)])


def test_a_frame_that_says_that_nothing_is_there_is_no_gap(write_tree):
    drawn = [(2, ONE), (3, NOTHING), (4, ONE), (8, NOTHING)]
    assert said_of(write_tree, frames(drawn))[1] == []
