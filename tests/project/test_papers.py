"""The tasks of the second paper: their configurations are the protocol, their table is honest."""

import csv
import json
from pathlib import Path

import pytest
import torch
import yaml

from data_prep.core.config import DataConfig, Plan
from sdunet.nets.registry import count_parameters
from sdunet.segmentation.config import NetworkConfig, TrainingConfig
from sdunet.segmentation.models.trained_model import network_for

PAPERS = sorted((Path(__file__).parents[2] / "configs/papers").glob("*.yaml"))


def settings_of(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", PAPERS, ids=lambda path: path.stem)
def test_published_tasks_differ_in_their_data_alone_and_see_whole_images(path):
    task, first = settings_of(path), settings_of(PAPERS[0])
    assert (task["network"], task["training"]) == (first["network"], first["training"])
    config = DataConfig(**task["dataset"])
    sizes = {"liver": (128, 128), "nuclei": (96, 96), "polyps": (96, 128)}
    assert config.resize == config.patch_size == sizes[path.stem]


def test_published_training_is_that_of_the_public_code():
    training = TrainingConfig(**settings_of(PAPERS[0])["training"])
    assert (training.optimizer, training.learning_rate, training.schedule) == (
        "adam",
        1e-4,
        "constant",
    )
    assert (training.epochs, training.validate_every, training.patience) == (300, 4, 30)
    assert (training.keep, training.augmentation, training.weight_decay) == ("last", "none", 0)


@pytest.mark.parametrize(
    ("changes", "millions"),
    [({"name": "unet"}, 29.0), ({"sdn_encoder": ()}, 29.5), ({}, 30.0)],
    ids=("unet", "decoder", "both"),
)
def test_published_networks_have_the_published_size(changes, millions):
    plan = Plan(2, ("r", "g", "b"), {"background": 0, "b": 1}, {}, "unit", None, (96, 96))
    with torch.device("meta"):
        network = network_for(NetworkConfig(**settings_of(PAPERS[0])["network"] | changes), plan)
    assert round(count_parameters(network) / 1e6, 1) == millions


@pytest.fixture
def tables(script):
    return script("table_segmentation")


def test_frames_of_one_patient_do_not_make_a_mean_surer(tables):
    scores = [{f"{p}{i}": 0.2 * p + 0.01 * s for p in range(5) for i in range(20)} for s in (0, 1)]
    patients = {case: case[0] for case in scores[0]}
    mean, alone = tables.over_seeds_and_groups(scores, {})
    again, grouped = tables.over_seeds_and_groups(scores, patients)
    assert (mean, again) == (pytest.approx(0.405), pytest.approx(0.405))
    assert grouped[0] < alone[0] < mean < alone[1] < grouped[1]
    assert grouped[1] - grouped[0] > 3 * (alone[1] - alone[0])
    assert tables.over_seeds_and_groups(scores[:1], patients) == (pytest.approx(0.4), None)
    assert tables.over_seeds_and_groups([{"a": 1.0}, {"a": 0.0}], {}) == (0.5, None)


def test_table_has_a_row_for_each_seed_and_one_for_all(tables, tmp_path, monkeypatch, capsys):
    for seed in (0, 1):
        run = tmp_path / f"runs/unet/seed_{seed}"
        (run / "scores").mkdir(parents=True)
        (run / "run.json").write_text(json.dumps({"parameters": 1234, "epochs": 0.5}))
        (run / "metrics.csv").write_text(
            "check,training_seconds,validation_seconds\n1,1.0,2.0\n2,3.0,2.0\n"
        )
        pooled = {"batch_pooled_dice": {"classes": {"polyp": 0.75}}}
        (run / "scores/summary.json").write_text(json.dumps(pooled))
        with (run / "scores/cases.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("case", "class", "dice", "jaccard"))
            writer.writerows([("a", "polyp", 0.5, 0.4), ("b", "polyp", 0.9, 0.8)])
            writer.writerow(("c", "polyp", "", ""))
    monkeypatch.setattr("sys.argv", ["table", str(tmp_path / "runs/unet")])
    tables.main()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    assert "batch-pooled, no image's Dice" in lines[0]
    assert lines[2].startswith("| unet | 0 | 1,234 | polyp | 0.7000 (0.5000 to 0.9000) |")
    assert lines[2].endswith("| 2 | 8 + 8 | 0.7500 |")
    assert lines[4].startswith("| unet | all |  | polyp | 0.7000 (0.5000 to 0.9000) |")
    assert {line.count("|") for line in lines} == {10}
