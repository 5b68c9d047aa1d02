"""A file that states a split of the cases is told of, whatever it is called and written in."""

import io

import numpy as np
import pytest
from bad_sets import picture, png
from dicom_files import encode, series

from data_prep.files.file_tree import open_tree
from data_prep.layouts import find_layout
from data_prep.planning.part_words import names_parts, part_listed

IDS = [f"c{k}" for k in range(6)]
PAIRS = {f"{f}/{k}.png": png(picture(n)) for f in ("images", "masks") for n, k in enumerate(IDS)}
SECTIONS = "[test]\nc4\nc5\n[train]\nc0\nc1\nc2\nc3\n"
LISTS = {
    "sections": SECTIONS,
    "remarks": f"; of 2020\n# mine\n\n{SECTIONS}",
    "keys": "train = c0, c1, c2, c3\ntest = c4, c5\n",
    "keys in a section": "[cases]\ntrain=c0,c1,c2,c3\ntest=c4,c5\n",
    "a key a section": "[train]\ncases = c0 c1 c2 c3\n[test]\ncases = c4 c5\n",
    "more in sections": "[train]\nn = 4\ncases = c0 c1 c2 c3\n[test]\nn = 2\ncases = c4 c5\n",
    "tables of TOML": '[[split]]\ntrain = [\n  "c0",\n  "c1",\n  "c2",\n]\ntest = ["c4", "c5"]\n',
    "lists of cases": "TRAIN_CASES=c0,c1,c2,c3\nexport TEST_CASES=c4,c5\n",
    "code": 'TRAIN = ["c0", "c1", "c2"]\nTEST = [\n  "c4",\n  "c5",\n]\n',
    "a line of code": "SPLIT = {'train': ['c0', 'c1', 'c2'], 'test': ['c4', 'c5']}\n",
    "R": 'train <- c("c0", "c1", "c2", "c3")\ntest <- c("c4", "c5")\n',
    "cases as keys": "".join(f"{id_}: {'train' if id_ < 'c4' else 'test'}\n" for id_ in IDS),
    "folds": "[fold_0]\nc0\nc1\n[fold_1]\nc2\nc3\n[fold_2]\nc4\nc5\n",
    "one part": "[test]\ncases = c4, c5\n",
    "names of files": "[test]\nimages/c4.png\nimages/c5.png\n",
}
OTHERS = {
    "settings": "[train]\nimages = images\nlr = 0.1\n[test]\nimages = images\nbatch = 4\n",
    "other cases": "[test]\nx4\nx5\n[train]\nx0\nx1\n",
    "results": "".join(f"{id_}: 0.9{k}\n" for k, id_ in enumerate(IDS)),
    "prose": "Test: it was drawn last year\nTraining = what is left of c1 and many others\n",
    "hashes": "".join(f"{'0' * 64}  images/{id_}.png\n" for id_ in IDS),
    "all alike": "[cases]\n" + "\n".join(IDS),
    "a log": "epoch: 1\ntrain: loss 0.5\nval: dice 0.7\ntest: c4\n",
}
NAMES = ("x.cfg", "x.ini", "x.conf", "x.json5", "x.env", "x.toml", "x.foo", "x.py", "x.log", "x")


def layout_of(root, *, need_labels=True):
    return find_layout(open_tree(root), need_labels=need_labels)


def told(layout):
    return [(f.level, f.code) for f in layout.findings]


