"""Uploads and inference, as clients of MONAI Label ask for them.

Source: `monailabel/client/client.py` of MONAI Label 0.8, and its module for 3D Slicer, of which
older ones send a scan as a session, newer ones under the name of the volume.
"""

import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from fastapi import FastAPI, Request, Response

from data_prep.core.errors import DataError
from data_prep.core.parse import parse_json, plainly
from data_prep.core.safe_text import inert_json
from sdunet.serve.answers import Answer, as_json
from sdunet.serve.kept_scans import Name
from sdunet.serve.monai_label.info import classes_of, info_of
from sdunet.serve.service import Service
from sdunet.serve.uploads import Received, bounded, receive_form

_TEXTS = ("params", "client_id")
ROUTES = (
    "as clients of MONAI Label for info/ by GET, session/ or datastore/ by PUT, "
    "infer/MODEL by POST, or auth/"
)
_OUTPUTS = ("", "all", "image", "json")
_MOST_LOGIN = 4096  # bytes

Sender = tuple[str, str]


def add_monai_label(app: FastAPI, service: Service) -> None:
    """Add `/info/`, `/session/`, `/datastore/`, `/infer/` and `/auth/`."""
    kept, model, access = service.kept, service.model, service.access

    def told_of(name: str) -> dict[str, Any]:
        return {"session_id": name, "expiry": kept.idle}

    @app.get("/info/", response_class=Response)
    async def info() -> Response:
        """Tell of the model."""
        return as_json(info_of(model))

    @app.put("/session/", response_class=Response)
    async def create_session(request: Request) -> Response:
        """Keep a scan, and tell a name that nobody can guess, by which it is predicted."""
        _check_query(request, ())
        name = secrets.token_urlsafe(32)
        await _keep(service, request, "files", lambda sender: name)
        return as_json({"session_id": name, "session_info": told_of(name)})

    @app.put("/datastore/", response_class=Response)
    async def upload_image(request: Request) -> Response:
        """Keep a scan under a name that its sender gives, for this sender alone."""
        image = _check_query(request, ("image",)).get("image", "")
        if not image:
            raise DataError("SERVE_REQUEST", "an image without a name", "add ?image=NAME")
        await _keep(service, request, "file", lambda sender: (*sender, image))
        return as_json({"image": image})

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
        found = await _predicted(service, request, asked)
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
        passwords = parse_qs(body.decode("latin-1")).get("password", [])
        if len(passwords) != 1 or not access.accepts(*passwords):
            fix = "give the token of the server as the password; the name of the user is any"
            raise DataError("SERVE_TOKEN", "a wrong password", fix)
        return as_json({"access_token": access.token, "token_type": "bearer"})

    @app.get("/auth/token/valid", response_class=Response)
    async def valid_token() -> Response:
        """Answer who has a token."""
        return as_json({})


async def _keep(
    service: Service, request: Request, field: str, name_of: Callable[[Sender], Name]
) -> None:
    """Keep the scan in a form.

    Args:
        service: where.
        request: with the form.
        field: of the file.
        name_of: tells the name by which it is kept, of who sent it.

    Raises:
        DataError: SERVE_SESSION if none are kept; as `_received`, `_sender` and `KeptScans.keep`.
    """
    service.kept.check()
    with service.queue.place(), service.private() as folder:
        received = await _received(service, request, folder, field)
        sender = _sender(request, received.texts)
        if received.scan is None:
            fix = f"send the scan as a field {field}"
            raise DataError("SERVE_REQUEST", "no whole file in it", fix)
        service.kept.keep(received.scan, name_of(sender))


async def _predicted(service: Service, request: Request, asked: Mapping[str, str]) -> Answer:
    """Predict a scan of a session, one in the form, or one that was kept as an image.

    Clients name the volume beside a session or a file, too: that is no other scan, unless its
    sender had one kept under this name.

    Raises:
        DataError: SERVE_REQUEST if two scans are meant; SERVE_SESSION if it is not kept; as
            `_received`, `_sender` and `Service.predicted`.
        ClientDisconnect: if nobody waits for the answer.
    """
    session, image, kept = asked.get("session_id", ""), asked.get("image", ""), service.kept
    with service.queue.place(), service.private() as folder:
        received = await _received(service, request, folder, "file")
        named = (*_sender(request, received.texts), image)
        told = {"a session": session, "a file": received.scan, "a kept image": named in kept.names}
        several = [what for what, there in told.items() if there]
        if len(several) > 1:
            raise DataError("SERVE_REQUEST", " and ".join(several), "name or send one of them")
        if received.scan is not None:
            return await service.predicted(request, received.scan)
        if not session and not image:
            fix = "name a session or an image, or send a file"
            raise DataError("SERVE_REQUEST", "no scan", fix)
        with kept.use(session or named) as scan:
            return await service.predicted(request, scan)


async def _received(service: Service, request: Request, folder: Path, field: str) -> Received:
    """Return what is in a form, see `receive_form`."""
    channels = service.model.ensemble.plan.channels
    sent = (request, folder, channels, service.most, service.queue)
    return await receive_form(*sent, field=field, texts=_TEXTS)


def _sender(request: Request, texts: Mapping[str, str]) -> Sender:
    """Return who sends a form: its address, and how the client calls itself, there or in `params`.

    Names of images are those of volumes in Slicer, which several people may give to several scans.
    All else that is in `params` asks for nothing that is done here.

    Raises:
        DataError: SERVE_REQUEST if it calls itself by two names, or `params` cannot be used.
    """
    fix = "send an object of JSON as params"
    try:
        params = parse_json(texts.get("params") or "{}")
    except ValueError as error:
        raise DataError("SERVE_REQUEST", f"params: {plainly(error)}", fix) from error
    told = [name for name in (texts.get("client_id"), params.get("client_id")) if name is not None]
    if not all(isinstance(name, str) and "\ufffd" not in name for name in told):
        raise DataError("SERVE_REQUEST", "a client_id that is no text", "send it as text in UTF-8")
    if len({*told}) > 1:
        found = "one client_id in params and another beside it"
        raise DataError("SERVE_REQUEST", found, "send one of them")
    return request.client.host if request.client else "", told[0] if told else ""


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
