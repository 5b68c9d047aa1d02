"""States tell which run they are of, and no other run goes on from them."""

import shutil
from dataclasses import replace

import pytest
import torch
from training_runs import arguments_of, run

from data_prep.core.errors import DataError
from sdunet.runtime.checkpoint import PREVIOUS, STATE, StateIO
from sdunet.runtime.run_record import flat
from sdunet.runtime.safetensors_io import check_run, write_weights
from sdunet.vae.config import VAEConfig
from sdunet.vae.model import own_settings

RUN = {
    "command": "train",
    "fold": 0,
    "data_sha256": "a",
    "network": {"name": "sdunet", "features": [4, 6]},
    "training": {"seed": 0},
}


@pytest.fixture
def state(tmp_path):
    StateIO(RUN).save_checkpoint({"epoch": 1, "state_dict": {}}, tmp_path / STATE)
    return tmp_path / STATE


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"fold": 1}, "fold 0 there, 1 here"),
        ({"data_sha256": "b"}, "data_sha256 'a' there, 'b' here"),
        ({"network": {"name": "unet"}}, "network.name 'sdunet' there, 'unet' here"),
        ({"network": {"features": [4]}}, r"network.features \[4, 6\] there, \[4\] here"),
        ({"training": {"seed": 7}}, "training.seed 0 there, 7 here"),
        ({"command": "vae train", "training": {"seed": 0}}, "command 'train' there, 'vae train'"),
    ],
)
def test_a_state_of_another_run_is_refused_with_what_differs(state, other, told):
    with pytest.raises(DataError, match=f"^RUN_OTHER: it is of another run: {told}"):
        check_run(state, RUN | other)


def test_a_state_of_the_run_is_taken_also_by_a_version_with_more_settings(state):
    check_run(state, RUN)
    check_run(state, RUN | {"new": 1, "network": RUN["network"] | {"newer": 2}})


def test_a_state_of_an_older_version_is_taken(state):
    write_weights(state, {"a": torch.zeros(1)}, state="{}")
    check_run(state, RUN)


def test_settings_that_a_run_of_a_vae_may_change_do_not_tell_it_apart():
    mine = VAEConfig()
    longer = replace(mine, training=replace(mine.training, epochs=9, devices=2))
    other = replace(mine, training=replace(mine.training, seed=9))
    told = [flat(own_settings(one, "a")) for one in (mine, longer, other)]
    assert told[0] == told[1]
    assert {name for name in told[0] if told[0][name] != told[2][name]} == {"training.seed"}


def test_a_fold_does_not_go_on_from_the_state_of_another(disc_run, tmp_path, capsys):
    _, root, _ = disc_run
    assert run(*arguments_of(disc_run, tmp_path / "other", "--fold", 1, "--epochs", 1)) == 0
    for name in (STATE, PREVIOUS):
        shutil.copy(tmp_path / "other" / STATE, root / "run" / name)
    shutil.rmtree(root / "run/.sdunet")
    before = {path: path.read_bytes() for path in (root / "run").iterdir()}
    capsys.readouterr()
    assert run(*arguments_of(disc_run, root / "run", "--resume", "--epochs", 7)) == 1
    assert "RUN_OTHER: it is of another run: fold 1 there, 0 here" in (capsys.readouterr().err)
    assert {path: path.read_bytes() for path in (root / "run").iterdir()} == before
