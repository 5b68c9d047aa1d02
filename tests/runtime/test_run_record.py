"""What a run says of itself while it goes on."""

import pytest

from sdunet.cli.main import main
from sdunet.runtime import run_record
from sdunet.runtime.run_record import Pulse, bar


def test_a_log_tells_now_and_then_how_far_a_loop_is(monkeypatch, capsys):
    monkeypatch.setattr(run_record, "Pulse", lambda: Pulse(0.0))
    assert list(bar(["a", "b"], "checking")) == ["a", "b"]
    assert list(bar(iter("c"), "drawing")) == ["c"]
    said = capsys.readouterr().err.splitlines()
    assert said == ["checking: 0 of 2", "checking: 1 of 2", "drawing: 0 of ?"]


def test_a_pulse_is_no_more_often_than_asked_for(monkeypatch, capsys):
    now = [0.0]
    monkeypatch.setattr(run_record.time, "monotonic", lambda: now[0])
    pulse = Pulse(10.0)
    for now[0] in range(0, 31, 3):
        pulse.beat(f"at {now[0]}")
    assert capsys.readouterr().err.split("\n") == ["at 12", "at 24", ""]


@pytest.mark.parametrize("every", [0.0, 1e6])
def test_a_log_of_a_training_tells_of_steps_validation_and_time_left(
    disc_run, tmp_path, monkeypatch, capsys, every
):
    monkeypatch.setattr("sdunet.runtime.callbacks.Pulse", lambda: Pulse(every))
    _, root, config = disc_run
    command = ["train", "--config", config, "--data", root / "set", "--out", tmp_path / "run"]
    assert main([str(a) for a in [*command, "--epochs", 2]]) == 0
    said = capsys.readouterr().err
    for text in ("epoch 1/2  step 1 of ", "epoch 2/2  step 2 of ", "epoch 1/2  validating, 1 of "):
        assert (text in said) == (every == 0)
    lines = [line for line in said.splitlines() if "validation Dice" in line]
    assert len(lines) == 2
    assert "at most" in lines[0]
    assert lines[0].removesuffix("  best").endswith(" left")
    assert "left" not in lines[1]
