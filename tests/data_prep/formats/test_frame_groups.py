"""What a multi-frame file says of a frame in several ways is believed where it is the same."""

from copy import deepcopy

import numpy as np
import pytest
from dicom_files import STORED, encode, multi_frame, segments, series
from pydicom.dataset import Dataset

from data_prep.core.config import Rules
from data_prep.core.errors import DataError
from data_prep.core.findings import Findings
from data_prep.formats.dicom.series import read_series
from data_prep.layouts import find_layout
from data_prep.reading.label import read_case_label

RULES = Rules(("CT",), {"background": 0, "tumour": 1})
GROUP_OF = {
    "ImageOrientationPatient": "PlaneOrientationSequence",
    "ImagePositionPatient": "PlanePositionSequence",
    "PixelSpacing": "PixelMeasuresSequence",
    "SliceThickness": "PixelMeasuresSequence",
    "RescaleSlope": "PixelValueTransformationSequence",
    "RescaleType": "PixelValueTransformationSequence",
    "ReferencedSegmentNumber": "SegmentIdentificationSequence",
}
OTHERS = {
    "ImageOrientationPatient": [0, 1, 0, 1, 0, 0],
    "ImagePositionPatient": [0, 0, 99],
    "PixelSpacing": [2, 2],
    "SliceThickness": 9,
    "RescaleSlope": 3,
    "ReferencedSegmentNumber": 1,
}
SAME = {
    "ImageOrientationPatient": [1, 0, 0, 0, 1, 1e-5],
    "PixelSpacing": ["0.7000001", "0.9"],
    "SliceThickness": "2.0",
    "RescaleSlope": "1.0",
}


def item(name, value):
    one = Dataset()
    setattr(one, name, value)
    return one


def apart(one, name, value):
    for group in one.PerFrameFunctionalGroupsSequence:
        setattr(group, GROUP_OF[name], [item(name, value)])


def shared(one, name, value):
    setattr(one.SharedFunctionalGroupsSequence[0], GROUP_OF[name], [item(name, value)])


def in_second_item(one, name, value):
    for group in (*one.SharedFunctionalGroupsSequence, *one.PerFrameFunctionalGroupsSequence):
        if GROUP_OF[name] in group:
            group[GROUP_OF[name]].value.append(item(name, value))


def in_second_group(one, name, value):
    one.SharedFunctionalGroupsSequence.append(
        item(GROUP_OF[name], [item(name, value)]),
    )


def in_file(one, name, value):
    setattr(one, name, value)


def read(one):
    return read_series([("one", encode(one))], Findings())


@pytest.mark.parametrize("say", [apart, in_second_item, in_second_group, in_file])
@pytest.mark.parametrize("name", SAME)
def test_what_frames_say_again_is_the_same_or_refused(say, name):
    one = multi_frame()
    say(one, name, SAME[name])
    if name == "RescaleSlope" and say is apart:
        for group in one.PerFrameFunctionalGroupsSequence:
            group.PixelValueTransformationSequence[0].RescaleIntercept = -1024
    np.testing.assert_array_equal(read(one).array[0], STORED.transpose(2, 1, 0) - 1024.0)
    say(one, name, OTHERS[name])
    if name == "SliceThickness" and say is in_file:
        read(one)  # that of the first frame, perhaps
        return
    with pytest.raises(DataError, match=f"HDR_CONFLICT: {name} of .*, but {name} of"):
        read(one)


@pytest.mark.parametrize("say", [shared, in_second_item, in_second_group])
def test_a_frame_is_in_one_place(say):
    one = multi_frame()
    say(one, "ImagePositionPatient", OTHERS["ImagePositionPatient"])
    with pytest.raises(DataError, match="HDR_CONFLICT: ImagePositionPatient of the frame"):
        read(one)
    one = multi_frame()
    in_file(one, "ImagePositionPatient", [5.0, -7.0, 11.0])  # that of the first frame
    read(one)


@pytest.mark.parametrize(
    ("say", "name"),
    [
        (shared, "ReferencedSegmentNumber"),
        (in_second_item, "ReferencedSegmentNumber"),
        (in_second_item, "ImagePositionPatient"),
        (apart, "PixelSpacing"),
        (in_file, "PixelSpacing"),
        (in_file, "ImageOrientationPatient"),
    ],
)
def test_a_frame_of_a_label_is_of_one_segment_and_place(write_tree, say, name):
    one = segments()
    say(one, name, OTHERS[name])
    tree = write_tree(ct=series(), seg=[one])
    with pytest.raises(DataError, match=f"HDR_CONFLICT: {name} of"):
        read_case_label(tree, find_layout(tree).cases[0], RULES)


@pytest.mark.parametrize("say", [apart, in_second_item, in_second_group, in_file])
def test_a_frame_is_of_one_unit(say):
    one = multi_frame()
    one.SharedFunctionalGroupsSequence[0].PixelValueTransformationSequence[0].RescaleType = "HU"
    say(one, "RescaleType", "HU ")
    read(one)
    say(one, "RescaleType", "MGML")
    with pytest.raises(DataError, match="HDR_CONFLICT: RescaleType of"):
        read(one)


def test_a_label_of_one_segment_may_say_so_for_all_frames(write_tree):
    one = segments()
    shared(one, "ReferencedSegmentNumber", 2)
    for group in one.PerFrameFunctionalGroupsSequence:
        del group.SegmentIdentificationSequence
    tree = write_tree(ct=series(), seg=[one])
    assert (read_case_label(tree, find_layout(tree).cases[0], RULES).array == 1).sum() == 8


def concatenated(one, numbers, total):
    """Parts of a file of frames that is stored in several files."""
    parts = []
    groups = list(one.PerFrameFunctionalGroupsSequence)
    pixels, share = one.PixelData, len(one.PixelData) // len(groups)
    ends = np.linspace(0, len(groups), 4).astype(int)
    for number in numbers:
        part = deepcopy(one)
        first, end = ends[number - 1 : number + 1]
        part.file_meta.MediaStorageSOPInstanceUID = part.SOPInstanceUID = f"1.6.{number}"
        part.ConcatenationUID, part.InConcatenationNumber = "1.6", number
        if total:
            part.InConcatenationTotalNumber = total
        part.PerFrameFunctionalGroupsSequence = groups[first:end]
        part.NumberOfFrames, part.PixelData = int(end - first), pixels[share * first : share * end]
        parts.append(part)
    return parts


@pytest.mark.parametrize(
    ("numbers", "total", "there"),
    [((1,), 3, "1 of 3"), ((1, 2), 3, "2 of 3"), ((2, 3), None, "2 of 3")],
)
def test_parts_of_an_image_or_label_that_are_missing_are_told(write_tree, numbers, total, there):
    message = f"DCM_COUNT: {there} parts of a concatenation.*; export the missing parts"
    parts = concatenated(multi_frame(), numbers, total)
    with pytest.raises(DataError, match=message):
        read_series([(f"{n}", encode(part)) for n, part in enumerate(parts)], Findings())
    tree = write_tree(ct=series(), seg=concatenated(segments(), numbers, total))
    with pytest.raises(DataError, match=message):
        read_case_label(tree, find_layout(tree).cases[0], RULES)


def test_all_parts_of_an_image_are_read_as_one():
    parts = concatenated(multi_frame(), (1, 2, 3), 3)
    scan = read_series([(f"{n}", encode(part)) for n, part in enumerate(parts)], Findings())
    np.testing.assert_array_equal(scan.array[0], STORED.transpose(2, 1, 0).astype(int) - 1024)
