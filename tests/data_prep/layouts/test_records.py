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
        {"id": "x", "case": "y"},
    ],
)
@pytest.mark.parametrize("name", ["list.json", "dataset.json"])
def test_a_record_with_two_keys_for_one_thing_is_refused(written, told, name):
    records = [{"image": f"i/{n}.png", "label": f"m/{n}.png"} for n in "ab"]
    listed = {"training": [records[0], records[1] | told]}
    with pytest.raises(DataError, match=r"LAY_JSON: .*both name the (split|fold|id)"):
        find_layout(open_tree(written({**pairs(["{}"], "ab", "i", "m"), name: listed})))


@pytest.mark.parametrize(
    ("ids", "found", "code"),
    [
        (("x", 7), ["7", "x"], None),
        (("x", None), ["b", "x"], None),
        (("x ", "X"), [], "PAIR_DUPLICATE"),
        (("../x", "y"), ["y"], "CASE_NAME"),
        (("c:\\x", "y"), ["y"], "CASE_NAME"),
        (("x\ny", "y"), ["y"], "CASE_NAME"),
    ],
)
def test_ids_of_records_are_those_of_cases_as_in_a_table(written, ids, found, code):
    records = [
        {"image": f"i/{n}.png", "label": f"m/{n}.png", "id": id_}
        for n, id_ in zip("ab", ids, strict=True)
    ]
    root = written({**pairs(["{}"], "ab", "i", "m"), "list.json": {"training": records}})
    layout = find_layout(open_tree(root))
    assert [case.id for case in layout.cases] == found
    assert [error.code for error in layout.problems] == [code] * bool(code)


def test_an_id_that_is_no_name_is_refused(written):
    records = [{"image": "i/a.png", "label": "m/a.png", "id": ["x"]}]
    root = written({**pairs(["{}"], "ab", "i", "m"), "list.json": {"training": records}})
    with pytest.raises(DataError, match=r"LAY_JSON: .*id must be a name"):
        find_layout(open_tree(root))
