"""The same work for many cases: here, in local processes, or on a Dask cluster.

Results come in the order of the items, whoever finishes first. A worker that dies takes nobody
else's case with it.
"""

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypedDict

from data_prep.core.errors import DataError, case_errors, words_of
from data_prep.core.safe_text import make_streams_inert
from data_prep.parent_process import end_with_parent
from data_prep.safe_path import safe_path

# Threads and locks of the parent do not survive a fork; a fresh interpreter is slower and safe.
_CONTEXT = multiprocessing.get_context("spawn")
_WORKERS = 32  # that any machine may be asked for


class Jobs(TypedDict):
    """How work is spread, as `run` takes it."""

    workers: int
    scheduler: str | None


def check_workers(workers: int, name: str = "workers") -> None:
    """Refuse a number of processes that cannot be, or that no machine like this one holds.

    Raises:
        DataError: OPTION, with the most there may be: four a processor, and 32 on a small machine.
    """
    most = max(_WORKERS, 4 * (os.cpu_count() or 1))
    if isinstance(workers, bool) or not isinstance(workers, int) or not 0 <= workers <= most:
        fix = f"give a whole number from 0 to {most}, of a processor or two each"
        raise DataError("OPTION", f"{name} is {workers!r:.80}", fix)


def run(
    work: Callable[..., Any],
    items: Iterable[tuple],
    *,
    workers: int = 0,
    scheduler: str | None = None,
) -> Iterator[Any]:
    """Yield `work(*item)` of each item, or the `DataError` it raised, see `case_errors`.

    Args:
        work: a function of a module, as other processes import it by name.
        items: its arguments.
        workers: local processes; with 0 the work is done in this one.
        scheduler: address of a Dask scheduler, such as `tcp://host:8786`.

    Raises:
        DataError: JOB_SCHEDULER if the cluster cannot be reached; OPTION for a number of workers
            that cannot be.
    """
    check_workers(workers)
    if scheduler is not None:
        return _on_cluster(work, items, scheduler)
    if workers > 0:
        return _in_processes(work, items, workers)
    return (_tried(work, item) for item in items)


def _tried(work: Callable[..., Any], item: tuple) -> Any:
    try:
        with case_errors():
            return work(*item)
    except DataError as error:
        return error


def _in_processes(work: Callable[..., Any], items: Iterable[tuple], workers: int) -> Iterator[Any]:
    waiting = iter(items)
    under_way: deque[tuple[tuple, Future | None]] = deque()
    pool = _Pool(workers)
    try:
        while True:
            try:
                # No more than one waits for each worker, so that memory stays bounded.
                while len(under_way) < 2 * workers and (item := next(waiting, None)) is not None:
                    under_way.append((item, None))  # not lost should the pool refuse it
                    under_way[-1] = (item, pool.submit(_tried, work, item))
                if not under_way:
                    return
                if (first := under_way[0][1]) is None:
                    raise BrokenProcessPool("it was refused")
                result = first.result()
            except BrokenProcessPool:
                # Which of them killed its worker is not known: each is tried by itself.
                pool.shutdown(cancel_futures=True)
                while under_way:
                    yield _by_itself(work, *under_way.popleft())
                pool = _Pool(workers)
                continue
            under_way.popleft()
            yield result
    finally:
        pool.shutdown(cancel_futures=True)


class _Pool(ProcessPoolExecutor):
    """Starts its workers, and before them the process that tracks their locks, by `safe_path`."""

    def __init__(self, workers: int) -> None:
        with safe_path():
            super().__init__(workers, _CONTEXT, initializer=_begin)

    def submit(self, work: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future:
        """Hand on work; a worker is started where all are busy."""
        with safe_path():
            return super().submit(work, *args, **kwargs)


def _begin() -> None:
    end_with_parent()
    make_streams_inert()


def _by_itself(work: Callable[..., Any], item: tuple, future: Future | None) -> Any:
    if future and future.done() and not future.cancelled() and future.exception() is None:
        return future.result()
    with _Pool(1) as pool:
        try:
            return pool.submit(_tried, work, item).result()
        except BrokenProcessPool:
            return DataError(
                "JOB_KILLED", "its worker died, perhaps for want of memory", "use fewer workers"
            )


def _on_cluster(work: Callable[..., Any], items: Iterable[tuple], scheduler: str) -> Iterator[Any]:
    try:
        from distributed import Client, KilledWorker
    except ImportError as error:
        raise DataError(
            "JOB_SCHEDULER", "Dask is not installed", "pip install sdunet[distributed]"
        ) from error
    try:
        client = Client(scheduler, timeout=30, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise DataError(
            "JOB_SCHEDULER",
            f"{scheduler}: {words_of(error)}",
            "start the scheduler, or check its address",
        ) from error
    with client:
        futures = [client.submit(_tried, work, item, pure=False) for item in items]
        for future in futures:
            try:
                yield future.result()
            except KilledWorker as error:
                yield DataError(
                    "JOB_KILLED", f"its workers died: {words_of(error)}", "see their logs"
                )
            future.release()
