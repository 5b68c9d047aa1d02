"""Classes that other tools leave beside their predictions are held to those of the references."""

import json

import numpy as np
import pytest
from PIL import Image

from data_prep.core.config import DataConfig
from data_prep.core.errors import DataError
from data_prep.files.hashed_json import write_hashed
from sdunet.segmentation.evaluation.evaluate import evaluate
from sdunet.segmentation.evaluation.pairing import open_pairs
from sdunet.segmentation.inference.prediction_record import MANIFEST

OURS = {"background": 0, "liver": 1, "tumor": 2}
SWAPPED = {"background": 0, "tumor": 1, "liver": 2}
NNUNET = {"channel_names": {"0": "CT"}, "file_ending": ".png", "numTraining": 1}
MONAI = {"training": [], "validation": []}


@pytest.fixture
def folders(tmp_path):
    """References that a list names the classes of, and predictions of the same names."""
    label = np.zeros((8, 8), np.uint8)
    label[:3], label[5:] = 1, 2
    for folder in ("ref/images", "ref/labels", "pred"):
        (tmp_path / folder).mkdir(parents=True)
        Image.fromarray(label).save(tmp_path / folder / "a.png")
    record = {"image": "images/a.png", "label": "labels/a.png"}
    described = {"labels": {str(n): name for name, n in OURS.items()}, "training": [record]}
    (tmp_path / "ref/dataset.json").write_text(json.dumps(described))
    return tmp_path / "pred", tmp_path / "ref"


@pytest.mark.parametrize(
    ("file", "described"),
    [
        ("dataset.json", NNUNET | {"labels": SWAPPED}),
        ("dataset.json", NNUNET | {"labels": {"background": 0, "Tumor": 1, "Liver": 2}}),
        ("dataset.json", NNUNET | {"labels": {"background": 0, "liver": 1}}),
        ("list.json", MONAI | {"labels": {"0": "background", "1": "tumor", "2": "liver"}}),
    ],
)
def test_predictions_of_other_class_numbers_are_refused(folders, file, described):
    (folders[0] / file).write_text(json.dumps(described))
    with pytest.raises(DataError, match=f"LBL_CLASSES: .*{file} beside the predictions"):
        open_pairs(*folders)


@pytest.mark.parametrize(
    ("file", "described"),
    [
        ("dataset.json", NNUNET | {"labels": OURS}),
        ("dataset.json", NNUNET | {"labels": {"background": 0, "Liver": 1, "Tumor": 2}}),
        ("dataset.json", NNUNET | {"labels": OURS | {"ignore": 3}}),
        ("plans.json", {"labels": SWAPPED, "configurations": {}}),
        ("summary.json", [1]),
    ],
)
def test_the_same_classes_and_what_says_nothing_of_them_are_silent(
    folders, file, described, capsys
):
    (folders[0] / file).write_text(json.dumps(described))
    assert open_pairs(*folders).rules.labels == OURS
    assert not capsys.readouterr().err


def test_predictions_name_the_classes_of_references_without_names(folders):
    pred, ref = folders
    (ref / "dataset.json").unlink()
    (pred / "dataset.json").write_text(json.dumps(NNUNET | {"labels": SWAPPED}))
    assert open_pairs(pred, ref).rules.labels == SWAPPED


REGIONS = NNUNET | {"labels": {"background": 0, "whole": [1, 2], "tumor": [2]}}
ORDERED = REGIONS | {"regions_class_order": [1, 2]}


@pytest.mark.parametrize(
    ("described", "message"),
    [
        (REGIONS, r"LBL_REGIONS: regions whole, tumor, and no .*\(dataset.json\)"),
        (REGIONS | {"regions_class_order": [1]}, r"LBL_REGIONS: .*regions_class_order \[1\]"),
        (
            REGIONS | {"regions_class_order": [2, 1]},
            r"LBL_REGIONS: regions_class_order paints region 'tumor' \[2\] as 1",
        ),
        (NNUNET | {"labels": {"whole": [1, 2], "whole too": [2, "x"]}}, "LAY_JSON"),
    ],
)
def test_predictions_of_regions_that_are_not_the_values_of_labels_are_refused(
    folders, described, message
):
    (folders[0] / "dataset.json").write_text(json.dumps(described))
    with pytest.raises(DataError, match=message):
        open_pairs(*folders)


