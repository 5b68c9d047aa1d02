"""Raw datasets of nnU-Net as it writes them: colours in one file, lists of files, regions."""

from contextlib import nullcontext

import numpy as np
import pytest
from bad_sets import blob, gz, nifti, noise, png

from data_prep.checks.run import check
from data_prep.convert import convert
from data_prep.core.config import DataConfig
from data_prep.core.errors import DataError
from data_prep.files.file_tree import open_tree
from data_prep.layouts import find_layout
from data_prep.layouts.nnunet import joined_channels

IMAGES = {id_: gz(nifti(noise(seed))) for seed, id_ in enumerate("ab")}
IMAGE, LABEL = IMAGES["a"], gz(nifti(blob()))
COLOURS = {
    id_: png(np.random.default_rng(seed).integers(0, 255, (16, 16, 3), np.uint8))
    for seed, id_ in enumerate("ab")
}
MASK = png(np.eye(16, dtype=np.uint8))


def described(**changes):
    return {
        "channel_names": {"0": "CT"},
        "labels": {"background": 0, "organ": 1},
        "file_ending": ".nii.gz",
        **changes,
    }


def in_colours(**changes):
    names = {"0": "R", "1": "G", "2": "B"}
    told = described(channel_names=names, file_ending=".png", **changes)
    pairs = {f"imagesTr/{id_}_0000.png": COLOURS[id_] for id_ in "ab"}
    return {"dataset.json": told} | pairs | {f"labelsTr/{id_}.png": MASK for id_ in "ab"}


def volumes(told, label=LABEL):
    images = {f"imagesTr/{id_}_0000.nii.gz": IMAGES[id_] for id_ in "ab"}
    return {"dataset.json": told} | images | {f"labelsTr/{id_}.nii.gz": label for id_ in "ab"}


def test_a_2d_image_in_colours_is_one_file(written):
    layout = find_layout(open_tree(written(in_colours())))
    assert [case.scans for case in layout.cases] == [
        (("imagesTr/a_0000.png",),),
        (("imagesTr/b_0000.png",),),
    ]
    assert not layout.problems


def test_a_volume_lacks_a_file_for_each_channel(written):
    told = described(channel_names={"0": "T1", "1": "T2"})
    layout = find_layout(open_tree(written(volumes(told))))
    assert [error.code for error in layout.problems] == ["PAIR_NO_IMAGE"] * 2


def test_what_is_written_for_nnunet_is_read_again(written, tmp_path):
    root = written(in_colours())
    convert(root, tmp_path / "out", DataConfig(), "nnunet")
    again = check(tmp_path / "out", DataConfig())
    assert (sorted(again.facts), again.errors) == (["a", "b"], ())


def test_colours_alone_are_one_image_of_all_channels(written):
    root = written({f"{id_}_0000.png": COLOURS[id_] for id_ in "ab"})
    layout = joined_channels(find_layout(open_tree(root), need_labels=False), 3)
    assert [case.id for case in layout.cases] == ["a", "b"]
    assert not layout.problems


@pytest.mark.parametrize(
    ("folder", "file", "channels"),
    [
        ("imagesTs", {"0": "T1", "1": "FLAIR"}, ("T1", "FLAIR")),
        ("imagesTr", {"0": "T1", "1": "FLAIR"}, ("T1", "FLAIR")),
        ("imagesTest", {"0": "T1", "1": "FLAIR"}, ("T1", "FLAIR")),
        ("scans", {"0": "T1", "1": "FLAIR"}, None),
        ("imagesTs", None, None),
    ],
)
def test_a_folder_of_images_has_the_channels_that_its_set_tells(written, folder, file, channels):
    told = {} if file is None else {"dataset.json": described(channel_names=file)}
    root = written(told | {f"{folder}/a_000{k}.nii.gz": IMAGES[c] for k, c in enumerate("ab")})
    layout = find_layout(open_tree(root / folder), need_labels=False)
    assert joined_channels(layout, 2, root / folder).channels == channels
    (case,) = joined_channels(layout).cases
    assert (case.id, len(case.scans)) == ("a", 2)


def test_a_damaged_list_beside_a_folder_of_images_is_named(written):
    root = written({"dataset.json": b"{", "imagesTs/a_0000.nii.gz": IMAGE})
    layout = find_layout(open_tree(root / "imagesTs"), need_labels=False)
    with pytest.raises(DataError, match=r"LAY_JSON: .*dataset\.json"):
        joined_channels(layout, 1, root / "imagesTs")


def test_images_that_are_numbered_from_1_on_are_images_of_their_own(written):
    root = written({f"img_000{k}.nii.gz": IMAGES[c] for k, c in enumerate("ab", 1)})
    layout = find_layout(open_tree(root), need_labels=False)
    assert joined_channels(layout, 1, root) == layout
    assert [case.id for case in layout.cases] == ["img_0001", "img_0002"]


