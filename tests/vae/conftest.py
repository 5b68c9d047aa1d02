"""A packed set and a short training on it; tests change copies only."""

import pytest
from vae_runs import arguments, config, make_set

from sdunet.cli.main import main


@pytest.fixture(scope="session")
def packed(tmp_path_factory):
    return make_set(tmp_path_factory.mktemp("data") / "set")


@pytest.fixture(scope="session")
def run(packed, tmp_path_factory):
    """A short training, as a folder."""
    out = tmp_path_factory.mktemp("run") / "sdn"
    given = arguments(config(), "images", "ladder", "training")
    assert main(["vae", "train", "--data", packed, "--out", str(out), *given]) == 0
    return out
