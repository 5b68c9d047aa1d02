"""Numbered folders of folds are folds by any word for them, and doubtful ones are told of."""

from time import process_time

import pytest
from listed_sets import pairs

from data_prep.files.file_tree import open_tree
from data_prep.layouts import find_layout
from data_prep.layouts.words import part_of_folders

FOLDS = (
    *("fold_{}", "fold-0{}", "kfold_{}", "Kfold-{}", "k-fold {}", "cvFold{}", "foldset {}"),
    *("fold_{}_of_9", "xval{}", "Falte {}", "cross_validation_{}"),
)
NO_FOLDS = (
    *("CV1", "cv_1", "CV01", "CV123", "cv", "1_fold", "5fold", "10-fold", "2.fold", "5fold_cv_0"),
    *("manifold_1", "fold_change_1", "skin_fold_1", "fold_a", "fold_no_1", "scaffold1"),
)


@pytest.mark.parametrize("name", FOLDS)
def test_a_number_behind_a_word_for_folds_is_that_of_a_fold(name):
    assert [part_of_folders([name.format(n)]) for n in (1, 7)] == ["fold_1", "fold_7"]


@pytest.mark.parametrize("name", NO_FOLDS)
def test_other_names_are_of_no_fold(name):
    assert part_of_folders([name]) is None


def found(written, one, other):
    files = pairs([one + "/{}"], "ab") | pairs([other + "/{}"], "cd")
    layout = find_layout(open_tree(written(files)))
    return [case.split for case in layout.cases], [(f.level, f.code) for f in layout.findings]


@pytest.mark.parametrize("name", ["fold_{}", "kfold{}", "Falte {}", "fold_{}_of_2"])
@pytest.mark.parametrize("first", [0, 1])
def test_folders_of_folds_are_obeyed_by_any_word(written, name, first):
    splits = [first] * 2 + [first + 1] * 2
    assert found(written, name.format(first), name.format(first + 1)) == (splits, [])


@pytest.mark.parametrize("folders", [("kfold_1", "kfold_3"), ("xval2", "xval3")])
def test_folds_by_other_words_that_are_not_counted_are_warned_of_and_not_obeyed(written, folders):
    assert found(written, *folders) == ([None] * 4, [("warning", "SPLIT_FOLDERS")])


@pytest.mark.parametrize("name", ["fold_0", "fold-7"])
def test_the_plain_word_is_obeyed_beside_a_part(written, name):
    splits, _ = found(written, name, "test")
    assert splits == [int(name[-1])] * 2 + ["test"] * 2


@pytest.mark.parametrize("name", ["kfold_5", "5fold", "cv5", "CV1", "2-fold"])
def test_how_many_folds_there_are_tells_of_none_beside_a_part(written, name):
    splits, findings = found(written, name, "test")
    assert (splits, findings) == ([None] * 2 + ["test"] * 2, [("note", "SPLIT_KEPT")])


@pytest.mark.parametrize(
    ("one", "other"),
    [("train/CV1", "test/CV2"), ("cv1/train", "cv2/test"), ("10fold/p", "test/q")],
)
def test_above_and_below_parts_other_words_tell_of_no_fold(written, one, other):
    splits, findings = found(written, one, other)
    assert (splits, findings) == ([None] * 2 + ["test"] * 2, [("note", "SPLIT_KEPT")])


@pytest.mark.parametrize(
    "name",
    [
        *("split{}", "subset_{}", "Partition-{}", "fold_{}_b", "images_fold_{}", "outer_fold_{}"),
        *("test_fold_{}", "val_fold_{}"),
    ],
)
def test_folders_that_may_be_folds_are_warned_of(written, name):
    one, other = name.format(0), name.format(1)
    files = pairs([one + "/{}"], "ab") | pairs([other + "/{}"], "cd")
    layout = find_layout(open_tree(written(files)))
    (finding,) = layout.findings
    assert (finding.level, finding.code) == ("warning", "SPLIT_FOLDERS")
    assert f": {one}, {other}" in finding.found
    assert {case.split for case in layout.cases} == {None}


@pytest.mark.parametrize(
    "folders",
    [
        *(("split0", "data"), ("CV1", "CV2"), ("CV01", "CV02"), ("CV18", "CV19"), ("cv10", "ext1")),
        *(("CV1", "CTRL1"), ("2-fold", "4-fold"), ("1st_fold", "2nd_fold"), ("patient1", "site_1")),
        *(("skin_fold_1", "skin_fold_2"), ("fold_change_1", "fold_change_2"), ("S_split", "N1")),
        *(("manifold1", "manifold2"), ("subset_patient_1", "subset_patient_2")),
        ("split_liver_1", "split_liver_2"),
        ("batch-1", "batch-2"),
    ],
)
def test_numbered_folders_of_others_are_silent(written, folders):
    assert found(written, *folders) == ([None] * 4, [])


@pytest.mark.parametrize(
    ("folders", "noted"),
    [
        (("data", "wrong_labels"), True),
        (("good_masks", "bad_masks"), True),
        (("site_labels", "bad_labels"), False),
        (("a_images", "b_images"), False),
    ],
)
def test_words_for_files_hide_no_folders_of_unknown_words(written, folders, noted):
    assert found(written, *folders) == ([None] * 4, [("note", "SPLIT_FOLDERS")] * noted)


@pytest.mark.parametrize("name", ["cv" * 50_000 + "x", "fold" * 50_000, "1" * 100_000])
def test_long_names_are_soon_told(name):
    began = process_time()
    assert part_of_folders([name]) is None
    assert process_time() - began < 1
