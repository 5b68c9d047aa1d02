"""Labels that number objects, from raw files to the classes that a network learns of them."""

from dataclasses import asdict, replace

import numpy as np
import PIL.Image
import pytest
from bad_sets import box_of_ids, gz, nifti, noise, picture, png, tiff

from data_prep.checks.run import check
from data_prep.convert import convert
from data_prep.core.config import DataConfig
from data_prep.core.errors import DataError
from data_prep.planning.plan_json import plan_from, read_plan, write_plan
from data_prep.prepared.contradictions import check_contradictions
from data_prep.prepared.dataset import load_dataset
from data_prep.prepared.prepare import prepare
from data_prep.preprocessing.instances import inside_and_boundary
from sdunet.cli.main import main

CONFIG = DataConfig(instances=True)
NAMED = DataConfig(instances=True, labels={"background": 0, "cell": 1, "ignore": -1})


def pairs(label, suffix=".png", folder="labels/", count=3):
    images = {f"images/{n}.png": png(picture(n)) for n in range(count)}
    return images | {f"{folder}{n}{suffix}": label for n in range(count)}


def cellpose(label):
    images = {f"i{n}.png": png(picture(n)) for n in range(2)}
    return images | {f"i{n}_masks.tif": label for n in range(2)}


def dsb(ids):
    files = {}
    for n in range(2):
        files[f"c{n}/images/c{n}.png"] = png(picture(n))
        for number in np.unique(ids[ids > 0]):
            mask = np.where(ids == number, 255, 0).astype(np.uint8)
            files[f"c{n}/masks/m{number}.png"] = png(mask)
    return files


IDS = box_of_ids((24, 20))


@pytest.mark.parametrize(
    "files",
    [
        pairs(png(IDS.astype(np.uint16))),
        pairs(tiff(IDS * 70_000), ".tif"),
        cellpose(tiff(IDS.astype(np.float32))),
        dsb(IDS),
    ],
    ids=("16 bit", "32 bit", "Cellpose", "a mask an object"),
)
def test_every_way_to_number_objects_gives_the_same_classes(written, tmp_path, files):
    dataset, problems = prepare(written(files), tmp_path / "set", CONFIG)
    assert not problems
    for id_ in dataset.cases:
        _, label = dataset.arrays(id_)
        np.testing.assert_array_equal(label[0], inside_and_boundary(IDS))
    assert dataset.plan.labels == {"background": 0, "inside": 1, "boundary": 2}
    assert dataset.plan.stated == {"background": 0, "foreground": 1}
    assert load_dataset(tmp_path / "set").plan == dataset.plan


def test_volumes_are_resampled_by_ids_and_keep_their_objects_apart(written, tmp_path):
    ids = box_of_ids((24, 20, 16))
    files = {f"images/{n}.nii.gz": gz(nifti(noise(n, ids.shape))) for n in range(2)}
    files |= {f"labels/{n}.nii.gz": gz(nifti(ids)) for n in range(2)}
    dataset, problems = prepare(
        written(files), tmp_path / "set", replace(CONFIG, spacing=(3, 4, 3))
    )
    assert not problems
    _, label = dataset.arrays("0")
    assert {*np.unique(label)} == {0, 1, 2}
    assert dataset.plan.spatial_dims == 3


def test_objects_are_as_large_as_their_inside_and_boundary(written):
    """One doubt about an object, not one about each of its classes."""
    files = pairs(png(IDS.astype(np.uint8)), count=9)
    small = np.zeros_like(IDS, np.uint8)
    small[3:5, 3:5] = 1
    files["labels/8.png"] = png(small)
    told = [f.found for f in check(written(files), CONFIG).findings if f.code == "LBL_OUTLIER"]
    assert [text.partition(",")[0] for text in told] == ["volume of foreground 4"]


def test_ignored_voxels_are_no_object(written, tmp_path):
    label = IDS.astype(np.int16)
    label[:, 17:] = -1
    dataset, problems = prepare(written(pairs(tiff(label), ".tif")), tmp_path / "set", NAMED)
    assert not problems
    _, array = dataset.arrays("0")
    assert (array[0][:, 17:] == 3).all()
    assert dataset.cases["0"].ignored == 3 * 24


SEMANTIC = np.zeros((24, 20), np.uint8)
SEMANTIC[2::6, 2::6] = 255
OUTSIDE = np.where(IDS == 0, 4, IDS).astype(np.uint8)


@pytest.mark.parametrize(
    ("label", "suffix", "config", "code"),
    [
        (tiff(IDS.astype(np.float32) / 2), ".tif", CONFIG, "LBL_INTERPOLATED"),
        (tiff(IDS.astype(np.int16) - 1), ".tif", CONFIG, "LBL_OBJECT"),
        (png(SEMANTIC), ".png", CONFIG, "LBL_NUMBERED"),
        (png(OUTSIDE), ".png", replace(NAMED, labels={"no": 0, "a": 1, "ignore": 4}), "LBL_OBJECT"),
        (png(7 * IDS.astype(np.uint8)), ".png", DataConfig(), "LBL_UNKNOWN"),
    ],
    ids=("fractions", "negative", "semantic", "ignored may be an id", "not asked for"),
)
def test_what_may_be_no_ids_is_an_error(written, label, suffix, config, code):
    checked = check(written(pairs(label, suffix)), config)
    assert {error.code for error in checked.errors} == {code}
    assert not checked.facts


def test_many_values_without_the_option_name_it(written):
    label = np.kron(np.arange(1, 9).reshape(4, 2), np.ones((6, 10))).astype(np.uint8)
    checked = check(written(pairs(png(label))), DataConfig())
    assert "dataset.instances: true" in checked.errors[0].fix


