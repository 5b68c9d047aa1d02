"""A list of cases that is damaged, too large or empty is an error: its split is never lost."""

import json
import zipfile

import pytest
from bad_sets import Volumes
from grids import crossed

from data_prep.checks.run import check
from data_prep.core.config import DataConfig
from data_prep.core.errors import DataError

NAMES = ("bad", "good_0", "good_1", "good_2")
HEAD = "image,label,split\n"
ROWS = [f"images/{n}.nii.gz,labels/{n}.nii.gz,{'test' if n == 'bad' else 'train'}\n" for n in NAMES]
TABLE = HEAD + "".join(ROWS)
RECORDS = [{"image": f"images/{n}.nii.gz", "label": f"labels/{n}.nii.gz"} for n in NAMES]
LIST = {"training": RECORDS[1:], "test": RECORDS[:1]}
DUMPED = json.dumps(LIST)
TABLES = {
    "names only": HEAD,
    "names and empty lines": HEAD + "\n\n",
    "names and empty cells": HEAD + ",,\n , ,\n",
    "quote in the first row": HEAD + '"' + "".join(ROWS),
    "quote in the last row": HEAD + "".join(ROWS[:3]) + '"' + ROWS[3],
    "quote closed rows later": HEAD + '"' + ROWS[0] + ROWS[1] + '"' + ROWS[2] + ROWS[3],
    "text behind a quote": HEAD + '"a"b,c,d\n' + "".join(ROWS),
    "zeros at the end": TABLE + "\0" * 50,
    "zeros inside": TABLE.replace("good_1", "go\0d_1", 1),
    "half a character": TABLE.encode() + b"\xe2\x82",
    "half a character of two bytes": b"\xff\xfe" + TABLE.encode("utf-16-le")[:-1],
    "two bytes a character, no mark": TABLE.encode("utf-16-le"),
    "a line above": "\n" + TABLE,
    "a line that names another separator": "sep=;\n" + TABLE,
    "a remark above": "# version 2\n" + TABLE,
    "more cells than any": HEAD + ",\n" * 1_100_000 + "".join(ROWS),
    "a cell of many megabytes": HEAD + "x" * 200_000 + "\n" + "".join(ROWS),
    "rows without end": HEAD + "a,b,\n" * 15_000_000,
}
LISTS = {
    "no cases": {"training": []},
    "no cases anywhere": {"training": [], "test": [], "validation": []},
    "no list": {"training": {}},
    "nothing": {"training": None},
    "a name": {"training": ""},
    "lists of each": {"training": {"image": ["images/bad.nii.gz"], "label": ["x"]}},
    "cut": DUMPED[:-20],
    "cut in the middle": DUMPED[: len(DUMPED) // 2],
    "more behind": DUMPED + "}",
    "zeros behind": DUMPED + "\0" * 20,
    "no number": DUMPED[:-1] + ', "x": NaN}',
    "two bytes a character, cut": json.dumps(LIST).encode("utf-16")[:-9],
    "more values than any": DUMPED[:-1] + ', "x": [' + "[]," * 2_000_000 + "0]}",
    "longer than any": DUMPED[:-1] + " " * (64 << 20) + "}",
}


def as_bytes(content):
    if isinstance(content, dict):
        content = json.dumps(content)
    return content if isinstance(content, bytes) else content.encode()


def packed(root):
    path = root.parent / "set.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(p for p in root.rglob("*") if p.is_file()):
            archive.write(file, file.relative_to(root))
    return path


@pytest.mark.parametrize(("damage", "archive"), crossed(TABLES, [False, True]))
def test_damaged_table_is_refused(tmp_path, damage, archive):
    planted = Volumes(tmp_path / "set")
    planted.write("cases.csv", as_bytes(TABLES[damage]))
    with pytest.raises(DataError, match=r"LAY_CSV.*\(cases.csv\)"):
        check(packed(planted.root) if archive else planted.root, DataConfig())


@pytest.mark.parametrize(
    ("damage", "name", "archive"), crossed(LISTS, ["dataset.json", "cases.json"], [False, True])
)
def test_damaged_list_is_refused(tmp_path, damage, name, archive):
    planted = Volumes(tmp_path / "set")
    planted.write(name, as_bytes(LISTS[damage]))
    with pytest.raises(DataError, match="LAY_JSON"):
        check(packed(planted.root) if archive else planted.root, DataConfig())


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("cases.csv", HEAD + "a,b,\n" * 40_000),
        ("cases.json", {**LIST, "more": [[]] * 200_000}),
        ("dataset.json", {"more": [[]] * 200_000, **LIST}),
    ],
)
def test_list_that_memory_does_not_hold_is_refused(tmp_path, name, content):
    planted = Volumes(tmp_path / "set")
    planted.write(name, as_bytes(content))
    with pytest.raises(DataError, match=rf"IO_MEMORY.*\({name}\)"):
        check(planted.root, DataConfig(), max_ram=0.01)


