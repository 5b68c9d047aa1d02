"""Uvicorn, quiet, and ended so that nobody who asks is left without an answer."""

import signal
import socket
from collections.abc import Callable

import uvicorn
from fastapi import FastAPI

from sdunet.runtime.interruption import same_signals
from sdunet.serve.work_queue import WorkQueue

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class _Server(uvicorn.Server):
    """Tells when it listens, and refuses those who wait when it ends."""

    def __init__(
        self, config: uvicorn.Config, queue: WorkQueue, listening: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self.queue = queue
        self.listening = listening

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen."""
        await super().startup(sockets)
        self.listening()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let what is predicted come to its end, and refuse all else."""
        self.queue.close()
        await super().shutdown(sockets)


def make_server(app: FastAPI, queue: WorkQueue, listening: Callable[[], None]) -> uvicorn.Server:
    """Return a server that logs nothing, see `run_until_stopped`."""
    # Names of scans and addresses may tell of patients.
    config = uvicorn.Config(
        app, log_config=None, log_level="critical", access_log=False, server_header=False
    )
    return _Server(config, queue, listening)


def run_until_stopped(
    app: FastAPI, at: socket.socket, queue: WorkQueue, listening: Callable[[], None]
) -> None:
    """Answer requests until SIGTERM or SIGINT; a second SIGINT does not wait for answers.

    Args:
        app: that answers.
        at: where it listens.
        queue: is closed at the end.
        listening: is called at the beginning.
    """
    # Uvicorn raises the signal once more when it has ended, which would end us before we clean up.
    with same_signals():
        for number in _SIGNALS:
            signal.signal(number, lambda *_: None)
        try:
            make_server(app, queue, listening).run([at])
        finally:
            queue.close()
