"""Scans that are predicted by a later request than the one that sent them, kept for a while."""

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from data_prep.core.errors import DataError

_FIX = "send the scan again (in 3D Slicer, close the scene and load it again)"

Name = str | tuple[str, ...]


@dataclass
class _Kept:
    scan: Path
    folder: Path
    users: int = 0
    timer: asyncio.TimerHandle | None = None


class KeptScans:
    """Keeps a few scans, each under a name, until nobody has used it for some time.

    All of it is of one event loop.

    Args:
        most: how many. The one that nobody used for longest makes room for another.
        idle: seconds without use after which one is removed.
    """

    def __init__(self, most: int, idle: float) -> None:
        self.most = most
        self.idle = idle
        self._scans: dict[Name, _Kept] = {}  # the one unused for longest first

    @property
    def names(self) -> tuple[Name, ...]:
        """What those are called that are kept."""
        return tuple(self._scans)

    def check(self) -> None:
        """Refuse a scan to a server that keeps none.

        Raises:
            DataError: SERVE_SESSION.
        """
        if not self.most:
            found, fix = "this server keeps no scans", "start it with another --keep-scans"
            raise DataError("SERVE_SESSION", found, fix)

    def keep(self, scan: Path, name: Name) -> None:
        """Take a scan over; one that was kept under its name before is removed.

        Args:
            scan: a file in a folder of its own, or such a folder, of this request alone.
            name: that later requests use. It is of no file: these have random names.

        Raises:
            DataError: SERVE_BUSY if all that are kept are being predicted.
        """
        upload = scan if scan.is_dir() else scan.parent
        if name in self._scans:
            self.drop(name)
        if len(self._scans) >= self.most:
            unused = next((one for one, kept in self._scans.items() if not kept.users), None)
            if unused is None:
                found = f"all {len(self._scans)} scans that are kept are being predicted"
                raise DataError("SERVE_BUSY", found, "send it again later")
            self.drop(unused)
        folder = Path(tempfile.mkdtemp(dir=upload.parent.parent))
        moved = upload.rename(folder / upload.name)
        self._scans[name] = _Kept(moved / scan.relative_to(upload), folder)
        self._rest(name)

    @contextmanager
    def use(self, name: Name) -> Iterator[Path]:
        """Give a scan, which stays at least as long as it is used.

        Raises:
            DataError: SERVE_SESSION if none of this name is kept.
        """
        kept = self._scans[name] = self._take(name)
        if kept.timer is not None:
            kept.timer.cancel()
        kept.users += 1
        try:
            yield kept.scan
        finally:
            kept.users -= 1
            if self._scans.get(name) is not kept:
                self._remove(kept)
            elif not kept.users:
                self._rest(name)

    def drop(self, name: Name) -> None:
        """Remove a scan; one that is being predicted when that is done.

        Raises:
            DataError: SERVE_SESSION if none of this name is kept.
        """
        kept = self._take(name)
        if kept.timer is not None:
            kept.timer.cancel()
        self._remove(kept)

    def _take(self, name: Name) -> _Kept:
        """Return a scan that is kept under a name no longer."""
        try:
            return self._scans.pop(name)
        except KeyError as error:
            found = "no scan of this name is kept, or not any more"
            raise DataError("SERVE_SESSION", found, _FIX) from error

    def _rest(self, name: Name) -> None:
        timer = asyncio.get_running_loop().call_later(self.idle, self.drop, name)
        self._scans[name].timer = timer

    @staticmethod
    def _remove(kept: _Kept) -> None:
        if not kept.users:
            shutil.rmtree(kept.folder, ignore_errors=True)