@pytest.mark.parametrize("up", ["", "scans/../"])
def test_the_files_that_a_key_dataset_names_are_the_cases(written, up):
    record = {"images": [f"{up}scans/x.nii.gz"], "label": f"{up}drawn/y.nii.gz"}
    files = {"scans/x.nii.gz": IMAGE, "drawn/y.nii.gz": LABEL}
    root = written({"dataset.json": described(dataset={"a": record}, numTraining=1)} | files)
    layout = find_layout(open_tree(root))
    (case,) = layout.cases
    assert (case.id, case.files) == ("a", ("scans/x.nii.gz", "drawn/y.nii.gz"))
    assert not layout.problems


@pytest.mark.parametrize(
    ("record", "code"),
    [
        ({"images": ["x.nii.gz", "x2.nii.gz"], "label": "y.nii.gz"}, "CH_COUNT"),
        ({"images": ["gone.nii.gz"], "label": "y.nii.gz"}, "PAIR_NO_IMAGE"),
        ({"images": ["x.nii.gz"], "label": "gone.nii.gz"}, "PAIR_NO_LABEL"),
    ],
)
def test_a_record_of_the_key_dataset_that_is_wrong_is_named(written, record, code):
    files = {"x.nii.gz": IMAGE, "x2.nii.gz": IMAGE, "y.nii.gz": LABEL}
    root = written({"dataset.json": described(dataset={"a": record})} | files)
    layout = find_layout(open_tree(root))
    assert [(error.case, error.code) for error in layout.problems] == [("a", code)]


@pytest.mark.parametrize(
    ("record", "code"),
    [
        ({"images": ["../../x.nii.gz"], "label": "y.nii.gz"}, "LAY_PATH"),
        ({"images": "x.nii.gz", "label": "y.nii.gz"}, "LAY_JSON"),
        ({"label": "y.nii.gz"}, "LAY_JSON"),
        ("x.nii.gz", "LAY_JSON"),
    ],
)
def test_a_key_dataset_that_cannot_be_used_is_an_error(written, record, code):
    files = {"x.nii.gz": IMAGE, "y.nii.gz": LABEL}
    root = written({"dataset.json": described(dataset={"a": record})} | files)
    with pytest.raises(DataError, match=code):
        find_layout(open_tree(root))


def test_files_of_another_ending_than_declared_are_told_and_not_read(written):
    files = volumes(described()) | {"imagesTr/c_0000.nii": b"", "labelsTr/c.nii": b""}
    layout = find_layout(open_tree(written(files)))
    assert [case.id for case in layout.cases] == ["a", "b"]
    assert [(f.level, f.code) for f in layout.findings] == [("warning", "LAY_UNUSED")]
    assert "imagesTr/c_0000.nii" in layout.findings[0].found


REGIONS = {"background": 0, "whole": [1, 2, 4], "core": [1, 4], "active": 4}