@pytest.mark.parametrize("name", ["cases.csv", "cases.json"])
def test_list_damaged_in_an_archive_is_told(tmp_path, name):
    planted = Volumes(tmp_path / "set")
    planted.write(name, as_bytes(TABLE if name.endswith("csv") else LIST))
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in planted.root.rglob("*.*"):
            archive.write(file, file.relative_to(planted.root))
    inside = as_bytes("image,label" if name.endswith("csv") else '"training"')
    path.write_bytes(path.read_bytes().replace(inside, b"?" * len(inside)))
    checked = check(path, DataConfig())
    assert ("IO_CRC", name) in {(e.code, e.file) for e in checked.errors}


@pytest.mark.parametrize("name", ["cases.csv", "cases.json"])
def test_file_of_no_bytes_that_may_have_been_a_list_is_told(tmp_path, name):
    planted = Volumes(tmp_path)
    planted.write(name, b"")
    checked = check(tmp_path, DataConfig())
    assert [(e.code, e.file) for e in checked.errors] == [("IO_EMPTY", name)]
    assert sorted(checked.facts) == sorted(NAMES)


def test_list_among_many_other_files_is_found(tmp_path):
    planted = Volumes(tmp_path)
    for number in range(40):
        planted.write(f"about_{number}.json", b'{"scanner": 1}')
    planted.write("cases.json", as_bytes(LIST))
    assert check(tmp_path, DataConfig()).layout.name == "monai datalist"


OTHERS = {
    "ages.csv": "case,age\ngood_0,70\n",
    "one column.csv": "age\n70\n",
    "prose.csv": 'remark\n"of the image, not\n',
    "latin.csv": "case,größe\n".encode("latin-1"),
    "settings.json": {"training": {"epochs": 3}, "dataset": {"folds": 3}},
    "stats.json": '{"mean": NaN}',
    "lines.json": '{"a": 1}\n{"a": 2}\n',
    "sidecar.json": {"EchoTime": 0.1},
}


@pytest.mark.parametrize("name", OTHERS)
def test_files_of_another_kind_are_no_lists(tmp_path, name):
    planted = Volumes(tmp_path)
    planted.write(name, as_bytes(OTHERS[name]))
    checked = check(tmp_path, DataConfig())
    assert not checked.findings
    assert checked.layout.name == "folder pairs"


@pytest.mark.parametrize(
    "content",
    [
        TABLE,
        TABLE.replace("\n", "\r\n"),
        TABLE.replace("\n", "\r"),
        TABLE.replace(",", ";"),
        "sep=;\n" + TABLE.replace(",", ";"),
        "sep=,\r\n" + TABLE,
        TABLE.replace(",", "\t"),
        TABLE.replace(HEAD, '"Image", "Label", "Split"\n'),
        TABLE + ",,\n\n",
        TABLE.encode("utf-8-sig"),
        TABLE.encode("utf-16"),
    ],
)
def test_whole_tables_are_read(tmp_path, content):
    planted = Volumes(tmp_path)
    planted.write("cases.csv", as_bytes(content))
    checked = check(tmp_path, DataConfig())
    assert not checked.findings
    assert {c.id: c.split for c in checked.layout.cases} == dict.fromkeys(NAMES) | {"bad": "test"}
