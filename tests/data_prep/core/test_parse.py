"""JSON, YAML and names as nobody should write them: a clear error, and never a traceback."""

import codecs
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import yaml
from bad_sets import Pictures, mask, picture, png
from by_hand import disown

from data_prep.core.config import DataConfig
from data_prep.core.errors import DataError
from data_prep.core.parse import check_yaml, once, parse_json, whole
from data_prep.files.file_tree import open_tree
from data_prep.planning.plan_json import read_plan, write_plan
from data_prep.planning.splits import read_folds
from data_prep.prepared.dataset import load_dataset
from data_prep.prepared.prepare import prepare
from sdunet.cli.main import main
from sdunet.segmentation.evaluation.compare_models import read_scores
from sdunet.segmentation.evaluation.evaluate import evaluate
from sdunet.segmentation.evaluation.pairing import open_pairs
from sdunet.segmentation.export.package import _record_of
from sdunet.segmentation.inference.postprocessing import read_rules
from sdunet.segmentation.inference.prediction_record import Manifest
from sdunet.segmentation.models.integrity import verify
from sdunet.segmentation.models.run_folder import check_run_folder
from sdunet.segmentation.models.trained_model import load_model
from sdunet.vae.data.packed import DESCRIPTION, load_packed
from sdunet.vae.evaluation.published import _load
from sdunet.vae.model import load_description

NINES = "9" * 5000
BAD = {
    "deep list": b"[" * 5000 + b"]" * 5000,
    "deep object": b'{"a":' * 5000 + b"1" + b"}" * 5000,
    "rather deep": b'{"a":' * 60 + b"1" + b"}" * 60,
    "infinity": b'{"a": Infinity}',
    "nan": b'{"a": [NaN]}',
    "minus infinity": b'{"a": -Infinity}',
    "overflow": b'{"a": 1e999}',
    "huge": b'{"a": 1' + b"0" * 400 + b"}",
    "longest": b'{"a": 1' + b"0" * 5000 + b"}",
    "half a character": b'{"a": "\\ud800"}',
    "half a key": b'{"\\udfff": 1}',
    "twice": b'{"a": 1, "a": 2}',
    "twice inside": b'{"a": [{"b": 1, "b": 1}]}',
    "list": b"[]",
    "number": b"3",
    "text": b'"text"',
    "null": b"null",
    "nothing": b" ",
    "cut": b'{"a": ',
    "latin": '{"a": "é"}'.encode("latin-1"),
    "bytes": bytes(range(256)),
}
GOOD = {
    "plain": b'{"a": [1, 2.5, -3, null, true, "x"]}',
    "utf-8": '{"a": "Läsion 肝"}'.encode(),
    "mark": codecs.BOM_UTF8 + b'{"a": 1}',
    "utf-16": '{"a": 1}'.encode("utf-16"),
    "whole character": b'{"a": "\\ud83d\\ude00"}',
    "64 bits": b'{"a": 18446744073709551615}',
    "equal keys apart": b'{"a": {"b": 1}, "c": {"b": 1}}',
}


@pytest.mark.parametrize("name", BAD)
def test_json_that_cannot_be_believed_is_a_value_error(name):
    with pytest.raises(ValueError):  # noqa: PT011 - each says something else
        parse_json(BAD[name])


@pytest.mark.parametrize("name", GOOD)
def test_good_json_is_read_as_python_does(name):
    assert parse_json(GOOD[name]) == json.loads(GOOD[name].decode(json.detect_encoding(GOOD[name])))


@pytest.mark.parametrize(
    ("value", "wanted"),
    [(1, 1), (1.0, 1), ("1", 1), ("1.0", 1), (" 2. ", 2), ("-1", -1), (True, None), (1.5, None),
     ("1.5", None), ("1e0", None), (float("nan"), None), (float("inf"), None), (None, None),
     ("", None), ("x", None), (10**400, None), ([1], None), ("1" * 400, None)],
)  # fmt: skip
def test_whole_numbers_are_taken_however_they_are_written(value, wanted):
    if wanted is None:
        with pytest.raises(ValueError, match="is needed"):
            whole(value)
    else:
        assert whole(value) == wanted


def test_pairs_are_taken_once():
    assert once([(1, 2), (2, 2)]) == {1: 2, 2: 2}
    with pytest.raises(ValueError, match="1 is given twice"):
        once([(1, 2), (1, 2)])


