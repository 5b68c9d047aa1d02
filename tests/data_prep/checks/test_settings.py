"""Settings held to the plan, to each other and to the data; those that change nothing are told."""

import json
import re

import nibabel as nib
import numpy as np
import pytest
from bad_sets import Pictures, Series, Volumes, blob, gz, mask, nifti, noise, picture, png

from data_prep.checks.run import check
from data_prep.checks.settings import check_agrees, check_settings, renamed
from data_prep.convert import convert
from data_prep.core.config import DataConfig, Plan
from data_prep.core.errors import DataError
from data_prep.layouts.cases import Layout, Regions
from data_prep.planning.plan_json import read_plan
from data_prep.prepared.dataset import load_dataset
from data_prep.prepared.prepare import prepare
from sdunet.cli.main import main
from sdunet.segmentation.evaluation.evaluate import evaluate

IDS = "abcdef"
SMALL = "--dataset.patch_size=[16,16,16]"


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    """A set of volumes, and a plan made of it with settings of its own."""
    root = tmp_path_factory.mktemp("planned")
    Volumes(root / "raw")
    settings = {
        "channels": ["MR"], "labels": {"background": 0, "organ": 1}, "label_map": {5: 1},
        "spacing": [2, 2, 3], "patch_size": [16, 16, 16], "intensity": "unit",
        "accept": ["GEO_SQFORM", "GEO_NONE"],
    }  # fmt: skip
    (root / "task.yaml").write_text(json.dumps({"dataset": settings}))
    config, plan = f"--config={root / 'task.yaml'}", root / "plan.json"
    assert main(["plan", str(root / "raw"), "-o", str(plan), config]) == 0
    return root


DIFFERENT = {
    "channels": "[CT]",
    "labels": "{background: 0, liver: 1}",
    "label_map": "{7: 1}",
    "structures": "{liver: 1}",
    "spacing": "[1, 1, 3]",
    "patch_size": "[32, 16, 16]",
    "intensity": "zscore",
    "memory_gb": "8",
    "accept": "[GEO_SQFORM]",
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_option_that_is_not_that_of_the_plan_is_refused(planned, tmp_path, capsys, name):
    plan = f"--plan={planned / 'plan.json'}"
    option = f"--dataset.{name}={DIFFERENT[name]}"
    assert main(["prepare", str(planned / "raw"), str(tmp_path / "out"), plan, option]) == 1
    told = capsys.readouterr().err
    assert f"PLAN_CONFLICT: dataset.{name} " in told
    assert "plan" in told.partition("in the settings, ")[2]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--config", "task.yaml"],
        ["--dataset.accept=[GEO_NONE,GEO_SQFORM]", "--dataset.spacing=[2.0,2.0,3.0]"],
        ["--dataset.intensity=auto", "--dataset.folds=2", "--dataset.seed=3"],
    ],
    ids=str,
)
def test_options_that_agree_with_the_plan_are_taken(planned, tmp_path, options):
    options = [str(planned / o) if o.endswith(".yaml") else o for o in options]
    plan = f"--plan={planned / 'plan.json'}"
    assert main(["prepare", str(planned / "raw"), str(tmp_path / "out"), plan, *options]) == 0
    assert load_dataset(tmp_path / "out").plan.spacing == (2, 2, 3)


def test_memory_of_the_plan_may_be_given_again(tmp_path):
    Volumes(tmp_path / "raw")
    memory = "--dataset.memory_gb=0.5"
    assert main(["plan", str(tmp_path / "raw"), "-o", str(tmp_path / "p.json"), memory]) == 0
    plan = read_plan(tmp_path / "p.json")
    prepare(tmp_path / "raw", tmp_path / "out", DataConfig(memory_gb=0.5), plan=plan)
    with pytest.raises(DataError, match=r"PLAN_CONFLICT: dataset.memory_gb 8 .*within 0.5 GB"):
        prepare(tmp_path / "raw", tmp_path / "out", DataConfig(memory_gb=8), plan=plan)


@pytest.mark.parametrize("planned", [18, 8.5, 80])
def test_memory_is_compared_as_a_number(planned):
    why = {"patch_size": f"16 to 128, 2 at a time within {planned:g} GB"}
    labels = {"background": 0, "b": 1}
    plan = Plan(2, ("a",), labels, {}, "zscore", None, (16, 16), why=why)
    check_agrees(DataConfig(memory_gb=planned), plan)
    with pytest.raises(DataError, match=r"PLAN_CONFLICT: dataset.memory_gb 8 "):
        check_agrees(DataConfig(memory_gb=8), plan)


