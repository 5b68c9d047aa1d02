"""Regions that overlap are made of classes, and painted so that these come out again."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from bad_sets import mask, picture, png
from hypothesis import given
from hypothesis import strategies as st

from data_prep.checks.regions import settle, told_of
from data_prep.checks.run import check
from data_prep.convert import convert
from data_prep.core.config import DataConfig, Plan, Rules
from data_prep.core.errors import DataError
from data_prep.core.values.regions import (
    Region,
    as_settings,
    masks_of,
    paint,
    regions_from,
    targets_of,
)
from data_prep.layouts.cases import Regions
from data_prep.planning.classes import without_ignored
from data_prep.planning.plan_json import read_plan, write_plan
from data_prep.planning.regions import check_regions
from data_prep.prepared.contradictions import check_contradictions
from data_prep.prepared.prepare import prepare

CLASSES = {"background": 0, "edema": 1, "necrosis": 2, "active": 3}
TOLD = {"whole": [1, 2, 3], "core": [2, 3], "active": 3}
CONFIG = DataConfig(labels=CLASSES, regions=TOLD)
BRATS = {"whole": (1, 2, 4), "core": (1, 4), "active": (4,)}


def settled(values, order=None, ignored=None, **config):
    config, regions = settle(DataConfig(**config), Regions(values, ignored, order))
    check_regions(regions, without_ignored(config.labels))
    return config, regions


@given(st.permutations([1, 2, 3, 4]), st.integers(1, 4))
def test_painting_the_regions_of_classes_gives_the_classes(numbers, cut):
    """Nested regions in any numbering, the innermost last, with a separate one where cut."""
    chain, apart = numbers[:cut], numbers[cut:]
    told = {f"from {n}": chain[i:] for i, n in enumerate(chain)} | {f"{n}": n for n in apart}
    regions = regions_from(told)
    check_regions(regions, {"b": 0, **{str(n): n for n in numbers}})
    label = np.random.default_rng(0).integers(0, 5, (1, 7, 6, 5))
    np.testing.assert_array_equal(paint(masks_of(label, regions), regions), label)
    assert regions_from(as_settings(regions)) == regions
    assert tuple(Region.from_json(json.loads(json.dumps(asdict(r)))) for r in regions) == regions


def test_painting_is_what_nnunet_does():
    regions = regions_from(TOLD)
    masks = np.random.default_rng(0).random((3, 9, 8)) > 0.5
    want = np.zeros((9, 8), int)
    for i, value in enumerate([1, 2, 3]):  # its `convert_probabilities_to_segmentation`
        want[masks[i]] = value
    np.testing.assert_array_equal(paint(masks, regions), want)


def test_without_regions_each_class_is_one():
    assert [(t.key, t.name) for t in targets_of(CLASSES, ())] == [
        ("1", "edema"), ("2", "necrosis"), ("3", "active")]  # fmt: skip
    assert [t.key for t in targets_of(CLASSES, regions_from(TOLD))] == ["(1, 2, 3)", "(2, 3)", "3"]


def test_values_of_the_same_regions_are_one_class_and_ignored_ones_none():
    config, regions = settled({"whole": (1, 2, 3), "core": (3,)}, (1, 3))
    assert config.labels == {"background": 0, "whole": 1, "whole+core": 2}
    assert config.label_map == {2: 1, 3: 2}
    assert [region.classes for region in regions] == [(1, 2), (2,)]
    config, _ = settled(BRATS, (2, 1, 4), ignored=3)
    assert (config.labels["ignore"], config.label_map) == (4, {4: 3, 3: 4})
    config, regions = settled(BRATS, (2, 1, 4), label_map={9: 4})
    assert config.label_map == {9: 3, 4: 3}
    _, regions = settled({"all": (1, 2), "a": (1,), "b": (2,)}, (2, 1, 2))
    assert [region.painted for region in regions] == [2, 1, 2]  # the first for what is in neither


def test_settings_name_the_classes_of_declared_regions_and_may_ask_for_none():
    own = {"background": 0, "edema": 2, "necrosis": 1, "active": 3}
    config, regions = settled(BRATS, (2, 1, 4), labels=own, label_map={4: 3})
    assert config.labels == own
    assert [region.painted for region in regions] == [2, 1, 3]
    same = as_settings(regions)
    assert settled(BRATS, (2, 1, 4), regions=same)[1] == regions
    assert settled(BRATS, None, regions=same)[1] == regions
    assert settled(BRATS, None, regions={})[1] == ()


@pytest.mark.parametrize(
    ("order", "settings", "found"),
    [
        (None, {}, "and no regions_class_order"),
        ((2, 1), {}, r"regions_class_order \[2, 1\]"),
        ((1, 2, 4), {}, r"paints region 'core' \[1, 4\] as 2"),
        ((4, 1, 4), {}, r"class 2 \(whole\) is lost: painted as 3"),
        ((2, 1, 4), {"regions": TOLD}, r"regions .*\[2, 3\].*, the dataset declares .*\[1, 3\]"),
        ((2, 1, 4), {"labels": CLASSES}, "names 4, which is no class"),
        ((2, 1, 4), {"labels": CLASSES, "label_map": {4: 1}}, r"painted as|same classes"),
        ((2, 1, 4), {"labels": CLASSES, "label_map": {4: 0}}, "which is background"),
    ],
)
def test_declared_regions_that_cannot_be_are_refused(order, settings, found):
    with pytest.raises(DataError, match=f"LBL_REGIONS: .*{found}"):
        settled(BRATS, order, **settings)


@pytest.mark.parametrize(
    ("regions", "found"),
    [
        (TOLD | {"other": [1, 7]}, "'other' names 7, which is no class"),
        (TOLD | {"all": [0, 1, 2, 3]}, "'all' names 0, which is background"),
        (TOLD | {"ignored": [255]}, "'ignored' names 255, which is no class"),
        (TOLD | {"none": []}, "'none' names no class"),
        (TOLD | {" ": 1}, "a region is called ' '"),
        (TOLD | {"centre": [3, 2]}, r"'core' and 'centre' are of the same classes \[2, 3\]"),
        ({"core": [2, 3], "active": 3}, r"class 1 \(edema\) is lost: it is in no region"),
        ({"core": [2, 3], "whole": [1, 2, 3], "active": 3}, r"class 2 \(necrosis\) is lost: pain"),
        ({"whole": [1, 2, 3], "active": 3}, r"class 2 \(necrosis\) is lost: painted as 1"),
    ],
)
def test_regions_of_settings_that_cannot_be_are_refused(written, regions, found):
    files = {"images/a.png": png(picture(0)), "labels/a.png": png(mask())}
    config = DataConfig(labels=CLASSES | {"ignore": 255}, regions=regions)
    with pytest.raises(DataError, match=f"LBL_REGIONS: .*{found}"):
        check(written(files), config)


@pytest.mark.parametrize("value", [{"a": "1"}, {"a": [True]}, {1: [1]}, {"a": 1.0}, [1]])
def test_regions_are_numbers_by_name(value):
    with pytest.raises(ValueError, match="regions cannot be"):
        DataConfig(regions=value)


@pytest.fixture
def raw(written):
    label = mask()
    label[12:, 12:] *= 2
    label[14:16, 14:16] = 3
    files = {f"images/{i}.png": png(picture(i)) for i in range(4)}
    return written(files | {f"labels/{i}.png": png(label) for i in range(4)})


def test_regions_go_with_the_plan_and_change_no_array(raw, tmp_path):
    with_, problems = prepare(raw, tmp_path / "a", replace(CONFIG, folds=2))
    plain, _ = prepare(raw, tmp_path / "b", DataConfig(labels=CLASSES, folds=2))
    assert not problems
    assert replace(with_.plan, regions=()) == plain.plan
    assert {c.made_with for c in with_.cases.values()} == {
        c.made_with for c in plain.cases.values()
    }
    assert (with_.plan.outputs, plain.plan.outputs, with_.plan.num_classes) == (3, 4, 4)
    assert "whole" in (tmp_path / "a/qc/report.html").read_text()
    write_plan(tmp_path / "plan.json", with_.plan)
    assert read_plan(tmp_path / "plan.json") == with_.plan
    again, _ = prepare(raw, tmp_path / "c", DataConfig(folds=2), plan=with_.plan)
    assert again.plan == with_.plan
    other = replace(CONFIG, regions=dict(reversed(TOLD.items())))
    with pytest.raises(DataError, match=r"PLAN_CONFLICT: dataset\.regions"):
        prepare(raw, tmp_path / "d", other, plan=with_.plan)
    check_contradictions(CONFIG, with_)
    for wrong in (other, replace(CONFIG, regions={})):
        with pytest.raises(DataError, match=r"CONFIG_DATASET: dataset\.regions"):
            check_contradictions(wrong, with_)


def test_plans_of_regions_that_cannot_be_are_refused(tmp_path):
    regions = (Region("whole", (1, 2), 1), Region("core", (2,), 1))
    plan = Plan(2, ("a",), {"b": 0, "c": 1, "d": 2}, {}, "zscore", None, (32, 32), regions=regions)
    write_plan(tmp_path / "plan.json", plan)
    with pytest.raises(DataError, match="LBL_REGIONS: region 'core' is painted as 1"):
        read_plan(tmp_path / "plan.json")


@pytest.mark.parametrize("to", ["folders", "nnunet", "monai"])
def test_a_conversion_keeps_regions(raw, tmp_path, to):
    convert(raw, tmp_path / "out", CONFIG, to)
    there = check(tmp_path / "out", DataConfig())
    assert there.rules.regions == regions_from(TOLD)
    before = check(raw, CONFIG)
    assert [f.voxels for f in there.facts.values()] == [f.voxels for f in before.facts.values()]


@pytest.mark.parametrize(
    ("classes", "level"),
    [
        ({"background": 0, "edema": 1, "core": 2, "active": 3}, "warning"),  # core is of 2 and 3
        ({"background": 0, "edema": 1, "necrosis": 2, "active": 3}, "note"),
    ],
)
def test_regions_of_the_dataset_that_are_not_found_are_told(classes, level):
    rules = Rules((), classes)
    declared = Regions({name: tuple(np.atleast_1d(told)) for name, told in TOLD.items()}, None)
    (finding,) = told_of(rules, declared)
    assert (finding.code, finding.level) == ("LBL_REGIONS", level)
    assert not told_of(rules, None)
    assert not told_of(rules, Regions({}, 4))
