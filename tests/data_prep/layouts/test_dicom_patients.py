"""Whose each DICOM series is: patients who share a study are told of and never parted."""

from time import process_time

import pytest
from dicom_files import STORED, encode, new_slice
from pydicom.dataset import Dataset

from data_prep.core.findings import Question
from data_prep.files.file_tree import open_tree
from data_prep.layouts import find_layout
from data_prep.layouts.dicom_files import SeriesFile, groups_of_series

ATLAS = "1.2.840.10008.1.4.1.1"


def found(written, *people):
    """Groups of one series each, and what is told of them, as `(patient, study, frame)`."""
    files = {
        f"s{n}/{z}.dcm": encode(
            new_slice(
                z,
                STORED[z],
                series=f"1.2.3.{n}",
                PatientID=patient,
                StudyInstanceUID=f"1.5.{study}",
                FrameOfReferenceUID=frame if frame.startswith("1.") else f"1.7.{frame}",
            )
        )
        for n, (patient, study, frame) in enumerate(people)
        for z in (0, 1)
    }
    layout = find_layout(open_tree(written(files)), need_labels=False)
    groups = [case.group for case in layout.cases]
    kinds = [groups.index(group) for group in groups]
    told = [finding for finding in layout.findings if finding.code == "DCM_STUDY"]
    return "".join(map(str, kinds)), told


@pytest.mark.parametrize(
    ("people", "groups", "levels"),
    [
        (("A11", "B22", "C33"), "012", []),
        (("A11", "B13", "C24"), "002", ["warning"]),
        (("A11", "B21", "C32"), "002", ["warning"]),
        (("A11", "B11", "C32"), "002", ["warning"]),
        (("A11", "B12", "B23", "C34", "D44"), "00033", ["warning", "warning"]),
        (("A11", "B11"), "00", ["warning"]),
        (("A11", "B12", "C13"), "012", ["warning"]),
        (("A11", "B21", "C31"), "012", ["note"]),
        (("A11", "B21", "C31", "D41", "E52"), "01234", ["note"]),
        (("A11", "B21", "C31", "D42", "E53"), "00034", ["warning"]),
        (("A11", "B21", "C31", "D41", "E52", "F62"), "012344", ["note", "warning"]),
        (("A11", "B12", "C13", "D14", "E25"), "01234", ["warning"]),
        (("A11", "A22", "B33"), "002", []),
        ((" 11", " 12", "B23"), "002", ["warning"]),
        ((" 11", "A12", "B23"), "002", []),
        ((" 11", " 12", " 23"), "002", []),
    ],
)
def test_patients_that_share_a_study_or_frame_are_one_group(written, people, groups, levels):
    parted, told = found(written, *people)
    assert (parted, [finding.level for finding in told]) == (groups, levels)


def test_what_many_pairs_share_is_one_finding_and_found_in_one_pass():
    images = {
        f"s{n:05}": [_series_file(f"s{n:05}", f"p{n:05}", frame=f"f{n // 2}")] for n in range(6000)
    }
    files = [file for several in images.values() for file in several]
    began = process_time()
    groups, (told,) = groups_of_series(images, {series: series for series in images}, files)
    assert process_time() - began < 2  # one pass a pair takes longer: 3,000 times 6,000
    assert told.level == "warning"
    assert "6000 patients" in told.found
    assert [*groups.values()] == [f"p{n // 2 * 2:05}" for n in range(6000)]


def _series_file(series, patient, *, frame):
    study = f"of {patient}"
    none = frozenset()
    return SeriesFile(
        f"{series}.dcm", series, "CT", study, frame, patient, none, "CT", "", none, ()
    )


def test_a_frame_of_an_atlas_is_no_patients(written):
    people = [("A", "1", ATLAS), ("B", "2", ATLAS), ("C", "3", "3")]
    assert found(written, *people) == ("012", [])


def test_groups_that_are_given_answer_whose_series_without_patient_are(written):
    _, (told,) = found(written, " 11", "A22")
    assert isinstance(told, Question)
    assert told.about == ("groups",)


def parted(written, *tags):
    """Groups of one series each, of one PatientID each, and levels of what is told of them."""
    files = {}
    for n, more in enumerate(tags):
        own = {"PatientID": f"P{n}", "StudyInstanceUID": f"1.5.{n}"}
        for z in (0, 1):
            one = new_slice(z, STORED[z], series=f"1.2.3.{n}", FrameOfReferenceUID=f"1.7.{n}")
            for tag, value in (own | more).items():
                setattr(one, tag, value)
            files[f"s{n}/{z}.dcm"] = encode(one)
    layout = find_layout(open_tree(written(files)), need_labels=False)
    groups = [case.group for case in layout.cases]
    levels = [finding.level for finding in layout.findings if finding.code == "DCM_STUDY"]
    return "".join(str(groups.index(group)) for group in groups), levels


def sequence(*ids):
    items = [Dataset() for _ in ids]
    for item, id_ in zip(items, ids, strict=True):
        item.PatientID = id_
    return {"OtherPatientIDsSequence": items}


OTHER = {
    "OtherPatientIDs": lambda id_: {"OtherPatientIDs": id_},
    "several": lambda id_: {"OtherPatientIDs": ["", id_]},
    "sequence": sequence,
    "trial": lambda id_: {"ClinicalTrialProtocolID": "T1", "ClinicalTrialSubjectID": id_},
}


@pytest.mark.parametrize("of", OTHER.values(), ids=OTHER)
@pytest.mark.parametrize(
    ("ids", "groups", "levels"),
    [
        (("S1", "S2", "S3"), "012", []),
        (("S1", "S1", "S2", "S2"), "0022", ["warning"]),
        (("S1", " S1", "S2"), "002", ["warning"]),
        (("S1", "S1", "S1", "S1", "S2"), "01234", ["note"]),  # nobody is called four times
        (("ANON", "ANON", "S1"), "012", []),
        (("0", "0", "S1"), "012", []),
        (("", "", "S1"), "012", []),
    ],
)
def test_patients_of_one_other_id_are_one_group(written, of, ids, groups, levels):
    assert parted(written, *map(of, ids)) == (groups, levels)


def test_other_ids_are_those_of_any_way_to_tell_them(written):
    told = {"OtherPatientIDs": "S1"}, sequence("S2", "S1"), {"OtherPatientIDs": "S3"}
    assert parted(written, *told) == ("002", ["warning"])


def test_subjects_of_two_trials_are_others(written):
    tags = [{"ClinicalTrialProtocolID": f"T{n}", "ClinicalTrialSubjectID": "1"} for n in range(3)]
    assert parted(written, *tags) == ("012", [])


def test_a_name_and_birth_date_join_nobody(written):
    assert parted(written, *[{"PatientName": "Doe", "PatientBirthDate": "19700101"}] * 2) == (
        "01",
        [],
    )
