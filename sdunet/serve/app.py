"""The routes of the server."""

import asyncio
import logging
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Literal

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse

from data_prep.core.errors import DataError
from sdunet.runtime.run_record import say
from sdunet.serve.access import Access
from sdunet.serve.answers import Answer, as_json, refused
from sdunet.serve.guard import Guard
from sdunet.serve.metrics import Metrics
from sdunet.serve.served_model import ServedModel
from sdunet.serve.uploads import receive_scan
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
        metrics: counts.
    """

    model: ServedModel
    access: Access
    queue: WorkQueue
    folder: Path
    most: float
    metrics: Metrics = field(default_factory=Metrics)


def make_app(service: Service) -> FastAPI:
    """Return the application: `POST /predict`, `GET /health`, `/info` and `/metrics`."""
    # Which would tell of bytes that were sent.
    logging.getLogger("python_multipart").setLevel(logging.CRITICAL)
    # Its pages of documentation would load scripts from elsewhere.
    app = FastAPI(title="sdunet", docs_url=None, redoc_url=None, redirect_slashes=False)
    app.add_middleware(Guard, access=service.access, metrics=service.metrics)
    app.add_exception_handler(HTTPException, _no_route)
    app.add_exception_handler(RequestValidationError, _no_answer)

    @app.post("/predict", response_class=Response)
    async def predict(request: Request, answer: Literal["zip", "label"] = "zip") -> Response:
        """Predict one scan, sent as multipart/form-data."""
        asked = [key for key, _ in request.query_params.multi_items()]
        if asked not in ([], ["answer"]):
            fix = "leave all but one answer out"
            raise DataError("SERVE_REQUEST", f"a query of {', '.join(asked)!r:.80}", fix)
        found = await _predicted(service, request)
        return found.as_zip() if answer == "zip" else found.as_label()

    @app.get("/health", response_class=Response)
    async def health() -> Response:
        """Tell whether scans are predicted."""
        ready = not service.queue.closed
        status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
        return as_json({**service.model.identity, "ready": ready}, status)

    @app.get("/info", response_class=Response)
    async def info() -> Response:
        """Tell what is sent and answered."""
        return as_json(service.model.info)

    @app.get("/metrics", response_class=Response)
    async def metrics() -> Response:
        """Tell counts in the text format of Prometheus."""
        text = service.metrics.text(service.queue.taken)
        return PlainTextResponse(text, media_type="text/plain; version=0.0.4")

    return app


async def _predicted(service: Service, request: Request) -> Answer:
    """Take the files of a request, wait for its turn, and predict.

    Raises:
        DataError: as `WorkQueue.place`, `receive_scan` and `ServedModel.predict`.
        ClientDisconnect: if nobody waits for the answer.
    """
    queue, model = service.queue, service.model
    with queue.place(), _private(service.folder) as folder:
        scan = await receive_scan(
            request, folder, model.ensemble.plan.channels, service.most, queue
        )
        timed = partial(_timed, service, scan)
        found = await queue.do(timed, partial(_left, request))
    if found is None:
        raise ClientDisconnect
    say(f"1 case predicted{': ' if found.findings else ''}{found.codes}")
    return found


def _timed(service: Service, scan: Path) -> Answer:
    begun = time.monotonic()
    found = service.model.predict(scan)
    service.metrics.seconds += time.monotonic() - begun
    service.metrics.cases += 1
    return found


async def _left(request: Request) -> None:
    """Return when the sender has left; all it sent was taken before."""
    while (await request.receive())["type"] != "http.disconnect":
        await asyncio.sleep(0)


@contextmanager
def _private(within: Path) -> Iterator[Path]:
    """Make a folder that nobody else reads, and remove it."""
    outer = Path(tempfile.mkdtemp(dir=within))
    try:
        folder = outer / "upload"  # which errors name
        folder.mkdir()
        yield folder
    finally:
        shutil.rmtree(outer, ignore_errors=True)


async def _no_route(request: Request, error: Exception) -> Response:
    """Tell what FastAPI says of a request that is none of ours."""
    status = error.status_code if isinstance(error, HTTPException) else HTTPStatus.BAD_REQUEST
    told = error.detail if isinstance(error, HTTPException) else ""
    fix = "ask for predict by POST, or for info, health or metrics by GET"
    return refused(DataError("SERVE_REQUEST", f"{told!s:.200}", fix), status)


async def _no_answer(request: Request, error: Exception) -> Response:
    """Tell of a query that is none of ours."""
    fix = "leave answer out, or give it as zip or label"
    return refused(DataError("SERVE_REQUEST", "a query with another value", fix))
