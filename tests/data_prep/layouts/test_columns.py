"""Columns and keys of other names tell the split if all is understood; else they are named."""

import pytest
from listed_sets import pairs, table

from data_prep.files.file_tree import open_tree
from data_prep.layouts import find_layout

TOLD = ("train", "train", "train", "test")


def listing(kind, column, values):
    if kind == "csv":
        return table(f"image,label,{column}", *values)
    records = [
        {"image": f"i/{n}.png", "label": f"m/{n}.png", column: value}
        for n, value in zip("abcd", values, strict=True)
    ]
    return {**pairs(["{}"], "abcd", "i", "m"), "list.json": {"training": records}}


@pytest.mark.parametrize(
    ("column", "values"),
    [
        *((name, TOLD) for name in ("set", "Dataset", "cohort", "phase", "data_split")),
        ("is_test", ("False", "False", "0", "True")),
        ("test", ("no", "no", "no", "yes")),
    ],
)
@pytest.mark.parametrize("listed", ["csv", "json"])
def test_a_column_of_another_name_tells_the_split_if_all_is_understood(
    written, column, values, listed
):
    layout = find_layout(open_tree(written(listing(listed, column, values))))
    assert {case.id: case.split for case in layout.cases} == dict.fromkeys("abc") | {"d": "test"}
    assert not layout.findings


@pytest.mark.parametrize(
    ("column", "values", "level"),
    [
        ("cohort", ("train", "train", "B", "test"), "warning"),
        ("set", ("train", "", "", "test"), "warning"),
        ("is_test", ("False", "", "", "True"), "warning"),
        ("purpose", TOLD, "warning"),
        ("cohort", ("development", "development", "dev", "external test"), "warning"),
        ("exclude", ("no", "no", "yes", "no"), "warning"),
        ("Use", ("1", "1", "1", "0"), "warning"),
        ("keep", ("x", "x", "", "x"), "note"),
        ("exclude", ("no", "no", "no", "no"), "note"),
        ("cohort", ("A", "A", "B", "B"), "note"),
        ("test", ("7.5", "8.1", "9", "8"), "note"),
        ("remark", ("", "", "a test", "test"), "note"),
    ],
)
@pytest.mark.parametrize("listed", ["csv", "json"])
def test_a_column_that_may_tell_a_split_is_warned_of_by_name(
    written, column, values, level, listed
):
    layout = find_layout(open_tree(written(listing(listed, column, values))))
    assert [case.split for case in layout.cases] == [None] * 4
    (finding,) = layout.findings
    assert (finding.level, finding.code) == (level, "LAY_COLUMNS")
    assert repr(column) in finding.found


def test_ids_that_differ_by_blanks_are_one_case_twice(written):
    files = table("image,label,id", "a", "a ", " b", "c")
    layout = find_layout(open_tree(written(files)))
    assert [case.id for case in layout.cases] == ["b", "c"]
    assert [error.code for error in layout.problems] == ["PAIR_DUPLICATE"]
