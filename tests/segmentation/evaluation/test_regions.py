"""Scores of regions are those of masks that NumPy merges, whatever is ignored or empty."""

import csv
import json

import numpy as np
import pytest
import tifffile
from PIL import Image

from data_prep.core.config import DataConfig
from data_prep.core.errors import DataError
from data_prep.core.values.regions import paint, regions_from
from data_prep.files.hashed_json import read_hashed, write_hashed
from sdunet.segmentation.evaluation.compare_models import compare
from sdunet.segmentation.evaluation.evaluate import evaluate
from sdunet.segmentation.evaluation.pairing import open_pairs
from sdunet.segmentation.inference.prediction_record import MANIFEST
from sdunet.segmentation.metrics.batch_pooled import BatchPooledDice
from sdunet.segmentation.metrics.calibration import Calibration
from sdunet.segmentation.metrics.case_scores import METRICS, score_case
from sdunet.segmentation.metrics.overlap import overlaps
from sdunet.segmentation.review.overlay import overlay

CLASSES = {"background": 0, "edema": 1, "necrosis": 2, "active": 3}
TOLD = {"whole": [1, 2, 3], "core": [2, 3], "active": 3}
SETS = {"(1, 2, 3)": ("whole", [1, 2, 3]), "(2, 3)": ("core", [2, 3]), "3": ("active", [3])}
ORDER = {"regions_class_order": [1, 2, 3]}
CONFIG = DataConfig(labels=CLASSES, regions=TOLD)


def nested(seed, active=True, size=32):
    """Class numbers of three discs in each other."""
    random = np.random.default_rng(seed)
    rows, columns = random.uniform(12, 20, 2)
    away = np.hypot(*(np.indices((size, size)) - np.array([rows, columns])[:, None, None]))
    label = np.select([away < 3, away < 6, away < 10], [3, 2, 1], 0).astype(np.uint8)
    return label if active else np.where(label == 3, 2, label).astype(np.uint8)


@pytest.fixture
def labels():
    """References and predictions by case; in the last neither has the innermost region."""
    made = {f"c{i}": (nested(i), nested(i + 10)) for i in range(3)}
    return made | {"none": (nested(5, active=False), nested(6, active=False))}


@pytest.fixture
def folders(tmp_path, labels, write_picture):
    """A raw set that declares regions as nnU-Net does, and predictions."""
    for name, (reference, prediction) in labels.items():
        write_picture(tmp_path / f"raw/images/{name}.png", reference * 60)
        write_picture(tmp_path / f"raw/labels/{name}.png", reference)
        write_picture(tmp_path / f"pred/{name}.png", prediction)
    told = {"labels": {"background": 0, **TOLD}} | ORDER
    (tmp_path / "raw/dataset.json").write_text(json.dumps(told))
    return tmp_path / "pred", tmp_path / "raw"


def merged(label, numbers):
    return np.isin(label, numbers).astype(np.uint8)


def test_scores_are_those_of_merged_masks(folders, labels, tmp_path):
    summary, problems = evaluate(*folders, tmp_path / "out")
    assert not problems
    assert {key: means["name"] for key, means in summary["mean"].items()} == {
        key: name for key, (name, _) in SETS.items()
    }
    for record in summary["metric_per_case"]:
        reference, prediction = labels[record["case"]]
        for key, (_, numbers) in SETS.items():
            there, found = (np.isin(label, numbers) for label in (reference, prediction))
            scores, both = record["metrics"][key], (there & found).sum()
            assert (scores["TP"], scores["n_ref"], scores["n_pred"]) == (
                both, there.sum(), found.sum())  # fmt: skip
            dice = 2 * both / (there.sum() + found.sum()) if (there | found).any() else None
            assert scores["Dice"] == (dice if dice is None else pytest.approx(dice, abs=1e-12))
            masks = merged(prediction, numbers), merged(reference, numbers)
            (alone,) = score_case(*masks, (1.0, 1.0), 2)
            assert {METRICS[n].label: v for n, v in alone.values.items()} == {
                METRICS[n].label: scores[METRICS[n].label] for n in METRICS
            }
    assert summary["metric_per_case"][-1]["metrics"]["3"]["outcome"] == "true negative"
    assert summary["mean"]["3"]["n"] == 3
    with (tmp_path / "out/cases.csv").open(newline="") as file:
        assert {row["class"] for row in csv.DictReader(file)} == {"whole", "core", "active"}


