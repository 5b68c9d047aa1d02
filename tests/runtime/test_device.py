"""Devices by the names of the command and of torch; no other name is taken for one of them."""

import pytest
import torch

from data_prep.core.errors import DataError
from sdunet.runtime.device import check_processes, choose_device


@pytest.fixture
def gpus(monkeypatch):
    def pretend(count):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)

    return pretend


def test_devices_go_by_both_names(gpus):
    gpus(2)
    chosen = {name: choose_device(name) for name in ("auto", "cpu", "gpu", "cuda", "cuda:1")}
    assert chosen == {
        "auto": "cuda",
        "cpu": "cpu",
        "gpu": "cuda",
        "cuda": "cuda",
        "cuda:1": "cuda:1",
    }
    assert choose_device(torch.device("cuda", 1)) == "cuda:1"
    gpus(0)
    assert choose_device("auto") == choose_device("cpu") == choose_device(torch.device("cpu"))


@pytest.mark.parametrize(
    ("name", "count"),
    [("gpu", 0), ("cuda", 0), ("cuda:0", 0), ("cuda:2", 2), ("tpu", 2), ("", 2), ("cuda:-1", 2)],
)
def test_a_device_that_is_not_there_is_refused(gpus, name, count):
    gpus(count)
    with pytest.raises(DataError, match="CONFIG_DEVICE"):
        choose_device(name)


# The environment in which Lightning starts the second of two processes.
LIGHTNING = {"LOCAL_RANK": "1", "NODE_RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}


@pytest.fixture
def environment(monkeypatch):
    names = ("RANK", "LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
    for name in (*names, "SLURM_PROCID", "SLURM_NTASKS", "SLURM_JOB_NAME", "TORCHELASTIC_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    return lambda **values: [monkeypatch.setenv(name, value) for name, value in values.items()]


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ({}, (1, 1)),
        ({}, (2, 1)),
        (LIGHTNING, (2, 1)),
        ({"MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "1234", "WORLD_SIZE": "1"}, (1, 1)),
        ({"MASTER_ADDR": "localhost"}, (2, 1)),
        ({"MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "1234", "NODE_RANK": "1"}, (1, 2)),
        ({"SLURM_NTASKS": "2", "SLURM_PROCID": "1"}, (1, 2)),
        ({"RANK": "0", "LOCAL_RANK": ""}, (1, 1)),
        ({"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "4", "RANK": "3"}, (2, 2)),
        ({"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "1", "RANK": "0"}, (1, 1)),
    ],
)
def test_as_many_processes_as_are_set_may_train(environment, values, wanted):
    environment(**values)
    check_processes(*wanted)


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ({"RANK": "1"}, (1, 1)),
        ({"LOCAL_RANK": "1"}, (1, 1)),
        ({"SLURM_PROCID": "3"}, (1, 1)),
        ({"NODE_RANK": "1"}, (1, 1)),
        ({"NODE_RANK": "1"}, (2, 1)),
        ({"WORLD_SIZE": "2"}, (1, 1)),
        ({"WORLD_SIZE": "4", "RANK": "0"}, (2, 1)),
        ({"MASTER_ADDR": "192.0.2.1"}, (2, 1)),  # of no machine, RFC 5737
        ({}, (1, 2)),
        ({"SLURM_NTASKS": "2", "SLURM_JOB_NAME": "bash"}, (1, 2)),
        ({"MASTER_ADDR": "192.0.2.1", "MASTER_PORT": "1234"}, (1, 2)),
        ({"MASTER_ADDR": "192.0.2.1", "MASTER_PORT": "1234", "NODE_RANK": "2"}, (1, 2)),
        ({"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "2", "RANK": "0"}, (1, 1)),
        ({"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "2", "RANK": "0"}, (4, 1)),
    ],
)
def test_other_processes_than_are_set_are_refused(environment, values, wanted):
    environment(**values)
    with pytest.raises(DataError, match="CONFIG_DEVICES"):
        check_processes(*wanted)


def test_what_is_missing_of_other_nodes_is_named_by_its_settings(environment):
    environment(MASTER_ADDR="192.0.2.1")
    with pytest.raises(DataError, match=r"^CONFIG_DEVICES: trainer.num_nodes is 2.* MASTER_PORT,"):
        check_processes(1, 2)
    with pytest.raises(DataError, match=r"set training.nodes to 1$"):
        check_processes(1, 2, ("training.devices", "training.nodes"))
