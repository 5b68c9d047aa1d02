"""One worker and a bounded queue before it: a second scan at a time would take memory twice."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from data_prep.core.errors import DataError

T = TypeVar("T")


class WorkQueue:
    """Does one piece of work after another, in a thread of its own.

    All but the work itself is of one event loop.

    Args:
        waiting: how many requests may wait beside the one that is worked on.

    Attributes:
        taken: places that are taken by requests now.
    """

    def __init__(self, waiting: int) -> None:
        self.places = waiting + 1
        self.taken = 0
        self._ending = asyncio.Event()
        self._worker = ThreadPoolExecutor(1, "predict")

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold a place, which bounds the uploads on the disk as well as those who wait.

        Raises:
            DataError: SERVE_BUSY if there is none, SERVE_STOPPING.
        """
        self.check_open()
        if self.taken == self.places:
            raise DataError("SERVE_BUSY", f"{self.taken} requests are here", "ask again later")
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1

    async def do(self, work: Callable[[], T], gone: Callable[[], Awaitable[object]]) -> T | None:
        """Return what the work gives, when its turn has come and it is done.

        Args:
            work: to do.
            gone: gives what ends when nobody waits for it any more. Work that has not begun is left
                out then, and work that has is waited for, as it reads what its caller removes.

        Returns:
            What it gave; `None` if nobody waits for it.

        Raises:
            DataError: SERVE_STOPPING if it did not begin; as the work.
        """
        self.check_open()
        job = self._worker.submit(work)
        done: asyncio.Future[T] = asyncio.wrap_future(job)
        left: asyncio.Future[Any] = asyncio.ensure_future(gone())
        both: set[asyncio.Future[Any]] = {done, left}
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if not done.done() and job.cancel():
                return None
            await asyncio.wait({done})
            if left.done():
                return None
        finally:
            left.cancel()
        if done.cancelled():
            self.check_open()
        return done.result()

    @property
    def closed(self) -> bool:
        """Whether it takes no more."""
        return self._ending.is_set()

    async def before_end(self, awaited: Awaitable[T], seconds: float) -> T:
        """Return what is awaited, unless it takes too long or the queue is closed before.

        Raises:
            TimeoutError: if it takes longer.
            DataError: SERVE_STOPPING.
        """
        coming = asyncio.ensure_future(awaited)
        ending: asyncio.Future[Any] = asyncio.ensure_future(self._ending.wait())
        both: set[asyncio.Future[Any]] = {coming, ending}
        try:
            await asyncio.wait(both, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            self.check_open()
            if not coming.done():
                raise TimeoutError
            return coming.result()
        finally:
            coming.cancel()
            ending.cancel()

    def check_open(self) -> None:
        """Refuse a request to a server that ends.

        Raises:
            DataError: SERVE_STOPPING.
        """
        if self.closed:
            raise DataError("SERVE_STOPPING", "the server is being stopped", "ask again later")

    def close(self) -> None:
        """Take no more, and leave out what waits; what is worked on comes to its end."""
        self._ending.set()
        self._worker.shutdown(wait=False, cancel_futures=True)
