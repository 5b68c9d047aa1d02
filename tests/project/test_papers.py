"""The tasks of the second paper: their configurations are the protocol, their table is honest."""

import csv
import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from scipy import ndimage

from data_prep.convert import convert
from data_prep.core.config import DataConfig, Plan
from data_prep.planning.seeding import Seeding
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
    mean, bounds = tables.over_seeds_and_groups(scores[:1], patients)
    assert mean == pytest.approx(0.4)
    assert 0 <= bounds[0] < mean < bounds[1] <= 0.8
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


def test_folds_of_a_seed_are_one_and_gains_are_of_the_same_cases(tables, tmp_path):
    def scored(name, run, **dice):
        (tmp_path / name / run / "scores").mkdir(parents=True)
        rows = "".join(f"{case},polyp,{score}\n" for case, score in dice.items())
        (tmp_path / name / run / "scores/cases.csv").write_text("case,class,dice\n" + rows)

    scored("unet", "seed_0", a=0.5, b=0.25, e="")
    scored("unet", "seed_0_fold_1", c=1.0)
    scored("sdunet", "seed_0", a=0.75, b="", e="")
    scored("sdunet", "seed_0_fold_1", c=0.5, d=1.0)
    scored("sdunet", "seed_1", a=1.0)
    found = {
        name: tables.by_seed(sorted((tmp_path / name).iterdir()), "dice")["polyp"]
        for name in ("unet", "sdunet")
    }
    assert tables.numbers(found["unet"]["seed_0"]) == {"a": 0.5, "b": 0.25, "c": 1.0}
    # Rightly nothing is the best there is; where both are right so, there is nothing to tell.
    gains = tables.ahead_of(found["unet"], found["sdunet"])
    assert gains == [{"a": 0.25, "b": 0.75, "c": -0.5}]


@pytest.fixture
def halves(script):
    return script("far_half")


def ways_by_hand(target, point):
    """Ways inside of a target, shortened step by step until nothing gets shorter."""
    ways = dict.fromkeys(zip(*np.nonzero(target), strict=True), np.inf) | {point: 0.0}
    while True:
        shorter = dict(ways)
        for (row, column), (other, beside) in product(ways, ways):
            if max(abs(row - other), abs(column - beside)) == 1:
                step = np.hypot(row - other, column - beside)
                shorter[row, column] = min(shorter[row, column], ways[other, beside] + step)
        if shorter == ways:
            return ways
        ways = shorter


@pytest.mark.parametrize("seed", range(5))
def test_the_far_half_is_what_is_far_along_the_target(halves, seed):
    random = np.random.default_rng(seed)
    numbered, _ = ndimage.label(random.random((9, 9)) < 0.45, np.ones((3, 3)))
    target = numbered == 1 + np.argmax(np.bincount(numbered.ravel())[1:])
    point = tuple(random.permutation(np.argwhere(target))[0])
    ways = ways_by_hand(target, point)
    middle = np.median([*ways.values()])
    far = {place for place, way in ways.items() if way > middle + 1e-6}
    assert far == set(zip(*np.nonzero(halves.far_half(target, point)), strict=True))


def test_a_bow_is_measured_along_itself_and_a_target_of_two_parts_is_none(halves):
    bow = np.zeros((5, 9), bool)
    bow[0], bow[:, 8], bow[4] = True, True, True  # its ends lie above each other
    far = halves.far_half(bow, (0, 0))
    assert far[4].all()
    assert far.sum() == 10
    near = bow & ~far
    assert halves.scores_of(near, bow, (0, 0)) == (0, 1, pytest.approx(2 * 11 / (11 + 21)))
    with pytest.raises(ValueError, match="not one part"):
        halves.far_half(bow, (2, 2))
    bow[:, 8] = False
    with pytest.raises(ValueError, match="not one part"):
        halves.far_half(bow, (0, 0))


def test_far_halves_have_a_row_a_network(halves, tmp_path, write_picture, monkeypatch, capsys):
    random, label = np.random.default_rng(0), np.zeros((40, 40), np.uint8)
    label[[5, 15, 25]] = 1
    for name in "ab":
        image = random.integers(0, 255, (40, 40), np.uint8)
        write_picture(tmp_path / f"raw/images/{name}.png", image)
        write_picture(tmp_path / f"raw/masks/{name}.png", label)
    how = Seeding(cuts=0, per_image=2, smallest=20)
    ids, _, _ = convert(tmp_path / "raw", tmp_path / "seeded", DataConfig(), seeding=how)
    for id_ in ids:
        target = tmp_path / f"seeded/labels/{id_}.png"
        write_picture(tmp_path / f"unet/seed_0/predictions/{id_}.png", label)
        (tmp_path / "best/seed_0/predictions").mkdir(parents=True, exist_ok=True)
        (tmp_path / f"best/seed_0/predictions/{id_}.png").write_bytes(target.read_bytes())
    folders = [str(tmp_path / name) for name in ("seeded", "unet", "best")]
    monkeypatch.setattr("sys.argv", ["far_half", *folders])
    halves.main()
    head, _, all_marked, best = capsys.readouterr().out.splitlines()
    assert head.count("|") == all_marked.count("|") == best.count("|") == 7
    whole = "1.000 (1.000 to 1.000)"
    assert all_marked == f"| unet | 1 | {whole} | {whole} | 0.500 (0.500 to 0.500) | 2 |"
    assert best == f"| best | 1 | {whole} | {whole} | {whole} | 2 |"
