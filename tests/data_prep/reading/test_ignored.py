"""Voxels that labels say to ignore: of no class and no background, from raw files to arrays."""

import json
from dataclasses import replace

import numpy as np
import pytest
from bad_sets import AFFINE, blob, gz, mask, nifti, noise, picture, png

from data_prep.checks.run import check
from data_prep.convert import convert
from data_prep.core.config import DataConfig, Plan, Rules
from data_prep.core.errors import DataError
from data_prep.core.findings import Findings
from data_prep.core.scan import Scan, Segment
from data_prep.files.hashed_json import read_hashed, write_hashed
from data_prep.planning.plan_json import read_plan, write_plan
from data_prep.prepared.contradictions import check_contradictions
from data_prep.prepared.dataset import load_dataset
from data_prep.prepared.prepare import prepare
from data_prep.preprocessing.grid import fit_label, grid_of, to_grid
from data_prep.reading.label import to_classes
from data_prep.reading.segments import segments_to_classes

LABELS = {"background": 0, "organ": 1, "ignore": 255}
CONFIG = DataConfig(labels=LABELS)
VOID = 2


def scribbled(number=255):
    """A disc beside a stripe that is ignored."""
    label = mask()
    label[:, 15:] = number
    return label


def pairs(label, count=3):
    images = {f"images/{i}.png": png(picture(i)) for i in range(count)}
    return images | {f"labels/{i}.png": png(label) for i in range(count)}


def test_ignored_voxels_get_the_number_after_the_last_class_and_are_counted(written, tmp_path):
    raw, label = written(pairs(scribbled())), scribbled()
    checked = check(raw, CONFIG)
    assert not checked.errors
    void = int((label == 255).sum())
    assert {(fact.ignored, sum(fact.voxels)) for fact in checked.facts.values()} == {
        (void, label.size - void)
    }
    noted = [f.found for f in checked.findings if f.code == "LBL_IGNORED"]
    assert f"{3 * void} of {3 * label.size} voxels are ignored, in 3 of 3 cases" in noted[0]
    assert f"{void} of {label.size} voxels" in noted[1]
    dataset, problems = prepare(raw, tmp_path / "set", CONFIG)
    assert not problems
    assert dataset.plan.num_classes == 2
    _, array = dataset.arrays("0")
    np.testing.assert_array_equal(array[0], np.where(label == 255, VOID, label))
    assert load_dataset(tmp_path / "set").cases["0"].ignored == void
    page = (tmp_path / "set/qc/report.html").read_text()
    assert f"{void / label.size:.1%} ignored" in page


def test_what_is_ignored_is_no_foreground_of_the_plan_and_no_doubt(written):
    """Levels of a CT, and warnings of full or dark labels, are of classes alone."""
    files = {f"images/{i}.nii.gz": gz(nifti(noise(i))) for i in range(3)}
    label = np.where(blob(), 1, 255).astype(np.uint8)
    label[0] = 0
    files |= {f"labels/{i}.nii.gz": gz(nifti(label)) for i in range(3)}
    raw = written(files)
    plain = written({**files, **{f"labels/{i}.nii.gz": gz(nifti(blob())) for i in range(3)}}, "b")
    one, other = check(raw, CONFIG), check(plain, DataConfig(labels=LABELS))
    for id_, fact in one.facts.items():
        np.testing.assert_array_equal(fact.foreground, other.facts[id_].foreground)
        assert fact.voxels[1:] == other.facts[id_].voxels[1:]
    told = {f.code for f in one.findings} - {f.code for f in other.findings}
    assert told == {"LBL_IGNORED"}


def test_a_set_without_ignored_voxels_tells_that_the_setting_changes_nothing(written):
    checked = check(written(pairs(mask())), CONFIG)
    (found,) = [f for f in checked.findings if f.code == "SET_UNUSED"]
    assert "dataset.labels ignores 255, which no label that is read holds" in found.found


def test_a_case_of_ignored_voxels_alone_is_left_out(written):
    files = pairs(scribbled()) | {"labels/1.png": png(np.full_like(mask(), 255))}
    (error,) = check(written(files), CONFIG).errors
    assert (error.code, error.case) == ("LBL_IGNORED", "1")


