"""Objects told apart by inside and boundary: round trips, and from images to scores."""

import csv
import json

import numpy as np
import pytest
import torch
from bad_sets import gz, nifti, png, tiff

from data_prep.core.config import DataConfig, Plan
from data_prep.core.errors import DataError
from data_prep.preprocessing.instances import (
    BOUNDARY,
    INSIDE,
    inside_and_boundary,
    object_classes,
)
from sdunet import Predictor
from sdunet.cli.main import main
from sdunet.segmentation.evaluation.evaluate import evaluate
from sdunet.segmentation.inference import decision, instances, predict_folder
from sdunet.segmentation.inference.decision import (
    most_probable,
    stated_label,
    stated_probabilities,
)
from sdunet.segmentation.inference.ensemble import Ensemble
from sdunet.segmentation.inference.instances import SURE, tell_apart
from sdunet.segmentation.inference.predict_folder import PredictOptions, predict
from sdunet.segmentation.metrics.instances import find_objects
from sdunet.segmentation.models.trained_model import Model


def balls_of(size, *middles, radius=6):
    """Discs or balls; where two meet, each voxel is of the nearer one."""
    at = np.indices(size)
    apart = [np.sqrt(sum((a - m) ** 2 for a, m in zip(at, mid, strict=True))) for mid in middles]
    nearest = np.argmin(apart, axis=0)
    return np.where(np.min(apart, axis=0) <= radius, nearest + 1, 0).astype(np.uint32)


TOUCHING = {
    "2D": balls_of((24, 42), (11, 9), (11, 20), (11, 35)),
    "3D": balls_of((18, 18, 42), (8, 8, 9), (8, 8, 20), (8, 8, 35)),
}


PLAN = Plan(
    *(2, ("r", "g", "b"), object_classes(), {}, "window", None, (16, 16)),
    window=(0, 255),
    instances="cell",
)


def certain(ids):
    """Probabilities of the three classes, `(3, ...)`, as of a network that is always right."""
    return np.moveaxis(np.eye(3)[inside_and_boundary(ids)], -1, 0)


@pytest.mark.parametrize("dims", TOUCHING)
def test_discs_that_touch_are_told_apart_and_merged_by_connected_components(dims):
    ids = TOUCHING[dims]
    found = tell_apart(most_probable(certain(ids), PLAN))
    assert found.dtype == np.uint16
    told = find_objects(ids != 0, ids != 0, ids, found)
    assert told.average_precision() == 1  # above every Jaccard index: voxel for voxel
    merged = find_objects(ids != 0, ids != 0, ids)
    assert len(merged.predicted_sizes) == 2
    assert merged.average_precision((0.5,)) == pytest.approx(1 / 4)


def test_more_objects_than_16_bits_number(monkeypatch):
    monkeypatch.setattr(instances.np, "iinfo", lambda kind: type("few", (), {"max": 2}))
    assert tell_apart(most_probable(certain(TOUCHING["2D"]), PLAN)).dtype == np.uint32


def test_foreground_without_a_sure_inside_is_no_object_and_nothing_is_none():
    label = np.zeros((5, 12), np.uint8)
    assert not tell_apart(label).any()
    label[1:4, 1:4], label[2, 2:4], label[2, 6:8], label[4, 9:] = INSIDE, SURE, BOUNDARY, INSIDE
    np.testing.assert_array_equal(tell_apart(label), np.pad(np.ones((3, 3)), ((1, 1), (1, 8))))


def test_foreground_is_where_both_classes_together_are_more_probable():
    probabilities = np.array([[0.4, 0.6, 0.1, 0.2, 0], [0.3, 0.3, 0.9, 0.75, 0.5]])
    probabilities = np.vstack([probabilities, 1 - probabilities.sum(0)])
    found = most_probable(probabilities, PLAN)
    assert found.tolist() == [BOUNDARY, 0, SURE, INSIDE, BOUNDARY]
    assert stated_label(found, PLAN).tolist() == [1, 0, 1, 1, 1]
    stated = stated_probabilities(probabilities, PLAN)
    np.testing.assert_allclose(stated, [probabilities[0], 1 - probabilities[0]])


