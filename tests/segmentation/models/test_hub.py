"""Packages on the Hub: what is fetched, that it is what was exported, and what is said if not."""

import json
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from hub_server import COMMIT, OTHER, FakeHub, ask_only, files_of, served
from huggingface_hub import constants

from data_prep.core.config import Plan
from data_prep.core.errors import DataError
from data_prep.core.memory_limits import memory_within
from sdunet import Predictor
from sdunet.runtime.safetensors_io import write_weights
from sdunet.segmentation.config import NetworkConfig
from sdunet.segmentation.inference.ensemble import load_ensemble
from sdunet.segmentation.models import hub as of_hub
from sdunet.segmentation.models.doubts import write_accepted
from sdunet.segmentation.models.hub import fetch
from sdunet.segmentation.models.integrity import LIST, seal
from sdunet.segmentation.models.trained_model import (
    DESCRIPTION,
    WEIGHTS,
    load_model,
    network_for,
    save_description,
)
from sdunet.segmentation.training.initial_weights import load_initial
from sdunet.serve.served_model import ServedModel

PLAN = Plan(2, ("a",), {"background": 0, "b": 1}, {}, "zscore", None, (16, 16))
SMALL = NetworkConfig(features=(4, 6), num_features=3)
TOKEN = "hf_a_secret_of_the_user"


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """A package of a network that was never trained."""
    root = tmp_path_factory.mktemp("package")
    torch.manual_seed(0)
    save_description(root, SMALL, PLAN, 0.5, (0, 1))
    write_weights(root / WEIGHTS, network_for(SMALL, PLAN).state_dict())
    write_accepted(root, [])
    (root / "README.md").write_text("A card.\n")
    seal(root)
    return root


@pytest.fixture
def hub(package, tmp_path, monkeypatch):
    """A Hub with the package in its only repository, and an empty cache."""
    with served(FakeHub(files_of(package))) as server:
        ask_only(server, tmp_path / "cache", monkeypatch)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield server


def refused(code, hub, tmp_path, name=None):
    with pytest.raises(DataError) as raised:
        fetch(name or hub.url, tmp_path / "fetched")
    assert raised.value.code == code, raised.value
    assert TOKEN not in str(raised.value)
    assert "secret" not in str(raised.value)
    return str(raised.value)


def test_a_package_is_fetched_once_and_its_copy_is_no_link(hub, package, tmp_path, capsys):
    first = fetch(hub.url, tmp_path / "first")
    assert files_of(first) == files_of(package)
    assert not any(path.is_symlink() for path in first.rglob("*"))
    assert load_model(first).sha256 == load_model(package).sha256
    said = capsys.readouterr().err
    assert f"MB of {hub.url}" in said
    assert "HUB_LEFT" not in said
    hub.asked.clear()
    assert files_of(fetch(hub.url, tmp_path / "second")) == files_of(package)
    assert hub.asked == []


def test_what_is_fetched_predicts_and_begins_a_training_as_the_package_does(hub, package):
    image = torch.linspace(0, 1, 400).reshape(20, 20)
    loaded = (Predictor.load(path, "cpu") for path in (package, hub.url))
    want, got = (predictor(image, probabilities=True) for predictor in loaded)
    assert (got.labels == want.labels).all()
    assert (got.probabilities == want.probabilities).all()
    ensemble = load_ensemble([hub.url])
    assert ensemble.from_hub == {hub.url: load_model(package).sha256}
    assert load_ensemble([package]).from_hub == {}
    assert str(load_initial(hub.url, PLAN).root) == hub.url


def test_it_is_served_as_the_package_is(hub, package):
    identities = [ServedModel(Path(path), "cpu", 1e9).identity for path in (package, hub.url)]
    assert identities[0]["sha256"] == identities[1]["sha256"]


