"""Folders for training, validation and testing are obeyed in every layout told by names."""

import pytest
from bad_sets import blob, gz, mask, nifti, noise, picture, png
from dicom_files import encode, series

from data_prep.core.errors import DataError
from data_prep.core.parse import MAX_LIST_BYTES
from data_prep.files.file_tree import open_tree
from data_prep.layouts import find_layout


def splits(root):
    return {case.id: case.split for case in find_layout(open_tree(root)).cases}


def in_folder(layout, folder, id_, seed):
    """Files of a case, in a folder of its part of the split."""
    image, label = png(picture(seed)), png(mask())
    volume, drawn = gz(nifti(noise(seed))), gz(nifti(blob()))
    return {
        "file pairs": {f"{folder}/{id_}.png": image, f"{folder}/{id_}_mask.png": label},
        "file pairs in folders": {
            f"{folder}/p{id_}/{id_}.png": image,
            f"{folder}/p{id_}/{id_}_mask.png": label,
        },
        "dsb2018": {
            f"stage1_{folder}/{id_}/images/{id_}.png": image,
            f"stage1_{folder}/{id_}/masks/{id_}.png": label,
        },
        "lits": {
            f"{folder}/volume-{seed}.nii.gz": volume,
            f"{folder}/segmentation-{seed}.nii.gz": drawn,
        },
    }[layout]


IN_FOLDERS = ["file pairs", "file pairs in folders", "dsb2018", "lits"]


@pytest.mark.parametrize("layout", IN_FOLDERS)
@pytest.mark.parametrize(("word", "code"), [("test", "SPLIT_KEPT"), ("val", "SPLIT_VALIDATION")])
def test_folders_of_parts_are_obeyed_in_every_layout(written, layout, word, code):
    root = written(
        in_folder(layout, "train", "a", 1)
        | in_folder(layout, "train", "b", 2)
        | in_folder(layout, word, "c", 3)
    )
    found = find_layout(open_tree(root))
    assert [case.split for case in found.cases] == [None, None, "test"]
    assert [f.code for f in found.findings] == [code]
    assert {"SPLIT_KEPT": "1 of 3 cases", "SPLIT_VALIDATION": "1 cases"}[code] in str(
        found.findings[0]
    )
    alone = written(in_folder(layout, word, "a", 1) | in_folder(layout, word, "b", 2), "alone")
    assert set(splits(alone).values()) == {None}


WORDS = [
    *("test1", "Test2", "testset", "test_set", "testdata", "hold-out", "holdout", "eval", "tst"),
    *("unseen", "images_test"),
]


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("layout", ["file pairs", "folder pairs"])
def test_usual_words_for_testing_are_obeyed(written, layout, word):
    if layout == "file pairs":
        files = in_folder(layout, "train", "a", 1) | in_folder(layout, word, "b", 2)
    else:
        files = {}
        for folder, name, seed in (("train", "a", 1), (word, "b", 2)):
            files[f"{folder}/images/{name}.png"] = png(picture(seed))
            files[f"{folder}/masks/{name}.png"] = png(mask())
    assert splits(written(files)) == {"a": None, "b": "test"}


@pytest.mark.parametrize("layout", [*IN_FOLDERS, "folder pairs"])
@pytest.mark.parametrize("name", ["fold_{}", "Fold{}", "fold-0{}"])
def test_folders_of_folds_are_obeyed(written, layout, name):
    files = {}
    for k, case in enumerate("abc"):
        folder = name.format(k % 2)
        if layout == "folder pairs":
            files[f"{folder}/images/{case}.png"] = png(picture(k))
            files[f"{folder}/masks/{case}.png"] = png(mask())
        elif layout == "dsb2018":
            files[f"{folder}/{case}/images/{case}.png"] = png(picture(k))
            files[f"{folder}/{case}/masks/{case}.png"] = png(mask())
        else:
            files |= in_folder(layout, folder, case, k)
    assert list(splits(written(files)).values()) == [0, 1, 0]


def test_folds_within_a_folder_for_training_are_beside_its_test_set(written):
    files = in_folder("file pairs", "train/fold_0", "a", 1)
    files |= in_folder("file pairs", "train/fold_1", "b", 2)
    files |= in_folder("file pairs", "test", "c", 3)
    assert splits(written(files)) == {"a": 0, "b": 1, "c": "test"}


@pytest.mark.parametrize("layout", IN_FOLDERS)
def test_folders_of_no_part_beside_others_are_warned_of(written, layout):
    files = in_folder(layout, "train", "a", 1) | in_folder(layout, "external", "b", 2)
    (told,) = find_layout(open_tree(written(files))).findings
    assert (told.level, told.code) == ("warning", "SPLIT_FOLDERS")
    assert "external" in told.found


