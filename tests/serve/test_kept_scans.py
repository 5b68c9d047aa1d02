"""Kept scans stay as long as they are used, and no longer."""

import asyncio
from contextlib import closing

import pytest

from data_prep.core.errors import DataError
from sdunet.serve.kept_scans import KeptScans


@pytest.fixture
def scan(tmp_path):
    """Maker of an upload: a file in a folder of its own."""

    def make(number):
        folder = tmp_path / str(number) / "upload"
        folder.mkdir(parents=True)
        (folder / "scan.nii").write_text(str(number))
        return folder / "scan.nii"

    return make


def test_a_scan_in_use_makes_no_room_and_is_removed_when_it_is_done(scan, tmp_path):
    async def run():
        kept = KeptScans(1, idle=60)
        name = "a"
        kept.keep(scan(0), name)
        with kept.use(name) as outer, kept.use(name) as inner:
            with pytest.raises(DataError, match="SERVE_BUSY"):
                kept.keep(scan(1), "b")
            kept.drop(name)
            assert kept.names == ()
            with pytest.raises(DataError, match="SERVE_SESSION"), kept.use(name):
                pass
            other = ("host", "user", "c")
            kept.keep(scan(2), other)
            assert outer == inner
            assert outer.read_text() == "0"
        assert not outer.parent.parent.exists()
        with kept.use(other) as path:
            assert path.read_text() == "2"
        kept.drop(other)
        assert not path.exists()

    asyncio.run(run())
    assert not [*tmp_path.glob("*/upload/scan.nii")][1:]  # but the one that was refused


@pytest.mark.parametrize("folder", [False, True], ids=["file", "folder of channels"])
def test_time_without_use_begins_anew_with_each_use(folder, scan):
    now, loop = 0.0, asyncio.new_event_loop()
    loop.time = lambda: now

    async def wait(seconds):
        nonlocal now
        now += seconds
        for _ in range(3):  # turns of the loop, in which it calls what is due
            await asyncio.sleep(0)

    async def run():
        kept = KeptScans(2, idle=10)
        sent = scan(0)
        name = "a"
        kept.keep(sent.parent if folder else sent, name)
        await wait(9)
        with kept.use(name) as path:
            await wait(99)
            assert path.is_dir() == folder
        await wait(9)
        assert kept.names == (name,)
        assert path.exists()
        await wait(2)
        assert kept.names == ()
        assert not path.exists()

    with closing(loop):
        loop.run_until_complete(run())
