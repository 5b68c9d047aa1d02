"""Records of JSON lists say each thing once, and ids as a table does."""

import pytest
from listed_sets import pairs

from data_prep.core.errors import DataError
from data_prep.files.file_tree import open_tree
from data_prep.layouts import find_layout


@pytest.mark.parametrize(
    "told",
    [
        {"split": "train", "subset": "test"},
        {"split": "train", "Split": "train"},
        {"fold": 0, "kfold": 1},
        {"Fold": 0, "fold": "test"},
    ],
)
@pytest.mark.parametrize("name", ["list.json", "dataset.json"])
def test_a_record_with_two_keys_for_one_thing_is_refused(written, told, name):
    records = [{"image": f"i/{n}.png", "label": f"m/{n}.png"} for n in "ab"]
    listed = {"training": [records[0], records[1] | told]}
    with pytest.raises(DataError, match=r"LAY_JSON: .*both name the (split|fold)"):
        find_layout(open_tree(written({**pairs(["{}"], "ab", "i", "m"), name: listed})))


def listed(written, sections):
    files, used = iter("abcdef"), "abcdef"[: sum(map(len, sections.values()))]
    lists = {
        key: [
            {"image": f"i/{n}.png", "label": f"m/{n}.png"} | keys
            for keys, n in zip(several, files, strict=False)
        ]
        for key, several in sections.items()
    }
    return find_layout(open_tree(written({**pairs(["{}"], used, "i", "m"), "l.json": lists})))


@pytest.mark.parametrize(
    ("ids", "found", "code"),
    [
        (("x", 7), ["7", "x"], None),
        ((1.0, 2.0), ["1", "2"], None),
        (("../x", "y"), ["y"], "CASE_NAME"),
        (("c:\\x", "y"), ["y"], "CASE_NAME"),
        (("x\ny", "y"), ["y"], "CASE_NAME"),
    ],
)
def test_ids_of_records_are_those_of_cases_as_in_a_table(written, ids, found, code):
    layout = listed(written, {"training": [{"id": id_} for id_ in ids]})
    assert [case.id for case in layout.cases] == found
    assert [error.code for error in layout.problems] == [code] * bool(code)
    assert not [finding for finding in layout.findings if finding.code == "LAY_COLUMNS"]


@pytest.mark.parametrize(
    ("sections", "found", "level"),
    [
        ({"training": [{"id": "x"}, {}]}, ["b", "x"], None),
        ({"training": [{"id": 1, "case": "p"}, {"id": 2, "case": "q"}]}, ["1", "2"], "note"),
        ({"training": [{"id": 1, "case": "p"}, {"id": 1, "case": "q"}]}, ["p", "q"], "warning"),
        ({"training": [{"id": "x "}, {"id": "X"}]}, ["a", "b"], "warning"),
        ({"training": [{"id": "P0"}, {"id": "P0"}, {"id": "P1"}]}, ["a", "b", "c"], "warning"),
        ({"training": [{"id": ["x"]}, {"id": ["y"]}]}, ["a", "b"], "note"),
        ({"training": [{"id": 1.5}, {"id": 2}]}, ["a", "b"], "note"),
        (
            {"training": [{"id": 0}, {"id": 1}], "validation": [{"id": 0}]},
            ["a", "b", "c"],
            "note",
        ),
    ],
)
def test_ids_that_do_not_tell_cases_apart_are_told_and_not_used(written, sections, found, level):
    layout = listed(written, sections)
    assert [case.id for case in layout.cases] == found
    told = [finding.level for finding in layout.findings if finding.code == "LAY_COLUMNS"]
    assert told == [level] * bool(level)