def test_a_case_that_resampling_leaves_nothing_but_ignored_voxels_is_left_out(written, tmp_path):
    label = np.full(blob().shape, 255, np.uint8)
    label[3, 3, 3] = 0
    files = {f"images/{i}.nii.gz": gz(nifti(noise(i))) for i in range(3)}
    files |= {f"labels/{i}.nii.gz": gz(nifti(blob())) for i in range(2)}
    raw = written(files | {"labels/2.nii.gz": gz(nifti(label))})
    config = replace(CONFIG, spacing=(4.0, 4.0, 6.0))
    dataset, problems = prepare(raw, tmp_path / "set", config)
    assert [(p.code, p.case) for p in problems] == [("LBL_IGNORED", "2")]
    assert set(dataset.cases) == {"0", "1"}


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        ({"background": 0, "organ": 1, "ignore": 1}, "class 1 has several names: organ, ignore"),
        ({"ignore": 255}, "beside 255, which is ignored"),
        ({"background": 0, "ignore": 1}, "beside 1, which is ignored"),
        ({"background": 0, "organ": 2, "ignore": 1}, "beside 1, which is ignored"),
        ({"background": 0, "organ": 1, "ignore": "255"}, "'255' is no int"),
        ({"background": 0, "a": 1, "ignore": 2, "Ignore": 3}, "'ignore' is named twice"),
    ],
    ids=str,
)
def test_classes_that_cannot_be_beside_what_is_ignored(written, labels, found):
    with pytest.raises(DataError, match=f"LBL_CLASSES: .*{found}"):
        check(written(pairs(scribbled())), DataConfig(labels=labels))


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ([0, 1, 255], [0, 1, 2]),
        ([0, 1, 7], [0, 1, 2]),  # mapped to what is ignored
        ([0, 9, 255], [0, 1, 2]),
        ([0.0, 1.0, 255.0], [0, 1, 2]),
    ],
)
def test_values_that_are_ignored_or_mapped_to_it(values, wanted):
    array = np.array([[values]])
    found = to_classes(array, {"b": 0, "a": 1}, {7: 255, 9: 1}, None, 255)
    assert found.dtype == np.uint8
    assert found.ravel().tolist() == wanted


def test_the_number_of_ignored_voxels_in_arrays_is_none_of_files():
    with pytest.raises(DataError, match="LBL_UNKNOWN: unknown label value 2 "):
        to_classes(np.array([[[0, 2]]]), {"b": 0, "a": 1}, {}, None, 255)
    many = {str(n): n for n in range(256)}
    found = to_classes(np.array([[[255, 999]]]), many, {}, None, 999)
    assert (found.dtype, found.ravel().tolist()) == (np.uint16, [255, 256])


def test_an_undeclared_255_beside_classes_is_refused_with_how_to_ignore_it(written):
    (error, *_) = check(written(pairs(scribbled())), DataConfig()).errors
    assert error.code == "LBL_UNKNOWN"
    assert "`ignore: 255` to dataset.labels" in error.fix


def test_segments_and_masks_called_ignore_are_ignored(written):
    rules = Rules((), {"background": 0, "organ": 1}, ignored=255)
    layer = np.array([[[0, 3, 5]]])
    segments = (Segment("organ", 0, 3), Segment("Ignore", 0, 5))
    scan = Scan(layer, np.eye(4), segments=segments)
    assert segments_to_classes(scan, rules, Findings()).ravel().tolist() == [0, 1, 2]
    organ, void = blob(), np.zeros_like(blob())
    void[0] = 1
    files = {}
    for i in range(3):
        files[f"{i}/ct.nii.gz"] = gz(nifti(noise(i)))
        files[f"{i}/segmentations/organ.nii.gz"] = gz(nifti(organ))
    files["0/segmentations/ignore.nii.gz"] = gz(nifti(void))
    for config in (CONFIG, DataConfig()):  # also where names alone number classes
        checked = check(written(files), config)
        assert not checked.errors
        assert checked.rules.labels == {"background": 0, "organ": 1}
        assert [f.ignored for f in checked.facts.values()] == [int(void.sum()), 0, 0]
        assert not [f for f in checked.findings if f.code in ("LBL_MISSING", "DCM_UNUSED")]


