"""The Python interface: what the commands do, light to import, nothing silently ignored."""

import subprocess
import sys

import numpy as np
import pytest

import data_prep
import sdunet
from data_prep import DataError
from data_prep.reading.scan_file import read_scan
from sdunet import metrics
from sdunet.api import read_task
from sdunet.cli.main import main

LIGHT = """
import sys
import sdunet
import torch
torch.ops.sdunet.sweep, torch.ops.sdunet.carry
sdunet.SDNLayer
assert not [m for m in sys.modules if m.startswith(("monai", "pytorch_lightning", "sdunet.vae"))]
"""


@pytest.mark.parametrize("package", [sdunet, data_prep])
def test_every_public_name_is_there(package):
    assert {*dir(package)} <= {*package.__all__}
    for name in package.__all__:
        assert getattr(package, name).__doc__
    with pytest.raises(AttributeError, match="attribute nothing"):
        _ = package.nothing


def test_the_layer_needs_neither_monai_nor_lightning():
    subprocess.run([sys.executable, "-c", LIGHT], check=True)


def test_training_from_python_is_training_by_the_command(disc_run, tmp_path):
    _, root, config = disc_run
    settings = {"training.epochs": 1}
    sdunet.train(root / "set", tmp_path / "a", config, settings=settings)
    command = ["train", "--config", config, "--data", root / "set", "--out", tmp_path / "b"]
    assert main([*map(str, command), "--training.epochs=1"]) == 0
    name = "best.safetensors"
    assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"training.epoch": 5}, "training.epoch"),
        ({"training.epochs": -5}, "training.epochs"),
        ({"network.name": "vnet"}, "network.name"),
        ({"depth": 5}, "depth"),
        ({"config": "a file"}, "config is no setting"),
    ],
)
def test_a_wrong_setting_is_an_error(settings, message):
    with pytest.raises(ValueError, match=message):
        read_task(settings=settings)


def test_one_scan_is_read_and_several_are_an_error(disc_run, tmp_path):
    raw, _, _ = disc_run
    scan = data_prep.read_scan(raw / "images/disc_0.png")
    assert scan.array.shape == (1, 48, 48)
    with pytest.raises(DataError, match="IO_SEVERAL: 6 images"):
        read_scan(raw / "images")
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match="IO_NOT_IMAGE"):
        read_scan(tmp_path / "a.png")


def test_dice_of_empty_masks_follows_the_policy():
    empty, full = np.zeros((4, 4)), np.ones((4, 4))
    assert metrics.dice(empty, empty) is None
    assert metrics.dice(empty, full) == metrics.dice(full, empty) == 0
    assert metrics.dice(full, full * 7) == 1
