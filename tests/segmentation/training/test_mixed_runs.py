"""Runs of other settings do not come into one folder, where they would predict together."""

import pytest

from sdunet.cli.main import main


def run(*arguments):
    return main([str(a) for a in arguments])


@pytest.fixture
def seeds(disc_run, capsys):
    _, root, config = disc_run
    command = ["train", "--config", config, "--data", root / "set", "-o", root / "many"]
    command += ["--training.epochs", 1]
    assert run(*command, "--seeds", 2) == 0
    capsys.readouterr()
    return root / "many", command


@pytest.mark.parametrize(
    ("option", "name"),
    [
        ("--network.name=unet", "network.name"),
        ("--network.num_features=2", "network.num_features"),
        ("--training.learning_rate=0.5", "training.learning_rate"),
    ],
)
def test_runs_of_other_settings_are_refused(seeds, capsys, option, name):
    many, command = seeds
    assert run(*command, "--fold", "all", option) == 1
    said = capsys.readouterr().err
    assert f"RUN_EXISTS: {many} holds the run seed_0 of another {name}" in said
    assert not (many / "fold_0").exists()


def test_runs_of_the_same_settings_are_added(seeds):
    many, command = seeds
    assert run(*command, "--seeds", 2, "--training.seed", 7) == 0
    assert sorted(path.name for path in many.glob("seed_*")) == [f"seed_{n}" for n in (0, 1, 7, 8)]


def test_runs_of_other_folds_and_seeds_are_named_where_none_can_be_resumed(seeds, capsys):
    many, command = seeds
    assert run(*command, "--fold", "all", "--resume") == 1
    said = capsys.readouterr().err
    assert f"RUN_MISSING: no run to resume in {many}: asked for is fold_0, fold_1" in said
    assert "there is seed_0, seed_1; give the --fold, --seeds" in said
    assert not (many / "fold_0").exists()


def test_resumed_runs_are_kept_and_the_rest_begins(seeds):
    many, command = seeds
    before = (many / "seed_1/best.safetensors").read_bytes()
    assert run(*command, "--seeds", 3, "--resume") == 0
    assert sorted(path.name for path in many.glob("seed_*")) == ["seed_0", "seed_1", "seed_2"]
    assert (many / "seed_1/best.safetensors").read_bytes() == before


def test_memory_other_than_was_planned_for_is_refused(disc_run, capsys):
    _, root, _ = disc_run
    train = ["train", "--data", root / "set", "-o", root / "new"]
    assert run(*train, "--dataset.memory_gb", 1) == 1
    assert "CONFIG_DATASET: dataset.memory_gb is 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--network.name=unet"], "unet does not sweep: network.num_features change nothing"),
        (["--network.name=unet", "--network.match_parameters=true"], ""),
        (["--network.cell=gru"], ""),
        (["--network.features=[4,8]"], "no level sweeps: name more than two network.features"),
        (
            ["--network.sdn_decoder=[]", "--network.cell=gru"],
            "sdunet does not sweep: network.num_features, network.cell change nothing",
        ),
    ],
)
def test_settings_of_sweeps_of_a_network_without_are_told(disc_run, capsys, given, said):
    _, root, config = disc_run
    command = ["train", "--config", config, "--data", root / "set", "-o", root / "new"]
    assert run(*command, "--epochs", 1, *given) == 0
    told = capsys.readouterr().err
    assert said in told
    assert ("note: " in told) == bool(said)
