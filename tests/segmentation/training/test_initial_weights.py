"""A training begins from what fits of a trained network, and says what does not."""

import filecmp
import hashlib
import json
import shutil
import zipfile
from dataclasses import replace

import pytest
import torch

import sdunet
from data_prep.core.config import Plan
from data_prep.core.errors import DataError
from data_prep.prepared.dataset import Dataset, load_dataset
from sdunet.cli.main import main
from sdunet.runtime.safetensors_io import read_weights, write_weights
from sdunet.segmentation.config import NetworkConfig, TrainingConfig
from sdunet.segmentation.export.package import _about
from sdunet.segmentation.models.seen_cases import TRAINING_CASES, Start, read_seen, read_start
from sdunet.segmentation.models.trained_model import (
    WEIGHTS,
    Model,
    load_model,
    network_for,
    save_description,
)
from sdunet.segmentation.training.initial_weights import (
    begin_from,
    doubts_about,
    load_initial,
    take_weights,
)

PLAN = Plan(2, ("a",), {"background": 0, "b": 1}, {}, "zscore", None, (16, 16))
MORE = Plan(2, ("a",), {"background": 0, "b": 1, "c": 2}, {}, "zscore", None, (16, 16))
SMALL = NetworkConfig(features=(4, 6, 8), num_features=3)


def drawn(seed, plan=PLAN, config=SMALL):
    torch.manual_seed(seed)
    return network_for(config, plan)


def run(*arguments):
    return main([str(a) for a in arguments])


def test_all_tensors_of_an_equal_network_are_taken():
    network, trained = drawn(0), drawn(1)
    taken, rest = take_weights(network, trained)
    assert not rest
    assert set(taken) == set(trained.state_dict())
    for name, tensor in trained.state_dict().items():
        assert torch.equal(network.state_dict()[name], tensor)


def test_a_head_of_other_classes_stays_as_it_was_drawn():
    network, trained, before = drawn(0, MORE), drawn(1), drawn(0, MORE).state_dict()
    taken, rest = take_weights(network, trained)
    assert rest == [name for name in before if name.startswith("head.")]
    for name in rest:
        assert torch.equal(network.state_dict()[name], before[name])
    for name in taken:
        assert torch.equal(network.state_dict()[name], trained.state_dict()[name])


@pytest.mark.parametrize(
    ("labels", "taken"),
    [
        ({"background": 0, "b": 1, "c": 2}, True),
        ({"c": 2, "background": 0, "b": 1}, True),
        ({"background": 0, "c": 1, "b": 2}, False),
        ({"background": 0, "b": 1, "d": 2}, False),
        ({"b": 0, "background": 1, "c": 2}, False),
    ],
)
@pytest.mark.parametrize("name", ["sdunet", "nested_sdunet"])
def test_heads_are_taken_for_the_same_classes_alone(labels, taken, name):
    config = NetworkConfig(name=name, features=(4, 6, 8), num_features=3, deep_supervision=True)
    before, network = drawn(0, MORE, config), drawn(0, MORE, config)
    model = Model(drawn(1, MORE, config), MORE, 0.5, (), "", None)
    _, rest = begin_from(model, network, TrainingConfig(), replace(MORE, labels=labels))
    heads = [n for n in network.state_dict() if n.startswith(("head.", "aside."))]
    assert len(heads) >= 4
    assert rest == ([] if taken else heads)
    for name in heads:
        source = model.network if taken else before
        assert torch.equal(network.state_dict()[name], source.state_dict()[name])


def test_a_network_of_which_nothing_fits_is_refused():
    other = drawn(1, config=NetworkConfig(name="dilated"))
    with pytest.raises(DataError, match="INIT_NONE: none of"):
        take_weights(drawn(0), other)


@pytest.mark.parametrize(
    ("name", "initial", "code"),
    [
        ("sdunet", False, "and all weights are drawn"),
        ("nested_sdunet", True, "has no encoder of its own"),
        ("sdunet", True, None),
    ],
)
def test_only_an_encoder_that_was_trained_is_frozen(name, initial, code):
    config = NetworkConfig(name=name, features=(4, 6, 8), num_features=3)
    network = drawn(0, config=config)
    model = Model(drawn(1, config=config), PLAN, 0.5, (), "", None) if initial else None
    frozen = TrainingConfig(freeze_encoder=True)
    if code:
        with pytest.raises(DataError, match=f"CONFIG_FREEZE: .*{code}"):
            begin_from(model, network, frozen, PLAN)
        return
    begin_from(model, network, frozen, PLAN)
    trains = {n.partition(".")[0]: p.requires_grad for n, p in network.named_parameters()}
    assert not trains["encoder"]
    assert trains["decoder"]


def test_an_encoder_whose_statistics_would_change_is_not_called_frozen():
    config = NetworkConfig(features=(4, 6, 8), num_features=3, norm="batch")
    model = Model(drawn(1, config=config), PLAN, 0.5, (), "", None)
    with pytest.raises(DataError, match=r"CONFIG_FREEZE: .*statistics of batch normalisation"):
        begin_from(model, drawn(0, config=config), TrainingConfig(freeze_encoder=True), PLAN)