@pytest.mark.parametrize("spacing", [(2.0, 2.0, 2.0), (0.7, 0.6, 0.9)], ids=str)
def test_resampling_takes_no_class_for_ignored_and_leaves_its_volume(spacing):
    label = np.zeros((1, 12, 12, 12), np.uint8)
    label[0, 2:10, 2:10, 2:10], label[0, :, :, 6:] = 1, VOID
    found = to_grid(label, grid := grid_of(Scan(label, np.eye(4)), spacing), label=True)
    assert set(np.unique(found)) == {0, 1, VOID}
    cell = np.prod(spacing)
    assert (found == VOID).sum() * cell == pytest.approx((label == VOID).sum(), rel=0.15)
    planes = np.unique(np.argwhere(found[0] == VOID)[:, 2])
    assert planes[0] * spacing[2] + grid.affine[2, 3] >= 5


def test_a_plan_tells_what_is_ignored_and_sets_of_before_are_read(written, tmp_path):
    raw = written(pairs(scribbled()))
    dataset, _ = prepare(raw, tmp_path / "set", CONFIG)
    write_plan(tmp_path / "plan.json", dataset.plan)
    plan = read_plan(tmp_path / "plan.json")
    assert (plan.ignored, plan.rules.void) == (255, VOID)
    for config in (DataConfig(), CONFIG, DataConfig(labels={"background": 0, "organ": 1})):
        again, problems = prepare(raw, tmp_path / "again", config, plan=plan)
        assert not problems
        assert again.plan.ignored == 255
    other = DataConfig(labels=LABELS | {"ignore": 254})
    with pytest.raises(DataError, match=r"PLAN_CONFLICT: .*'ignore': 255\} in the plan"):
        prepare(raw, tmp_path / "other", other, plan=plan)
    check_contradictions(CONFIG, dataset)
    with pytest.raises(DataError, match=r"CONFIG_DATASET: .*prepared with .*'ignore': 255\}"):
        check_contradictions(other, dataset)
    path = tmp_path / "set/dataset.json"
    record = read_hashed(path)
    del record["plan"]["ignored"]
    for case in record["cases"]:
        del case["ignored"]
    write_hashed(path, record)
    before = load_dataset(tmp_path / "set")
    assert before.plan == replace(dataset.plan, ignored=None)
    assert {case.ignored for case in before.cases.values()} == {0}


@pytest.mark.parametrize("ignored", [1, "255", 255.0, True])
def test_plans_that_ignore_a_class_or_no_number_are_refused(ignored, tmp_path):
    plan = Plan(2, ("a",), {"b": 0, "c": 1}, {}, "zscore", None, (32, 32), ignored=ignored)
    write_plan(tmp_path / "plan.json", plan)
    with pytest.raises(DataError, match=r"PLAN_FILE: .*ignored must be a number of no class"):
        read_plan(tmp_path / "plan.json")


@pytest.mark.parametrize("to", ["folders", "nnunet", "monai"])
def test_a_conversion_keeps_what_is_ignored(written, tmp_path, to):
    convert(written(pairs(scribbled())), tmp_path / "out", CONFIG, to)
    there = check(tmp_path / "out", DataConfig())
    assert there.rules.ignored == VOID
    assert {fact.ignored for fact in there.facts.values()} == {int((scribbled() == 255).sum())}
    name = "datalist.json" if to == "monai" else "dataset.json"
    labels = json.loads((tmp_path / "out" / name).read_text())["labels"]
    assert labels in ({"background": 0, "organ": 1, "ignore": 2}, {
        "0": "background", "1": "organ", "2": "ignore"})  # fmt: skip


def test_a_label_on_another_grid_is_background_beyond_it_and_loses_ignored_voxels_unsaid():
    label = np.zeros((1, 8, 8, 8), np.uint8)
    label[0, 2:5, 2:5, 2:5], label[0, 0, 0, 0] = 1, VOID
    image = Scan(np.zeros((1, 12, 8, 8)), AFFINE)
    findings = Findings(("GEO_SHAPE", "GEO_AFFINE"))
    moved = AFFINE.copy()
    moved[0, 3] -= AFFINE[0, 0]  # by a voxel, which cuts off what is ignored
    found = fit_label(image, Scan(label, moved), findings, void=VOID)
    assert set(np.unique(found.array)) == {0, 1}
    assert {f.code for f in findings.found} <= {"GEO_SHAPE", "GEO_AFFINE"}
