"""How many threads commands take, how these wait, and what is said where sweeps are slow."""

import configparser
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from by_hand import rewrite
from training_runs import arguments_of, run

from sdunet import __main__ as front
from sdunet.nets.unet import SDUNet
from sdunet.runtime import run_record, threads
from sdunet.runtime.threads import (
    WHEN_BUSY,
    WHEN_QUIET,
    is_busy,
    take_usable_cores,
    usable_cores,
    waiting_policy,
)

ROOT = Path(__file__).parents[2]
SPINS, POLICY = "GOMP_SPINCOUNT", "OMP_WAIT_POLICY"
# Stands in for torch: tells what the environment is when torch would be imported, and ends there.
STAND_IN = f"import os; print(*map(os.environ.get, ('{SPINS}', '{POLICY}'))); raise SystemExit(0)"


def console_entry():
    """What the installed `sdunet` runs."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    scripts = setup["options.entry_points"]["console_scripts"]
    module, function = scripts.partition("=")[2].strip().split(":")
    return ["-c", f"from {module} import {function}; {function}()"]


def seen_by_torch(folder, command, **given):
    (folder / "torch.py").write_text(STAND_IN)
    kept = {name: value for name, value in os.environ.items() if name not in (SPINS, POLICY)}
    environment = kept | given | {"PYTHONPATH": os.pathsep.join((str(folder), str(ROOT)))}
    done = subprocess.run(
        [sys.executable, *command, "info"], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return dict(zip((SPINS, POLICY), done.stdout.split(), strict=True))


@pytest.mark.parametrize("command", [["-m", "sdunet"], console_entry()], ids=["module", "console"])
def test_threads_are_told_how_to_wait_before_torch_is_imported(command, tmp_path):
    seen = seen_by_torch(tmp_path, command)
    assert seen[SPINS] in (WHEN_QUIET, WHEN_BUSY)
    assert seen[POLICY] == "None"


@pytest.mark.parametrize("given", [{SPINS: "7"}, {POLICY: "active"}], ids=str)
def test_how_users_let_threads_wait_is_kept(given, tmp_path):
    assert seen_by_torch(tmp_path, ["-m", "sdunet"], **given) == (
        {SPINS: "None", POLICY: "None"} | given
    )
    assert waiting_policy(given) == {}


@pytest.mark.parametrize(("running", "policy"), [(1, WHEN_QUIET), (2, WHEN_BUSY), (9, WHEN_BUSY)])
def test_threads_look_less_often_where_others_compute(running, policy, tmp_path, monkeypatch):
    monkeypatch.setattr(threads, "usable_cores", lambda: os.cpu_count())
    load = tmp_path / "loadavg"
    load.write_text(f"0.50 0.40 0.30 {running}/345 6789\n")
    assert waiting_policy({"PATH": "a"}, load) == {SPINS: policy}


def test_cores_that_are_left_over_make_no_machine_busy(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(threads, "usable_cores", lambda: 2)
    load = tmp_path / "loadavg"
    for running, busy in ((7, False), (8, True)):
        load.write_text(f"0.50 0.40 0.30 {running}/345 6789\n")
        assert is_busy(load) == busy
    assert not is_busy(tmp_path / "missing")


def test_tests_wait_as_commands_do():
    assert SPINS in os.environ or POLICY in os.environ


def test_a_torch_that_is_loaded_is_not_told():
    code = f"import os, torch; os.environ.pop('{SPINS}', 0); import sdunet; print(os.environ)"
    kept = {name: value for name, value in os.environ.items() if name not in (SPINS, POLICY)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=kept, capture_output=True, text=True, check=True
    )
    assert SPINS not in done.stdout


@pytest.mark.parametrize(
    "imports", ["sdunet, torch", pytest.param("torch, sdunet", marks=pytest.mark.long)]
)
def test_exported_programs_find_their_operators_whatever_is_imported_first(imports):
    code = f"import {imports}; torch.ops.sdunet.sweep, torch.ops.sdunet.carry"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system has no affinity")
def test_cores_are_those_that_the_process_may_run_on():
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        assert usable_cores() == 1
    finally:
        os.sched_setaffinity(0, allowed)


@pytest.fixture
def cores(tmp_path, monkeypatch):
    """Cores usable on a machine of 8, whose control groups have these files."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)

    def count(listed, files):
        for name, text in files.items():
            path = tmp_path / "groups" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        (tmp_path / "listed").write_text(listed)
        return usable_cores(tmp_path / "groups", tmp_path / "listed")

    return count


# Groups of version 1 lie in a folder a controller and list several of them in a line.
LISTED_1 = "5:name=systemd:/user\n4:cpu,cpuacct:/jobs/mine\n3:memory:/\n"