BAD_YAML = {
    "bomb": "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\ndataset: {folds: *c}",
    "loop": "dataset: &a {folds: *a}",
    "deep": "dataset: " + "[" * 5000 + "]" * 5000,
    "deep block": "".join(f"{' ' * i}a:\n" for i in range(2000)),
    "infinity": "training: {learning_rate: .inf}",
    "overflow": "training: {learning_rate: 1e999}",
    "nan": "dataset: {memory_gb: .nan}",
    "huge": "dataset: {folds: 1" + "0" * 400 + "}",
    "longest": "dataset: {folds: 1" + "0" * 5000 + "}",
    "twice": "dataset: {folds: 3, folds: 3}",
    "twice at the top": "dataset: {folds: 3}\ndataset: {seed: 3}",
    "twice as a number": "dataset: {label_map: {255: 1, 0xff: 2}}",
    "twice as text": "dataset: {label_map: {255: 1, '255': 1}}",
    "half a number": "dataset: {label_map: {1.5: 1}}",
    "half a number as text": "dataset: {label_map: {'1.5': 1}}",
    "half a class of a number": "dataset: {label_map: {255: 0.5}}",
    "true number": "dataset: {label_map: {true: 1}}",
    "no number": "dataset: {label_map: {~: 1}}",
    "half a structure": "dataset: {structures: {liver: 1.5}}",
    "number of base 8": "dataset: {label_map: {010: 1}}",
    "folds of base 8": "dataset: {folds: 010}",
    "number of base 60": "dataset: {folds: 1:30}",
    "half a fold": "dataset: {folds: 2.5}",
    "half a seed": "training: {seed: 0.5}",
    "half a character": 'dataset: {group_pattern: "\\ud800"}',
    "list": "[1, 2]",
    "number": "3",
    "nothing": "",
    "key of no text": "1: 2",
    "key that is a list": "? [a]\n: 1",
    "tag": "dataset: !!python/object/apply:os.getcwd []",
    "half a class": "dataset: {labels: {a: 0, b: 1.5}}",
    "true class": "dataset: {labels: {a: 0, b: true}}",
    "list for an object": "dataset: {labels: [a, b]}",
    "list for a section": "dataset: [1, 2]",
    "control": "dataset: {folds: \0}",
    "more than any": "dataset: {folds: 3}\n" + "# x\n" * (1 << 18),
}


@pytest.mark.parametrize("content", [*BAD_YAML.values(), "é".encode("latin-1"), b"\xff\xfe\0"],
                         ids=[*BAD_YAML, "latin", "utf-16"])  # fmt: skip
def test_settings_that_cannot_be_are_one_line(tmp_path, content, capsys):
    path = tmp_path / "task.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    Pictures(tmp_path / "raw")
    with pytest.raises(SystemExit) as left:
        main(["check", str(tmp_path / "raw"), "--config", str(path)])
    assert left.value.code == 2
    assert capsys.readouterr().err.startswith("sdunet: ")


@pytest.mark.parametrize(
    "text",
    [
        "{a: 1, b: {a: 1}, c: [01, '010', 0x10, 08]}",
        "[1, 2.5, .5, -1e3]",
        "{0xff: 1, 0: 0}",
        "a: 'é'",
        "plain",
        "",
        "a: ~",
    ],
)
def test_good_yaml_is_let_through(text):
    check_yaml(text)


def test_yaml_errors_are_those_of_the_parser():
    with pytest.raises(yaml.YAMLError, match="an alias"):
        check_yaml("a: &a 1\nb: *a")


@pytest.mark.parametrize(
    "number",
    [NINES, "0" + "7" * 5000, "1" + ":59" * 2000, "1" + ":59" * 2000 + ".5", f"!!int '{NINES}'"],
    ids=["decimal", "octal", "base 60", "base 60 with a point", "by its tag"],
)
def test_numbers_of_too_many_digits_are_told_in_plain_words(number):
    with pytest.raises(yaml.YAMLError, match=r"a number of \d{4} digits, which is too long"):
        check_yaml(f"dataset: {{seed: {number}}}")


@pytest.mark.parametrize("option", ["--dataset.memory_gb=inf", "--dataset.memory_gb=1e999",
                                    "--max-ram=inf", "--dataset=[1, 2]",
                                    "--dataset.label_map={1.5: 1}",
                                    "--dataset.spacing=[1, 1, inf]"])  # fmt: skip
