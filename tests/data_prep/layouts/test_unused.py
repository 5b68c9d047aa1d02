"""Every file of a dataset belongs to a case, or is named; a list that is given is the list."""

import json

import pytest
from bad_sets import mask, picture, png
from dicom_files import encode, series

from data_prep.core.errors import DataError
from data_prep.files.file_tree import open_tree
from data_prep.layouts import find_layout
from data_prep.layouts.nnunet import joined_channels

PAIRS = {f"{folder}/{k}.png": png(picture(ord(k))) for folder in ("images", "masks") for k in "ab"}


def layout_of(root, *, need_labels=False):
    return find_layout(open_tree(root), need_labels=need_labels)


def told(layout):
    return {(f.level, f.code) for f in layout.findings}


@pytest.mark.parametrize(
    "name",
    [
        *("c.gif", "c.webp", "c.nii.bz2", "c.mgz", "c.nii.gz.part", "c.zip", "c.tar.gz", "c"),
        *("more/c.gif", "more/c.nrrd.gz", "more/c.7z", "more/c.tif.crdownload"),
    ],
)
@pytest.mark.parametrize("first", ["a.png", "one/a.png"])
def test_a_folder_of_images_names_what_it_leaves_out(written, first, name):
    layout = layout_of(written({first: png(picture(1)), name: b"some bytes"}))
    assert [case.id for case in layout.cases] == ["a"]
    (finding,) = layout.findings
    assert (finding.level, finding.code) == ("warning", "LAY_UNUSED")
    assert name in finding.found


@pytest.mark.parametrize("name", ["README", "notes.txt", "about.md", "a.json", "LICENSE"])
def test_texts_beside_images_are_not_named(written, name):
    assert not layout_of(written({"a.png": png(picture(1)), name: b"{}"})).findings


@pytest.mark.parametrize("name", ["SHA256SUMS", "md5sums.txt", "manifest-sha256.txt", "x/a.md5"])
def test_checksums_are_noted_once_as_not_checked(written, name):
    layout = layout_of(written({**PAIRS, name: b"0 a", "checksums": b"0 b"}), need_labels=True)
    (finding,) = layout.findings
    assert (finding.level, finding.code) == ("note", "LAY_UNUSED")
    assert name in finding.found
    assert finding.found.count("checksums") == 2


@pytest.mark.parametrize("name", ["p9.zip", "p9.tar.gz", "more/p9.rar", "more/p9.nii.bz2"])
def test_what_may_hold_cases_is_a_warning_in_a_set_of_pairs_too(written, name):
    layout = layout_of(written({**PAIRS, name: b"some bytes"}), need_labels=True)
    assert told(layout) == {("warning", "LAY_UNUSED")}


@pytest.mark.parametrize("name", ["p9.zip", "b/c.tar.gz", "p9.7z"])
def test_what_may_hold_cases_beside_dicom_is_a_warning(written, name):
    slices = {f"ct/{z}.dcm": encode(one) for z, one in enumerate(series())}
    layout = layout_of(written({**slices, name: b"some bytes"}), need_labels=True)
    assert ("warning", "LAY_UNUSED") in told(layout)


@pytest.mark.parametrize("name", ["scan.nii.gz", "more/scan.nrrd", "key.png", "ct/key.tif"])
def test_images_beside_dicom_are_named_where_all_are_wanted(written, name):
    slices = {f"ct/{z}.dcm": encode(one) for z, one in enumerate(series())}
    layout = layout_of(written({**slices, name: b"some bytes"}))
    assert ("warning", "LAY_UNUSED") in told(layout)


@pytest.mark.parametrize("folder", ["old", "images_T2", "predictions"])
def test_images_elsewhere_are_noted_also_by_names_of_cases(written, folder):
    layout = layout_of(written({**PAIRS, f"{folder}/a.png": b"x"}), need_labels=True)
    (finding,) = layout.findings
    assert (finding.level, finding.code) == ("note", "LAY_UNUSED")
    assert f"{folder}/a.png" in finding.found


