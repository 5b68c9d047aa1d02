"""Usual names of columns, folders and parts of a split are obeyed; others are named."""

import io
import json

import numpy as np
import pytest
import SimpleITK
import tifffile
from bad_sets import blob, gz, mask, nifti, noise, picture, png
from dicom_files import encode, series
from listed_sets import pairs, table

from data_prep.checks.run import check
from data_prep.convert import convert
from data_prep.core.config import DataConfig
from data_prep.core.errors import DataError
from data_prep.files.file_tree import open_tree
from data_prep.layouts import find_layout
from data_prep.planning.splits import read_folds
from data_prep.prepared.prepare import prepare
from sdunet.cli.main import main


def splits(root):
    return {case.id: case.split for case in find_layout(open_tree(root)).cases}


@pytest.mark.parametrize("test", ["test/{}", "testing/{}", "{}_test", "Test-{}", "{}/test"])
@pytest.mark.parametrize("train", ["train/{}", "training/{}", "{}", "{}_train", "{}/train"])
def test_folders_for_testing_are_the_test_set(written, train, test):
    if train == "{}" and test.endswith("/test"):
        train = "{}/train"  # or one folder would lie in the other
    root = written({**pairs([train]), **pairs([test], "cd")})
    assert splits(root) == {"a": None, "b": None, "c": "test", "d": "test"}
    checked = check(root, DataConfig())
    assert not checked.errors


@pytest.mark.parametrize("word", ["val", "valid", "validation"])
def test_folders_for_validation_are_kept_apart_and_noted(written, word):
    root = written({**pairs(["train/{}"]), **pairs([word + "/{}"], "c")})
    assert splits(root) == {"a": None, "b": None, "c": "test"}
    assert "SPLIT_VALIDATION" in {f.code for f in find_layout(open_tree(root)).findings}


@pytest.mark.parametrize(
    ("key", "value", "code"),
    [("PID", "x", "LAY_COLUMNS"), ("excluded", 1, "LAY_COLUMNS"), ("patient", "x", None)],
)
def test_keys_of_records_that_are_not_used_are_noted(written, key, value, code):
    files = pairs(["{}"])
    records = [{"image": f"images/{n}.png", "label": f"masks/{n}.png", key: value} for n in "ab"]
    root = written({**files, "list.json": {"training": records}})
    found = find_layout(open_tree(root)).findings
    assert [finding.code for finding in found] == [code] * bool(code)
    assert not code or repr(key) in found[0].found


@pytest.mark.parametrize("label", ["mask", "Segmentation", "label_path"])
def test_label_of_a_record_by_its_usual_names_and_never_by_two(written, label):
    files = pairs(["{}"])
    records = [{"Image": f"images/{n}.png", label: f"masks/{n}.png"} for n in "ab"]
    root = written({**files, "list.json": {"training": records}})
    assert sorted(splits(root)) == ["a", "b"]
    records[1]["labels"] = "masks/a.png"
    root = written({**files, "list.json": {"training": records}}, "twice")
    with pytest.raises(DataError, match=r"LAY_JSON.*both name the label"):
        find_layout(open_tree(root))


def test_equal_names_in_several_parts_get_the_part_before_them(written):
    assert splits(written(pairs(["train/{}", "test/{}"]))) == {
        "train_a": None, "train_b": None, "test_a": "test", "test_b": "test",
    }  # fmt: skip


@pytest.mark.parametrize("folder", ["train/{}", "test/{}", "validation/{}"])
def test_one_part_alone_is_no_split(written, folder):
    assert splits(written(pairs([folder]))) == {"a": None, "b": None}


def test_test_images_whose_labels_others_keep_are_no_error(written):
    images = {f"test/images/{n}.png": png(picture(20 + k)) for k, n in enumerate("cd")}
    root = written({**pairs(["train/{}"]), **images})
    checked = check(root, DataConfig())
    assert sorted(checked.facts) == ["a", "b"]
    assert not checked.errors
    seen = find_layout(open_tree(root), need_labels=False)
    assert [case.id for case in seen.cases] == ["a", "b", "c", "d"]


