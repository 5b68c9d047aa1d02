"""Keys of `dataset.json` that say again, or otherwise, what those that are read say."""

import pytest
from bad_sets import blob, gz, nifti, noise

from data_prep.core.errors import DataError
from data_prep.files.file_tree import open_tree
from data_prep.layouts import find_layout

LABEL = gz(nifti(blob()))
FILES = {f"imagesTr/{id_}_0000.nii.gz": gz(nifti(noise(n))) for n, id_ in enumerate("ab")}
FILES |= {f"labelsTr/{id_}.nii.gz": LABEL for id_ in "ab"}


def volumes(told):
    declared = {"channel_names": {"0": "CT"}, "labels": {"background": 0, "organ": 1}}
    return FILES | {"dataset.json": declared | told}


@pytest.mark.parametrize(
    "told",
    [
        {"classes": {"background": 0, "tumour": 1}},
        {"class_names": ["background", "tumour"]},
        {"labelNames": {"0": "background", "1": "tumour"}},
        {"label_map": {"2": "organ"}},
        {"names": ["organ", "background"]},
        {"num_classes": 3},
        {"modalities": ["MR"]},
        {"channels": {"0": "MR"}},
        {"num_channels": 2},
    ],
    ids=str,
)
def test_keys_that_say_otherwise_what_labels_and_channels_say_are_refused(written, told):
    with pytest.raises(DataError, match=r"LAY_JSON.* differ"):
        find_layout(open_tree(written(volumes(told))))


@pytest.mark.parametrize(
    "told",
    [
        {"classes": {"background": 0, "Organ ": 1}},
        {"class_names": ["organ"]},
        {"label_names": ["background", "organ"]},
        {"names": {"0": "background", "1": "organ"}},
        {"num_classes": 1},
        {"num_classes": 2},
        {"modalities": ["CT"]},
        {"channels": {"0": "CT"}},
        {"num_channels": 1},
        {"classes": "all", "channels": "one"},
        {"ignore_index": -100, "label_map": {"0": 0, "1": 1}, "mapping": {"a": "b"}},
        *(
            {"labels": {"background": 0, "organ": 1, "ignore": 2}, **again}
            for again in (
                {"ignore_label": 2, "num_classes": 3},
                {"class_names": ["background", "organ", "ignore"]},
                {"classes": {"0": "background", "1": "organ", "2": "ignore"}},
            )
        ),
    ],
    ids=str,
)
def test_keys_that_say_the_same_again_are_taken_without_a_word(written, told):
    layout = find_layout(open_tree(written(volumes(told))))
    assert len(layout.cases) == 2
    assert [*layout.problems, *layout.findings] == []


@pytest.mark.parametrize(
    ("told", "level"),
    [
        ({"labels": None, "classes": {"background": 0, "tumour": 1}}, "warning"),
        ({"labels": {}, "class_names": ["background", "tumour"]}, "warning"),
        ({"voxel_spacing": [1, 1, 3]}, "note"),
        ({"ignore_index": 2}, "warning"),
        ({"void label": 0}, "warning"),
        ({"label_mapping": {"1": 1, "2": 1}}, "warning"),
        ({"units": "cm"}, "note"),
    ],
    ids=str,
)
def test_keys_that_are_not_read_are_told(written, told, level):
    layout = find_layout(open_tree(written(volumes(told))))
    (finding,) = layout.findings
    assert (finding.level, finding.code) == (level, "LAY_COLUMNS")
    assert repr([*told][-1]) in finding.found
