"""A folder a case: its channels, its label, or a file for each class."""

import numpy as np
import pytest
from bad_sets import SIZE, blob, gz, nifti, noise

from data_prep.checks.run import check
from data_prep.core.config import DataConfig, Rules
from data_prep.core.errors import DataError
from data_prep.core.findings import Findings
from data_prep.files.file_tree import open_tree
from data_prep.layouts import find_layout
from data_prep.layouts.by_folder import joined_folders
from data_prep.layouts.words import called
from data_prep.reading.label import read_case_label

IDS = ("p1", "p2", "p3")


def image(*seed):
    return gz(nifti(noise([*seed])))


def folders(*names, label="{0}/{0}_seg.nii.gz", ids=IDS):
    """Files of cases in a folder each: `{0}` in a name is the folder's."""
    files = {
        name.format(id_): image(k, n) for k, id_ in enumerate(ids) for n, name in enumerate(names)
    }
    return files | {label.format(id_): gz(nifti(blob())) for id_ in ids if label}


BRATS = [f"{{0}}/{{0}}_{name}.nii.gz" for name in ("t1", "t1ce", "t2", "flair")]


@pytest.mark.parametrize(
    ("names", "label", "channels"),
    [
        (BRATS, "{0}/{0}_seg.nii.gz", ("flair", "t1", "t1ce", "t2")),
        ([name.replace("_", "-") for name in BRATS], "{0}/{0}-seg.nii.gz", None),
        (["{0}/imaging.nii.gz"], "{0}/segmentation.nii.gz", ()),
        (["{0}/ct.nii.gz"], "{0}/labels/seg.nii.gz", ("ct",)),
        (["{0}/ct.nii.gz"], "{0}/liver_mask.nii.gz", ("ct",)),
        (["{0}/a_t1.nii.gz", "{0}/a_t2.nii.gz"], "{0}/a_gt.nii.gz", ("t1", "t2")),
    ],
)
def test_files_of_a_folder_are_the_channels_and_the_label(written, names, label, channels):
    checked = check(written(folders(*names, label=label)), DataConfig())
    assert (checked.layout.name, sorted(checked.facts)) == ("case folders", [*IDS])
    wanted = ("flair", "t1", "t1ce", "t2") if channels is None else channels or None
    assert checked.layout.channels == wanted
    case = checked.layout.cases[0]
    named = [name.format("p1") for name in sorted(names)]
    assert (case.scans, case.labels) == (tuple((n,) for n in named), (label.format("p1"),))


def test_a_folder_without_one_of_the_channels_is_named(written):
    files = folders(*BRATS)
    del files["p2/p2_t2.nii.gz"]
    layout = find_layout(open_tree(written(files)))
    assert [case.id for case in layout.cases] == ["p1", "p3"]
    ((case, code, found),) = [(e.case, e.code, e.found) for e in layout.problems]
    assert (case, code, found) == ("p2", "PAIR_NO_IMAGE", "no image, looked for t2")
    assert not layout.findings


def test_a_folder_without_label_is_named(written):
    files = folders(*BRATS)
    del files["p2/p2_seg.nii.gz"]
    layout = find_layout(open_tree(written(files)))
    assert [(e.case, e.code) for e in layout.problems] == [("p2", "PAIR_NO_LABEL")]


def test_what_few_folders_hold_is_no_channel_and_told(written):
    files = folders(*BRATS) | {"p1/p1_t1_old.nii.gz": image(9)}
    layout = find_layout(open_tree(written(files)))
    assert layout.channels == ("flair", "t1", "t1ce", "t2")
    assert [(f.level, f.code) for f in layout.findings] == [("warning", "LAY_UNUSED")]


def test_a_label_that_is_called_as_one_image_is_of_it_alone(written):
    names = ["{0}/early.nii.gz", "{0}/late.nii.gz"]
    files = folders(*names, label="{0}/early_mask.nii.gz")
    files |= folders(label="{0}/late_mask.nii.gz")
    layout = find_layout(open_tree(written(files)))
    cases = {case.id: (case.scans, case.labels, case.group) for case in layout.cases}
    assert cases["p1_early"] == ((("p1/early.nii.gz",),), ("p1/early_mask.nii.gz",), "p1")
    assert len(cases) == 6
    assert not layout.channels