def saved(save, *args, **options):
    buffer = io.BytesIO()
    save(buffer, *args, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("text", LISTS.values(), ids=LISTS)
@pytest.mark.parametrize("name", ["x.cfg", "x.txt", "x.py"])
def test_a_text_that_names_the_cases_under_words_of_parts_is_warned_of(written, name, text):
    layout = layout_of(written({**PAIRS, name: text.encode()}))
    assert told(layout) == [("warning", "LAY_UNUSED")]
    assert layout.findings[0].file == name
    assert "dataset.split_file" in layout.findings[0].fix


@pytest.mark.parametrize("name", [*NAMES, "subset.cfg", "subsets.json5", "hold_out.ini"])
def test_so_it_is_by_any_name(written, name):
    layout = layout_of(written({**PAIRS, name: SECTIONS.encode()}))
    assert told(layout) == [("warning", "LAY_UNUSED")]


@pytest.mark.parametrize("text", OTHERS.values(), ids=OTHERS)
@pytest.mark.parametrize("name", ["x.cfg", "x.toml", "x.py", "x"])
def test_settings_and_what_is_of_other_cases_are_silent(written, name, text):
    assert not layout_of(written({**PAIRS, name: text.encode()})).findings


def test_numbers_below_a_part_are_settings(written):
    files = {
        f"{folder}/{k}.png": png(picture(int(k))) for folder in ("images", "masks") for k in "0123"
    }
    text = b"[train]\ngpus = 0, 1\npatch = 96, 96\n"
    assert not layout_of(written({**files, "x.ini": text})).findings


def test_bytes_are_no_text(written):
    assert not layout_of(written({**PAIRS, "x.bin": b"\0\1" + SECTIONS.encode()})).findings


def test_a_text_beside_dicom_is_looked_at_too(written):
    files = {"subset.cfg": b"[train]\nP1\n[test]\nP2\n"}
    for person in ("P1", "P2"):
        slices = series(series=f"1.2.{person[-1]}", PatientID=person, StudyInstanceUID=person[-1])
        files |= {f"{person}/{z}.dcm": encode(one) for z, one in enumerate(slices)}
    layout = layout_of(written(files))
    assert "subset.cfg" in [f.file for f in layout.findings if f.code == "LAY_UNUSED"]


@pytest.mark.parametrize("text", ['{"x": ["c4", "c5"]}', "[x]\ncases=c4,c5\n"])
@pytest.mark.parametrize("name", ["holdout.{}", "test_ids.{}", "evaluation-cases.{}"])
def test_a_list_is_of_the_part_that_its_file_is_called_by(written, name, text):
    name = name.format("json" if text.startswith("{") else "ini")
    assert told(layout_of(written({**PAIRS, name: text.encode()}))) == [("warning", "LAY_UNUSED")]


OF_PARTS = ("train_ids", "test", "hold-out", "splits", "kfold5", "cohorts", "subset", "patient_ids")
ARRAYS = {
    "names": saved(np.save, np.array(["c4", "c5"])),
    "objects": saved(np.save, {"test": ["c4"]}),
    "numbers": saved(np.save, np.arange(2)),
    "archive": saved(np.savez, train=["c0"], test=["c4"]),
}


@pytest.mark.parametrize("name", OF_PARTS)
@pytest.mark.parametrize(
    ("suffix", "data"),
    [
        *(("npy", ARRAYS[kind]) for kind in ("names", "objects", "numbers")),
        ("npz", ARRAYS["archive"]),
        *((suffix, b"\x80some") for suffix in ("pkl", "mat", "sqlite", "rds", "parquet")),
    ],
)
def test_a_file_of_programs_that_is_called_by_parts_is_warned_of(written, name, suffix, data):
    root = written({**PAIRS, f"{name}.{suffix}": data})
    assert told(layout_of(root)) == [("warning", "LAY_UNUSED")]
    assert told(layout_of(root, need_labels=False)) == [("note", "LAY_UNUSED")]


def test_an_array_of_rows_is_a_split_by_its_name_alone(written):
    rows = saved(np.save, np.zeros((5, 6), np.uint8))
    assert told(layout_of(written({**PAIRS, "folds.npy": rows}))) == [("warning", "LAY_UNUSED")]


@pytest.mark.parametrize("name", ["train_001.npy", "subset_1.npz", "fold_1.npy", "cohorts.npy"])
def test_a_volume_elsewhere_is_an_image_whatever_it_is_called(written, name):
    save = np.savez if name.endswith("npz") else np.save
    volume = saved(save, np.zeros((3, 4, 5), np.uint8))
    (finding,) = layout_of(written({**PAIRS, f"more/{name}": volume})).findings
    assert finding.level == "note"
    assert "images elsewhere" in finding.found


@pytest.mark.parametrize("name", ["train_{}", "subset_{}", "fold_{}", "cohort_{}"])
@pytest.mark.parametrize("suffix", ["npy", "png"])
def test_scans_that_are_used_are_silent_whatever_they_are_called(written, name, suffix):
    one = png(picture(1)) if suffix == "png" else saved(np.save, np.zeros((4, 5), np.uint8))
    files = {
        f"{folder}/{name.format(k)}.{suffix}": one for folder in ("images", "masks") for k in "12"
    }
    assert "LAY_UNUSED" not in {code for _, code in told(layout_of(written(files)))}


@pytest.mark.parametrize("name", ["Slides.pdf", "test_report.pdf", "features.npy", "model.pkl"])
def test_names_of_something_else_are_no_lists(written, name):
    data = ARRAYS["names"] if name.endswith("npy") else b"\x80some"
    layout = layout_of(written({**PAIRS, name: data}))
    assert told(layout) == [("note", "LAY_UNUSED")] * name.startswith(("features", "test"))


@pytest.mark.parametrize(
    ("name", "part"),
    [
        *(("test_ids", "test"), ("testlist", "test"), ("held_out_cases", "test")),
        *(("TRAIN_CASES", ""), ("cases-val", "validation"), ("hold_out", "test")),
        *(("ids", None), ("contest_ids", None), ("test_report", None), ("ts_ids", None)),
    ],
)
def test_lists_are_called_by_parts(name, part):
    assert part_listed(name) == part
    assert names_parts(name) is (part is not None)