@pytest.fixture
def listed(tmp_path):
    """Writer of six 2D images and a table of them with more columns."""

    def write(**columns):
        root = tmp_path / "raw"
        for number, id_ in enumerate(IDS):
            for folder, data in (("i", png(picture(number))), ("m", png(mask()))):
                (root / folder).mkdir(parents=True, exist_ok=True)
                (root / folder / f"{id_}.png").write_bytes(data)
        lines = [",".join(("image", "label", *columns))]
        for i, id_ in enumerate(IDS):
            lines.append(
                ",".join((f"i/{id_}.png", f"m/{id_}.png", *(c[i] for c in columns.values())))
            )
        (root / "list.csv").write_text("\n".join(lines))
        return root

    return write


def split_file(tmp_path, *folds):
    path = tmp_path / "splits.json"
    path.write_text(json.dumps([{"train": [*train], "val": [*val]} for train, val in folds]))
    return str(path)


HALVES = ("abc", "def"), ("def", "abc")
OTHERS = ("ace", "bdf"), ("bdf", "ace")
CONFLICTS = {
    "folds, column": ("001122", DataConfig(folds=5), None, "folds 5, 3 are given by the dataset"),
    "folds, file": (None, DataConfig(folds=3), HALVES, "folds 3, 2 are given by split_file"),
    "column, file": ("000111", DataConfig(), OTHERS, "are not those of the dataset"),
    "share, file": (None, DataConfig(test_share=0.3), HALVES, "test_share 0.3 would take cases"),
}


@pytest.mark.parametrize(("column", "config", "folds", "said"), CONFLICTS.values(), ids=CONFLICTS)
def test_settings_that_contradict_are_refused(listed, tmp_path, column, config, folds, said):
    root = listed(**({"fold": column} if column else {}))
    path = split_file(tmp_path, *folds) if folds else None
    config = DataConfig(**vars(config) | {"split_file": path})
    with pytest.raises(DataError, match=f"SET_CONFLICT: .*{said}"):
        prepare(root, tmp_path / "out", config)


@pytest.mark.parametrize(
    ("column", "config", "folds"),
    [
        ("001122", DataConfig(folds=3), None),
        (None, DataConfig(folds=2), HALVES),
        ("111000", DataConfig(), HALVES),
        ("000111", DataConfig(folds=2), HALVES[::-1]),
    ],
)
def test_settings_that_agree_are_taken(listed, tmp_path, column, config, folds):
    root = listed(**({"fold": column} if column else {}))
    config = DataConfig(**vars(config) | {"split_file": folds and split_file(tmp_path, *folds)})
    told = []
    prepare(root, tmp_path / "out", config, tell=told.append)
    assert not told


def test_classes_that_the_dataset_numbers_otherwise_are_refused(tmp_path):
    planted = Volumes(tmp_path)
    records = [
        {"image": f"images/{n}.nii.gz", "label": f"labels/{n}.nii.gz"} for n in ("bad", "good_1")
    ]
    declared = {"background": 0, "liver": 1, "tumour": 2}
    planted.write("dataset.json", json.dumps({"labels": declared, "training": records}).encode())
    swapped = {"background": 0, "liver": 2, "tumour": 1}
    with pytest.raises(
        DataError, match=r"SET_CONFLICT: class 'liver' is 2 in dataset.labels, 1 in"
    ):
        check(tmp_path, DataConfig(labels=swapped))
    check(tmp_path, DataConfig(labels=swapped, label_map={1: 2, 2: 1}))
    same = check(tmp_path, DataConfig(labels=declared))
    assert "SET_RENAMED" not in {finding.code for finding in same.findings}
    french = {"background": 0, "foie": 1, "tumeur": 2}
    told = check(tmp_path, DataConfig(labels=french, channels=("MR",))).findings
    assert [f.found for f in told if f.code == "SET_RENAMED"] == [
        "class 1, 'liver' in the dataset, is called 'foie'",
        "class 2, 'tumour' in the dataset, is called 'tumeur'",
    ]


