"""The routes of the server."""

import logging
from http import HTTPStatus
from typing import Literal

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse

from data_prep.core.errors import DataError
from sdunet.serve.answers import as_json, refused
from sdunet.serve.guard import Guard
from sdunet.serve.monai_label.routes import ROUTES, add_monai_label
from sdunet.serve.service import Service
from sdunet.serve.uploads import receive_scan


def make_app(service: Service) -> FastAPI:
    """Return the application: `/predict` and what tells of it, and the routes of MONAI Label."""
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
        queue, channels = service.queue, service.model.ensemble.plan.channels
        with queue.place(), service.private() as folder:
            scan = await receive_scan(request, folder, channels, service.most, queue)
            found = await service.predicted(request, scan)
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

    add_monai_label(app, service)
    return app


async def _no_route(request: Request, error: Exception) -> Response:
    """Tell what FastAPI says of a request that is none of ours."""
    status = error.status_code if isinstance(error, HTTPException) else HTTPStatus.BAD_REQUEST
    told = error.detail if isinstance(error, HTTPException) else ""
    fix = f"ask for predict by POST, for info, health or metrics by GET, or {ROUTES}"
    return refused(DataError("SERVE_REQUEST", f"{told!s:.200}", fix), status)


async def _no_answer(request: Request, error: Exception) -> Response:
    """Tell of a query that is none of ours."""
    fix = "leave answer out, or give it as zip or label"
    return refused(DataError("SERVE_REQUEST", "a query with another value", fix))