def block(start):
    mask = np.zeros(SIZE, np.uint8)
    mask[start : start + 2, 3:7, 3:7] = 1
    return mask


def by_class(names=("liver", "left kidney"), where="{0}/segmentations/{1}.nii.gz", apart=3):
    files = folders("{0}/ct.nii.gz", label="")
    for id_ in IDS:
        for n, name in enumerate(names):
            files[where.format(id_, name)] = gz(nifti(block(1 + apart * n)))
    return files


@pytest.mark.parametrize(
    "where",
    ["{0}/segmentations/{1}.nii.gz", "{0}/masks/{0}_{1}.nii.gz", "{0}/{1}_mask.nii.gz"],
)
def test_a_file_for_each_class_gives_one_label(written, where):
    root = written(by_class(("liver", "kidney"), where))
    checked = check(root, DataConfig())
    assert checked.layout.labels == {"background": 0, "kidney": 1, "liver": 2}
    assert sorted(checked.facts) == [*IDS]
    case = checked.layout.cases[0]
    label = read_case_label(open_tree(root), case, checked.rules).array[0]
    assert (label == 2 * block(1) + block(4)).all()


def test_classes_asked_for_are_read_alone(written):
    root = written(by_class())
    checked = check(root, DataConfig(labels={"background": 0, "liver": 1}))
    assert not checked.errors
    assert {f.found for f in checked.findings if f.code == "DCM_UNUSED"} == {
        "1 masks are of no class: ['left kidney']"
    }
    both = {"liver": 1, "left kidney": 1}
    joined = check(root, DataConfig(labels={"background": 0, "organ": 1}, structures=both))
    assert len(joined.facts) == len(IDS)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"p1/segmentations/liver.nii.gz": gz(nifti(block(1) + block(2)))}, "LBL_OBJECT"),
        ({"p1/segmentations/liver.nii.gz": gz(nifti(block(1)[:-1]))}, "GEO_SHAPE"),
        ({"p1/segmentations/liver.nii.gz": gz(nifti(block(4)))}, "LBL_OVERLAP"),
    ],
)
def test_masks_of_classes_that_contradict_each_other_are_errors(written, change, code):
    checked = check(written(by_class() | change), DataConfig())
    assert [(error.case, error.code) for error in checked.errors] == [("p1", code)]


def test_a_class_without_a_file_is_told(written):
    files = by_class()
    del files["p1/segmentations/liver.nii.gz"]
    root = written(files)
    layout, findings = find_layout(open_tree(root)), Findings()
    read_case_label(open_tree(root), layout.cases[0], Rules(("ct",), layout.labels), None, findings)
    (told,) = findings.found
    assert (told.level, told.code) == ("warning", "LBL_MISSING")
    assert "liver" in told.found


@pytest.mark.parametrize("spelt", ["left-kidney", "Left_Kidneys", "leftkidney"])
def test_most_cases_decide_how_a_class_is_called(written, spelt):
    files = by_class(("liver", "left_kidney"))
    old = "p1/segmentations/left_kidney.nii.gz"
    files[f"p1/segmentations/{spelt}.nii.gz"] = files.pop(old)
    checked = check(written(files), DataConfig())
    assert checked.layout.labels == {"background": 0, "left_kidney": 1, "liver": 2}
    assert [(error.case, error.code) for error in checked.errors] == [("p1", "LBL_NEAR")]
    assert "called nearly as class left_kidney" in checked.errors[0].found


@pytest.mark.parametrize("spelt", ["Liver ", "LIVER"])
def test_classes_that_differ_in_capitals_and_blanks_are_one(written, spelt):
    files = by_class()
    name = "p1/segmentations/liver.nii.gz"
    files[name.replace("liver", spelt)] = files.pop(name)
    checked = check(written(files), DataConfig())
    assert checked.layout.labels == {"background": 0, "left kidney": 1, "liver": 2}
    assert sorted(checked.facts) == [*IDS]