@pytest.mark.parametrize(
    "settings",
    [
        {"labels": {"background": 0, "a": 1, "b": 2}},
        {"label_map": {255: 1}},
        {"structures": {"cell": 1}},
    ],
)
def test_settings_for_class_numbers_contradict_objects(written, settings):
    with pytest.raises(DataError, match="SET_CONFLICT"):
        check(written(pairs(png(IDS.astype(np.uint8)))), replace(CONFIG, **settings))


def test_a_plan_of_objects_is_read_again_and_prepared_by(written, tmp_path):
    raw = written(pairs(png(IDS.astype(np.uint8))))
    named = replace(CONFIG, labels={"background": 0, "cell": 1})
    dataset, _ = prepare(raw, tmp_path / "set", named)
    write_plan(tmp_path / "plan.json", dataset.plan)
    plan = read_plan(tmp_path / "plan.json")
    assert plan == dataset.plan
    for config in (DataConfig(), named):
        again, _ = prepare(raw, tmp_path / "again", config, plan=plan)
        assert again.plan.rules == plan.rules
        check_contradictions(config, again)
    with pytest.raises(DataError, match=r"CONFIG_DATASET.*labels"):
        check_contradictions(DataConfig(labels={"background": 0, "other": 1}), again)
    with pytest.raises(ValueError, match="instances must be"):
        plan_from(asdict(plan) | {"labels": {"a": 0, "b": 1}})


def test_masks_of_objects_that_overlap_are_told(written):
    ids = box_of_ids((24, 20))
    files = dsb(ids)
    wide = np.zeros(ids.shape, np.uint8)
    wide[:, :12] = 255
    files["c0/masks/m1.png"] = png(wide)
    shared = int(np.count_nonzero(wide))
    files["c0/masks/m2.png"] = png(wide)  # voxels of all three count once
    told = [f for f in check(written(files), CONFIG).findings if f.code == "LBL_OVERLAP"]
    assert [(f.level, f.case) for f in told] == [("warning", "c0")]
    assert told[0].found.startswith(f"{shared} voxels are in the masks of several objects")


def test_objects_that_a_coarser_grid_loses_are_told(written, tmp_path):
    ids = np.zeros((24, 20), np.uint16)
    ids[2:22, 2:9], ids[1, 15], ids[7, 17] = 1, 2, 3
    told = []
    config = DataConfig(instances=True, resize=(6, 5))
    prepare(written(pairs(png(ids))), tmp_path / "set", config, tell=told.append)
    lost = [finding.found for finding in told if finding.code == "LBL_LOST"]
    assert lost == ["2 objects are without a voxel at 6x5 pixels"] * 3


def test_ignored_voxels_and_background_that_are_lost_are_no_objects(written, tmp_path):
    ids = np.ones((24, 20), np.uint16)
    ids[12:], ids[1, 15], ids[20, 3] = 2, 255, 0
    told = []
    config = DataConfig(
        instances=True, resize=(6, 5), labels={"background": 0, "cell": 1, "ignore": 255}
    )
    prepare(written(pairs(png(ids))), tmp_path / "set", config, tell=told.append)
    assert [finding.found for finding in told if finding.code == "LBL_LOST"] == []


def test_a_repaired_copy_keeps_the_numbers_of_objects(written, tmp_path):
    raw = written(pairs(png(IDS.astype(np.uint16))))
    command = ["check", str(raw), "--fix", str(tmp_path / "out"), "--dataset.instances=true"]
    assert main(command) == 0
    label = np.asarray(PIL.Image.open(tmp_path / "out/labels/0.png"))
    np.testing.assert_array_equal(label, IDS)


@pytest.mark.parametrize("to", ["folders", "nnunet", "monai"])
@pytest.mark.parametrize("files", [pairs(tiff(IDS * 70_000), ".tif"), dsb(IDS)], ids=("ids", "dsb"))
def test_objects_that_are_converted_keep_their_numbers(written, tmp_path, files, to):
    root, out = written(files), tmp_path / "out"
    ids, _, problems = convert(root, out, CONFIG, to)
    assert not problems
    folder = "labelsTr" if to == "nnunet" else "labels"
    for id_ in ids:
        (file,) = (out / folder).glob(f"{id_}.*")
        label = np.asarray(PIL.Image.open(file))
        pairs_of = {*zip(label.ravel().tolist(), IDS.ravel().tolist(), strict=True)}
        assert len(pairs_of) == len(np.unique(IDS)) == len(np.unique(label))
    again = check(out, CONFIG)
    assert (again.rules.instances, again.errors) == (check(root, CONFIG).rules.instances, ())
    assert {i: f.voxels for i, f in again.facts.items()} == {
        i: f.voxels for i, f in check(root, CONFIG).facts.items()
    }


def test_ignored_voxels_among_objects_are_converted(written, tmp_path):
    label = np.stack([np.where(IDS == 0, -1, IDS).astype(np.int16)] * 6, axis=-1)
    label[:, :, 0] = 0
    images = {f"images/{n}.nii.gz": gz(nifti(noise(n, label.shape))) for n in range(2)}
    root = written(images | {f"labels/{n}.nii.gz": gz(nifti(label)) for n in range(2)})
    ids, _, problems = convert(root, tmp_path / "out", NAMED)
    assert (ids, problems) == (["0", "1"], [])
    facts = check(tmp_path / "out", CONFIG)
    assert (facts.rules.instances, facts.rules.ignored, facts.errors) == ("cell", 65535, ())
    assert facts.facts["0"].voxels == check(root, NAMED).facts["0"].voxels