def test_counts_of_sets_leave_out_what_is_ignored():
    random = np.random.default_rng(0)
    prediction, reference = random.integers(0, 4, (2, 9, 8)).astype(np.uint8)
    ignored = random.random((9, 8)) < 0.3
    sets = [numbers for _, numbers in SETS.values()]
    found = overlaps(prediction, reference, 4, ignored, sets)
    for numbers, got in zip(sets, found, strict=True):
        p, r = (np.isin(label, numbers)[~ignored] for label in (prediction, reference))
        assert (got.tp, got.fp, got.fn, got.tn) == (
            (p & r).sum(), (p & ~r).sum(), (~p & r).sum(), (~p & ~r).sum())  # fmt: skip
    assert overlaps(prediction, reference, 4) == overlaps(
        prediction, reference, 4, None, [(1,), (2,), (3,)]
    )


def test_regions_are_compared_and_drawn_and_not_pooled(folders, tmp_path):
    pred, raw = folders
    for name in ("a", "b"):
        evaluate(pred, raw, tmp_path / name)
    rows, _ = compare([tmp_path / "a", tmp_path / "b"], tmp_path / "compared", ["dice"])
    assert [row["class"] for row in rows] == ["whole", "core", "active"]
    page, problems = overlay(raw, raw, pred, tmp_path / "review")
    assert not problems
    assert '"scored": ["whole", "core", "active"]' in page.read_text()
    with pytest.raises(DataError, match="LBL_REGIONS: the batch-pooled Dice is of classes"):
        evaluate(pred, raw, tmp_path / "c", pooled=BatchPooledDice(2))
    config = DataConfig(regions={})
    by_class, _ = evaluate(pred, raw, tmp_path / "c", config=config, pooled=BatchPooledDice(2))
    assert [*by_class["mean"]] == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("recorded", "settings", "scored"),
    [
        (TOLD, {}, "whole core active"),
        ({}, {}, "edema necrosis active"),  # by a network that tells classes apart
        (TOLD, {"regions": {}}, "edema necrosis active"),
        ({}, {"regions": TOLD}, "whole core active"),
        ({"rim": 1, "core": [2, 3], "active": 3}, {}, r"LBL_REGIONS: .*the dataset declares"),
        (TOLD, {"regions": {"rim": 1, "core": [2, 3], "active": 3}}, r"LBL_REGIONS: .*the record"),
    ],
)
def test_recorded_regions_are_scored_and_held_to_those_of_references(
    folders, recorded, settings, scored
):
    pred, raw = folders
    regions = [vars(region) for region in regions_from(recorded)]
    record = {"labels": CLASSES, "label_map": {}, "regions": regions, "cases": []}
    write_hashed(pred / MANIFEST, record)
    if not scored.startswith("LBL"):
        targets = open_pairs(pred, raw, config=DataConfig(**settings)).targets
        assert " ".join(target.name for target in targets) == scored
        return
    with pytest.raises(DataError, match=scored):
        open_pairs(pred, raw, config=DataConfig(**settings))


NAMED = {"labels": {"background": 0, "rod": 1, "blob": 2, "rest": 3}}
REGIONS = {"labels": {"background": 0, **TOLD}} | ORDER
RECORD = NAMED | {"label_map": {}, "models": [], "cases": {}}