def seeing(plan):
    """An ensemble of one network, to which channels are the logits of the classes."""
    network = (torch.nn.Conv3d if plan.spatial_dims == 3 else torch.nn.Conv2d)(3, 3, 1)
    with torch.no_grad():
        network.bias.zero_()
        network.weight.copy_(20 * torch.eye(3).reshape(network.weight.shape))
    return Ensemble((Model(network.eval(), plan, 0.5, (), "0", None),), {})


def shown(ids):
    """An image whose channels show the class of each voxel, `(..., 3)`."""
    return (255 * np.eye(3, dtype=np.uint8))[inside_and_boundary(ids)]


@pytest.fixture
def seen(written, monkeypatch):
    """A raw set of discs that touch, and a model that sees their classes."""
    ids = TOUCHING["2D"]
    files = {f"images/{n}.png": png(shown(np.roll(ids, n, 0))) for n in range(2)}
    labels = [(300 * np.roll(ids, n, 0)).astype(np.uint16) for n in range(2)]
    files |= {f"labels/{n}.png": png(label) for n, label in enumerate(labels)}
    monkeypatch.setattr(predict_folder, "load_ensemble", lambda *_, **__: seeing(PLAN))
    return written(files), ids


def scores_in(folder):
    with (folder / "instances.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_ids_are_predicted_recorded_and_scored_beside_connected_components(seen, tmp_path, capsys):
    raw, ids = seen
    out, scores = tmp_path / "out", tmp_path / "scores"
    given = ["predict", "--model", "m", "-i", raw / "images", "-o", out, "--instances"]
    assert main([*map(str, given), "--device", "cpu"]) == 0
    recorded = json.loads((out / "predictions.json").read_text())
    assert recorded["labels"] == {"background": 0, "cell": 1}
    assert recorded["instances"] is True
    assert main(["evaluate", *map(str, ["--pred", out, "--ref", raw, "-o", scores])]) == 0
    assert "connected components" in capsys.readouterr().out
    rows = scores_in(scores)
    assert [(row["told_apart_by"], float(row["AP"])) for row in rows] == [
        ("objects", 1.0),
        ("connected components", pytest.approx(1 / 4, abs=0.01)),
    ] * 2
    found = json.loads((scores / "summary.json").read_text())
    assert found["mean"]["1"]["Dice"] == found["mean"]["1"]["AP50"] == 1
    assert found["instances"]["objects"]["AP50"] == 1
    (out / "0.png").write_bytes(png(ids.astype(np.uint8)))
    assert main(["evaluate", *map(str, ["--pred", out, "--ref", raw, "-o", scores])]) == 1
    assert "OUT_CHANGED case 0" in capsys.readouterr().err


def test_probabilities_of_foreground_that_is_no_object_are_no_contradiction(
    seen, tmp_path, monkeypatch
):
    raw, _ = seen
    monkeypatch.setattr(decision, "_SURE_FROM", 2.0)  # so that there is no seed anywhere
    options = PredictOptions(device="cpu", probabilities=True, instances=True)
    predict("m", raw / "images", tmp_path / "out", options=options)
    summary, problems = evaluate(tmp_path / "out", raw, tmp_path / "scores")
    assert not problems
    assert summary["mean"]["1"]["Dice"] == 0


def test_without_the_option_the_foreground_of_both_classes_is_predicted(seen, tmp_path):
    raw, _ = seen
    out = tmp_path / "out"
    options = PredictOptions(device="cpu", probabilities=True, uncertainty=True)
    predict("m", raw / "images", out, options=options)
    summary, problems = evaluate(out, raw, tmp_path / "s", config=DataConfig(instances=True))
    assert not problems
    assert "instances" not in summary
    assert summary["mean"]["1"]["Dice"] == 1
    assert summary["calibration_error"]["cell"]["ECE"] < 1e-3
    with pytest.raises(DataError, match=r"PRED_INSTANCES.*holds classes"):
        evaluate(out, raw, tmp_path / "t", instances=True)
    again = PredictOptions(device="cpu", instances=True)
    with pytest.raises(DataError, match=r"OUT_OTHER.*--instances"):
        predict("m", raw / "images", out, options=again)


def test_a_volume_is_told_apart_on_the_grid_of_the_scan(tmp_path):
    ids = TOUCHING["3D"]
    plan = Plan(
        *(3, ("r", "g", "b"), object_classes(), {}, "window", (1.0, 1.0, 1.0), (16, 16, 16)),
        window=(0, 255),
        instances="cell",
    )
    predictor = Predictor(seeing(plan))
    array = np.moveaxis(shown(ids), -1, 0)
    affine = np.diag([-1.0, 1, 1, 1])[[1, 0, 2, 3]]
    found = predictor(array, affine=affine, instances=True, probabilities=True)
    assert find_objects(ids, ids, ids, found.labels).average_precision() == 1
    assert found.probabilities.shape == (2, *ids.shape)
    assert predictor.labels == {"background": 0, "cell": 1}
    np.testing.assert_array_equal(predictor(array, affine=affine).labels, ids != 0)


def test_networks_of_classes_tell_no_objects():
    classes = Plan(2, ("r", "g", "b"), {"no": 0, "a": 1, "b": 2}, {}, "window", None, (16, 16))
    predictor = Predictor(seeing(classes))
    with pytest.raises(DataError, match=r"PRED_INSTANCES.*\(no, a, b\)"):
        predictor(np.zeros((3, 9, 9), np.uint8), instances=True)


IDS = TOUCHING["2D"]
PIECES = (IDS != 0).astype(np.uint8)
PIECES[0, ::3] = 1


@pytest.mark.parametrize(
    ("predicted", "reference", "code"),
    [
        (tiff(IDS), png(IDS.astype(np.uint16)), None),
        (png((IDS * 20).astype(np.uint8)), tiff(IDS * 70_000), None),
        (png(IDS.astype(np.uint8)), png(PIECES), "LBL_NUMBERED"),
        (tiff(IDS.astype(np.float32) / 2), png(IDS.astype(np.uint8)), "LBL_INTERPOLATED"),
        (tiff(IDS.astype(np.int32) - 1), png(IDS.astype(np.uint8)), "LBL_OBJECT"),
        (png(PIECES), png(IDS.astype(np.uint8)), "LBL_NUMBERED"),
    ],
    ids=("16 bit", "32 bit", "semantic reference", "fractions", "negative", "semantic prediction"),
)
def test_ids_of_other_tools_are_scored_and_what_are_none_is_refused(
    written, tmp_path, predicted, reference, code
):
    suffixes = ["tif" if data[:2] == b"II" else "png" for data in (predicted, reference)]
    ours = written({f"0.{suffixes[0]}": predicted}, "predicted")
    theirs = written({f"0.{suffixes[1]}": reference}, "references")
    if code is None:
        summary, problems = evaluate(ours, theirs, tmp_path / "s", instances=True)
        assert not problems
        assert summary["instances"]["objects"]["AP"] == 1
        assert summary["instances"]["connected components"]["AP"] < 1
        return
    try:
        _, problems = evaluate(ours, theirs, tmp_path / "s", instances=True)
        told = str(problems[0])
    except DataError as error:
        told = str(error)
    assert code in told


def test_volumes_of_ids_are_read_back_as_they_are_written(written, tmp_path):
    ids = TOUCHING["3D"]
    files = {"0.nii.gz": gz(nifti(ids * 100_000))}
    one, other = written(files, "a"), written(files, "b")
    summary, problems = evaluate(one, other, tmp_path / "s", instances=True)
    assert not problems
    assert summary["instances"]["objects"]["AP"] == 1