def test_the_callers_autocast_changes_no_weight(disc_run, tmp_path):
    _, root, config = disc_run
    for name, enabled in (("a", False), ("b", True)):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            sdunet.train(root / "set", tmp_path / name, config, settings={"training.epochs": 1})
    one, other = (read_weights(tmp_path / name / WEIGHTS) for name in "ab")
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_what_makes_scores_flatter_or_inputs_others_is_told(tmp_path):
    model = Model(drawn(0), PLAN, 0.5, (), "", tmp_path)
    dataset = Dataset(tmp_path, "", PLAN, {}, [])
    assert not doubts_about(model, dataset, None)
    other = Plan(2, ("z",), {"background": 0, "b": 1}, {}, "unit", None, (16, 16))
    told = doubts_about(model, replace(dataset, plan=other), None)
    assert [f.code for f in told] == ["INIT_OTHER"] * 2


def test_a_training_goes_on_from_a_run_and_resumes_with_the_same(disc_run, tmp_path, capsys):
    _, root, config = disc_run
    data = ["--config", config, "--data", root / "set"]
    command = ["train", *data, "-o", tmp_path / "tuned", "--init", root / "run"]
    still = ["--epochs", 1, "--training.learning_rate", "1e-12"]
    assert run(*command, *still, "--fold", 1) == 0
    said = capsys.readouterr().err
    assert "begins from run: " in said
    assert "drawn anew" not in said
    assert "warning INIT_SEEN: its weights were trained on cases that validate fold 1" in said
    want = load_model(root / "run").network.state_dict()
    for name, tensor in read_weights(tmp_path / "tuned" / WEIGHTS).items():
        torch.testing.assert_close(tensor, want[name], atol=1e-6, rtol=1e-5)
    settings = json.loads((tmp_path / "tuned/settings.json").read_text())
    assert settings["init_sha256"] == load_model(root / "run").sha256
    folds = load_dataset(root / "set").folds
    seen = [i for i in folds[1]["val"] if i in folds[0]["train"]]
    assert len(read_seen(tmp_path / "tuned")) == len({*folds[0]["train"], *folds[1]["train"]})
    start = read_start(tmp_path / "tuned")
    assert start == Start(tuple(seen))
    assert f"were trained on {len(seen)} of these validation cases" in _about([start])
    shutil.copy(tmp_path / "tuned" / TRAINING_CASES, tmp_path / "before")
    again = [*command, *still, "--fold", 1, "--resume"]
    assert run(*again) == 0
    assert filecmp.cmp(tmp_path / "tuned" / TRAINING_CASES, tmp_path / "before", shallow=False)
    del again[again.index("--init") : again.index("--init") + 2]
    assert run(*again) == 1
    assert "CONFIG_RESUME: the run in " in (said := capsys.readouterr().err)
    assert "init_sha256: " in said


@pytest.mark.parametrize("stated", [False, pytest.param(True, marks=pytest.mark.long)])
def test_the_learning_rate_is_a_tenth_unless_it_is_stated(disc_run, tmp_path, capsys, stated):
    _, root, _ = disc_run
    given = ["--training.learning_rate", "0.001"] if stated else []
    small = ["--network.features=[4,6,8]", "--network.num_features=3", "--training.device=cpu"]
    command = ["train", "--data", root / "set", "-o", tmp_path / "t", "--init", root / "run"]
    assert run(*command, *small, "--epochs", 1, "--training.batch_size=2", *given) == 0
    assert ("learning rate 0.0001, a tenth" in capsys.readouterr().err) == (not stated)
    settings = json.loads((tmp_path / "t/settings.json").read_text())
    assert settings["training"]["learning_rate"] == (1e-3 if stated else 1e-4)


def test_a_stopped_run_and_a_zipped_package_are_beginnings(disc_run, tmp_path):
    _, root, _ = disc_run
    want = load_model(root / "run").network.state_dict()
    (root / "run/run.json").unlink()  # as of a run that was stopped
    load_initial(root / "run", load_model(root / "run").plan)
    packed = tmp_path / "a.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        files = {n: (root / "run" / n).read_bytes() for n in ("model.json", WEIGHTS)}
        hashes = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
        files["MANIFEST.json"] = json.dumps({"schema": 1, "files": hashes}).encode()
        for name, data in files.items():
            archive.writestr(f"model/{name}", data)
    initial = load_initial(packed, load_model(root / "run").plan)
    assert initial.root == packed
    assert all(torch.equal(initial.network.state_dict()[name], want[name]) for name in want)
    dataset = load_dataset(root / "set")
    assert [f.code for f in doubts_about(initial, dataset, 0)] == ["INIT_UNKNOWN"]
    assert not doubts_about(initial, dataset, None)


def test_a_network_of_other_axes_is_refused_before_training(disc_run, tmp_path, capsys):
    _, root, config = disc_run
    volumes = Plan(3, ("a",), {"background": 0, "b": 1}, {}, "zscore", (1.0,) * 3, (8, 8, 8))
    other = tmp_path / "other"
    other.mkdir()
    save_description(other, SMALL, volumes, 0.5, ())
    write_weights(other / WEIGHTS, drawn(0, volumes).state_dict())
    command = ["train", "--config", config, "--data", root / "set", "-o", tmp_path / "t"]
    assert run(*command, "--init", other) == 1
    assert "INIT_DIMS: " in capsys.readouterr().err
    assert not (tmp_path / "t").exists()
    assert run(*command[:-1], other / "inner", "--init", other) == 1
    assert "OUT_IN_DATA: " in capsys.readouterr().err
