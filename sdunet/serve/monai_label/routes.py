"""Sessions and inference, as clients of MONAI Label ask for them.

Source: `monailabel/client/client.py` of MONAI Label 0.8, and its module for 3D Slicer.
"""

import secrets
from typing import Any
from urllib.parse import parse_qs

from fastapi import FastAPI, Request, Response

from data_prep.core.errors import DataError
from data_prep.core.safe_text import inert_json
from sdunet.serve.answers import Answer, as_json
from sdunet.serve.monai_label.info import classes_of, info_of
from sdunet.serve.service import Service
from sdunet.serve.uploads import bounded, receive_scan, receive_texts

_TEXTS = ("params", "client_id")  # of forms, which ask for nothing that is done here
_OUTPUTS = ("", "all", "image", "json")
_MOST_LOGIN = 4096  # bytes


def add_monai_label(app: FastAPI, service: Service) -> None:
    """Add `/info/`, `/session/`, `/infer/` and `/auth/`."""
    kept, model, access = service.kept, service.model, service.access
    channels = model.ensemble.plan.channels

    def told_of(name: str) -> dict[str, Any]:
        return {"session_id": name, "expiry": kept.idle}

    @app.get("/info/", response_class=Response)
    async def info() -> Response:
        """Tell of the model."""
        return as_json(info_of(model))

    @app.put("/session/", response_class=Response)
    async def create_session(request: Request) -> Response:
        """Keep a scan, and tell by which name it can be predicted."""
        _check_query(request, ())
        kept.check()
        with service.queue.place(), service.private() as folder:
            sent = (request, folder, channels, service.most, service.queue)
            scan = await receive_scan(*sent, field="files", texts=_TEXTS)
            name = kept.keep(scan)
        return as_json({"session_id": name, "session_info": told_of(name)})

    @app.get("/session/{name}", response_class=Response)
    async def get_session(name: str) -> Response:
        """Tell whether a scan is kept, for which it is kept for as long again."""
        # The module for Slicer sends a scan again if it is told nothing, but stops at an error.
        if name not in kept.names:
            return as_json({})
        with kept.use(name):
            return as_json(told_of(name))

    @app.delete("/session/{name}", response_class=Response)
    async def remove_session(name: str) -> Response:
        """Remove a scan."""
        kept.drop(name)
        return as_json(told_of(name))

    @app.post("/infer/{name}", response_class=Response)
    async def infer(request: Request, name: str) -> Response:
        """Predict a scan that is kept, or one in the form."""
        asked = _check_query(request, ("image", "session_id", "output"))
        output = asked.get("output", "")
        if output not in _OUTPUTS:
            fix = "leave output out, or give it as all, image or json"
            raise DataError("SERVE_REQUEST", f"an output {output!r:.80}", fix)
        if name not in (model.name, model.name.replace(" ", "+")):  # as the client writes a space
            fix = f"ask for {model.name}"
            raise DataError("SERVE_REQUEST", f"a model {name!r:.80}", fix)
        found = await _predicted(service, request, asked.get("session_id", ""))
        if output == "image":
            return found.as_label()
        told = {"label_names": classes_of(model.ensemble.plan), **found.told}
        return as_json(told) if output == "json" else _as_form(found, told)

    @app.get("/auth/", response_class=Response)
    async def asks_for_login() -> Response:
        """Tell whether a token is asked for."""
        return as_json({"enabled": access.token is not None})

    @app.post("/auth/token", response_class=Response)
    async def login(request: Request) -> Response:
        """Give the token to whoever shows it as a password, as these clients do."""
        body = await bounded(request, _MOST_LOGIN, service.queue).body()
        password = parse_qs(body.decode("latin-1")).get("password", [""])[0]
        if not access.accepts(password):
            fix = "give the token of the server as the password; the name of the user is any"
            raise DataError("SERVE_TOKEN", "a wrong password", fix)
        return as_json({"access_token": access.token, "token_type": "bearer"})

    @app.get("/auth/token/valid", response_class=Response)
    async def valid_token() -> Response:
        """Answer who has a token."""
        return as_json({})


async def _predicted(service: Service, request: Request, name: str) -> Answer:
    """Predict a scan that is kept under a name, or without one the scan in the form.

    Raises:
        DataError: SERVE_SESSION; as `receive_scan` and `Service.predicted`.
        ClientDisconnect: if nobody waits for the answer.
    """
    queue = service.queue
    with queue.place():
        if name:
            with service.kept.use(name) as scan:
                await receive_texts(request, service.most, queue, _TEXTS)
                return await service.predicted(request, scan)
        with service.private() as folder:
            channels = service.model.ensemble.plan.channels
            sent = (request, folder, channels, service.most, queue)
            scan = await receive_scan(*sent, field="file", texts=_TEXTS)
            return await service.predicted(request, scan)


def _check_query(request: Request, known: tuple[str, ...]) -> dict[str, str]:
    """Return what a query asks for, each once."""
    asked = request.query_params.multi_items()
    names = [name for name, _ in asked]
    if not {*names} <= {*known} or len({*names}) < len(names):
        fix = f"give each of {', '.join(known)} once" if known else "leave it out"
        raise DataError("SERVE_REQUEST", f"a query of {', '.join(names)!r:.80}", fix)
    return dict(asked)


def _as_form(found: Answer, told: dict[str, Any]) -> Response:
    """Return what was found as multipart/form-data: `params` as JSON, and the file `image`."""
    boundary = secrets.token_hex(16)
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="params"\r\n'
        f"Content-Type: application/json\r\n\r\n{inert_json(told)}\r\n"
        f'--{boundary}\r\nContent-Disposition: form-data; name="image"; '
        f'filename="label{found.suffix}"\r\nContent-Type: application/octet-stream\r\n\r\n'
    )
    content = head.encode() + found.label + f"\r\n--{boundary}--\r\n".encode()
    return Response(content, media_type=f"multipart/form-data; boundary={boundary}")