def test_an_ignored_value_that_settings_make_a_class_is_told():
    layout = Layout("nnunet", (), labels={"background": 0, "a": 1}, regions=Regions({}, 3))
    asked = DataConfig(labels={"background": 0, "a": 1, "b": 2, "c": 3})
    assert [f.found for f in renamed(asked, layout)] == [
        "class 3, 'ignore' in the dataset, is called 'c'"
    ]
    assert not renamed(DataConfig(labels={"background": 0, "a": 1, "ignore": 3}), layout)


@pytest.mark.parametrize(
    "named", [("T2", "T1"), ("t2", "t1"), ("T2 ", " T1"), ("T2", "FOO"), ("x", "T1")]
)
def test_channels_in_another_order_are_refused_however_they_are_spelt(named):
    with pytest.raises(DataError, match=r"SET_CONFLICT: dataset\.channels are"):
        check_settings(DataConfig(channels=named), Layout("nnunet", (), channels=("T1", "T2")))


@pytest.mark.parametrize("named", [("t1", "T2 "), ("a", "b"), ("T1", "FOO"), None])
def test_channels_that_are_called_alike_or_anew_are_taken(named):
    check_settings(DataConfig(channels=named), Layout("nnunet", (), channels=("T1", "T2")))


def test_classes_numbered_otherwise_are_refused_however_they_are_spelt():
    layout = Layout("nnunet", (), labels={"background": 0, "k1": 1, "k2": 2})
    for swapped in ({"K2": 1, "K1": 2}, {"k2 ": 1, "foo": 2}):
        with pytest.raises(DataError, match="SET_CONFLICT: class 'k"):
            check_settings(DataConfig(labels={"background": 0, **swapped}), layout)
    check_settings(DataConfig(labels={"background": 0, "K1": 1, "x": 2}), layout)


def test_channels_that_are_called_otherwise_are_noted():
    layout = Layout("nnunet", (), labels={"background": 0, "a": 1}, channels=("CT",))
    (told,) = renamed(DataConfig(channels=("MR",)), layout)
    assert (told.level, told.found) == ("note", "channels CT of the dataset are called MR")
    assert not renamed(DataConfig(channels=("ct ",)), layout)
    assert not renamed(DataConfig(), layout)


def test_background_is_class_0(tmp_path):
    Volumes(tmp_path)
    with pytest.raises(DataError, match="LBL_CLASSES: background is class 1"):
        check(tmp_path, DataConfig(labels={"liver": 0, "background": 1}))


UNUSED = {
    "spacing": (Pictures, {"spacing": (1.0, 1.0, 1.0)}),
    "structures": (Volumes, {"structures": {"foreground": 1}}),
    "memory_gb": (Pictures, {"memory_gb": 4.0, "patch_size": (16, 16)}),
}


@pytest.mark.parametrize("name", UNUSED)
def test_setting_without_effect_is_told(tmp_path, name):
    kind, settings = UNUSED[name]
    kind(tmp_path / "raw")
    told = [
        f for f in check(tmp_path / "raw", DataConfig(**settings)).findings if f.level != "note"
    ]
    assert [(f.level, f.code) for f in told] == [("warning", "SET_UNUSED")]
    assert f"dataset.{name} " in told[0].found


@pytest.mark.parametrize(
    ("columns", "settings"),
    [
        ({"split": ["test", "", "", "", "", ""]}, {"test_share": 0.2}),
        ({"fold": "001122"}, {"seed": 4}),
    ],
)
def test_setting_that_the_list_replaces_is_told(listed, columns, settings):
    (told,) = check(listed(**columns), DataConfig(**settings)).findings
    assert told.code == "SET_UNUSED"


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        (Volumes, {"spacing": (2.0, 2.0, 3.0), "patch_size": (16, 16, 16), "folds": 2}),
        (Pictures, {"memory_gb": 4.0, "seed": 3, "test_share": 0.3}),
        (Series, {**Series.config, "structures": {"tumour": 1}, "spacing": (1.0, 1.0, 2.0)}),
    ],
)
def test_settings_that_have_an_effect_are_taken_without_a_word(tmp_path, kind, settings):
    kind(tmp_path)
    assert {f.level for f in check(tmp_path, DataConfig(**settings)).findings} <= {"note"}