@pytest.mark.parametrize("above", ["test_data", "train-val-2019", "data/train"])
def test_folders_above_all_files_tell_of_no_part(written, above):
    files = {**pairs(["train/{}"]), **pairs(["val/{}"], "c")}
    assert splits(written({f"{above}/{name}": data for name, data in files.items()})) == {
        "a": None, "b": None, "c": "test",
    }  # fmt: skip


def test_a_folder_that_names_several_parts_tells_none(written):
    root = written({**pairs(["train_test/{}"]), **pairs(["more/{}"], "c")})
    assert splits(root) == {"a": None, "b": None, "c": None}


@pytest.mark.parametrize(
    ("told", "meant", "code"),
    [
        ({"split": "val"}, "test", "SPLIT_VALIDATION"),
        ({"Fold": "1.0"}, 1, None),
        ({"subset": "testing"}, "test", None),
        ({"split": "train", "fold": 2}, 2, None),
    ],
)
def test_records_of_a_json_list_are_told_of_as_rows_are(written, told, meant, code):
    records = [{"image": f"i/{n}.png", "label": f"m/{n}.png"} for n in "ab"]
    listed = json.dumps({"training": [records[0] | told, records[1]]}).encode()
    layout = find_layout(open_tree(written({**pairs(["{}"], "ab", "i", "m"), "l.json": listed})))
    assert [case.split for case in layout.cases] == [meant, None]
    assert [f.code for f in layout.findings] == ([code] if code else [])


@pytest.mark.parametrize("told", [{"split": "some"}, {"split": "test", "fold": 1}, {"fold": 0.5}])
def test_a_record_that_tells_of_no_part_is_an_error(written, told):
    records = [{"image": f"i/{n}.png", "label": f"m/{n}.png"} for n in "ab"]
    listed = json.dumps({"training": [records[0] | told, records[1]]}).encode()
    layout = find_layout(open_tree(written({**pairs(["{}"], "ab", "i", "m"), "l.json": listed})))
    assert [(p.code, p.case) for p in layout.problems] == [("LAY_FOLD", "a")]


def test_folders_of_two_parts_are_an_error(written):
    root = written({**pairs(["train/{}"]), **pairs(["val/test/{}"], "c")})
    layout = find_layout(open_tree(root))
    assert {(p.code, "test, validation" in p.found) for p in layout.problems} == {
        ("LAY_FOLD", True)
    }
    assert [case.id for case in layout.cases] == ["a", "b"]


IMAGE, LABEL = gz(nifti(noise())), gz(nifti(blob()))


@pytest.mark.parametrize("labelled", [True, False])
def test_nnunet_without_json_and_its_test_set(written, labelled):
    files = {f"imagesTr/{i}_0000.nii.gz": gz(nifti(noise(n))) for n, i in enumerate("ab")}
    files |= {f"labelsTr/{i}.nii.gz": LABEL for i in "ab"}
    files["imagesTs/c_0000.nii.gz"] = gz(nifti(noise(5)))
    if labelled:
        files["labelsTs/c.nii.gz"] = LABEL
    root = written(files)
    assert find_layout(open_tree(root)).name == "nnunet"
    assert splits(root) == {"a": None, "b": None} | ({"c": "test"} if labelled else {})
    assert not check(root, DataConfig()).errors
    assert not [f for f in find_layout(open_tree(root)).findings if f.code == "LAY_UNUSED"]


@pytest.mark.parametrize(
    "name",
    ["patient", "PatientID", "Patient ID", "patient_id", "subject", "Subject_ID", "participant_id",
     "participant-id", "group", "Group ID"],
)  # fmt: skip
def test_columns_of_patients_go_by_any_usual_name(written, name):
    layout = find_layout(open_tree(written(table(f"image,label,{name}", *"xxyy"))))
    assert [case.group for case in layout.cases] == ["x", "x", "y", "y"]
    assert not layout.findings