def test_predictions_of_regions_in_the_order_of_labels_are_of_the_classes_declared(folders):
    (folders[0] / "dataset.json").write_text(json.dumps(ORDERED))
    rules = open_pairs(*folders).rules
    assert rules.labels == OURS
    assert [(one.name, one.key) for one in rules.regions] == [("whole", "(1, 2)"), ("tumor", "2")]
    assert not open_pairs(*folders, config=DataConfig(regions={})).rules.regions


@pytest.mark.parametrize("whose", ["pred", "ref"])
def test_regions_where_nobody_names_classes_are_made_of_classes(folders, whose):
    pred, ref = folders
    (ref / "dataset.json").unlink()
    if whose == "ref":
        record = {"training": [{"image": "images/a.png", "label": "labels/a.png"}]}
        (ref / "dataset.json").write_text(json.dumps(record | ORDERED))
    else:
        (pred / "dataset.json").write_text(json.dumps(ORDERED))
    rules = open_pairs(pred, ref).rules
    assert rules.labels == {"background": 0, "whole": 1, "whole+tumor": 2}
    assert [(one.name, one.painted) for one in rules.regions] == [("whole", 1), ("tumor", 2)]


def test_predictions_and_references_of_other_regions_are_refused(folders):
    pred, ref = folders
    record = {"training": [{"image": "images/a.png", "label": "labels/a.png"}]}
    (ref / "dataset.json").write_text(json.dumps(record | ORDERED))
    other = {
        "labels": {"background": 0, "tumor": [2, 1], "liver": 1},
        "regions_class_order": [2, 1],
    }
    (pred / "dataset.json").write_text(json.dumps(NNUNET | other))
    with pytest.raises(DataError, match=r"LBL_REGIONS: regions .*dataset\.json beside the pred"):
        open_pairs(pred, ref, config=DataConfig(labels=OURS))


def test_classes_beside_a_folder_of_reference_labels_are_held_to_those_of_predictions(folders):
    pred, ref = folders
    (ref / "labels/dataset.json").write_text(json.dumps(NNUNET | {"labels": OURS}))
    (pred / "dataset.json").write_text(json.dumps(NNUNET | {"labels": SWAPPED}))
    with pytest.raises(DataError, match=r"LBL_CLASSES: .*dataset.json beside the references"):
        open_pairs(pred, ref / "labels")


def test_a_damaged_list_of_classes_beside_predictions_is_named(folders):
    (folders[0] / "dataset.json").write_text("{")
    with pytest.raises(DataError, match=r"LAY_JSON.*dataset\.json"):
        open_pairs(*folders)


@pytest.mark.parametrize(("held", "said"), [(200, False), (1, True)])
def test_a_number_that_only_predictions_hold_is_no_idle_setting(
    folders, tmp_path, capsys, held, said
):
    label = np.zeros((8, 8), np.uint8)
    label[:3], label[5:] = held, 2
    Image.fromarray(label).save(folders[0] / "a.png")
    evaluate(*folders, tmp_path / "scores", config=DataConfig(label_map={200: 1}))
    assert ("maps 200, which no label" in capsys.readouterr().err) == said


def test_predictions_in_place_of_references_are_told(folders, capsys):
    pred, ref = folders
    record = {"labels": OURS, "label_map": {}, "models": [], "cases": {}}
    write_hashed(ref / "labels" / MANIFEST, record)
    for swapped in (True, False):
        open_pairs(pred, ref / "labels")
        assert ("warning PAIR_SWAPPED: " in capsys.readouterr().err) == swapped
        (ref / "labels" / MANIFEST).unlink(missing_ok=True)


@pytest.mark.parametrize("objects", [True, False])
def test_ids_for_a_network_of_objects_say_how_they_are_scored(folders, objects):
    pred, ref = folders
    (ref / "dataset.json").unlink()
    record = {"labels": {"background": 0, "cell": 1}, "label_map": {}, "models": [], "cases": {}}
    write_hashed(pred / MANIFEST, record | ({"instances": False} if objects else {}))
    pairs = open_pairs(pred, ref)
    with pytest.raises(DataError, match="LBL_UNKNOWN") as caught:
        pairs.read(pairs.cases[0])
    assert ("dataset.instances: true" in caught.value.fix) == objects
