"""A split, or cases to leave out, that names alone tell of are told of; other names are not."""

from dataclasses import replace

import pytest
from bad_sets import mask, picture, png

from data_prep.checks.run import check
from data_prep.checks.told_by_names import kept_out, tell_of_parts
from data_prep.core.config import DataConfig
from data_prep.core.findings import Findings
from data_prep.layouts import Case, Layout

MASK = png(mask())


def layout(*ids, folder="images", **more):
    names = [f"{folder}/{id_}.png" for id_ in ids]
    cases = [
        Case(id_, ((name,),), (name.replace("images", "masks"),), **more)
        for id_, name in zip(ids, names, strict=True)
    ]
    return Layout("folder pairs", tuple(cases))


def of_files(*names, **more):
    """Cases of a list, whose ids tell nothing."""
    cases = [Case(f"c{n}", ((name,),), (f"m/{n}.png",)) for n, name in enumerate(names)]
    return Layout("csv", tuple(cases), **more)


def told(found):
    return [(finding.level, finding.code) for finding in found]


def parts(found, **settings):
    return told(tell_of_parts(found, {case.id for case in found.cases}, DataConfig(**settings)))


DRIVE = ("21_training", "22_training", "01_test", "02_test")
PARTED = {
    "numbers": layout("train_1", "train_2", "test_6"),
    "DRIVE": layout(*DRIVE),
    "in the middle": layout("abc_val_1", "abc_train_4"),
    "no mark between": layout("test6", "train7"),
    "at the end": layout("c1_val", "c3_train"),
    "capitals": layout("trainImg01", "TestImg02"),
    "of BraTS": layout("BraTS20_Training_001", "BraTS20_Validation_001"),
    "short": layout("tr_1", "ts_2"),
    "two words": layout("train_1", "hold_out_2"),
    "those for testing alone": layout("test_1", "test_2", "c3", "c4"),
    "files of a list": of_files("i/a_train.png", "i/b_test.png"),
    "folders of a list": of_files("i/train/a.png", "i/test/b.png"),
}
SOUND = {
    "all alike": layout("test_1", "test_2", "test_9"),
    "other words": layout("contest_1", "trainee_2", "latest_3", "tsunami_4"),
    "one alone": layout("test", "c1", "c2"),
    "those for training alone": layout("train_1", "train_2", "c3"),
    "both in one": layout("train_test_1", "train_test_2"),
    "two names of BraTS": layout("BraTS-GLI-001", "BraTS-GLI-002", "UPENN-1"),
    "stated": layout("train_1", "test_2", split="test"),
    "test stated by a list": of_files("i/a_train.png", "i/b_test.png", apart=(Case("x", ()),)),
    "numbers": layout("001", "002"),
}


@pytest.mark.parametrize("found", PARTED.values(), ids=PARTED)
def test_names_that_tell_a_split_are_told_of(found):
    assert parts(found) == [("warning", "SPLIT_NAMES")]
    assert parts(found, accept=("SPLIT_NAMES",)) == [("note", "SPLIT_NAMES")]
    assert not parts(found, split_file="folds.json")


@pytest.mark.parametrize("found", SOUND.values(), ids=SOUND)
def test_names_that_tell_none_or_repeat_it_are_not(found):
    assert not parts(found)


def listed(*splits, folders=("train", "train", "test", "test"), **more):
    """Cases of a list that states where each is, in folders of parts."""
    found = of_files(*(f"i/{folder}/{n}.png" for n, folder in enumerate(folders)), **more)
    cases = [replace(case, split=split) for case, split in zip(found.cases, splits, strict=True)]
    return replace(found, cases=tuple(cases), listed_in="list.csv")


AGAINST = {
    "the other way round": listed("test", "test", None, None),
    "folds": listed(0, 1, 0, 1),
    "one": listed(None, None, "test", None),
    "validation": listed(None, None, "test", None, folders=("train", "train", "test", "val")),
    "test kept by others": listed(None, None, None, None, apart=(Case("x", (("i/x.png",),)),)),
}
AGREEING = {
    "alike": listed(None, None, "test", "test"),
    "fewer for training": listed("test", None, "test", "test"),
    "folds of validation": listed(0, 1, 0, 1, folders=("train", "train", "val", "val")),
    "folds of training": listed(0, 1, "test", "test"),
    "all in one": listed(None, None, None, "test", folders=("test",) * 4),
    "no part": listed(None, None, None, "test", folders=("a", "b", "a", "train")),
}


@pytest.mark.parametrize("found", AGAINST.values(), ids=AGAINST)
def test_a_list_that_trains_on_what_folders_keep_apart_is_told_of(found):
    test_names_that_tell_a_split_are_told_of(found)