@pytest.mark.parametrize(
    ("name", "told", "meant"),
    [
        ("split", ("train", "Training", "TEST", "testing"), (None, None, "test", "test")),
        ("Split", ("train", "", "valid", "validation"), (None, None, "test", "test")),
        ("subset", ("train", "tr", "val", "dev"), (None, None, "test", "test")),
        ("fold", ("0", "1", "0.0", "1.0"), (0, 1, 0, 1)),
        ("Fold", ("nan", "test", "nan", "NaN"), (None, "test", None, None)),
    ],
)
def test_parts_of_a_split_go_by_any_usual_name(written, name, told, meant):
    layout = find_layout(open_tree(written(table(f"image,label,{name}", *told))))
    assert tuple(case.split for case in layout.cases) == meant


@pytest.mark.parametrize("word", ["later", "0.5", "-1", "train/test"])
def test_a_part_that_is_not_known_is_an_error(written, word):
    layout = find_layout(open_tree(written(table("image,label,split", word, "", "", ""))))
    assert [(p.code, p.case) for p in layout.problems] == [("LAY_FOLD", "i/a.png")]
    assert (
        "allowed are train, validation, test and the numbers of folds" in layout.problems[0].found
    )


def test_columns_called_mask_and_img_are_label_and_image(written):
    layout = find_layout(open_tree(written(table("IMG,Mask,split", "", "", "", "test"))))
    assert [case.labels for case in layout.cases] == [(f"m/{n}.png",) for n in "abcd"]


def test_two_columns_of_one_role_are_an_error(written):
    with pytest.raises(DataError, match=r"LAY_CSV: columns 'label' and 'mask' both name the label"):
        find_layout(open_tree(written(table("image,label,mask", *"abcd"))))


def test_columns_that_are_not_used_are_noted(written):
    (noted,) = find_layout(open_tree(written(table("image,label,age", *"1234")))).findings
    assert (noted.level, noted.code) == ("note", "LAY_COLUMNS")
    assert "'age'" in noted.found


@pytest.mark.parametrize("name", ["c.mgz", "c.gif", "c.webp", "c.nii.gz.part", "c"])
def test_files_beside_those_of_cases_that_are_not_read_are_named(written, name):
    root = written({**pairs(["{}"]), f"images/{name}": b"some", f"masks/{name}": b"other"})
    (told,) = [f for f in check(root, DataConfig()).findings if f.code == "LAY_UNUSED"]
    assert told.level == "warning"
    assert "2 files beside those of cases are not used" in told.found
    assert f"images/{name}" in told.found


def test_images_elsewhere_are_noted_and_texts_are_not(written):
    more = {"extra/x.png": png(picture(9)), "images/README": b"x", "LICENSE": b"x", "a.txt": b"x"}
    (told,) = find_layout(open_tree(written({**pairs(["{}"]), **more}))).findings
    assert (told.level, told.code) == ("note", "LAY_UNUSED")
    assert "1 images elsewhere" in told.found
    assert "extra/x.png" in told.found


@pytest.mark.parametrize(
    ("suffix", "line"), [("nhdr", "data file: {}"), ("mhd", "ElementDataFile = {}")]
)
def test_voxels_beside_headers_are_used_and_others_are_not(tmp_path, suffix, line):
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
        for k, name in enumerate("ab"):
            image = SimpleITK.GetImageFromArray(noise(k) if folder == "images" else blob())
            SimpleITK.WriteImage(image, str(tmp_path / f"{folder}/{name}.{suffix}"))
    header = tmp_path / f"images/a.{suffix}"
    assert line.format("a.raw") in header.read_text()
    (tmp_path / "images/a.raw").rename(tmp_path / "images/x.bin")
    header.write_text(header.read_text().replace("a.raw", "x.bin"))
    assert find_layout(open_tree(tmp_path)).findings == ()
    (tmp_path / "images/y.raw").write_bytes(b"voxels of nothing")
    (told,) = find_layout(open_tree(tmp_path)).findings
    assert told.code == "LAY_UNUSED"
    assert "images/y.raw" in told.found