def test_folders_of_no_part_beside_pairs_of_folders_are_warned_of(written):
    files = {}
    for folder, name, seed in (("train/", "a", 1), ("external/", "b", 2)):
        files[f"{folder}images/{name}.png"] = png(picture(seed))
        files[f"{folder}masks/{name}.png"] = png(mask())
    (told,) = find_layout(open_tree(written(files))).findings
    assert (told.level, told.code) == ("warning", "SPLIT_FOLDERS")


def beside(train, test, form="{1}_{0}"):
    """The layout of images and labels in folders of two parts, by case and found."""
    return {
        f"{form.format(part, kind)}/{name}.png": png(picture(seed) if kind == "images" else mask())
        for part, names in ((train, "ab"), (test, "cd"))
        for seed, name in enumerate(names, ord(names[0]))
        for kind in ("images", "labels")
    }


@pytest.mark.parametrize("word", ["(val)", "val\u00a0", "validations", "tests", "Test (1)"])
def test_brackets_blanks_and_plurals_of_words_for_parts_are_obeyed(written, word):
    found = splits(written(beside("train", word, "{0}/{1}")))
    assert found == dict.fromkeys("ab") | dict.fromkeys("cd", "test")


def test_folders_called_nearly_as_parts_are_warned_of(written):
    layout = find_layout(open_tree(written(beside("trainn", "holdou", "{0}/{1}"))))
    (finding,) = layout.findings
    assert (finding.level, finding.code) == ("warning", "SPLIT_FOLDERS")
    assert "holdou/images, trainn/images" in finding.found


@pytest.mark.parametrize(
    "folders", [("brain", "strain"), ("brain", "best"), ("rest", "trial"), ("public", "private")]
)
def test_folders_of_other_words_are_no_parts_and_noted(written, folders):
    layout = find_layout(open_tree(written(beside(*folders, "{0}/{1}"))))
    assert {case.split for case in layout.cases} == {None}
    assert [(f.level, f.code) for f in layout.findings] == [("note", "SPLIT_FOLDERS")]


@pytest.mark.parametrize("folders", [("siteA", "siteB"), ("p1", "p2"), ("benign", "malignant")])
def test_folders_of_sites_patients_and_kinds_are_silent(written, folders):
    layout = find_layout(open_tree(written(beside(*folders, "{0}/{1}"))))
    assert {case.split for case in layout.cases} == {None}
    assert not layout.findings


@pytest.mark.parametrize(
    "folders", [("treino", "teste"), ("oefen", "toets"), ("обучение", "тест"), ("训练", "测试")]
)
def test_folders_of_parts_in_other_languages_are_obeyed(written, folders):
    found = splits(written(beside(*folders, "{0}/{1}")))
    assert found == dict.fromkeys("ab") | dict.fromkeys("cd", "test")


def test_images_for_testing_alone_beside_others_that_are_not_read_are_warned_of(written):
    layout = find_layout(open_tree(written(beside("siteA", "test"))))
    assert ("warning", "LAY_UNUSED") in {(f.level, f.code) for f in layout.findings}
    assert not find_layout(open_tree(written(beside("test", "test"), "alone"))).findings


def test_images_for_testing_stay_so_where_those_for_training_are_not_found(written):
    layout = find_layout(open_tree(written(beside("my_train", "test"))))
    assert {case.id: case.split for case in layout.cases} == dict.fromkeys("cd", "test")
    assert {error.code for error in layout.problems} == {"PAIR_NO_IMAGE"}


def test_labels_whose_folder_alone_tells_of_training_are_no_reason_to_warn(written):
    files = beside("", "", "{1}{0}")
    files = {name.replace("labels/", "labelsTr/"): data for name, data in files.items()}
    layout = find_layout(open_tree(written(files)))
    assert len(layout.cases) == 4
    assert not layout.findings


@pytest.mark.parametrize("layout", IN_FOLDERS)
def test_cases_for_testing_without_labels_are_no_error_in_any_layout(written, layout):
    hidden = in_folder(layout, "test", "c", 3)
    image = next(iter(hidden))
    root = written(in_folder(layout, "train", "a", 1) | {image: hidden[image]})
    found = find_layout(open_tree(root))
    assert (len(found.cases), len(found.unlabelled), found.problems) == (1, 1, ())


@pytest.mark.parametrize("layout", IN_FOLDERS)
def test_a_case_in_folders_of_two_parts_is_an_error_in_every_layout(written, layout):
    both = {f"train/{name}": data for name, data in in_folder(layout, "test", "c", 3).items()}
    root = written(in_folder(layout, "train", "a", 1) | in_folder(layout, "val", "b", 2) | both)
    assert "LAY_FOLD" in {error.code for error in find_layout(open_tree(root)).problems}


