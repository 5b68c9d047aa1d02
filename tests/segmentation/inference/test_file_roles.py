"""What is kept of an earlier prediction was made of the same files in the same places."""

import json
from itertools import product

import numpy as np
import pytest
import torch
from PIL import Image

from data_prep.core.config import Plan
from data_prep.core.errors import DataError
from sdunet.runtime.safetensors_io import write_weights
from sdunet.segmentation.config import NetworkConfig
from sdunet.segmentation.inference.pooled import pool
from sdunet.segmentation.inference.predict_folder import PredictOptions, predict
from sdunet.segmentation.models.trained_model import WEIGHTS, network_for, save_description

PLAN = Plan(2, ("T1", "T2"), {"background": 0, "b": 1}, {}, "zscore", None, (16, 16))
CONFIG = NetworkConfig(features=(4, 6), num_features=3)
CASES = ("a", "b")


def model(root, seed=0):
    """An untrained network of two channels."""
    torch.manual_seed(seed)
    root.mkdir()
    save_description(root, CONFIG, PLAN, 0.5, ())
    write_weights(root / WEIGHTS, network_for(CONFIG, PLAN).state_dict())
    return root


@pytest.fixture
def raw(tmp_path):
    random = np.random.default_rng(0)
    (tmp_path / "raw").mkdir()
    for case in CASES:
        for channel in PLAN.channels:
            picture = random.integers(0, 255, (16, 16), np.uint8)
            Image.fromarray(picture).save(tmp_path / f"raw/{case}_{channel}.png")
    return tmp_path / "raw"


def in_list(raw, *channels):
    rows = [f"{c},{' | '.join(f'{c}_{name}.png' for name in channels)}" for c in CASES]
    (raw / "list.csv").write_text("\n".join(["id,image", *rows]))


def in_nnunet(raw, *names, folder):
    (raw / folder).mkdir(exist_ok=True)
    for case in CASES:
        for number, channel in enumerate(PLAN.channels):
            if (picture := raw / f"{case}_{channel}.png").exists():
                picture.rename(raw / folder / f"{case}_{number:04}.png")
    told = {"channel_names": dict(enumerate(names)), "labels": PLAN.labels, "numTraining": 0}
    (raw / "dataset.json").write_text(json.dumps(told | {"file_ending": ".png"}))


def masks(out):
    return {path.name: path.read_bytes() for path in sorted(out.glob("*.png"))}


def test_channels_turned_over_in_a_list_are_predicted_anew(raw, tmp_path):
    run, again = model(tmp_path / "run"), PredictOptions(resume=True)
    for case, (channel, name) in product(CASES, zip(PLAN.channels, ("x", "y"), strict=True)):
        (raw / f"{case}_{channel}.png").rename(raw / f"{case}_{name}.png")  # no channel's name
    in_list(raw, "x", "y")
    predict(run, raw, tmp_path / "out")
    before = masks(tmp_path / "out")
    in_list(raw, "y", "x")
    predict(run, raw, tmp_path / "out", options=again)
    predict(run, raw, tmp_path / "fresh")
    assert masks(tmp_path / "out") == masks(tmp_path / "fresh") != before


@pytest.mark.parametrize("folder", ["imagesTs", "", pytest.param("some", marks=pytest.mark.long)])
def test_channels_given_other_names_are_predicted_anew(raw, tmp_path, folder):
    run, again = model(tmp_path / "run"), PredictOptions(resume=True)
    in_nnunet(raw, "T1", "T2", folder=folder)
    predict(run, raw, tmp_path / "out")
    before = masks(tmp_path / "out")
    in_nnunet(raw, "T2", "T1", folder=folder)
    predict(run, raw, tmp_path / "out", options=again)
    predict(run, raw, tmp_path / "fresh")
    assert masks(tmp_path / "out") == masks(tmp_path / "fresh") != before


@pytest.mark.parametrize("resume", [True, pytest.param(False, marks=pytest.mark.long)])
def test_an_ensemble_does_not_take_pooled_predictions_for_its_own(raw, tmp_path, resume):
    in_list(raw, "T1", "T2")
    runs = [model(tmp_path / f"run_{seed}", seed) for seed in (0, 1)]
    for run, case in zip(runs, CASES, strict=True):
        predict(run, raw, tmp_path / f"of_{run.name}", {case})
    pool([tmp_path / f"of_{run.name}" for run in runs], tmp_path / "pooled")
    before = masks(tmp_path / "pooled")
    with pytest.raises(DataError, match=r"OUT_OTHER: .* made with other models for each case"):
        predict(runs, raw, tmp_path / "pooled", options=PredictOptions(resume=resume))
    assert masks(tmp_path / "pooled") == before