@pytest.mark.parametrize("suffix", ["nhdr", "mhd", "nrrd", "mha"])
@pytest.mark.parametrize("shared", ["images/b", "images/a_mask"])
def test_voxels_of_several_headers_refuse_their_cases(tmp_path, suffix, shared):
    """Of two images, and of an image and its label."""
    (tmp_path / "images").mkdir()
    written_as = {"nrrd": "nhdr", "mha": "mhd"}.get(suffix, suffix)
    for k, name in enumerate(["a", "b", "c", "a_mask", "b_mask", "c_mask"]):
        image = SimpleITK.GetImageFromArray(noise(k) if k < 3 else blob())
        file = tmp_path / f"images/{name}.{written_as}"
        SimpleITK.WriteImage(image, str(file))
        file.rename(file.with_suffix(f".{suffix}"))
    assert not find_layout(open_tree(tmp_path)).problems
    header = tmp_path / f"{shared}.{suffix}"
    header.write_text(header.read_text().replace(f"{header.stem}.raw", "a.raw"))
    layout = find_layout(open_tree(tmp_path))
    cases = ["a"] if "mask" in shared else ["a", "b"]
    told = [(e.code, e.case, e.file) for e in layout.problems]
    assert told == [("PAIR_SHARED", case, "images/a.raw") for case in cases]
    assert {case.id for case in layout.cases} == {"a", "b", "c"} - {*cases}


@pytest.mark.parametrize("name", ["ct/{}.dcm", "ct/{}", "ct/1.2.{}", "ct/{}.IMA"])
def test_dicom_beside_another_layout_is_told(written, name):
    slices = {name.format(z): encode(one) for z, one in enumerate(series())}
    (told,) = find_layout(open_tree(written({**pairs(["{}"]), **slices}))).findings
    assert (told.level, told.code) == ("warning", "LAY_UNUSED")
    assert "10 DICOM files are not used" in told.found


@pytest.mark.parametrize("to", ["folders", "nnunet", "monai"])
def test_a_converted_set_keeps_its_test_set(written, tmp_path, to):
    root = written({**pairs(["train/{}"]), **pairs(["test/{}"], "cd")})
    convert(root, tmp_path / "out", DataConfig(), to)
    assert splits(tmp_path / "out") == {"a": None, "b": None, "c": "test", "d": "test"}
    assert not check(tmp_path / "out", DataConfig()).errors


@pytest.mark.parametrize("to", ["monai", "folders"])
def test_a_converted_set_keeps_folds_groups_and_the_test_set(written, tmp_path, to):
    root = written(table("image,label,patient,fold", *("x,0", "x,0", "y,1", "z,test")))
    convert(root, tmp_path / "out", DataConfig(), to)
    cases = find_layout(open_tree(tmp_path / "out")).cases
    assert [(case.group, case.split) for case in cases] == [
        ("x", 0), ("x", 0), ("y", 1), ("z", "test"),
    ]  # fmt: skip


def test_what_nnunet_cannot_be_told_is_said_and_its_folds_are_written(written, tmp_path, capsys):
    root = written(table("image,label,patient,fold", *("x,0", "x,0", "y,1", "z,1")))
    command = ["convert", str(root), "-o", str(tmp_path / "out"), "--to", "nnunet"]
    assert main(command) == 0
    assert "SPLIT_LOST: groups of 4 cases" in capsys.readouterr().err
    folds = read_folds(tmp_path / "out/splits_final.json", {i: i for i in "abcd"})
    assert [sorted(fold["val"]) for fold in folds] == [["a", "b"], ["c", "d"]]
    assert splits(tmp_path / "out") == {"a": 0, "b": 0, "c": 1, "d": 1}


HALVES = [{"train": ["c", "d"], "val": ["a", "b"]}, {"train": ["a", "b"], "val": ["c", "d"]}]