@pytest.mark.parametrize("found", AGREEING.values(), ids=AGREEING)
def test_a_list_that_folders_do_not_contradict_is_not(found):
    test_names_that_tell_none_or_repeat_it_are_not(found)


IDS = ("a", "b", "c11")
LEFT_OUT = {
    "folder": ("images/a.png", "images/b.png", "images/excluded/c.png"),
    "folder above": ("d/images/a.png", "d/images/b.png", "rejected/images/c.png"),
    "words around": ("i/a.png", "i/b.png", "i/Excluded from training/c.png"),
    "several words": ("i/a.png", "i/b.png", "i/do_not_use/c.png"),
    "apostrophe": ("i/a.png", "i/b.png", "i/don't use/c.png"),
    "file": ("i/a.png", "i/b.png", "i/c_excluded.png"),
    "beside kinds": ("i/normal/a.png", "i/accepted/b.png", "i/excluded/c.png"),
    "beside others": ("i/normal/a.png", "i/benign/b.png", "i/rejected/c.png"),
    "beside denied": ("i/not_excluded/a.png", "i/b_not_excluded.png", "i/c_knot_excluded.png"),
    "by control": ("i/accepted/a.png", "i/accepted/b.png", "i/rejected_by_QC/c.png"),
    **{
        folder: ("i/a.png", "i/b.png", f"i/{folder}/c.png")
        for folder in (
            *(
                "rejected_by_QC",
                "quarantine",
                "trash",
                "deleted",
                "corrupt",
                "failed_qc",
                "qc_failed",
            ),
            *("withdrawn", "ausgeschlossen", "outliers", "no_consent", "low_quality", "backup"),
            *(
                "duplicates",
                "excluded2",
                "FailedQC",
                "failed quality control",
                "Rejected by reader",
            ),
        )
    },
}
USED = {
    "all": ("d/excluded/a.png", "d/excluded/b.png"),
    "a class": ("d/skull_removed/a.png", "d/skull/b.png"),
    "quality": ("d/bad/a.png", "d/good/b.png"),
    "qualities": ("d/low_quality/a.png", "d/high_quality/b.png"),
    "kinds": ("d/outliers/a.png", "d/inliers/b.png", "d/inliers/c.png"),
    "levels": ("d/low_quality/a.png", "d/medium_quality/b.png"),
    "defects": ("d/damaged/a.png", "d/normal/b.png"),
    "anomalies": ("d/outliers/a.png", "d/healthy/b.png"),
    "verdicts": ("d/rejected/a.png", "d/accepted/b.png"),
    "denied": ("d/c_not_excluded.png", "d/x.png", "d/notRejected_2.png", "d/non-excluded/y.png"),
    "passed": ("d/failed/a.png", "d/passed/b.png"),
    "old": ("d/old_man/a.png", "d/t2_old/b.png", "d/c.png"),
    "of control": ("d/quality_control/a.png", "d/qc/b.png", "d/consent/c.png", "d/control/d.png"),
    "part of a word": ("d/unexcluded/a.png", "d/b.png", "d/reuse/c.png"),
}


@pytest.mark.parametrize("names", LEFT_OUT.values(), ids=LEFT_OUT)
def test_names_that_say_to_leave_a_case_out_do_unless_accepted(names):
    errors = kept_out(of_files(*names), Findings())
    assert [(error.code, error.case) for error in errors] == [("LAY_EXCLUDED", "c2")]
    findings = Findings(("LAY_EXCLUDED",))
    assert not kept_out(of_files(*names), findings)
    assert [(f.level, f.case) for f in findings.found] == [("note", "c2")]


@pytest.mark.parametrize("names", USED.values(), ids=USED)
def test_names_of_what_is_used_say_nothing(names):
    findings = Findings()
    assert not kept_out(of_files(*names), findings)
    assert not findings.found


def test_a_folder_of_labels_says_so_too():
    cases = [Case(id_, ((f"i/{id_}.png",),), (f"m/{id_}.png",)) for id_ in "ab"]
    cases += [Case("c", (("i/c.png",),), ("m/discarded/c.png",))]
    assert [error.case for error in kept_out(Layout("csv", tuple(cases)), Findings())] == ["c"]


def test_a_check_tells_of_both_and_goes_on_with_the_others(written):
    files = {}
    for n, name in enumerate(("train_1", "train_2", "test_3", "excluded/train_4")):
        files |= {f"images/{name}.png": png(picture(n)), f"masks/{name}.png": MASK}
    checked = check(written(files), DataConfig())
    assert sorted(checked.facts) == ["test_3", "train_1", "train_2"]
    assert [(e.code, e.case) for e in checked.errors] == [("LAY_EXCLUDED", "train_4")]
    assert "SPLIT_NAMES" in [finding.code for finding in checked.findings]
