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


def test_no_run_is_trained_where_another_has_come_further(seeds, capsys):
    many, command = seeds
    assert run(*command, "--seeds", 2, "--resume", "--training.epochs", 2) == 0
    before = {path: path.read_bytes() for path in (many / "seed_1").iterdir() if path.is_file()}
    assert run(*command, "--seeds", 2, "--resume", "--training.epochs", 2) == 0
    said = capsys.readouterr().err
    assert all(f"the run in {many / name} had come to its end" in said for name in ("seed_0",))
    for path in (many / "seed_0").glob("*.safetensors"):
        path.unlink()  # so that it would be the first to be trained
    assert run(*command, "--seeds", 2, "--resume", "--training.epochs", 1) == 1
    said = capsys.readouterr().err
    assert f"CONFIG_RESUME: the run in {many / 'seed_1'} has come to epoch 2, 1 are asked" in said
    assert not (many / "seed_0/best.safetensors").exists()
    assert {path: path.read_bytes() for path in before} == before


def test_a_run_of_a_fold_and_seed_that_is_asked_for_is_not_there_twice(seeds, capsys):
    many, command = seeds
    (many / "seed_0").rename(many / "first")
    assert run(*command, "--seeds", 2, "--resume") == 1
    told = f"RUN_EXISTS: {many} holds the run first of fold 0 and seed 0, which would be there"
    assert told in capsys.readouterr().err
