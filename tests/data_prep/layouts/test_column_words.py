"""Columns of folds and of whose a case is are known by any word of their names, or by values."""

import json

import pytest
from listed_sets import pairs, table

from data_prep.core.values.tokens import tokens_of
from data_prep.files.file_tree import open_tree
from data_prep.layouts import find_layout
from data_prep.layouts.lists.in_vain import keys_in_vain, parts_told

FOLDS = (
    *("fold_idx", "fold5", "fold1", "kfold5", "kfold_5", "5fold", "5-fold", "cv5", "fold_nr"),
    *("foldnum", "fold_assignment", "assigned_fold", "fold_2023", "fold_5cv", "seed_fold"),
    *(
        "fold_k",
        "n_fold",
        "fold_group",
        "trainsplit",
        "assignedFold",
        "cross-validation fold",
        "xval",
        "Falte",
    ),
    *(
        "validationfold",
        "trainfold",
        "my_split",
        "split2",
        "partition_id",
        "subset_no",
        "outer_fold",
        "cv",
    ),
)
PATIENTS = (
    *("ID_patient", "idPatient", "n_patient", "patient_idx", "case_patient", "hash_patient"),
    *(
        "patientID_anon",
        "código_paciente",
        "id_paciente",
        "ID_sujet",
        "usubjid",
        "originalpatientid",
        "Patientin",
    ),
    *("site_patient_id", "patient_of_scan", "patient2", "video_id", "clip_id", "sequence_id"),
    *("volume_id", "stack_name", "idVideo", "videoid", "slide_nr", "animal_id"),
    *("eye_id", "specimen_name", "family_no", "StudyInstanceUID", "FrameOfReferenceUID"),
    *("seriesuid", "patient_research_id", "patient_hospital_id", "patient_eye_id", "patients_no"),
    *("subjects number", "patients_num", "patient_of_origin", "person_id", "TCGA_subject_ID"),
    *("pseudonym", "pseudo_id", "anon_id", "ppid", "AccNo", "encounter_id", "lesion_id"),
    *("recording_id", "patient_folder", "pt_no"),
)
BY_VALUES = (
    *("video", "clip_file", "sequence", "volume", "stack", "sample_id", "volume_nr"),
    *("sequence_index", "stack_number", "clip_no", "block_no", "study"),
)
SHARED = ("1", "1", "2", "3")
NAMED = ("p1", "p1", "q2", "r3")
MEASURED = ("0.5", "0.5", "1.5", "2")


def both(columns, values):
    return [(column, values) for column in columns]


OTHERS = [
    *both(
        (
            *("patient_age", "patient_sex", "patient gender", "patient_weight", "patientHeight"),
            *("patient_size", "Patient Position", "patient_orientation", "patient_status"),
            *("patient_comments", "patient_group", "treatment_group_of_patient", "subject_height"),
            *("patient_ethnicity", "patient_count", "n_patients", "number_of_patients"),
            *("num_subjects", "patient_race_code", "donor_site_id", "SOPClassUID", "slices"),
            *(
                "patterns",
                "impatient",
                "videos",
                "num_video",
                "volume_ml",
                "tumor_volume",
                "video_codec",
            ),
        ),
        SHARED,
    ),
    *both(BY_VALUES, SHARED),
    *both(
        (
            *("person", "individual", "contact_person", "annotator_person_id", "slide_scanner_id"),
            *("PatientID number of images", "patient id type", "Issuer of Patient ID"),
            *(
                "patient_visit_no",
                "sub_label",
                "lesion_no",
                "pleural_fluid",
                "liquid",
                "study_fluid",
            ),
            *(
                "Transfer Syntax UID",
                "Manufacturer Model UID",
                "DeviceUID",
                "ImplementationClassUID",
            ),
            *("vocal_fold", "skin_fold_mm", "nuchal fold", "gastric_folds", "fold_side", "Falten"),
            *("fold_dilution", "ten_fold", "protein_fold"),
        ),
        SHARED,
    ),
    *both(("patient_age", "patient_weight", "patient_stage", "video_codec"), NAMED),
    *both(("patient_visit", "patient_zip", "patient_icd_code", "pt_stage", "hospital_name"), NAMED),
    *both(("eye", "eye_name", "patient_eye_id"), ("OD", "OD", "OS", "OU")),
    *both(("study_name", "series_name"), ("ISIC17", "ISIC17", "ISIC18", "ISIC19")),
    *both(("volume", "video", "sequence", "stack", "patient_bmi_kg"), SHARED),
    ("patient_dose", ("50mg", "50mg", "60mg", "70mg")),
    *both(("fold_change", "cv", "volume", "split_ratio", "fold", "folds"), MEASURED),
    *both(("fold_change", "fold_score", "manifold", "scaffold_no", "cv_risk"), SHARED),
    *both(("partition_coefficient", "cell_subset", "split_ratio"), MEASURED),
    ("cv_event", ("0", "0", "1", "1")),
    ("sequence_name", ("*tfl3d1", "*tfl3d1", "T2w", "FLAIR")),
    ("sequence_id", ("T1", "T1", "T2", "FLAIR")),
    ("eye", ("L", "L", "R", "R")),
    ("eye_id", ("1", "1", "2", "2")),
    ("volume_id", ("1", "2", "3", "4")),
    ("fold_idx", ("1", "1", "1", "1")),
    ("is_test_positive", ("yes", "no", "no", "no")),
    *both(("covid_test", "is_pcr_test", "is_test_done"), ("yes", "no", "no", "no")),
    *both(("is_training_hospital", "is_val66met", "for_test_review"), ("yes", "no", "no", "no")),
    ("fold_idx", ("0", "0", "1", "banana")),
    ("fold_idx", ("0", "0", "excluded", "all")),
]


