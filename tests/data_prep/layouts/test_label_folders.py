"""Which folder holds the labels: asked for where several could be, and told where one is left."""

from pathlib import PurePosixPath

import pytest
from bad_sets import mask, picture, png

from data_prep.checks.run import check
from data_prep.core.config import DataConfig
from data_prep.core.errors import DataError
from data_prep.files.file_tree import open_tree
from data_prep.layouts import find_layout

LABEL = mask() // 255
CONFIG = {"labels": {"background": 0, "vessel": 1}}


def files_of(images, *labels):
    """Two images, and a file for each in folders of labels: `{id}` stands for `21` and `22`."""
    seeds = {"21": 1, "22": 2}
    told = {images.format(id=id_): png(picture(seed)) for id_, seed in seeds.items()}
    for n, pattern in enumerate(labels):
        drawn = LABEL.copy()
        drawn[0, n] = 1
        told |= {pattern.format(id=id_): png(drawn) for id_ in seeds}
    return told


RETINA = (
    "images/{id}_training.png",
    "1st_manual/{id}_manual1.png",
    "mask/{id}_training_mask.png",
)
SETS = {
    "retina": RETINA,
    "retina in parts": tuple(f"training/{name}" for name in RETINA),
    "two observers": ("images/{id}.png", "1st_manual/{id}.png", "2nd_manual/{id}.png"),
    "manual1 and manual2": ("images/{id}_h.png", "manual1/{id}_h.png", "manual2/{id}_h.png"),
    "masks and labels": ("images/{id}.png", "labels/{id}.png", "masks/{id}_mask.png"),
    "initials": ("images/{id}.png", "labels-ah/{id}.png", "labels-vk/{id}.png"),
    "experts below": ("images/{id}.png", "gt/expert1/{id}.png", "gt/expert2/{id}.png"),
    "parts in the names": ("images_train/{id}.png", "gt_train/{id}.png", "seg_train/{id}.png"),
}


@pytest.mark.parametrize("name", SETS)
def test_of_several_folders_of_labels_none_is_taken_unasked(written, name):
    tree = open_tree(written(files_of(*SETS[name])))
    with pytest.raises(DataError, match=r"LAY_LABELS: 2 images .*dataset\.label_folder: ") as told:
        find_layout(tree)
    first, second = (PurePosixPath(label).parts for label in SETS[name][1:])
    assert first[-2].replace("_train", "") in told.value.found
    assert second[-2].replace("_train", "") in told.value.found
    # Without labels, all images are cases, and nothing is doubtful.
    layout = find_layout(tree, need_labels=False)
    assert len(layout.cases) == 2
    assert not layout.findings + layout.problems


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("which", [1, 2])
def test_the_folder_that_is_named_is_taken_and_the_other_one_told(written, name, which):
    tree = open_tree(written(files_of(*SETS[name])))
    folder = PurePosixPath(SETS[name][which]).parent.name.upper()
    layout = find_layout(tree, label_folder=folder)
    assert [case.labels for case in layout.cases] == [
        (SETS[name][which].format(id=id_),) for id_ in ("21", "22")
    ]
    (finding,) = layout.findings
    assert (finding.level, finding.code) == ("note", "LAY_UNUSED")
    assert PurePosixPath(SETS[name][3 - which]).parent.as_posix() in finding.found
    assert not layout.problems


@pytest.mark.parametrize("folder", ["roi", "fov", "masks_old", "vessels"])
def test_a_folder_that_looks_like_labels_and_is_not_used_is_warned_of(written, folder):
    files = files_of("images/{id}.png", "gt/{id}.png", f"{folder}/{{id}}.png")
    layout = find_layout(open_tree(written(files)))
    assert {PurePosixPath(case.labels[0]).parent.name for case in layout.cases} == {"gt"}
    (finding,) = layout.findings
    assert (finding.level, finding.code) == ("warning", "LAY_UNUSED")
    assert finding.fix.endswith(f"dataset.label_folder: {folder}")
    chosen = find_layout(open_tree(written(files)), label_folder=folder)
    assert {PurePosixPath(case.labels[0]).parent.name for case in chosen.cases} == {folder}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("enhanced/{id}.png", png(picture(9))),  # intensities
        ("roi/other_{id}.png", png(LABEL)),  # of other images
    ],
)
def test_what_is_no_label_of_the_images_is_a_note(written, name, content):
    files = files_of("images/{id}.png", "gt/{id}.png") | {
        name.format(id=id_): content for id_ in ("21", "22")
    }
    layout = find_layout(open_tree(written(files)))
    assert [(f.level, f.code) for f in layout.findings] == [("note", "LAY_UNUSED")]


@pytest.mark.parametrize(
    "labels",
    [
        ("masks/{id}.png",),
        ("1st_manual/{id}_manual1.png",),
        ("annotations/{id}_annotator2.png",),
        ("labels/{id}.png", "labels/old_{id}.txt"),
    ],
)
def test_one_folder_of_labels_is_taken_without_a_word(written, labels):
    layout = find_layout(open_tree(written(files_of("images/{id}.png", *labels))))
    assert [case.labels for case in layout.cases] == [
        (labels[0].format(id=id_),) for id_ in ("21", "22")
    ]
    assert not layout.findings + layout.problems


def test_folders_that_share_no_image_are_one_set_of_labels(written):
    files = files_of("images/{id}.png") | {"masks/21.png": png(LABEL), "labels/22.png": png(LABEL)}
    layout = find_layout(open_tree(written(files)))
    assert [case.labels for case in layout.cases] == [("masks/21.png",), ("labels/22.png",)]


def test_a_second_observer_of_the_test_set_alone_is_asked_about(written):
    files = files_of("train/images/{id}.png", "train/1st_manual/{id}.png")
    other = files_of("test/images/1{id}.png", "test/1st_manual/1{id}.png")
    files |= other
    files["test/2nd_manual/121.png"] = png(LABEL)
    with pytest.raises(DataError, match=r"LAY_LABELS: 1 images .*1st_manual, 2nd_manual"):
        find_layout(open_tree(written(files)))


def test_the_setting_reaches_the_check_and_is_told_where_it_means_nothing(written):
    root = written(files_of(*RETINA))
    with pytest.raises(DataError, match="LAY_LABELS"):
        check(root, DataConfig(**CONFIG))
    checked = check(root, DataConfig(**CONFIG, label_folder="1st_manual"))
    assert len(checked.facts) == 2
    with pytest.raises(DataError, match=r"LAY_LABELS: no folder 'vessels' .*1st_manual, images"):
        check(root, DataConfig(**CONFIG, label_folder="vessels"))


def test_the_setting_means_nothing_to_labels_beside_their_images(written):
    files = files_of("all/{id}.png", "all/{id}_mask.png")
    checked = check(written(files), DataConfig(**CONFIG, label_folder="all"))
    assert [f.code for f in checked.findings if f.level == "warning"] == ["SET_UNUSED"]