def test_without_a_network_the_cache_is_enough(hub, package, tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE" in refused("HUB_NETWORK", hub, tmp_path)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    fetch(hub.url, tmp_path / "online")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert files_of(fetch(hub.url, tmp_path / "offline")) == files_of(package)


@pytest.mark.parametrize("revision", ["@main", "@v1", ""])
def test_a_name_that_may_change_is_refused_with_the_commit_it_stands_for(hub, tmp_path, revision):
    name = f"hf:{hub.name}"
    assert f"give {hub.url}" in refused("HUB_REVISION", hub, tmp_path, name + revision)
    assert hub.fetched() == set()


def test_where_the_hub_cannot_tell_the_commit_its_form_is_told(hub, tmp_path):
    hub.refs["main"] = "\x1b[31mnonsense"
    assert "40 digits" in refused("HUB_REVISION", hub, tmp_path, f"hf:{hub.name}@main")
    hub.status[None] = 500
    assert "40 digits" in refused("HUB_REVISION", hub, tmp_path, f"hf:{hub.name}@main")


@pytest.mark.parametrize("name", ["discs", "a/b/c", "//a/b", "../b", "a/b@", "a--b/c", "a b/c"])
def test_names_of_another_form_are_refused(hub, tmp_path, name):
    refused("HUB_NAME", hub, tmp_path, f"hf:{name}" + f"@{COMMIT}" * ("@" not in name))
    assert hub.asked == []


@pytest.mark.parametrize("name", [f"hf:someone/discs@{OTHER}", f"hf:someone/else@{COMMIT}"])
def test_what_is_not_there_is_told(hub, tmp_path, name):
    assert name in refused("HUB_MISSING", hub, tmp_path, name)


@pytest.mark.parametrize("of_what", [None, LIST, WEIGHTS])
@pytest.mark.parametrize("status", [401, 403])
def test_what_is_not_shown_is_told_with_how_to_ask(hub, tmp_path, status, of_what):
    hub.status[of_what] = status
    told = refused("HUB_DENIED", hub, tmp_path)
    assert "hf auth login" in told
    assert str(status) in told


@pytest.mark.parametrize("kind", ["status", "size", "closed"])
def test_a_hub_that_fails_is_told_and_leaves_nothing(hub, package, tmp_path, monkeypatch, kind):
    if kind == "status":
        hub.status[None] = 500
    elif kind == "size":
        hub.short.add(WEIGHTS)
    else:
        monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    refused("HUB_NETWORK", hub, tmp_path)
    assert not (tmp_path / "fetched").exists()
    if kind != "closed":  # and what came whole is not fetched again
        hub.status.clear()
        hub.short.clear()
        assert files_of(fetch(hub.url, tmp_path / "again")) == files_of(package)


def test_an_answer_of_another_commit_is_refused(hub, tmp_path):
    hub.commit = OTHER
    assert "another commit" in refused("HUB_FILES", hub, tmp_path)


@pytest.mark.parametrize("name", [WEIGHTS, DESCRIPTION, "README.md"])
def test_a_file_that_was_changed_is_refused_and_the_place_of_the_cache_told(hub, tmp_path, name):
    hub.files[name] = hub.files[name][:-1] + b"?"
    told = refused("PACKAGE_HASH", hub, tmp_path)
    assert name in told
    assert str(tmp_path / "cache") in told
    with pytest.raises(DataError, match="PACKAGE_HASH"):  # from the cache, too
        load_ensemble([hub.url])


def test_files_of_the_repository_alone_are_told_and_not_fetched(hub, tmp_path, capsys):
    extra = {"evil.py": b"x", "pytorch_model.bin": b"x", "a.pkl": b"x", "postprocess.json": b"{}"}
    hub.files |= extra | {".gitattributes": b"x"}
    folder = fetch(hub.url, tmp_path / "fetched")
    told = capsys.readouterr().err
    assert "HUB_LEFT" in told
    assert "evil.py" in told
    assert ".gitattributes" not in told
    assert not {path.name for path in folder.rglob("*")} & extra.keys()
    assert hub.fetched() == json.loads(hub.files[LIST])["files"].keys() | {LIST}


def listing_also(hub, *names):
    listed = json.loads(hub.files[LIST])
    listed["files"] |= dict.fromkeys(names, "0" * 64)
    hub.files |= {LIST: json.dumps(listed).encode()} | dict.fromkeys(names, b"x")


@pytest.mark.parametrize("name", ["program.pt2", "models/model.pt", "a.py", "run.PY", "x.json.gz"])
def test_a_package_with_files_that_can_run_is_refused(hub, tmp_path, name):
    listing_also(hub, name)
    told = refused("HUB_FILES", hub, tmp_path)
    assert name in told
    assert "--hub-folder" in told
    assert hub.fetched() == {LIST}


@pytest.mark.parametrize(
    "name", ["../evil.json", "/etc/evil.json", "a/../../evil.json", "a\\..\\b.json", "C:/a.json",
             ".git/a.json", "a//b.json", "\x1b[2J.json", "a" * 300 + ".json",
             f"{DESCRIPTION}/a.json"]
)  # fmt: skip
def test_a_list_with_names_that_lead_elsewhere_is_refused(hub, tmp_path, name):
    listing_also(hub, name)
    told = refused("PACKAGE_LIST", hub, tmp_path)
    assert "\x1b" not in told
    assert hub.fetched() == {LIST}


def test_what_is_no_package_or_not_all_of_one_is_told(hub, tmp_path):
    listing = hub.files.pop(LIST)
    assert LIST in refused("HUB_FILES", hub, tmp_path)
    hub.files[LIST] = listing
    del hub.files[WEIGHTS]
    assert WEIGHTS in refused("HUB_FILES", hub, tmp_path)


@pytest.mark.parametrize("content", [b"{}", b"x", b'{"schema": 2}'])
def test_a_list_that_is_damaged_is_told_with_the_place_of_the_cache(hub, tmp_path, content):
    hub.files[LIST] = content
    assert str(tmp_path / "cache") in refused("PACKAGE_LIST", hub, tmp_path)


def test_a_list_of_very_many_files_is_refused(hub, tmp_path):
    listing_also(hub, *(f"{number}.json" for number in range(200)))
    assert "204 files" in refused("HUB_FILES", hub, tmp_path)


def test_sizes_are_looked_at_before_anything_is_fetched(hub, tmp_path):
    hub.declared = {WEIGHTS: 1 << 40}
    assert hub.url in refused("IO_TOO_LARGE", hub, tmp_path)
    assert WEIGHTS not in hub.fetched()
    hub.declared = {WEIGHTS: 1_000_000}
    with memory_within(500_000):
        refused("IO_MEMORY", hub, tmp_path)
    hub.declared = {WEIGHTS: None}
    refused("HUB_FILES", hub, tmp_path)
    assert WEIGHTS not in hub.fetched()


def test_files_that_lie_elsewhere_are_fetched_there_without_the_token(hub, package, tmp_path):
    # Another name of this machine is another host, as that where the Hub keeps large files.
    hub.elsewhere = hub.address.replace("127.0.0.1", "localhost")
    assert files_of(fetch(hub.url, tmp_path / "fetched")) == files_of(package)
    tokens = {path.startswith("/elsewhere"): token for method, path, token in hub.asked}
    assert tokens == {False: f"Bearer {TOKEN}", True: None}


def test_a_cache_that_cannot_be_written_is_no_fault_of_the_network(hub, tmp_path):
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(OSError, match="cache"):
        fetch(hub.url, tmp_path / "fetched")


def test_without_the_client_the_extra_is_named(hub, tmp_path, monkeypatch):
    missing = lambda name: None if name == "huggingface_hub" else find_spec(name)  # noqa: E731
    monkeypatch.setattr(of_hub, "find_spec", missing)
    assert "sdunet[hub]" in refused("EXTRA_MISSING", hub, tmp_path)


@pytest.mark.parametrize("name", [LIST, WEIGHTS])
def test_two_sizes_of_one_file_are_refused_before_it_is_fetched(hub, tmp_path, name):
    hub.declared[name] = len(hub.files[name]) - 1
    assert "contradicts itself" in refused("HUB_FILES", hub, tmp_path)
    assert name not in hub.fetched()
