"""Work for many cases, here, in processes and on a cluster: the same results, whoever dies."""

import subprocess
import sys

import numpy as np
import pytest
import work
from bad_sets import Volumes, gz, nifti, noise

from data_prep.core.config import DataConfig
from data_prep.core.errors import DataError
from data_prep.core.memory_limits import bytes_of
from data_prep.parallel import run
from data_prep.prepared.prepare import prepare

ITEMS = [(i, "") for i in range(20)]
SQUARES = [i * i for i in range(20)]


def told(results):
    return [r.code if isinstance(r, DataError) else r for r in results]


@pytest.fixture(scope="module")
def cluster():
    """Address of a Dask scheduler with two worker processes."""
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as local:
        yield local.scheduler_address


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_results_come_in_order_and_errors_among_them(workers):
    want = [*SQUARES[:13], "UNLUCKY", *SQUARES[14:]]
    assert told(run(work.square, ITEMS, workers=workers)) == want
    assert told(run(work.square, [], workers=workers)) == []


@pytest.mark.parametrize("workers", [0, 2])
def test_what_nobody_expects_is_the_error_of_its_case(workers):
    results = list(run(work.stumble, ITEMS, workers=workers))
    assert told(results) == [*SQUARES[:13], "CASE_FAILED", *SQUARES[14:]]
    assert str(results[13]).startswith("CASE_FAILED: ZeroDivisionError: 'by 0' at work.py:")


def test_worker_that_dies_takes_only_its_own_case():
    want = [*SQUARES[:7], "JOB_KILLED", *SQUARES[8:]]
    assert told(run(work.die_at_seven, ITEMS, workers=2)) == want


def test_case_that_was_killed_by_chance_is_done_in_the_end(tmp_path):
    items = [(i, str(tmp_path)) for i in range(20)]
    assert told(run(work.die_once, items, workers=2)) == SQUARES


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("workers", [-1, 1.0, "2", True, None, 99_999])
def test_a_number_of_workers_that_cannot_be_is_refused(workers):
    with pytest.raises(DataError, match="OPTION"):
        run(work.square, ITEMS, workers=workers)


@pytest.mark.parametrize("max_ram", [float("nan"), 0, -1, "1", True])
def test_memory_that_cannot_be_is_no_limit_left_out(tmp_path, max_ram):
    assert (bytes_of(None), bytes_of(2)) == (None, 2e9)
    Volumes(tmp_path / "raw")
    with pytest.raises(DataError, match=r"OPTION.*max_ram"):
        prepare(tmp_path / "raw", tmp_path / "out", DataConfig(), max_ram=max_ram)
    assert not (tmp_path / "out").exists()


def test_cluster_gives_the_same_and_goes_on_when_a_worker_dies(cluster, tmp_path):
    want = [*SQUARES[:13], "UNLUCKY", *SQUARES[14:]]
    assert told(run(work.square, ITEMS, scheduler=cluster)) == want
    items = [(i, str(tmp_path)) for i in range(20)]
    assert told(run(work.die_once, items, scheduler=cluster)) == SQUARES
    assert (tmp_path / "died").exists()


def test_scheduler_that_is_not_there_is_named():
    with pytest.raises(DataError, match=r"JOB_SCHEDULER: nonsense://a"):
        list(run(work.square, ITEMS, scheduler="nonsense://a"))


def files(root):
    found = (p for p in root.rglob("*") if p.is_file() and ".sdunet" not in p.parts)
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in found}


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
def test_prepared_sets_are_the_same_bytes_wherever_they_were_made(tmp_path, cluster):
    planted = Volumes(tmp_path / "raw")
    planted.image(gz(nifti(noise()))[:-9])
    ways = {"here": {}, "processes": {"workers": 2}, "cluster": {"scheduler": cluster}}
    for name, options in ways.items():
        dataset, problems = prepare(tmp_path / "raw", tmp_path / name, DataConfig(), **options)
        assert list(dataset.cases) == ["good_0", "good_1", "good_2"]
        assert [(p.code, p.case) for p in problems] == [("IO_TRUNCATED", "bad")]
    assert files(tmp_path / "here") == files(tmp_path / "processes") == files(tmp_path / "cluster")


@pytest.mark.long
def test_case_too_large_for_the_memory_is_refused_by_its_header(tmp_path):
    planted = Volumes(tmp_path / "raw")
    declared = nifti(np.zeros((1000, 1000, 4), np.int16))
    planted.image(gz(declared[:400]))  # cut: to read further would be another error
    for options in ({}, {"workers": 1}):
        dataset, problems = prepare(
            tmp_path / "raw", tmp_path / "out", DataConfig(), max_ram=0.04, **options
        )
        assert list(dataset.cases) == ["good_0", "good_1", "good_2"]
        assert [(p.code, p.case) for p in problems] == [("IO_MEMORY", "bad")]
        assert "0.048 GB of memory, 0.04 GB" in problems[0].found
    with pytest.raises(DataError, match="SET_EMPTY"):
        prepare(tmp_path / "raw", tmp_path / "none", DataConfig(), max_ram=1e-6)


def test_resampling_to_more_than_the_memory_is_refused(tmp_path):
    Volumes(tmp_path / "raw")
    fine = DataConfig(spacing=(0.1, 0.1, 0.1))
    with pytest.raises(DataError, match="IO_MEMORY"):
        prepare(tmp_path / "raw", tmp_path / "out", fine, max_ram=0.01)


FULL = """
import resource, sys
from sdunet.cli.main import main

resource.setrlimit(resource.RLIMIT_FSIZE, (2000, resource.RLIM_INFINITY))
sys.exit(main(["prepare", sys.argv[1], sys.argv[2], "--dataset.intensity", "unit"]))
"""


@pytest.mark.long
def test_full_disk_is_named_and_what_was_there_stays(tmp_path):
    Volumes(tmp_path / "raw")
    prepare(tmp_path / "raw", tmp_path / "out", DataConfig())
    before = files(tmp_path / "out")
    (tmp_path / "out/images/good_1.npy").unlink()
    run = [sys.executable, "-c", FULL, tmp_path / "raw", tmp_path / "out"]
    ended = subprocess.run(run, capture_output=True, text=True)
    assert ended.returncode == 1
    assert "error: OUT_DISK: File too large" in ended.stderr
    assert "bytes to write" in ended.stderr
    assert "images/" in ended.stderr
    left = files(tmp_path / "out")
    assert not [name for name in left if ".partial-" in name]
    for name in ("images/good_0.npy", "labels/good_2.npy"):
        assert left[name] == before[name]
    prepare(tmp_path / "raw", tmp_path / "out", DataConfig())
    assert files(tmp_path / "out") == before


def test_second_run_into_one_folder_is_refused_and_leavings_are_cleared(tmp_path):
    Volumes(tmp_path / "raw")
    out = tmp_path / "out"

    def meanwhile(items, title):
        if title == "preparing":
            with pytest.raises(DataError, match=r"OUT_BUSY: another run works in"):
                prepare(tmp_path / "raw", out, DataConfig())
        return items

    prepare(tmp_path / "raw", out, DataConfig())
    (out / ".sdunet/partial/.partial-x").write_bytes(b"half")
    (out / "images/.partial-mine").mkdir()
    prepare(tmp_path / "raw", out, DataConfig(), meanwhile)
    assert [path.name for path in out.rglob(".partial-*")] == [".partial-mine"]
