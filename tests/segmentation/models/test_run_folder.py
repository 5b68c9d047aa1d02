"""What a training wrote and someone changed since is refused where it would be replaced."""

import pytest
from training_runs import arguments_of, run

from sdunet.runtime.checkpoint import PREVIOUS, STATE
from sdunet.segmentation.models.run_folder import _FILES
from sdunet.segmentation.models.run_settings import SETTINGS


@pytest.mark.parametrize("name", sorted({*_FILES} - {STATE, PREVIOUS}))
def test_a_file_that_was_changed_since_is_not_replaced_by_a_resumed_run(disc_run, capsys, name):
    _, root, _ = disc_run
    out = root / "run"
    (out / name).write_bytes((out / name).read_bytes() + b"\nmy own words")
    before = {path: path.read_bytes() for path in out.glob("[!.]*")}
    assert run(*arguments_of(disc_run, out, "--epochs=7", "--resume")) == 1
    told = "RUN_SETTINGS" if name == SETTINGS else "OUT_CHANGED: not as sdunet train wrote it"
    assert told in capsys.readouterr().err
    assert {path: path.read_bytes() for path in out.glob("[!.]*")} == before


def test_every_file_that_a_run_writes_is_held_to_what_it_wrote(disc_run):
    _, root, _ = disc_run
    assert {path.name for path in (root / "run").glob("[!.]*")} == {*_FILES}
