"""Commands killed at random moments, in a short form; in full by scripts/fault_campaign.py."""

import json

import pytest

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def module(script):
    return script("fault_campaign")


@pytest.fixture(scope="module")
def campaign(module, tmp_path_factory):
    campaign = module.Campaign(tmp_path_factory.mktemp("campaign"), seed=1)
    yield campaign
    campaign.close()


@pytest.mark.parametrize("name", ["train", "predict", "prepare, volumes", "evaluate"])
def test_killed_commands_leave_whole_files_and_come_to_the_same_end(campaign, name):
    seen = campaign.kill(name, 3)
    assert seen.good
    assert 3 == seen.running <= seen.kills
    assert 1 <= seen.ends == seen.identical


def test_the_campaign_knows_every_command_that_writes(module):
    commands = {line.split()[0] for c in module.COMMANDS.values() for line in c.lines}
    # `run` calls what the others call; its own tests kill it behind each of its stages.
    # `serve` writes nothing that is kept.
    assert commands == {*module.cli._COMMANDS} - {"bench", "info", "run", "serve"}


def test_the_campaign_notices_what_is_half_written_or_not_whole(module, campaign):
    campaign._begin(module.COMMANDS["plan"])
    campaign._run(module.COMMANDS["plan"])
    campaign.want, seen = module.contents(campaign.out), module.Seen()
    campaign._look("plan", seen)
    assert seen == module.Seen()
    path = campaign.out / "plan.json"
    plan = json.loads(path.read_text())
    path.write_text(json.dumps(plan | {"patch_size": [16, 16, 16]}))
    campaign._look("plan", seen)
    assert seen == module.Seen(taken_for_whole=1)
    path.write_bytes(path.read_bytes()[:-3])
    campaign._look("plan", seen)
    assert seen == module.Seen(taken_for_whole=1, half_written=1)
    assert not seen.good


def test_the_campaign_notices_another_end_and_changed_inputs(module, campaign, monkeypatch):
    def undisturbed(command):
        campaign.want = {"plan.json": b"of another run"}
        return 0.1

    monkeypatch.setattr(campaign, "_undisturbed", undisturbed)
    seen = campaign.kill("plan", 1)
    assert (seen.ends, seen.identical, seen.good) == (1, 0, False)
    inputs = iter([{"raw": b"before"}, {"raw": b"after"}])
    monkeypatch.setattr(campaign, "_inputs", lambda: next(inputs))
    with pytest.raises(AssertionError, match="changed what it reads"):
        campaign.kill("plan", 1)


@pytest.mark.parametrize(
    ("name", "first", "second"),
    [
        (
            "run.json",
            {"seconds": 1.0, "sha256": "a", "n": 1},
            {"seconds": 2.0, "sha256": "b", "n": 1},
        ),
        ("a.json", {"n": [{"started": "x"}]}, {"n": [{"started": "y"}]}),
    ],
)
def test_times_are_not_compared_and_all_else_is(script, name, first, second):
    content = script("fault_files").content
    assert content(name, json.dumps(first).encode()) == content(name, json.dumps(second).encode())
    second |= {"n": 3}
    assert content(name, json.dumps(first).encode()) != content(name, json.dumps(second).encode())