@pytest.mark.parametrize("file", ["list.csv", "list.json"])
@pytest.mark.parametrize("need_labels", [True, False])
@pytest.mark.parametrize(
    "content",
    [
        "filename,mask_file\nimages/a.png,masks/a.png\n",
        '{"training": [{"scan_file": "images/a.png"}]}',
        '[{"image": "images/a.png"}]',
        '{"train": [{"image": "images/a.png", "label": "masks/a.png"}]}',
        "{broken",
        "",
    ],
)
def test_a_list_that_is_given_and_names_no_images_is_an_error(written, file, need_labels, content):
    root = written({**PAIRS, file: content.encode()})
    with pytest.raises(DataError, match=r"LAY_LIST|LAY_JSON|IO_EMPTY"):
        layout_of(root / file, need_labels=need_labels)


RECORD = {"image": "images/a.png", "label": "masks/a.png"}


def test_a_description_beside_images_and_masks_is_read(written):
    text = {"labels": {"background": 0, "liver": 1}, "channel_names": {"0": "CT"}}
    layout = layout_of(written({**PAIRS, "dataset.json": text}), need_labels=True)
    assert (layout.labels, layout.channels) == (text["labels"], ("CT",))
    assert not layout.findings


@pytest.mark.parametrize("name", ["dataset.json", "datalist.json", "more/dataset_0.json"])
@pytest.mark.parametrize(
    "content",
    [
        {"train": [RECORD], "test": [RECORD]},
        {"Training": [RECORD]},
        {"fold_0": [RECORD], "fold_1": [RECORD]},
        {"data": {"train": [RECORD]}},
        [RECORD],
        "with a mark of bytes",
        "a line each",
    ],
)
def test_a_list_of_other_keys_beside_folders_is_an_error(written, name, content):
    data = json.dumps([RECORD] if isinstance(content, str) else content).encode()
    data = "\ufeff".encode() + data if content == "with a mark of bytes" else data
    data = b"\n".join([data[1:-1]] * 2) if content == "a line each" else data
    root = written({**PAIRS, name: data})
    with pytest.raises(DataError, match=r"LAY_LIST|LAY_JSON"):
        layout_of(root, need_labels=True)


@pytest.mark.parametrize("content", [{"image": "x"}, {"images": 3}, {"a": [{"score": 1}]}, [1, 2]])
def test_json_that_lists_no_images_is_no_list(written, content):
    assert layout_of(written({**PAIRS, "x.json": json.dumps(content).encode()})).cases


@pytest.mark.parametrize("name", ["scan", "scan.gpg", "scan.zip.001", "scan.raw", "scan.avif"])
@pytest.mark.parametrize("need_labels", [True, False])
def test_a_case_in_a_folder_of_its_own_that_cannot_be_read_is_named(written, name, need_labels):
    files = {f"p{k}/s{k}{n}": png(picture(k)) for k in (1, 2) for n in (".png", "_mask.png")}
    layout = layout_of(written({**files, f"p3/{name}": b"some"}), need_labels=need_labels)
    assert ("warning", "LAY_UNUSED") in told(layout)


@pytest.mark.parametrize("need_labels", [True, False])
def test_a_list_that_is_given_is_taken_alone(written, need_labels):
    root = written({**PAIRS, "list.csv": b"image,label\nimages/a.png,masks/a.png\n"})
    layout = layout_of(root / "list.csv", need_labels=need_labels)
    assert [case.id for case in layout.cases] == ["a"]


def test_images_that_a_list_names_and_are_not_there_are_missed(written):
    rows = "image,label\nimages/a.png,masks/a.png\nimages/x.png,masks/b.png\n,masks/b.png\n"
    layout = layout_of(written({**PAIRS, "list.csv": rows.encode()}))
    assert [error.code for error in layout.problems] == ["PAIR_NO_IMAGE"] * 2
    assert [error.case for error in layout.problems] == ["x", "b"]


def test_labels_without_images_say_nothing_to_images_alone(written):
    layout = layout_of(written({**PAIRS, "masks/z.png": png(mask())}))
    assert not layout.problems


def nnunet(tests=("t_0000",), described=True):
    names = [f"{n}_0000" for n in "ab"]
    files = {f"imagesTr/{n}.png": png(picture(ord(n[0]))) for n in names}
    files |= {f"labelsTr/{n}.png": png(mask()) for n in "ab"}
    files |= {f"imagesTs/{n}.png": png(picture(9 + k)) for k, n in enumerate(tests)}
    text = {"channel_names": {"0": "x"}, "labels": {"background": 0, "a": 1}, "numTraining": 2}
    return files | ({"dataset.json": json.dumps(text).encode()} if described else {})


