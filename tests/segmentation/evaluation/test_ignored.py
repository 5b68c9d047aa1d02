"""Evaluation where references say to ignore voxels: what is predicted there counts nowhere."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from data_prep.core.config import DataConfig
from data_prep.core.errors import DataError
from sdunet.segmentation.evaluation.evaluate import evaluate
from sdunet.segmentation.evaluation.pair import hash_of
from sdunet.segmentation.evaluation.pairing import open_pairs
from sdunet.segmentation.metrics.batch_pooled import BatchPooledDice
from sdunet.segmentation.metrics.calibration import Calibration
from sdunet.segmentation.review.error_map import error_map
from sdunet.segmentation.review.overlay import overlay

CONFIG = DataConfig(labels={"background": 0, "disc": 1, "ignore": 255})
VOID = np.s_[:, 20:30]


@pytest.fixture
def folders(discs, tmp_path, write_picture):
    """Raw discs with a stripe that is ignored, and a writer of predictions that are wrong there."""
    raw = discs(count=2)
    for path in (raw / "masks").iterdir():
        label = np.array(Image.open(path))
        label[VOID] = 255
        write_picture(path, label)

    def predicted(name, within):
        for path in (raw / "masks").iterdir():
            label = np.roll(np.array(Image.open(path)) == 1, 2, 0).astype(np.uint8)
            label[VOID] = within
            write_picture(tmp_path / name / path.name, label)
        return tmp_path / name

    return raw, predicted


def scores_of(summary):
    """All of a summary but what tells of the files themselves."""
    kept = {name: summary[name] for name in ("mean", "foreground_mean", "found_by_size", "ignored")}
    metrics = [{n: v for n, v in r.items() if "file" not in n} for r in summary["metric_per_case"]]
    return kept | {"cases": metrics, "pooled": summary["batch_pooled_dice"]}


def test_what_is_predicted_there_changes_nothing(folders, tmp_path):
    raw, predicted = folders
    found = []
    for within in (0, 1, np.arange(480).reshape(48, 10) % 2):
        out, name = tmp_path / f"out{len(found)}", f"pred{len(found)}"
        given = predicted(name, within), raw, out
        summary, problems = evaluate(*given, config=CONFIG, pooled=BatchPooledDice(2))
        assert not problems
        tables = [(out / n).read_bytes() for n in ("cases.csv", "components.csv")]
        found.append((scores_of(summary), tables))
    assert found[0] == found[1] == found[2]
    scores = found[0][0]
    assert [case["n_ignored"] for case in scores["cases"]] == [480, 480]
    assert scores["ignored"]["voxels"] == 960
    for case in scores["cases"]:
        counts = case["metrics"]["1"]
        assert sum(counts[n] for n in ("TP", "FP", "FN", "TN")) == 48 * 48 - 480


def test_errors_there_are_drawn_nowhere(folders, tmp_path):
    raw, predicted = folders
    pairs = open_pairs(predicted("pred", 1), raw, config=CONFIG)
    pair = pairs.read(pairs.cases[0])
    errors = error_map(pair.prediction, pair.reference.array)[0]
    assert errors.any()
    assert not errors[VOID].any()
    page, problems = overlay(raw, raw, tmp_path / "pred", tmp_path / "out", config=CONFIG)
    assert not problems
    assert page.exists()


def test_calibration_counts_no_voxel_that_is_ignored(folders, tmp_path):
    raw, predicted = folders
    pred, wanted = predicted("pred", 1), Calibration()
    random = np.random.default_rng(0)
    for path in sorted(pred.glob("*.png")):
        label, there = (np.array(Image.open(p)) for p in (path, raw / "masks" / path.name))
        share = random.uniform(0, 0.5, label.shape).astype(np.float32) + 0.5 * label
        for number, values in enumerate((1 - share, share)):
            (pred / f"probabilities/{number}").mkdir(parents=True, exist_ok=True)
            tifffile.imwrite(pred / f"probabilities/{number}/{path.stem}.tif", values)
        wanted.update(share[there != 255], there[there != 255] == 1)
    summary, problems = evaluate(pred, raw, tmp_path / "out", config=CONFIG)
    assert not problems
    assert summary["calibration_error"]["disc"]["ECE"] == pytest.approx(wanted.compute(), abs=1e-6)


def test_references_that_ignore_other_voxels_are_other_references():
    label, ignored = np.zeros((2, 2), np.uint8), np.eye(2, dtype=bool)
    assert hash_of(label) != hash_of(label, ignored) != hash_of(label, ~ignored)
    assert not label.any()


def test_a_prediction_of_what_is_ignored_is_refused(folders, tmp_path):
    raw, predicted = folders
    _, problems = evaluate(predicted("pred", 255), raw, tmp_path / "out", config=CONFIG)
    assert [p.code for p in problems] == ["LBL_IGNORED"] * 2


def test_settings_without_a_class_beside_what_is_ignored_are_refused(folders):
    raw, predicted = folders
    for labels in ({"ignore": 255}, {"background": 0, "disc": 1, "ignore": 1}):
        with pytest.raises(DataError, match="LBL_CLASSES"):
            open_pairs(predicted("pred", 0), raw, config=DataConfig(labels=labels))
