"""Numbered folders of folds are folds by any word for them, and doubtful ones are told of."""

from time import process_time

import pytest
from listed_sets import pairs

from data_prep.files.file_tree import open_tree
from data_prep.layouts import find_layout
from data_prep.layouts.words import part_of_folders

FOLDS = (
    *("fold_{}", "cv_{}", "CV-{}", "kfold_{}", "Kfold-{}", "k-fold {}", "cvFold{}", "foldset{}"),
    *("{}_fold", "{}.fold", "{}th fold", "fold_{}_of_9", "xval{}", "cv{}_data", "Falte{}"),
    *("cross_validation_{}", "outer_fold_{}", "fold-0{}"),
)
NO_FOLDS = (
    "CV01",
    "CV123",
    "manifold_1",
    "fold_change_1",
    "fold_a",
    "5fold_cv_0",
    "cv",
    "scaffold1",
)


@pytest.mark.parametrize("name", FOLDS)
def test_a_number_beside_a_word_for_folds_is_that_of_a_fold(name):
    assert [part_of_folders([name.format(n)]) for n in (1, 7)] == ["fold_1", "fold_7"]


@pytest.mark.parametrize("name", NO_FOLDS)
def test_other_names_are_of_no_fold(name):
    assert part_of_folders([name]) is None


def test_how_many_folds_there_are_is_the_number_of_none():
    assert part_of_folders(["5fold", "fold_2"]) == "fold_2"


def found(written, one, other):
    files = pairs([one + "/{}"], "ab") | pairs([other + "/{}"], "cd")
    layout = find_layout(open_tree(written(files)))
    return [case.split for case in layout.cases], [(f.level, f.code) for f in layout.findings]


@pytest.mark.parametrize("name", ["CV-{}", "{}.fold", "fold_{}_of_2"])
def test_folders_of_folds_are_obeyed_by_any_word(written, name):
    assert found(written, name.format(0), name.format(1)) == ([0, 0, 1, 1], [])


@pytest.mark.parametrize(
    "name", ["split{}", "subset_{}", "Partition-{}", "fold_{}_b", "5fold_cv_{}"]
)
@pytest.mark.parametrize("beside", [True, False])
def test_folders_that_may_be_folds_are_warned_of(written, name, beside):
    folders = name.format(0), "data" if beside else name.format(1)
    assert found(written, *folders) == ([None] * 4, [("warning", "SPLIT_FOLDERS")])


@pytest.mark.parametrize("name", ["CV0{}", "patient{}", "site_{}", "manifold{}", "batch-{}"])
def test_numbered_folders_of_others_are_silent(written, name):
    assert found(written, name.format(1), name.format(2)) == ([None] * 4, [])


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