@pytest.mark.parametrize(
    ("beside", "references", "record", "config", "told"),
    [
        (None, REGIONS, RECORD, None, ["warning classes of the record of the predictions"]),
        (REGIONS, NAMED, None, None, ["warning regions of dataset.json"]),
        (NAMED, REGIONS, None, None, ["warning regions of dataset.json"]),
        (None, REGIONS, None, DataConfig(labels=NAMED["labels"]), ["note regions of dataset.json"]),
        (None, REGIONS, RECORD, DataConfig(regions={}), []),
        (None, REGIONS, RECORD, DataConfig(regions=TOLD), []),
        (REGIONS, NAMED, None, DataConfig(labels=NAMED["labels"], regions=TOLD), []),
        (REGIONS, REGIONS, None, None, []),
        (NAMED, NAMED, None, None, []),
        (None, REGIONS, None, None, []),
    ],
)
def test_regions_on_one_side_and_classes_on_the_other_are_told(
    folders, beside, references, record, config, told
):
    predictions, raw = folders
    (raw / "dataset.json").write_text(json.dumps(references))
    if beside:
        (predictions / "dataset.json").write_text(json.dumps(beside))
    if record:
        write_hashed(predictions / MANIFEST, record)
    pairs = open_pairs(predictions, raw, config=config)
    found = [f for f in pairs.noticed if f.code == "LBL_REGIONS"]
    for finding, text in zip(found, told, strict=True):
        level, _, kind = text.partition(" ")
        assert finding.level == level
        assert finding.found.startswith(f"scored are the {kind}")
    by_regions = config.regions if config and config.regions is not None else not record
    assert bool(pairs.rules.regions) == (bool(by_regions) and REGIONS in (beside, references))


@pytest.fixture
def likely(folders, labels, write_picture):
    """Probabilities of each region, and the labels that they are painted as."""
    pred, _ = folders
    maps = {}
    for seed, name in enumerate(labels):
        found = np.random.default_rng(seed).random((3, 32, 32)).astype(np.float32)
        write_picture(pred / f"{name}.png", paint(found > 0.5, regions_from(TOLD)).astype(np.uint8))
        for number, map_ in enumerate(found, start=1):
            (pred / f"probabilities/{number}").mkdir(parents=True, exist_ok=True)
            tifffile.imwrite(pred / f"probabilities/{number}/{name}.tif", map_)
        maps[name] = found
    return maps


def test_probabilities_of_regions_are_held_to_what_is_painted(folders, labels, likely, tmp_path):
    summary, problems = evaluate(*folders, tmp_path / "out")
    assert not problems
    for i, (name, numbers) in enumerate(SETS.values()):
        sums = Calibration()
        for case, found in likely.items():
            sums.update(found[i], np.isin(labels[case][0], numbers))
        assert summary["calibration_error"][name]["ECE"] == pytest.approx(sums.compute())
    pair = open_pairs(*folders).read(open_pairs(*folders).cases[0])
    np.testing.assert_array_equal(pair.probabilities.of_class(2)[0], likely["c0"][1])
    path = folders[0] / "c0.png"
    label = np.array(Image.open(path))
    Image.fromarray(np.roll(label, 3, 0)).save(path)
    _, (problem,) = evaluate(*folders, tmp_path / "moved")
    assert (problem.code, problem.case) == ("PROB_LABEL", "c0")
    (folders[0] / "probabilities/0").mkdir()
    tifffile.imwrite(folders[0] / "probabilities/0/c1.tif", likely["c1"][0])
    _, problems = evaluate(*folders, tmp_path / "other")
    assert ("PROB_CLASSES", "c1") in [(p.code, p.case) for p in problems]
    assert "regions are 1 to 3" in str(problems)


def test_the_summary_is_read_again(folders, tmp_path):
    evaluate(*folders, tmp_path / "out")
    assert [*read_hashed(tmp_path / "out/summary.json")["mean"]] == [*SETS]
