"""Runs killed at random moments, in a short form; in full by scripts/fault_campaign.py."""

import pytest


@pytest.fixture(scope="module")
def campaign(script, tmp_path_factory):
    module, root = script("fault_campaign"), tmp_path_factory.mktemp("campaign")
    module.prepare_all(root)
    return module, root


def test_killed_trainings_leave_whole_files_and_go_on_to_the_same_weights(campaign):
    module, root = campaign
    assert module.kill_training(root, 3, 1, str(root)) >= 1


def test_killed_predictions_leave_whole_files_and_go_on(campaign):
    module, root = campaign
    module.kill_prediction(root, 3, 1, str(root))


def test_the_campaign_would_notice_another_end(campaign):
    module, root = campaign
    weights = module.weights_in(root / "whole")
    assert len(weights) > 20
    (root / "whole" / module.STATE).replace(root / "kept")
    (root / "whole" / module.STATE).write_bytes((root / "kept").read_bytes()[:-3])
    with pytest.raises(AssertionError, match="half-written"):
        module.check_loads(root / "whole")
    (root / "kept").replace(root / "whole" / module.STATE)