SAID = {
    "SPLIT_VALIDATION": ({"split": ["val", "validation", "", "", "", ""]}, {"folds": 2}),
    "SPLIT_NUMBERS": ({"fold": "112233"}, {}),
    "SPLIT_FEWER": ({"patient": "xxxyyy"}, {"folds": 5}),
}


@pytest.mark.parametrize("code", SAID)
def test_split_that_is_not_as_it_reads_is_said(listed, tmp_path, capsys, code):
    columns, settings = SAID[code]
    options = [f"--dataset.{name}={value}" for name, value in settings.items()]
    assert main(["prepare", str(listed(**columns)), str(tmp_path / "out"), *options]) == 0
    assert f" {code}" in capsys.readouterr().err


def test_validation_list_of_json_is_said(tmp_path):
    planted = Volumes(tmp_path)
    records = [
        {"image": f"images/{n}.nii.gz", "label": f"labels/{n}.nii.gz"}
        for n in ("bad", "good_0", "good_1", "good_2")
    ]
    planted.write(
        "list.json", json.dumps({"training": records[1:], "validation": records[:1]}).encode()
    )
    (told,) = check(tmp_path, DataConfig()).findings
    assert (told.level, told.code, told.file) == ("note", "SPLIT_VALIDATION", "list.json")
    assert "1 cases listed for validation are kept apart" in told.found


def test_why_no_case_could_be_written_is_said(tmp_path):
    for number in range(2):
        image = nib.Nifti1Image(noise(number).astype(np.int64) << 50, np.eye(4), dtype=np.int64)
        for folder, data in (("images", image.to_bytes()), ("labels", nifti(blob(), np.eye(4)))):
            path = tmp_path / f"raw/{folder}/{number}.nii.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(gz(data))
    with pytest.raises(DataError, match=r"SET_EMPTY: none of 2 .*first: OUT_TYPE case 0"):
        convert(tmp_path / "raw", tmp_path / "out", DataConfig())


@pytest.mark.parametrize(
    ("kind", "settings", "words"),
    [
        (Pictures, {"label_map": {77: 1}}, "label_map maps 77, which no label .* they hold 0, 1"),
        (Series, {"structures": {"tumour": 1, "Livre": 1}}, "structures maps 'Livre', .* 'tumour'"),
    ],
)
def test_what_is_mapped_and_in_no_label_is_told(tmp_path, kind, settings, words):
    kind(tmp_path)
    given = {**getattr(kind, "config", {}), **settings}
    told = [f for f in check(tmp_path, DataConfig(**given)).findings if f.level != "note"]
    assert [(f.level, f.code) for f in told] == [("warning", "SET_UNUSED")]
    assert re.search(words, told[0].found)


@pytest.mark.parametrize("to", ["folders", "nnunet", "monai"])
def test_class_numbers_of_a_converted_set_are_not_mapped_again(written, tmp_path, to):
    label = np.zeros((24, 20), np.uint8)
    label[2:9, 3:9], label[12:20, 4:9] = 1, 2
    files = {f"images/{n}.png": png(picture(n)) for n in range(3)}
    raw = written(files | {f"labels/{n}.png": png(label) for n in range(3)})
    named = DataConfig(labels={"background": 0, "a": 1, "b": 2}, label_map={1: 2, 2: 1})
    prepared, _ = prepare(raw, tmp_path / "set", named)
    copy = tmp_path / "copy"
    convert(raw, copy, named, to)
    with pytest.raises(DataError, match=r"SET_CONFLICT: labels of copy hold class numbers"):
        check(copy, named)
    with pytest.raises(DataError, match=r"SET_CONFLICT: labels of .* hold class numbers"):
        evaluate(copy, copy, tmp_path / "scores", config=named)
    again, _ = prepare(copy, tmp_path / "again", DataConfig())
    for id_ in prepared.cases:
        np.testing.assert_array_equal(again.arrays(id_)[1], prepared.arrays(id_)[1])
    # A map to other classes is not that of the copy, and merges them.
    merged = DataConfig(labels={"background": 0, "both": 1}, label_map={2: 1})
    assert not check(copy, merged).errors
    # A map of numbers that are no classes changes nothing there.
    other = DataConfig(labels=named.labels, label_map={255: 1})
    assert not check(copy, other).errors
