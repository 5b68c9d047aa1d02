"""Runs killed at random moments, in a short form; in full by scripts/fault_campaign.py."""

import pytest


@pytest.fixture(scope="module")
def campaign(script, tmp_path_factory):
    module, root = script("fault_campaign"), tmp_path_factory.mktemp("campaign")
    module.prepare_all(root)
    return module, root


def test_killed_trainings_leave_whole_files_and_go_on_to_the_same_weights(campaign):
    module, root = campaign
    assert 1 <= module.kill_training(root, 3, 1, str(root)) <= 3


def test_killed_predictions_leave_whole_files_and_go_on(campaign):
    module, root = campaign
    assert 1 <= module.kill_prediction(root, 3, 1, str(root)) <= 3


def test_the_campaign_notices_another_end_and_a_half_written_file(campaign, monkeypatch):
    module, root = campaign
    whole = module.weights_in(root / "whole")
    first = next(iter(whole))
    other = whole | {first: b"other"}
    answers = iter([other, whole])
    monkeypatch.setattr(module, "weights_in", lambda _: next(answers))
    with pytest.raises(AssertionError, match="ended elsewhere"):
        module.kill_training(root, 0 + 1, 1, str(root))
    state = root / "run" / module.STATE
    state.write_bytes(state.read_bytes()[:-3])
    with pytest.raises(AssertionError, match="half-written"):
        module.check_loads(root / "run")
