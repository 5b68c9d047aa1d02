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


@pytest.fixture
def environment(monkeypatch):
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "SLURM_PROCID", "TORCHELASTIC_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    return lambda **values: [monkeypatch.setenv(name, value) for name, value in values.items()]


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ({}, (1, 1)),
        ({}, (2, 1)),
        ({"LOCAL_RANK": "1"}, (2, 1)),  # as Lightning starts the second
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
        ({"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "2", "RANK": "0"}, (1, 1)),
        ({"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "2", "RANK": "0"}, (4, 1)),
    ],
)
def test_other_processes_than_are_set_are_refused(environment, values, wanted):
    environment(**values)
    with pytest.raises(DataError, match="CONFIG_DEVICES"):
        check_processes(*wanted)