def test_options_that_are_no_numbers_are_one_line(tmp_path, option, capsys):
    with pytest.raises(SystemExit) as left:
        main(["check", str(tmp_path), option])
    assert left.value.code == 2
    assert capsys.readouterr().err.startswith("sdunet: ")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A raw set of 2D images, prepared."""
    root = tmp_path_factory.mktemp("prepared")
    Pictures(root / "raw")
    prepare(root / "raw", root / "set", DataConfig())
    disown(root / "set")
    return root


def spoilt(root, tmp_path, name, content):
    shutil.copytree(root, tmp_path / "copy")
    (tmp_path / "copy" / name).write_bytes(content)
    return tmp_path / "copy"


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("name", ["dataset.json", "splits.json"])
def test_prepared_dataset_is_refused_by_its_code(prepared, tmp_path, name, bad):
    root = spoilt(prepared / "set", tmp_path, name, BAD[bad])
    with pytest.raises(DataError, match="SET_"):
        load_dataset(root)


WRONG = [("schema", []), ("layout", None), ("plan", []), ("plan", {}), ("cases", {}),
         ("cases", [3]), ("test", 3), ("cases", [[]])]  # fmt: skip


@pytest.mark.parametrize(("key", "value"), WRONG)
def test_prepared_dataset_of_wrong_types_is_refused(prepared, tmp_path, key, value):
    record = json.loads((prepared / "set/dataset.json").read_text())
    root = spoilt(
        prepared / "set", tmp_path, "dataset.json", json.dumps(record | {key: value}).encode()
    )
    if (key, value) == ("layout", None):
        assert load_dataset(root).layout == "None"
    else:
        with pytest.raises(DataError, match="SET_"):
            load_dataset(root)


CASE = [("size", ["x", 1]), ("size", 3), ("voxels", [0.5]), ("voxels", None), ("scaling", []),
        ("scaling", {"shift": ["x"], "scale": [1]}), ("more", 1)]  # fmt: skip


@pytest.mark.parametrize(("key", "value"), CASE)
def test_prepared_case_of_wrong_types_is_refused(prepared, tmp_path, key, value):
    record = json.loads((prepared / "set/dataset.json").read_text())
    record["cases"][0] |= {key: value}
    root = spoilt(prepared / "set", tmp_path, "dataset.json", json.dumps(record).encode())
    with pytest.raises(DataError, match="SET_JSON"):
        load_dataset(root)


def test_prepared_case_twice_is_refused(prepared, tmp_path):
    record = json.loads((prepared / "set/dataset.json").read_text())
    record["cases"].append(record["cases"][0])
    root = spoilt(prepared / "set", tmp_path, "dataset.json", json.dumps(record).encode())
    with pytest.raises(DataError, match="SET_JSON: 'bad' is given twice"):
        load_dataset(root)


def manifest_of(folder):
    return Manifest(folder, {}).before()


OURS = [
    ("plan.json", "PLAN_FILE", lambda folder: read_plan(folder / "plan.json")),
    ("folds.json", "SPLIT_FILE", lambda folder: read_folds(folder / "folds.json", {})),
    ("postprocess.json", "MODEL_POSTPROCESS", lambda folder: read_rules(folder, {})),
    ("summary.json", "COMPARE_SCORES", lambda folder: read_scores([folder] * 2, ["a", "b"], None)),
    ("predictions.json", "PRED_MANIFEST", manifest_of),
    ("model.json", "MODEL_JSON", load_model),
    ("model.json", "MODEL_JSON", load_description),
    ("run.json", "RUN_RECORD", _record_of),
    ("settings.json", "RUN_SETTINGS", lambda folder: check_run_folder(folder, {}, resume=True)),
    ("MANIFEST.json", "PACKAGE_LIST", lambda folder: verify(open_tree(folder))),
    (DESCRIPTION, "PACK_JSON", load_packed),
    ("evaluation.json", "EVAL_JSON", _load),
]


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize(("name", "code", "read"), OURS, ids=[f"{o[0]} {o[1]}" for o in OURS])
def test_file_of_our_own_is_refused_by_its_code(tmp_path, name, code, read, bad):
    (tmp_path / "best.safetensors").write_bytes(b"")
    (tmp_path / name).write_bytes(BAD[bad])
    with pytest.raises(DataError, match=code):
        read(tmp_path)


@pytest.mark.parametrize("bad", BAD)
def test_record_of_predictions_is_refused_where_they_are_scored(prepared, tmp_path, bad):
    (tmp_path / "predictions.json").write_bytes(BAD[bad])
    with pytest.raises(DataError, match="PRED_MANIFEST"):
        open_pairs(tmp_path, prepared / "raw")


SOON = ("deep list", "infinity", "twice", "list", "cut", "bytes")  # one of each kind


@pytest.mark.parametrize(
    "bad", [pytest.param(bad, marks=() if bad in SOON else pytest.mark.long) for bad in BAD]
)
def test_list_that_is_no_json_is_refused(tmp_path, bad):
    Pictures(tmp_path).write("dataset.json", BAD[bad])
    assert main(["check", str(tmp_path)]) == 1
    Pictures(tmp_path / "again").write("other.json", BAD[bad])  # a file about something else
    assert main(["check", str(tmp_path / "again")]) == 0


@pytest.mark.parametrize(
    "seen", [{"low": ["x"]}, {"low": [1, 2]}, {"span": []}, {"span": [[1, 2, 3]]}, []]
)
def test_plan_whose_bounds_are_none_is_refused(prepared, tmp_path, seen):
    plan = load_dataset(prepared / "set").plan
    write_plan(tmp_path / "plan.json", plan)
    record = json.loads((tmp_path / "plan.json").read_text())
    bounds = {"cases": 9, "low": [0], "high": [1], "span": [[0, 1]], "spacing": None}
    record["seen"] = bounds | seen if seen else seen
    (tmp_path / "plan.json").write_text(json.dumps(record))
    with pytest.raises(DataError, match="PLAN_FILE"):
        read_plan(tmp_path / "plan.json")


@pytest.mark.parametrize(
    "form", [[], {}, {"colours": 3, "palette": {}}, {"colours": True, "palette": {"0": "red"}},
             {"colours": True, "palette": {"1": 1, "01": 1}}]
)  # fmt: skip
def test_plan_whose_form_of_masks_is_none_is_refused(prepared, tmp_path, form):
    write_plan(tmp_path / "plan.json", load_dataset(prepared / "set").plan)
    record = json.loads((tmp_path / "plan.json").read_text()) | {"form": form}
    (tmp_path / "plan.json").write_text(json.dumps(record))
    with pytest.raises(DataError, match="PLAN_FILE"):
        read_plan(tmp_path / "plan.json")


def named_in_latin(folder, data):
    path = os.fsencode(folder) + b"/\xe9\xff.png"
    with open(path, "wb") as file:
        file.write(data)
    return path


def test_file_whose_name_is_no_utf_8_is_told_and_the_others_are_used(tmp_path, capsys):
    Pictures(root := tmp_path / "raw")
    named_in_latin(root / "images", png(picture()))
    assert main(["check", str(root)]) == 1
    out = capsys.readouterr().out
    assert r"error IO_NAME: a name that is not UTF-8: 'images/\udce9\udcff.png'; rename" in out
    assert "4 cases can be used" in out
    dataset, problems = prepare(root, tmp_path / "out", DataConfig())
    assert (len(dataset.cases), [p.code for p in problems]) == (4, ["IO_NAME"])
    for name in ("good_0", "good_1", "good_2", "bad"):
        (root / f"pred/{name}.png").parent.mkdir(exist_ok=True)
        (root / f"pred/{name}.png").write_bytes(png(mask()))
    (root / "pred").rename(tmp_path / "pred")
    named_in_latin(tmp_path / "pred", png(mask()))
    _, problems = evaluate(tmp_path / "pred", root, tmp_path / "e")
    assert {p.code for p in problems} == {"IO_NAME"}


ASCII = {"PYTHONIOENCODING": "ascii", "LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0"}


@pytest.mark.long
@pytest.mark.parametrize(
    ("ascii_", "code"),
    [
        ({"PYTHONIOENCODING": "ascii"}, b"LBL_UNKNOWN"),
        ({"LANG": "C"}, b"LBL_UNKNOWN"),
        (ASCII, b"IO_NAME"),  # where Python takes the names of files for ASCII, too
    ],
)
def test_terminal_without_letters_gets_the_whole_output(tmp_path, ascii_, code):
    planted = Pictures(tmp_path / "raw")
    planted.write("images/läsion 肝.png", png(picture(5)))
    planted.write("labels/läsion 肝.png", png(np.full((24, 20), 7, np.uint8)))
    task = "dataset: {labels: {background: 0, 'leber 肝': 1}}"
    with open(os.fsencode(tmp_path) + b"/\xe9.yaml", "wb") as file:
        file.write(task.encode())
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("LC_", "LANG"))}
    for command in (["check", "raw"], ["prepare", "raw", "out"]):
        done = subprocess.run(
            [sys.executable, "-m", "sdunet", *command, "--config", b"\xe9.yaml"],
            cwd=tmp_path,
            env=environment | {"PYTHONPATH": os.pathsep.join(sys.path)} | ascii_,
            capture_output=True,
            check=False,
        )
        said = done.stdout + done.stderr
        assert done.returncode == 1, said
        assert b"Traceback" not in said
        assert code in said
    assert json.loads((tmp_path / "out/run.json").read_text())["arguments"][-1] == r"\udce9.yaml"
