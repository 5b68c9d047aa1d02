"""What the routes share: the model, its queue, and where files are until they are predicted."""

import asyncio
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from starlette.requests import ClientDisconnect, Request

from sdunet.runtime.run_record import say
from sdunet.serve.access import Access
from sdunet.serve.answers import Answer
from sdunet.serve.kept_scans import KeptScans
from sdunet.serve.metrics import Metrics
from sdunet.serve.served_model import ServedModel
from sdunet.serve.work_queue import WorkQueue


@dataclass(frozen=True)
class Service:
    """What the routes share.

    Attributes:
        model: that predicts.
        access: who may ask.
        queue: of requests.
        folder: private, for uploads.
        most: bytes of an upload.
        kept: scans that later requests name.
        metrics: counts.
    """

    model: ServedModel
    access: Access
    queue: WorkQueue
    folder: Path
    most: float
    kept: KeptScans
    metrics: Metrics = field(default_factory=Metrics)

    @contextmanager
    def private(self) -> Iterator[Path]:
        """Make a folder that nobody else reads, and remove it, unless it was moved away."""
        outer = Path(tempfile.mkdtemp(dir=self.folder))
        try:
            folder = outer / "upload"  # which errors name
            folder.mkdir()
            yield folder
        finally:
            shutil.rmtree(outer, ignore_errors=True)

    async def predicted(self, request: Request, scan: Path) -> Answer:
        """Wait for the turn of a scan, and predict it.

        Args:
            request: all of whose body was taken.
            scan: file or folder, which has to stay until this ends.

        Raises:
            DataError: as `WorkQueue.do` and `ServedModel.predict`.
            ClientDisconnect: if nobody waits for the answer.
        """
        found = await self.queue.do(partial(self._timed, scan), partial(_left, request))
        if found is None:
            raise ClientDisconnect
        say(f"1 case predicted{': ' if found.findings else ''}{found.codes}")
        return found

    def _timed(self, scan: Path) -> Answer:
        begun = time.monotonic()
        found = self.model.predict(scan)
        self.metrics.seconds += time.monotonic() - begun
        self.metrics.cases += 1
        return found


async def _left(request: Request) -> None:
    """Return when the sender has left; all it sent was taken before."""
    while (await request.receive())["type"] != "http.disconnect":
        await asyncio.sleep(0)