@pytest.mark.parametrize("described", [True, False])
def test_images_for_testing_are_cases_where_all_are_wanted(written, described):
    root = written(nnunet(described=described))
    assert [case.id for case in layout_of(root).cases] == ["a", "b", "t"]
    assert [case.id for case in layout_of(root, need_labels=True).cases] == ["a", "b"]


@pytest.mark.parametrize("tests", [["images/b.png"], [{"image": "images/b.png"}]])
@pytest.mark.parametrize("key", ["test", "validation"])
def test_images_that_a_list_has_for_testing_are_cases_where_all_are_wanted(written, key, tests):
    if key == "validation" and isinstance(tests[0], str):
        tests = [{"image": tests[0]}]
    training = [{"image": "images/a.png", "label": "masks/a.png"}]
    text = json.dumps({"training": training, key: tests}).encode()
    root = written({**PAIRS, "list.json": text})
    assert [case.id for case in layout_of(root).cases] == ["a", "b"]
    assert [case.id for case in layout_of(root, need_labels=True).cases] == ["a"]


@pytest.mark.parametrize("part", ["imagesTs", "imagesTr"])
def test_a_case_for_testing_without_a_channel_is_missed(written, part):
    files = {f"{part}/{n}.png": png(picture(k)) for k, n in enumerate(("t_0000", "u_0000"))}
    text = {"channel_names": {"0": "x", "1": "y"}, "labels": {"background": 0, "a": 1}}
    files |= {f"imagesTr/a_000{k}.png": png(picture(k + 5)) for k in (0, 1)}
    files |= {"labelsTr/a.png": png(mask()), "dataset.json": json.dumps(text).encode()}
    layout = layout_of(written(files))
    missed = {error.case for error in layout.problems if error.code == "PAIR_NO_IMAGE"}
    assert missed == {"t", "u"}


def test_equal_names_in_folders_of_patients_are_told_apart_by_their_folders(written):
    files = {f"set/{p}/scan.png": png(picture(k)) for k, p in enumerate(("p1", "p2"))}
    layout = layout_of(written({**files, "set/p2/own.png": png(picture(7))}))
    assert [case.id for case in layout.cases] == ["own", "p1_scan", "p2_scan"]


def test_channels_in_files_of_their_own_are_joined(written):
    files = {f"x/{id_}_000{k}.png": png(picture(k)) for id_ in "ab" for k in (0, 1)}
    files["x/c_0000.png"] = png(picture(8))
    layout = layout_of(written(files))
    joined = joined_channels(layout, 2)
    assert [(case.id, case.scans) for case in joined.cases] == [
        (id_, ((f"x/{id_}_0000.png",), (f"x/{id_}_0001.png",))) for id_ in "ab"
    ]
    assert [(error.code, error.case) for error in joined.problems] == [("PAIR_NO_IMAGE", "c")]
    one = joined_channels(layout, 1)
    assert [case.id for case in one.cases] == ["c"]
    assert {error.code for error in one.problems} == {"CH_COUNT"}


def test_images_of_other_names_are_not_joined(written):
    layout = layout_of(written({n: png(picture(1)) for n in ("a_0000.png", "b.png")}))
    assert joined_channels(layout, 1) == layout


def test_voxels_of_analyze_headers_are_theirs(written):
    layout = layout_of(written(dict.fromkeys(("a.hdr", "a.img", "b.hdr", "b.img.gz"), b"some")))
    assert [case.id for case in layout.cases] == ["a", "b"]
    assert not layout.findings


@pytest.mark.parametrize("text", ["[" * 100_000, "{", '["a",]'])
@pytest.mark.parametrize("name", ["datalist.json", "data_list_0.json", "cases.json"])
def test_a_list_that_is_no_json_is_an_error(written, name, text):
    layout = layout_of(written({**PAIRS, name: text.encode()}), need_labels=True)
    assert "LAY_JSON" in {error.code for error in layout.problems}