def level(column, values):
    (finding,) = parts_told("columns", {column: values}, "x.csv")[1]
    assert repr(column) in finding.found
    return finding.level


@pytest.mark.parametrize("column", [*FOLDS, *PATIENTS])
def test_a_word_of_a_name_that_tells_folds_or_patients_is_warned_of(column):
    assert level(column, SHARED) == "warning"


@pytest.mark.parametrize("column", BY_VALUES)
def test_words_that_may_be_of_anything_are_judged_by_values(column):
    assert level(column, NAMED) == "warning"


@pytest.mark.parametrize("column", ["is_validation_case", "final_eval", "isTestCase", "test_flag"])
def test_columns_of_yes_and_no_that_may_ask_about_a_part_are_warned_of(column):
    assert level(column, ("0", "0", "0", "1")) == "warning"


@pytest.mark.parametrize(
    "values",
    [
        *(("0", "1", "", "1"), ("a", "a", "b", "b"), ("0", "1", "test", "1")),
        *(("0", "1", "n/a", "1"), ("0", "1", "1", "excluded"), ("all", "1", "0", "1")),
    ],
)
def test_folds_may_be_letters_or_missing(values):
    assert level("fold_idx", values) == "warning"


@pytest.mark.parametrize(
    ("column", "values", "told"),
    [
        ("label2", ("a.png", "b.png", "", ""), "warning"),
        ("Mask_2", ("a.nii.gz",) * 4, "warning"),
        ("image3", ("a.png", "b.png", "c.png", "d.png"), "warning"),
        ("label2", SHARED, "note"),
        ("image_count", SHARED, "note"),
        ("label2", ("", "", "", ""), "note"),
    ],
)
def test_a_second_label_or_image_is_warned_of(column, values, told):
    assert level(column, values) == told


@pytest.mark.parametrize("column", ["valid_scan", "valid_image", "is_valid_case", "valid_flag"])
def test_what_is_called_valid_may_as_well_be_usable(column):
    values = {column: ("0", "1", "1", "1")}
    (finding,) = parts_told("columns", values, "x.csv")[1]
    assert (finding.level, "usable" in finding.found) == ("warning", True)
    values["is_test"] = ("0", "0", "0", "1")
    assert {f.level for f in parts_told("columns", values, "x.csv")[1]} == {"note"}


@pytest.mark.parametrize("where", ["csv", "json"])
@pytest.mark.parametrize(("shift", "told"), [(0, "note"), (1, "warning")])
def test_lists_tell_a_label_apart_from_the_one_they_name(written, where, shift, told):
    second = [f"m/{'abcd'[(k + shift) % 4]}.png" for k in range(4)]
    files = table("image,label,label_1", *second)
    if where == "json":
        del files["list.csv"]
        rows = zip("abcd", second, strict=True)
        records = [
            {"image": f"i/{n}.png", "label": f"m/{n}.png", "label_1": other} for n, other in rows
        ]
        files["list.json"] = json.dumps({"training": records}).encode()
    (finding,) = find_layout(open_tree(written(files))).findings
    assert (finding.level, finding.code) == (told, "LAY_COLUMNS")


@pytest.mark.parametrize(
    ("key", "value", "warned"),
    [
        ("donors", {"funding": "DFG"}, False),
        ("mouse", {"strain": "x"}, False),
        ("person", {"name": "x"}, False),
        ("family", {"x": 1}, False),
        ("barcode", ["x"], False),
        ("skin_folds", {"0": "none", "1": "some"}, False),
        ("donors", {"d1": ["a"], "d2": ["b"]}, True),
        ("barcode", ["a"], True),
        ("kfold_5", [["a"], ["b"]], True),
        ("subject_ids", ["s1", "s2"], True),
    ],
)
def test_keys_are_warned_of_that_hold_several_values_or_names_of_cases(key, value, warned):
    assert bool(keys_in_vain({key: value}, (), "dataset.json", ("a", "b"))) == warned


@pytest.mark.parametrize(("column", "values"), OTHERS)
def test_what_patients_folds_and_volumes_have_is_no_group(column, values):
    assert level(column, values) == "note"


@pytest.mark.parametrize("column", ["fold_idx", "id_paciente", "sequence_id"])
@pytest.mark.parametrize("where", ["csv", "json", "beside"])
def test_lists_and_tables_beside_are_judged_alike(written, column, where):
    files = pairs(["{}"], "abcd")
    records = [
        {"image": f"images/{name}.png", "label": f"masks/{name}.png", column: value}
        for name, value in zip("abcd", SHARED, strict=True)
    ]
    if where == "csv":
        files = table(f"image,label,{column}", *SHARED)
    elif where == "json":
        files["list.json"] = {"training": records}
    else:
        rows = (f"{name},{value},x/{name}" for name, value in zip("abcd", SHARED, strict=True))
        files["metadata.csv"] = "\n".join((f"frame_id,{column},frame_path", *rows)).encode()
    (finding,) = find_layout(open_tree(written(files))).findings
    code = "LAY_UNUSED" if where == "beside" else "LAY_COLUMNS"
    assert (finding.level, finding.code) == ("warning", code)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("PatientID5", ["patient", "id", "5"]),
        ("idPatient", ["id", "patient"]),
        ("código-paciente", ["codigo", "paciente"]),
        ("5fold.CVFold", ["5", "fold", "cv", "fold"]),
        ("患者 ID", ["患者", "id"]),
        ("환자_번호", ["환자", "번호"]),
        ("__", []),
    ],
)
def test_a_name_is_parted_wherever_its_letters_change(name, words):
    assert tokens_of(name) == words