@pytest.mark.parametrize("name", ["dataset.json", "list.json"])
def test_regions_are_made_of_a_class_for_each_set_of_them(written, name):
    label = 2 * blob()
    label[label.shape[0] // 2 :] *= 2
    told = described(labels=REGIONS, regions_class_order=[2, 1, 4])
    if name == "list.json":
        told = {"labels": REGIONS, "regions_class_order": [2, 1, 4], "training": [
            {"image": f"imagesTr/{id_}_0000.nii.gz", "label": f"labelsTr/{id_}.nii.gz"}
            for id_ in "ab"]}  # fmt: skip
    files = volumes(told, gz(nifti(label)))
    checked = check(written({name: files.pop("dataset.json")} | files), DataConfig())
    assert checked.rules.labels == {
        "background": 0, "whole+core": 1, "whole": 2, "whole+core+active": 3}  # fmt: skip
    assert checked.rules.label_map == {4: 3}
    painted = [(r.name, r.classes, r.painted) for r in checked.rules.regions]
    assert painted == [("whole", (1, 2, 3), 2), ("core", (1, 3), 1), ("active", (3,), 3)]
    assert len(checked.facts) == 2
    (noted,) = [f for f in checked.findings if f.code == "LBL_REGIONS"]
    assert noted.level == "note"
    assert "core [1, 3]" in noted.found


@pytest.mark.parametrize(
    ("labels", "order", "found"),
    [
        (
            REGIONS | {"ignore": [5, 6]},
            [2, 1, 4],
            "LAY_JSON: .*one value is ignored",
        ),
        (REGIONS | {"ignore": 4}, [2, 1, 4], "LAY_JSON: .*value 4 is ignored, and of a class"),
        (REGIONS, "214", "LAY_JSON: .*regions_class_order must be a list"),
        (REGIONS, [2, 1, "x"], "LAY_JSON"),
        (REGIONS | {"none": []}, [2, 1, 4, 4], "LBL_REGIONS: .*'none'"),
    ],
)
def test_regions_that_say_nothing_clear_are_refused(written, labels, order, found):
    told = described(labels=labels, regions_class_order=order)
    with pytest.raises(DataError, match=found):
        check(written(volumes(told)), DataConfig())


def test_a_list_of_one_value_is_that_class(written):
    checked = check(written(volumes(described(labels={"background": [0], "a": [1]}))), DataConfig())
    assert checked.rules.labels == {"background": 0, "a": 1}
    assert not checked.rules.regions


def test_ignored_voxels_are_neither_a_class_nor_background(written):
    told = described(labels={"background": 0, "organ": 1, "ignore": 2})
    label = blob()
    label[0] = 2
    checked = check(written(volumes(told, gz(nifti(label)))), DataConfig())
    assert not checked.errors
    assert {tuple(fact.voxels) for fact in checked.facts.values()} == {
        ((label == 0).sum(), (label == 1).sum())
    }
    assert {fact.ignored for fact in checked.facts.values()} == {(label == 2).sum()}


@pytest.mark.parametrize(
    ("labels", "refused"),
    [
        (None, ""),
        ({"background": 0, "liver": 1}, ""),  # which renames a class, and says nothing of it
        ({"background": 0, "organ": 1, "ignore": 2}, ""),
        ({"background": 0, "organ": 1, "ignore": 255}, "SET_CONFLICT"),
    ],
    ids=str,
)
def test_settings_agree_with_what_the_dataset_ignores(written, labels, refused):
    told = described(labels={"background": 0, "organ": 1, "Ignore": 2})
    label = blob()
    label[0] = 2
    root = written(volumes(told, gz(nifti(label))))
    with pytest.raises(DataError, match=refused) if refused else nullcontext():
        checked = check(root, DataConfig(labels=labels))
        assert (checked.rules.ignored, len(checked.facts)) == (2, 2)


def test_voxels_of_an_ignored_value_that_the_user_says_is_a_class_are_that_class(written):
    told = described(labels={"background": 0, "organ": 1, "ignore": 2})
    root = written(volumes(told, gz(nifti(2 * blob()))))
    assert len(check(root, DataConfig(label_map={2: 1})).facts) == 2


def test_several_raw_datasets_without_lists_are_named(written):
    files = {name: data for name, data in volumes({}).items() if name != "dataset.json"}
    both = {f"{folder}/{name}": data for folder in ("A", "B") for name, data in files.items()}
    with pytest.raises(DataError, match="LAY_LISTS: several datasets of nnU-Net: A, B"):
        find_layout(open_tree(written(both)))


FOLDERS = [
    *(("imagesVa", "labelsVa"), ("imagesVal", "labelsVal"), ("images_val", "labels_val")),
    *(("imagesVa", "labelsVal"), ("imagesTest", "labelsTest"), ("imagesTs", "labelsTs")),
]


@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize(("images", "labels"), FOLDERS)
def test_folders_for_validation_and_testing_are_obeyed(written, images, labels, listed):
    more = {f"{images}/c_0000.nii.gz": gz(nifti(noise(7))), f"{labels}/c.nii.gz": LABEL}
    files = volumes(described()) | more
    if not listed:
        del files["dataset.json"]
    layout = find_layout(open_tree(written(files)))
    assert layout.name == "nnunet"
    assert {case.id: case.split for case in layout.cases} == {"a": None, "b": None, "c": "test"}
    assert not layout.problems
    told = [f.code for f in layout.findings]
    assert told == ["SPLIT_VALIDATION"] * ("va" in images.lower())


@pytest.mark.parametrize(("images", "labels"), FOLDERS)
def test_folders_of_parts_without_channels_are_obeyed(written, images, labels):
    files = {f"imagesTr/{i}.nii.gz": IMAGES[i] for i in "ab"}
    files |= {f"labelsTr/{i}.nii.gz": LABEL for i in "ab"}
    files |= {f"{images}/c.nii.gz": gz(nifti(noise(7))), f"{labels}/c.nii.gz": LABEL}
    layout = find_layout(open_tree(written(files)))
    assert {case.id: case.split for case in layout.cases} == {"a": None, "b": None, "c": "test"}


def test_validation_images_without_labels_are_those_that_others_label(written):
    files = volumes(described()) | {"imagesVa/c_0000.nii.gz": gz(nifti(noise(7)))}
    layout = find_layout(open_tree(written(files)))
    assert [case.id for case in layout.apart] == ["c"]
    assert not layout.problems
    both = files | {"imagesVa/d_0000.nii.gz": IMAGE, "labelsVa/d.nii.gz": LABEL}
    layout = find_layout(open_tree(written(both, "both")))
    assert [(e.code, e.case) for e in layout.problems] == [("PAIR_NO_LABEL", "c")]


@pytest.mark.parametrize("folder", ["imagesTr_old", "imagesVaso", "images_2", "preview"])
def test_other_folders_beside_are_no_part(written, folder):
    files = volumes(described()) | {f"{folder}/c_0000.nii.gz": gz(nifti(noise(7)))}
    layout = find_layout(open_tree(written(files)))
    assert [case.id for case in layout.cases] == ["a", "b"]
    assert [(f.level, f.code) for f in layout.findings] == [("note", "LAY_UNUSED")]


@pytest.mark.parametrize("other", ["labelsTr/a.nii", "imagesTr/a_0000.nii"])
def test_files_of_another_ending_than_the_declared_one_are_told(written, other):
    plain = {"labelsTr/a.nii": nifti(blob(number=1)), "imagesTr/a_0000.nii": nifti(noise(7))}
    layout = find_layout(open_tree(written(volumes(described()) | {other: plain[other]})))
    assert [case.id for case in layout.cases] == ["a", "b"]
    (told,) = [f for f in layout.findings if f.code == "LAY_UNUSED"]
    assert (told.level, other in told.found) == ("warning", True)


def listed(*pairs):
    training = [{"image": image} | ({"label": label} if label else {}) for image, label in pairs]
    return {"dataset.json": described(training=training)} | {
        name: IMAGE if "image" in name else LABEL for pair in pairs for name in pair if name
    }


@pytest.mark.parametrize(
    ("pairs", "ids"),
    [
        ([(f"images/case_000{k}.nii.gz", f"labels/case_000{k}.nii.gz") for k in (1, 2)],
         ["case_0001", "case_0002"]),
        ([(f"images/a_000{k}.nii.gz", f"labels/a_000{k}.nii.gz") for k in range(3)],
         ["a_0000", "a_0001", "a_0002"]),
        ([(f"images/{c}_0000.nii.gz", f"labels/{c}.nii.gz") for c in "ab"], ["a", "b"]),
        ([(f"images/a_000{k}.nii.gz", f"labels/seg_{k}.nii.gz") for k in (1, 2)],
         ["a_0001", "a_0002"]),
    ],
)  # fmt: skip
def test_ids_of_a_list_lose_the_number_of_a_channel_alone(written, pairs, ids):
    layout = find_layout(open_tree(written(listed(*pairs))))
    assert [case.id for case in layout.cases] == ids
    assert not [error for error in layout.problems if error.code == "PAIR_DUPLICATE"]


def test_what_is_written_as_a_list_is_read_again(written, tmp_path):
    files = {f"images/a_000{k}.png": COLOURS["ab"[k % 2]] for k in range(2)}
    files |= {f"masks/a_000{k}.png": MASK for k in range(2)}
    root = written(files)
    convert(root, tmp_path / "out", DataConfig(channels=("r", "g", "b")), "monai")
    again = check(tmp_path / "out", DataConfig())
    assert (sorted(again.facts), again.errors) == (["a_0000", "a_0001"], ())


@pytest.mark.parametrize(
    ("more", "split", "group", "codes"),
    [
        ({"split": "test"}, "test", None, []),
        ({"fold": 1}, 1, None, []),
        ({"patient": "p"}, None, "p", []),
        ({"excluded": "yes"}, None, None, [("warning", "LAY_COLUMNS")]),
        ({"scanner": "x"}, None, None, [("note", "LAY_COLUMNS")]),
    ],
    ids=str,
)
def test_records_of_files_tell_of_split_and_groups_or_are_told_of(
    written, more, split, group, codes
):
    files = volumes(described())
    records = {
        id_: {"images": [f"imagesTr/{id_}_0000.nii.gz"], "label": f"labelsTr/{id_}.nii.gz"}
        for id_ in "ab"
    }
    records["b"] |= more
    layout = find_layout(open_tree(written(files | {"dataset.json": described(dataset=records)})))
    case = layout.cases[1]
    assert (case.split, case.group) == (split, group)
    assert [(f.level, f.code) for f in layout.findings] == codes


@pytest.mark.parametrize("at", ["raw", "raw/imagesTr", "raw/labelsTr", "raw/a/b", "pre/D", ""])
def test_folds_are_read_beside_the_list_and_told_elsewhere(written, at):
    files = {f"raw/{name}": content for name, content in volumes(described()).items()}
    folds = [{"train": ["a"], "val": ["b"]}, {"train": ["b"], "val": ["a"]}]
    layout = find_layout(open_tree(written(files | {f"{at}/splits_final.json".lstrip("/"): folds})))
    warned = [("warning", "LAY_UNUSED")] * (at != "raw")
    assert [(f.level, f.code) for f in layout.findings] == warned
    assert [case.split for case in layout.cases] == ([None, None] if warned else [1, 0])
