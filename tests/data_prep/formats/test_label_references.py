"""Labels that say of themselves that they belong to another image than they are drawn on."""

import pytest
from dicom_files import box, encode, segments, series, structures
from pydicom.dataset import Dataset

from data_prep.core.config import Rules
from data_prep.core.errors import DataError
from data_prep.core.findings import Findings
from data_prep.layouts import find_layout
from data_prep.reading.label import read_case_label

RULES = Rules(("CT",), {"background": 0, "tumour": 1, "organ": 2})
SHOWN = ["1.7.0", "1.7.1", "1.7.2", "1.7.3", "1.7.4", "1.7.5", "1.7.6", "1.7.7", "1.7.8", "1.7.9"]

LOST = -1  # number of a slice that is not there


def images(*numbers, unknown=False):
    """Items that refer to slices of the series."""
    items = []
    for number in numbers:
        item = Dataset()
        item.ReferencedSOPInstanceUID = "1.9.9" if unknown or number == LOST else SHOWN[number]
        items.append(item)
    return items


def scanned():
    """The series, with a frame of reference and known names of its slices."""
    slices = series(FrameOfReferenceUID="1.5", PatientName="Doe^Jane")
    for one, uid in zip(slices, SHOWN, strict=True):
        one.SOPInstanceUID = one.file_meta.MediaStorageSOPInstanceUID = uid
    return slices


def contoured():
    """Contours in slices 2 and 3 with all that they may refer to."""
    one = structures([("tumour", box(2, 1, 7, 1, 5)), ("tumour", box(3, 1, 7, 1, 5))])
    one.FrameOfReferenceUID = "1.5"
    (frame,) = one.ReferencedFrameOfReferenceSequence
    frame.FrameOfReferenceUID = "1.5"
    listed = frame.RTReferencedStudySequence[0].RTReferencedSeriesSequence[0]
    listed.ContourImageSequence = images(*range(10))
    one.StructureSetROISequence[0].ReferencedFrameOfReferenceUID = "1.5"
    for z, contour in zip((2, 3), one.ROIContourSequence[0].ContourSequence, strict=True):
        contour.ContourImageSequence = images(z)
    return one


def segmented():
    """Frames in slices 2, 3 and 5 with all that they may refer to."""
    one = segments()
    one.FrameOfReferenceUID = "1.5"
    one.ReferencedSeriesSequence[0].ReferencedInstanceSequence = images(*range(10))
    for z, group in zip((2, 3, 5), one.PerFrameFunctionalGroupsSequence, strict=True):
        derived = Dataset()
        derived.SourceImageSequence = images(z)
        group.DerivationImageSequence = [derived]
    return one


def listed_in(one):
    """The series as a label lists it, and the name of its list of images."""
    if "ReferencedSeriesSequence" in one:
        return one.ReferencedSeriesSequence[0], "ReferencedInstanceSequence"
    study = one.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence[0]
    return study.RTReferencedSeriesSequence[0], "ContourImageSequence"


def refer(one, *numbers, **options):
    """Let the second contour or frame, in slice 3, refer to these images; to none without any."""
    if "ROIContourSequence" in one:
        place, name = one.ROIContourSequence[0].ContourSequence[1], "ContourImageSequence"
    else:
        place = one.PerFrameFunctionalGroupsSequence[1].DerivationImageSequence[0]
        name = "SourceImageSequence"
    setattr(place, name, images(*numbers, **options))


def list_images(one, *numbers, **options):
    place, name = listed_in(one)
    setattr(place, name, images(*numbers, **options))


def change(name, value):
    return lambda one: setattr(one, name, value)


def both(*changes):
    return lambda one: [change(one) for change in changes]


def of_roi(one):
    one.StructureSetROISequence[0].ReferencedFrameOfReferenceUID = "1.6"


def of_list(one):
    one.ReferencedFrameOfReferenceSequence[0].FrameOfReferenceUID = "1.6"