@pytest.mark.parametrize(
    ("listed", "files", "wanted"),
    [
        ("0::/jobs/mine\n", {}, 8),
        ("0::/jobs/mine\n", {"jobs/mine/cpu.max": "max 100000\n"}, 8),
        ("0::/jobs/mine\n", {"jobs/mine/cpu.max": "300000 100000\n"}, 3),
        ("0::/jobs/mine\n", {"jobs/mine/cpu.max": "900000 100000\n"}, 8),
        # Part of a core is left out, but one thread there must be.
        ("0::/jobs/mine\n", {"jobs/mine/cpu.max": "190000 100000\n"}, 1),
        ("0::/jobs/mine\n", {"jobs/mine/cpu.max": "50000 100000\n"}, 1),
        # Groups around it count, too; those beside it do not.
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "400000 100000\n"}, 4),
        ("0::/a/b\n", {"a/b/cpu.max": "200000 50000\n", "a/cpu.max": "200000 100000\n"}, 2),
        ("0::/a/b\n", {"a/c/cpu.max": "200000 100000\n"}, 8),
        # A container sees its own group as the outermost, whatever Linux calls it.
        ("0::/docker/1f\n", {"cpu.max": "200000 100000\n"}, 2),
        (
            LISTED_1,
            {
                "cpu/jobs/mine/cpu.cfs_quota_us": "-1\n",
                "cpu/jobs/mine/cpu.cfs_period_us": "100000\n",
                "cpu/jobs/cpu.cfs_quota_us": "250000\n",
                "cpu/jobs/cpu.cfs_period_us": "50000\n",
            },
            5,
        ),
        (LISTED_1 + "0::/\n", {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "9\n"}, 8),
    ],
)
def test_cores_are_no_more_than_the_quota_grants(listed, files, wanted, cores):
    assert cores(listed, files) == wanted


def test_without_control_groups_the_affinity_decides(cores, tmp_path):
    assert usable_cores(tmp_path, tmp_path / "none") == 8


@pytest.fixture
def one_core(monkeypatch):
    """A process that torch gives two threads, while it may use one core."""
    monkeypatch.setattr(threads, "usable_cores", lambda: 1)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("given", "wanted"), [(None, 1), ("2", 2)])
def test_commands_take_the_usable_cores_unless_told(given, wanted, one_core, monkeypatch, capsys):
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if given:
        monkeypatch.setenv("OMP_NUM_THREADS", given)
    assert front.main(["info", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["threads"] == wanted


def test_usable_cores_never_add_threads(one_core, monkeypatch):
    monkeypatch.setattr(threads, "usable_cores", lambda: 64)
    take_usable_cores({})
    assert torch.get_num_threads() == 2


@pytest.fixture
def no_library(monkeypatch, tmp_path):
    """A machine without the compiled sweep; the reason, which no test before has given."""
    reason = f"it was taken away by {tmp_path.name}"
    monkeypatch.setattr(run_record, "missing_backends", lambda: {"cpu": reason})
    return f"6 times slower than the compiled sweep: {reason}; install a C++ compiler"


def test_slow_sweeps_are_told_once_a_command(no_library, disc_run, tmp_path, capsys):
    few = ["--training.epochs=1", "--training.patches_per_case=1", "--seeds=2"]
    assert run(*arguments_of(disc_run, tmp_path / "run", *few)) == 0
    assert capsys.readouterr().err.count(no_library) == 1


def test_slow_sweeps_are_told_once_for_all_cases_and_networks(
    no_library, disc_run, tmp_path, capsys
):
    raw, root, _ = disc_run
    arguments = ["-i", raw, "-o", tmp_path / "out", "--device", "cpu"]
    shutil.copytree(root / "run", root / "other")
    rewrite(root / "other/model.json", lambda described: described.update(overlap=0.25))
    assert run("predict", "--model", root / "run", root / "other", *arguments) == 0
    said = capsys.readouterr().err
    assert "2 networks predict together" in said
    assert said.count(no_library) == 1


def test_slow_sweeps_of_vaes_are_told(no_library, tmp_path, capsys):
    noise = np.random.default_rng(0).integers(0, 255, (20, 8, 8), np.uint8)
    np.savez(tmp_path / "noise.npz", train=noise)
    assert run("vae", "prepare", tmp_path / "noise.npz", tmp_path / "set") == 0
    ladder = {"depth": 2, "downsample_at": [0], "z_channels": 2, "h_channels": 4}
    ladder |= {"context_channels": 4, "sdn_max_scale": 8, "sdn_features": 3}
    given = [f"--ladder.{name}={value}" for name, value in ladder.items()]
    given += ["--images.channels=1", "--images.size=[8,8]", "--training.device=cpu"]
    given += ["--training.epochs=1", "--training.steps_per_epoch=1", "--training.batch_size=4"]
    out = tmp_path / "run"
    assert run("vae", "train", "--data", tmp_path / "set", "--out", out, *given) == 0
    assert capsys.readouterr().err.count(no_library) == 1


def test_nothing_is_told_where_nothing_is_slow(no_library, disc_run, tmp_path, capsys):
    few = ["--training.epochs=1", "--training.patches_per_case=1", "--network.name=unet"]
    assert run(*arguments_of(disc_run, tmp_path / "run", *few)) == 0
    run_record.say_if_slow(SDUNet(2, 1, 2, features=(2, 4), num_features=2), "cuda")
    assert no_library not in capsys.readouterr().err


def test_nothing_is_told_where_the_library_is(monkeypatch, capsys):
    monkeypatch.setattr(run_record, "missing_backends", dict)
    run_record.say_if_slow(SDUNet(2, 1, 2, features=(2, 4), num_features=2), "cpu")
    assert capsys.readouterr().err == ""
