"""Trained networks on disk: exact, hashed, never unpickled."""

import dataclasses
import json
import pickle
from typing import get_args

import pytest
import torch
from by_hand import rewrite

from data_prep.core.config import Plan
from data_prep.core.errors import DataError
from sdunet.bundle import network_of
from sdunet.nets.names import NetworkName
from sdunet.runtime.safetensors_io import read_weights, write_weights
from sdunet.segmentation.config import NetworkConfig
from sdunet.segmentation.models import trained_model
from sdunet.segmentation.models.trained_model import (
    WEIGHTS,
    load_model,
    network_for,
    save_description,
)

PLAN = Plan(2, ("a",), {"background": 0, "b": 1}, {255: 1}, "zscore", None, (16, 16))
CONFIG = NetworkConfig(features=(4, 6, 8), num_features=(2, 3, 4))

HUGE = [10**5, 10**6, 10**6]  # some 100 TB of weights


@pytest.fixture
def saved(tmp_path):
    network = network_for(CONFIG, PLAN).eval()
    save_description(tmp_path, CONFIG, PLAN, 0.5, (0, 1))
    write_weights(tmp_path / WEIGHTS, network.state_dict())
    return tmp_path, network


def test_loaded_network_is_the_saved_one(saved):
    root, network = saved
    model = load_model(root)
    assert model.plan == PLAN
    x = torch.randn(1, 1, 16, 16)
    assert torch.equal(model.network(x), network(x))


def test_a_model_described_before_there_were_cells_is_of_the_published_one(tmp_path):
    config = dataclasses.replace(CONFIG, cell="gru", init="published")
    network = network_for(config, PLAN).eval()
    save_description(tmp_path, config, PLAN, 0.5, (0, 1))
    write_weights(tmp_path / WEIGHTS, network.state_dict())
    rewrite(tmp_path / "model.json", lambda r: [r["network"].pop(n) for n in ("cell", "init")])
    x = torch.randn(1, 1, 16, 16)
    assert torch.equal(load_model(tmp_path).network(x), network(x))
    described = json.loads((tmp_path / "model.json").read_text())["network"]
    weights = network_of(2, 1, 2, **described).state_dict()
    assert weights.keys() == network.state_dict().keys()


def damage(root):
    data = bytearray((root / WEIGHTS).read_bytes())
    data[-5] ^= 1
    (root / WEIGHTS).write_bytes(data)


def not_a_number(root):
    weights = read_weights(root / WEIGHTS)
    weights["head.bias"][0] = torch.nan
    write_weights(root / WEIGHTS, weights)


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda r: (r / WEIGHTS).unlink(), "MODEL_MISSING: no trained model in"),
        (damage, "MODEL_WEIGHTS: damaged: the hash differs"),
        (lambda r: (r / WEIGHTS).write_bytes(pickle.dumps({})), "MODEL_WEIGHTS: not weights"),
        (not_a_number, "MODEL_NONFINITE: head.bias holds NaN or infinity"),
        (lambda r: rewrite(r / "model.json", lambda d: d.pop("plan")), "no key 'plan'"),
        (lambda r: rewrite(r / "model.json", lambda d: d["network"].update(evil=1)), "JSON.*evil"),
        (
            lambda r: rewrite(r / "model.json", lambda d: d["network"].update(features=[4, 6, 10])),
            "MODEL_WEIGHTS: weights do not fit model.json",
        ),
        (
            lambda r: rewrite(r / "model.json", lambda d: d["network"].update(features=HUGE)),
            "MODEL_WEIGHTS: weights do not fit model.json",
        ),
        (
            lambda r: rewrite(r / "model.json", lambda d: d["network"].update(features=[4] * 2000)),
            "CONFIG_NETWORK: network.features names more than 32",
        ),
        (lambda r: (r / "model.json").write_text("{"), "MODEL_JSON"),
    ],
)
def test_spoilt_models_are_refused(saved, act, message):
    root, _ = saved
    act(root)
    with pytest.raises(DataError, match=message):
        load_model(root)


@pytest.mark.parametrize(
    "change",
    [
        {"overlap": -1},
        {"overlap": 1.0},
        {"overlap": float("nan")},
        {"flip_axes": [7]},
        {"flip_axes": [-1]},
        {"plan": {"patch_size": [0, 0]}},
        {"plan": {"patch_size": [16]}},
        {"plan": {"patch_size": [1.5, 2.5]}},
        {"plan": {"patch_size": [3, 10**9]}},
        {"plan": {"intensity": "bogus"}},
        {"plan": {"intensity": "ct", "levels": []}},
        {"plan": {"labels": {"background": 0, "b": 10**12}}},
        {"plan": {"spacing": [1, 1, 1]}},
        {"network": {"features": [-4, 8, 16]}},
        {"network": {"num_features": -1}},
    ],
    ids=str,
)
def test_descriptions_changed_by_hand_to_what_cannot_be_are_refused(saved, change):
    root, _ = saved

    def changed(described):
        for name, value in change.items():
            nested = isinstance(value, dict)
            described[name] = described[name] | value if nested else value

    rewrite(root / "model.json", changed)
    with pytest.raises(DataError, match=r"MODEL_JSON|CONFIG_NETWORK|LBL_CLASSES"):
        load_model(root)


def test_a_network_that_no_memory_holds_is_refused_before_it_is_built():
    with pytest.raises(DataError, match=r"CONFIG_NETWORK: its weights take .* GB, there are"):
        network_for(dataclasses.replace(CONFIG, features=HUGE), PLAN)
    with pytest.raises(DataError, match="CONFIG_NETWORK"):
        network_for(dataclasses.replace(CONFIG, features=(4, 6, 10**30)), PLAN)


@pytest.mark.parametrize("name", get_args(NetworkName))
def test_every_network_loads_as_it_was_and_is_drawn_from_the_seed_alone(tmp_path, name):
    config = NetworkConfig(name=name, features=(24, 32, 32, 48, 48), num_features=2)
    torch.manual_seed(3)
    network = network_for(config, PLAN).eval()
    after = torch.get_rng_state()
    torch.manual_seed(3)
    trained_model._build(config, PLAN.spatial_dims, len(PLAN.channels), PLAN.num_classes)
    assert torch.equal(torch.get_rng_state(), after)
    save_description(tmp_path, config, PLAN, 0.5, (0, 1))
    weights = network.state_dict()
    write_weights(tmp_path / WEIGHTS, {n: w.double() if w.is_floating_point() else w
                                       for n, w in weights.items()})  # fmt: skip
    loaded = load_model(tmp_path).network
    found = {**dict(loaded.named_parameters()), **dict(loaded.named_buffers())}
    assert {(t.device.type, t.dtype) for t in found.values()} <= {
        ("cpu", t.dtype) for t in weights.values()
    }
    x = torch.randn(1, 1, 32, 32)
    assert torch.equal(loaded(x), network(x))