@pytest.mark.parametrize(
    ("folds", "code"),
    [
        (HALVES, None),
        (HALVES[:1], "LAY_UNUSED"),
        ([*HALVES, HALVES[0]], "LAY_UNUSED"),
        ([{"train": ["c"], "val": ["a", "b"]}, HALVES[1]], "LAY_UNUSED"),
        ([{"train": ["c", "d"], "val": ["a", "x"]}, HALVES[1]], "LAY_UNUSED"),
        ({"train": []}, "SPLIT_FILE"),
        ([{"train": ["a"]}], "SPLIT_FILE"),
        ([fold | {"test": []} for fold in HALVES], None),
        ([fold | {"test": ["c"]} for fold in HALVES], "SPLIT_FILE"),
        ([*HALVES[:1], HALVES[1] | {"excluded": ["c"]}], "SPLIT_FILE"),
    ],
)
def test_folds_beside_a_set_of_nnunet_are_its_folds_or_named(written, folds, code):
    images = {f"imagesTr/{i}_0000.png": png(picture(ord(i))) for i in "abcd"}
    labels = {f"labelsTr/{i}.png": png(mask()) for i in "abcd"}
    root = written({**images, **labels, "splits_final.json": json.dumps(folds).encode()})
    if code == "SPLIT_FILE":
        with pytest.raises(DataError, match="SPLIT_FILE"):
            check(root, DataConfig())
        return
    checked = check(root, DataConfig())
    assert [f.code for f in checked.findings if f.code == "LAY_UNUSED"] == [code] * bool(code)
    assert [case.split for case in checked.layout.cases] == ([None] * 4 if code else [0, 0, 1, 1])


@pytest.mark.parametrize(
    ("options", "code", "status"),
    [
        (["--dataset.folds=100"], "SPLIT_FEWER", 1),
        (["--dataset.split_file=none.json"], "SPLIT_FILE", 1),
        (["--dataset.test_share=0.9"], "SPLIT_TEST", 0),
        (["--dataset.folds=2"], None, 0),
    ],
)
def test_check_says_what_comes_of_the_split_that_is_asked_for(
    written, capsys, options, code, status
):
    root = written(pairs(["{}"], "abcdef"))
    assert main(["check", str(root), *options]) == status
    said = capsys.readouterr().out
    assert code in said if code else "SPLIT" not in said


@pytest.mark.parametrize(
    ("told", "few"),
    [(["test"] * 4, True), (["train", *["test"] * 3], True), (["train"] * 4, False)],
)
def test_check_says_that_a_told_split_leaves_too_few(written, capsys, told, few):
    assert main(["check", str(written(table("image,label,split", *told)))]) == few
    assert ("SPLIT_FEW" in capsys.readouterr().out) == few


def test_cases_for_testing_alone_are_warned_of_and_not_prepared(written, tmp_path, capsys):
    root = written(table("image,label,split", *["test"] * 4))
    assert main(["check", str(root)]) == 1
    said = capsys.readouterr().out
    assert "warning SPLIT_FEW: all 4 cases are kept apart for testing" in said
    assert "4 cases can be used" in said
    with pytest.raises(DataError, match="SPLIT_FEW: all 4 cases"):
        prepare(root, tmp_path / "out", DataConfig())


@pytest.mark.parametrize(
    "option",
    ["spacing=[1,1,1]", "intensity=ct", "patch_size=[32,32]", "memory_gb=4", "folds=3", "seed=4",
     "test_share=0.2", "group_pattern=(.)"],
)  # fmt: skip
def test_settings_of_planning_are_told_to_change_nothing(written, tmp_path, capsys, option):
    root = written(pairs(["{}"]))
    command = ["convert", str(root), "-o", str(tmp_path / "out"), "--to", "folders"]
    assert main([*command, f"--dataset.{option}"]) == 0
    name = option.partition("=")[0]
    assert f"SET_UNUSED: dataset.{name}" in capsys.readouterr().err
    main(["check", str(root), "--fix", str(tmp_path / "fixed"), f"--dataset.{option}"])
    assert f"SET_UNUSED: dataset.{name}" in capsys.readouterr().out


def test_files_of_two_endings_are_an_error_for_nnunet(written, tmp_path):
    files = pairs(["{}"], "abc")
    files["images/c.tif"] = tiff(picture(7).astype(np.float32) / 3)
    del files["images/c.png"]
    root = written(files)
    _, _, problems = convert(root, tmp_path / "out", DataConfig(), "nnunet")
    assert [(p.code, p.case) for p in problems] == [("OUT_TYPE", "c")]
    assert json.loads((tmp_path / "out/dataset.json").read_text())["file_ending"] == ".png"


def tiff(array):
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, array, photometric="minisblack")
    return buffer.getvalue()