def test_near_names_in_one_case_are_classes_of_their_own(written):
    checked = check(written(by_class(("lobe 1", "lobe1"))), DataConfig())
    assert checked.layout.labels == {"background": 0, "lobe 1": 1, "lobe1": 2}
    assert not checked.errors


def test_masks_called_differently_in_each_folder_are_no_classes(written):
    files = folders("{0}/ct.nii.gz", label="")
    for id_ in IDS:
        for number in (1, 2):
            files[f"{id_}/masks/{id_}x{number}.nii.gz"] = gz(nifti(block(number * 3)))
    layout = find_layout(open_tree(written(files)))
    assert not layout.cases
    assert {error.code for error in layout.problems} == {"PAIR_NO_LABEL"}


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("s1/segmentations/liver.nii.gz", "liver"),
        ("l/masks/liver.nii.gz", "liver"),
        ("s1/s1_left_kidney_mask.nii.gz", "left_kidney"),
        ("s1/mask.nii.gz", "mask"),
    ],
)
def test_what_a_mask_is_called(name, wanted):
    assert called(name) == wanted


def test_images_alone_are_joined_by_the_names_of_the_channels(written):
    files = folders(*BRATS, label="")
    del files["p2/p2_t2.nii.gz"]
    layout = find_layout(open_tree(written(files)), need_labels=False)
    joined = joined_folders(layout, ("T1", "T1ce", "T2", "FLAIR"))
    assert [case.id for case in joined.cases] == ["p1", "p3"]
    assert joined.cases[0].scans == tuple((name.format("p1"),) for name in BRATS)
    assert [(error.case, error.code) for error in joined.problems] == [("p2", "PAIR_NO_IMAGE")]
    assert joined_folders(layout, ("T1", "T2")) is layout


def test_scans_of_other_names_are_not_joined(written):
    files = folders("{0}/a.nii.gz", "{0}/b.nii.gz", label="")
    root = written(files)
    layout = find_layout(open_tree(root), need_labels=False)
    assert joined_folders(layout, ("T1", "T2")) is layout
    with pytest.raises(DataError, match="LAY_UNKNOWN"):
        find_layout(open_tree(root))


@pytest.mark.parametrize(
    "more",
    [
        "p1/segmentations/liver.nii",
        "p1/segmentations/Liver.nii.gz",
        "p1/segmentations/liver_mask.nii.gz",
        "p1/segmentations/mask_liver.nii.gz",
        "p1/segmentations/liver_seg.nii.gz",
        "p1/masks/liver.nii.gz",
        "p1/liver_mask.nii.gz",
    ],
)
def test_two_masks_of_one_class_are_not_united(written, more):
    voxels = nifti(block(1) + np.roll(block(4), 1))
    files = by_class() | {more: gz(voxels) if more.endswith(".gz") else voxels}
    errors = check(written(files), DataConfig()).errors
    assert [(error.case, error.code) for error in errors] == [("p1", "PAIR_DUPLICATE")]


@pytest.mark.parametrize(
    ("structures", "refused"),
    [
        ({"liver": 2, "left kidney": 1}, True),
        ({" Liver": 2, "left kidney": 2}, True),
        ({"liver": 1, "left kidney": 2}, False),
        ({"left kidney": 1}, False),
    ],
)
def test_structures_that_are_called_as_another_class_are_refused(written, structures, refused):
    labels = {"background": 0, "liver": 1, "organ": 2}
    root, config = written(by_class()), DataConfig(labels=labels, structures=structures)
    if refused:
        with pytest.raises(DataError, match=r"LBL_CLASSES: dataset\.structures leads ' ?[lL]iver'"):
            check(root, config)
    else:
        check(root, config)


def test_structures_that_are_called_as_another_class_of_the_dataset_are_refused(written):
    config = DataConfig(structures={"liver": 1, "left kidney": 2})  # found: the other way round
    with pytest.raises(DataError, match="LBL_CLASSES"):
        check(written(by_class()), config)