@pytest.mark.parametrize("part", ["train", "test", "val"])
def test_folders_of_parts_are_obeyed_for_dicom(written, part):
    files = {}
    for n, folder in enumerate(["train", "train", part]):
        for z, one in enumerate(series(series=f"1.2.{n}")):
            files[f"{folder}/s{n}/{z}.dcm"] = encode(one)
    found = find_layout(open_tree(written(files)), need_labels=False).cases
    assert [case.split for case in found].count("test") == (part != "train")


def test_files_below_those_of_a_case_are_warned_of(written):
    files = in_folder("dsb2018", "train", "a", 1)
    root = written({**files, "stage1_train/a/masks/more/b.png": png(mask())})
    (told,) = find_layout(open_tree(root)).findings
    assert (told.level, told.code) == ("warning", "LAY_UNUSED")


def scans_of_subjects(table):
    files = {"participants.tsv": table.encode()}
    for n in (1, 2, 3):
        files[f"sub-{n}/anat/sub-{n}_T1w.nii.gz"] = gz(nifti(noise(n)))
        files[f"derivatives/sub-{n}/anat/sub-{n}_label-x_mask.nii.gz"] = gz(nifti(blob()))
    return files


@pytest.mark.parametrize(
    ("column", "cells", "want"),
    [
        ("split", ("train", "test", "n/a"), [None, "test", None]),
        ("fold", ("0", "1", "0"), [0, 1, 0]),
        ("age", ("40", "50", "60"), [None, None, None]),
        ("Subset", ("train", "test", ""), [None, "test", None]),
        ("set", ("train", "test", "train"), [None, "test", None]),
        ("is_test", ("0", "1", "0"), [None, "test", None]),
        ("cohort", ("A", "B", "A"), [None, None, None]),
    ],
)
def test_split_of_subjects_is_obeyed(written, column, cells, want):
    rows = [f"sub-{n}\t{cell}" for n, cell in zip((1, 2, 3), cells, strict=True)]
    table = "\n".join([f"participant_id\t{column}", *rows])
    assert list(splits(written(scans_of_subjects(table))).values()) == want


@pytest.mark.parametrize(
    "table",
    [
        "participant_id\tsplit\nsub-1\tnever",
        "participant_id\tsplit\nsub-1\ttest\nsub-1\ttrain",
        "participant_id\tsplit\nsub-1",
        "participant_id\tsplit\nsub-1\ttest" + "\n" * MAX_LIST_BYTES,
    ],
    ids=["word", "twice", "cells", "huge"],
)
def test_a_table_of_subjects_that_cannot_be_used_is_an_error(written, table):
    with pytest.raises(DataError, match="LAY_CSV"):
        find_layout(open_tree(written(scans_of_subjects(table))))


@pytest.mark.parametrize(
    "table",
    [
        b"participant_id,split\nsub-1,test",
        "participant_id\tsplit\nsub-1\ttest".encode("utf-16"),
        b"id\tsplit\nsub-1\ttest",
        b"participant_id\tsplit\nsub-01\ttest",
    ],
)
def test_a_table_of_subjects_that_is_not_used_is_told(written, table):
    files = scans_of_subjects("") | {"participants.tsv": table}
    layout = find_layout(open_tree(written(files)))
    assert {(f.level, f.code) for f in layout.findings} == {("warning", "LAY_UNUSED")}
    assert {case.split for case in layout.cases} == {None}


def test_subjects_without_a_row_are_named(written):
    table = "participant_id\tsplit\nsub-1\ttrain\nsub-2\ttest"
    layout = find_layout(open_tree(written(scans_of_subjects(table))))
    (told,) = layout.findings
    assert told.found == "1 subjects without a row in it are for training: sub-3"


@pytest.mark.parametrize(
    ("name", "columns", "noted"),
    [
        ("sub-1/sub-1_sessions.tsv", "session_id\tsplit", True),
        ("sub-1/sub-1_scans.tsv", "filename\tfold", True),
        ("sub-1/sub-1_scans.tsv", "filename\tgroup", True),
        ("phenotype/clinic.tsv", "participant_id\tsubset", True),
        ("phenotype/clinic.tsv", "participant_id\tage", False),
        ("sub-1/sub-1_scans.tsv", "filename\tacq_time", False),
        ("sub-1/eeg/sub-1_channels.tsv", "name\ttype\tgroup", False),
    ],
)
def test_tables_of_subjects_that_may_tell_of_a_split_are_noted(written, name, columns, noted):
    files = scans_of_subjects("participant_id\nsub-1") | {name: f"{columns}\na\tb".encode()}
    layout = find_layout(open_tree(written(files)))
    assert [(f.level, f.code) for f in layout.findings] == [("note", "LAY_UNUSED")] * noted


