"""Devices by the names of the command and of torch; no other name is taken for one of them."""

import subprocess
import sys

import pytest
import torch

from data_prep.core.errors import DataError
from sdunet.cli.main import main
from sdunet.runtime import device
from sdunet.runtime.device import check_environment, check_processes, check_share, choose_device


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


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RANK", "abc"),
        ("SLURM_PROCID", ""),
        ("WORLD_SIZE", "x"),
        ("LOCAL_RANK", "-1"),
        ("SLURM_NTASKS", "2.5"),
        ("MASTER_PORT", "http"),
        ("RANK", "\u0663"),
        ("NODE_RANK", "9" * 5000),
    ],
)
def test_what_numbers_processes_and_is_no_number_is_refused(environment, name, value):
    environment(**{name: value})
    with pytest.raises(DataError, match=f"^CONFIG_DEVICES: {name} is .*; unset {name}, or set it"):
        check_environment()


def test_numbers_of_processes_are_taken(environment):
    check_environment()
    environment(**LIGHTNING, RANK="1", SLURM_PROCID="0")
    check_environment()


@pytest.mark.parametrize(
    "command",
    [
        *("train --data x -o y", "postprocess --model x --data y", "demo -o x"),
        "vae train --data x -o y",
    ],
)
def test_commands_that_need_lightning_refuse_it_by_name(environment, capsys, command, tmp_path):
    environment(RANK="abc")
    assert main(command.split()) == 1
    assert "error: CONFIG_DEVICES: RANK is 'abc'" in capsys.readouterr().err


def test_other_commands_do_not_import_lightning():
    modules = ("inference.predict_folder", "evaluation.evaluate", "review.compare_page")
    names = ", ".join(f"sdunet.segmentation.{module}" for module in modules)
    code = f"import sys, sdunet.api, sdunet.vae.model, {names}; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "sdunet.api" in ran.stdout
    assert "pytorch_lightning" not in ran.stdout


@pytest.mark.parametrize(
    ("processes", "where", "words"),
    [
        ((99, 1), "cpu", "99 processes for 3 validation cases; use fewer"),
        ((2, 2), "cpu", "4 processes for 3 validation cases"),
        ((3, 1), "cpu", "3 processes of one machine on 2 cores, and no GPU is used; set"),
        ((2, 1), "cuda", "2 processes of one machine on 1 GPUs"),
    ],
)
def test_more_processes_than_have_work_are_refused(gpus, monkeypatch, processes, where, words):
    gpus(1)
    monkeypatch.setattr(device, "usable_cores", lambda: 2)
    shared = {"validation cases": 3, "training cases": 9}
    with pytest.raises(DataError, match=f"CONFIG_DEVICES: {words}"):
        check_share(processes, shared, where, "trainer.devices")
    check_share((1, 2), shared, "cuda", "trainer.devices")
    check_share((2, 1), shared, "cpu", "trainer.devices")


@pytest.mark.parametrize("rank", [None, "x", "5", "-1"])
def test_an_environment_that_is_not_of_torchrun_is_named(monkeypatch, rank):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("RANK", raising=False)
    if rank is not None:
        monkeypatch.setenv("RANK", rank)
    with pytest.raises(DataError, match="CONFIG_DEVICES: RANK is"):
        device.own_part()
    monkeypatch.setenv("RANK", "1")
    assert device.own_part() == (1, 2)