def of_points(one):
    one.ROIContourSequence[0].ContourSequence[1].NumberOfContourPoints = 3


BOTH = (contoured, segmented)
WRONG = [
    *((make, change("PatientID", "P2"), "DCM_PATIENTS: the label of another") for make in BOTH),
    *((make, change("PatientName", "Roe^Jane"), "DCM_PATIENTS: .*PatientName") for make in BOTH),
    *((make, change("FrameOfReferenceUID", "1.6"), "DCM_REFERENCE: the label is") for make in BOTH),
    (contoured, of_roi, "DCM_REFERENCE: 'tumour' is drawn in another frame of reference"),
    (contoured, of_list, "DCM_REFERENCE: the label is drawn in another frame of reference"),
    *(
        (make, lambda one: refer(one, 4), "DCM_REFERENCE: .* slice 3 .* of slice 4")
        for make in BOTH
    ),
    *(
        (
            make,
            both(refer, lambda one: list_images(one, 2, 5)),
            "DCM_REFERENCE: .* lies in slice 3, which is none of those",
        )
        for make in BOTH
    ),
    *(
        (
            make,
            lambda one: list_images(one, 2, 3, 4, LOST),
            "DCM_LOST: the label lists 1 images that are not in the series",
        )
        for make in BOTH
    ),
    (contoured, of_points, "HDR_CONFLICT: NumberOfContourPoints 3, but points of the contour 4"),
]
GONE = "warning DCM_REFERENCE: 1 of {} contours or frames are of images not there"
UNLISTED = "warning DCM_REFERENCE: 1 of {} contours or frames lie in slices not listed"
RIGHT = [
    *((make, lambda one: None, []) for make in BOTH),
    *((make, change("PatientID", ""), []) for make in BOTH),
    *((make, change("FrameOfReferenceUID", ""), []) for make in BOTH),
    *((make, change("StudyInstanceUID", "1.99"), []) for make in BOTH),
    *((make, refer, []) for make in BOTH),
    *((make, lambda one: refer(one, 2, 3, 4), []) for make in BOTH),
    *((make, list_images, []) for make in BOTH),
    *((make, both(refer, lambda one: list_images(one, 0, unknown=True)), []) for make in BOTH),
    *((make, lambda one: refer(one, 3, unknown=True), [GONE]) for make in BOTH),
    *((make, lambda one: list_images(one, 2, 5), [UNLISTED]) for make in BOTH),
]


def read(write_tree, one, findings=None):
    tree = write_tree(ct=scanned(), label=[one])
    return read_case_label(tree, find_layout(tree).cases[0], RULES, findings=findings)


@pytest.mark.parametrize(("make", "spoil", "message"), WRONG)
def test_a_label_that_belongs_to_another_image_is_refused(write_tree, make, spoil, message):
    one = make()
    spoil(one)
    with pytest.raises(DataError, match=message):
        read(write_tree, one)


@pytest.mark.parametrize(("make", "vary", "said"), RIGHT)
def test_a_label_that_says_less_is_read(write_tree, make, vary, said):
    one, findings = make(), Findings()
    vary(one)
    assert read(write_tree, one, findings).array.any()
    count = 2 if make is contoured else 3
    found = [f"{f.level} {f.code}: {f.found}" for f in findings.found]
    assert found == [text.format(count) for text in said]


@pytest.mark.parametrize("make", [contoured, segmented])
def test_a_label_that_was_renamed_without_its_head_is_told(write_tree, make):
    tree = write_tree(ct=scanned(), label=[one := make()])
    (file,) = (name for name in tree.names if name.startswith("label"))
    data = encode(one).replace(one.SOPInstanceUID.encode(), b"9" * len(one.SOPInstanceUID), 1)
    (tree.root / file).write_bytes(data)
    findings = Findings()
    read_case_label(tree, find_layout(tree).cases[0], RULES, findings=findings)
    told = [f.found for f in findings.found if f.code == "DCM_UID"]
    assert told == ["1 of 1 files have another SOPInstanceUID in their head"]