@pytest.mark.parametrize(
    ("columns", "unused"),
    [
        ("age\tsex", None),
        ("group\tage", "'group'"),
        ("split\tsite", "'site'"),
        ("Patient_ID\tsite_id", "'Patient_ID', 'site_id'"),
    ],
)
def test_columns_of_subjects_that_others_use_are_noted(written, columns, unused):
    first = "test" if columns.startswith("split") else "40"
    rows = [f"sub-{n}\t{first}\tx" for n in (1, 2, 3)]
    table = "\n".join([f"participant_id\t{columns}", *rows])
    layout = find_layout(open_tree(written(scans_of_subjects(table))))
    told = [(f.level, f.code, f.found.partition(": ")[2]) for f in layout.findings]
    assert told == ([("note", "LAY_COLUMNS", unused)] if unused else [])


def test_a_column_of_subjects_that_may_tell_parts_is_warned_of(written):
    table = "participant_id\tset\nsub-1\ttest\nsub-2\tA"
    layout = find_layout(open_tree(written(scans_of_subjects(table))))
    assert [(f.level, f.code) for f in layout.findings] == [("warning", "LAY_COLUMNS")]
    assert {case.split for case in layout.cases} == {None}


def test_subjects_without_their_prefix_are_known(written):
    table = "participant_id\tsplit\n1\ttest"
    assert list(splits(written(scans_of_subjects(table))).values()) == ["test", None, None]


@pytest.mark.parametrize("word", ["images_test", "imagesTest"])
def test_folders_without_a_word_beside_those_for_testing_are_for_training(written, word):
    files = {}
    for folder, name, seed in (("", "a", 1), (word.removeprefix("images"), "b", 2)):
        files[f"images{folder}/{name}.png"] = png(picture(seed))
        files[f"masks{folder}/{name}.png"] = png(mask())
    layout = find_layout(open_tree(written(files)))
    assert [(case.id, case.split) for case in layout.cases] == [("a", None), ("b", "test")]
    assert [f.code for f in layout.findings] == ["SPLIT_KEPT"]


@pytest.mark.parametrize(
    "name", ["splits_final.json", "test.txt", "split.csv", "metadata.csv", "train_val.json"]
)
def test_lists_beside_a_set_that_are_not_read_are_told(written, name):
    files = {f"{folder}/a.png": png(mask()) for folder in ("images", "masks")}
    layout = find_layout(open_tree(written({**files, name: b"a", "notes.txt": b"on testing"})))
    (told,) = layout.findings
    assert (told.level, told.code) == ("note", "LAY_UNUSED")
    assert told.found.endswith(f"are not read: {name}")


ABC = [(n, png(picture(n))) for n in range(3)]
SERIES = [encode(one) for one in series()]
PARTED = {
    "images and masks": {f"images/train/{n}.png": image for n, image in ABC}
    | {f"masks/test/{n}.png": png(mask()) for n in range(3)},
    "slices": {f"{'test/' * (z > 5)}{z}.dcm": one for z, one in enumerate(SERIES)},
    "slices of two parts": {
        f"{'test' if z > 5 else 'tr'}/{z}.dcm": s for z, s in enumerate(SERIES)
    },
    "a list": {"list.csv": b"image,label\ntrain/0.png,test/m.png\na/1.png,b/m.png\n"}
    | {name: png(picture(k)) for k, name in enumerate(("train/0.png", "a/1.png"))}
    | {name: png(mask()) for name in ("test/m.png", "b/m.png")},
}


@pytest.mark.parametrize("files", PARTED.values(), ids=PARTED)
def test_files_of_one_case_in_folders_of_several_parts_are_refused(written, files):
    tree = open_tree(written(files))
    found = find_layout(tree)
    wrong = {error.case for error in found.problems if error.code == "LAY_FOLD"}
    assert wrong
    assert not wrong & found.ids
    assert wrong | {case.id for case in found.cases} == find_layout(tree, need_labels=False).ids


@pytest.mark.parametrize(("labels", "refused"), [("TS", False), ("tr2", False), ("labelsTs", True)])
def test_words_of_two_letters_alone_are_no_part_that_files_cross(written, labels, refused):
    """`TS` is TotalSegmentator, too; `labelsTs` is nnU-Net's."""
    files = {f"train/{n}.png": image for n, image in ABC}
    files |= {f"{labels}/{n}.png": png(mask()) for n in range(3)}
    rows = "".join(f"train/{n}.png,{labels}/{n}.png\n" for n in range(3))
    files["list.csv"] = f"image,label\n{rows}".encode()
    codes = {error.code for error in find_layout(open_tree(written(files))).problems}
    assert codes == ({"LAY_FOLD"} if refused else set())


def test_files_of_one_case_in_folders_of_one_part_are_not(written):
    files = {}
    for n, image in ABC:
        part = "test" if n > 1 else "train"
        files |= {f"{part}_images/{n}.png": image, f"gt/{part}/{n}.png": png(mask())}
    found = find_layout(open_tree(written(files)))
    assert len(found.cases) == 3
    assert not found.problems
