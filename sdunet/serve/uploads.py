"""What is sent: streamed into a private folder, under names of ours, and cut off at its limit."""

import asyncio
import math
import shutil
from collections.abc import Sequence
from pathlib import Path

from python_multipart.multipart import parse_options_header
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.types import Message

from data_prep.core.errors import DataError
from data_prep.formats.registry import suffix_of
from sdunet.serve.work_queue import WorkQueue

FIELD = "scan"  # of files that name no channel
_SILENCE = 30.0  # seconds without a byte after which nobody is waited for
_END = 1024  # bytes at the end of a form that must tell that it is one
_OTHERS = (".zip", ".tar", ".dcm")  # besides suffixes of images
_FIX = f"send each file as a field {FIELD} of multipart/form-data, or by the name of its channel"


async def receive_scan(
    request: Request, folder: Path, channels: Sequence[str], most: float, queue: WorkQueue
) -> Path:
    """Write the files of a request, and return what is to be predicted: a file or the folder.

    Args:
        request: with a form of files: one image or archive; or an image each channel, in order or
            by the names of the channels.
        folder: empty, and of this request.
        channels: of the model.
        most: bytes that the whole request may have.
        queue: an upload to a server that is being stopped is cut off.

    Raises:
        DataError: SERVE_REQUEST if there are no such files, SERVE_UPLOAD if they are too large,
            SERVE_SLOW if they do not come, SERVE_STOPPING.
        ClientDisconnect: if the sender has left.
    """
    kind, told = parse_options_header(request.headers.get("content-type", ""))
    if kind != b"multipart/form-data" or b"boundary" not in told:
        raise DataError("SERVE_REQUEST", "no form of files", _FIX)
    taken, end, last = 0, b"--%s--" % told[b"boundary"], b""

    async def receive() -> Message:
        nonlocal taken, last
        try:
            message = await queue.before_end(request.receive(), _SILENCE)
        except TimeoutError as error:
            found = f"nothing came for {_SILENCE:g} seconds"
            raise DataError("SERVE_SLOW", found, "send it again") from error
        body = message.get("body", b"")
        taken += len(body)
        _check_size(taken, most)
        last = (last + body[-_END:])[-_END:]
        # A file that was cut would be left out without a word.
        ended = message["type"] == "http.request" and not message.get("more_body", False)
        if ended and end not in last:
            raise DataError("SERVE_REQUEST", "a form that ends early", "send it again")
        return message

    _check_size(_length(request), most)
    within = Request(request.scope, receive)
    async with within.form(max_files=max(8, len(channels)), max_fields=8) as form:
        sent = [(name, file) for name, file in form.multi_items() if isinstance(file, UploadFile)]
        names = _names_of([(name, file.filename or "") for name, file in sent], channels)
        for (_, file), name in zip(sent, names, strict=True):
            await asyncio.to_thread(_copy, file, folder / name)
    return folder / names[0] if len(names) == 1 else folder


def _names_of(sent: Sequence[tuple[str, str]], channels: Sequence[str]) -> list[str]:
    """Return how files are called here, numbered by channels if there are several."""
    if not sent:
        raise DataError("SERVE_REQUEST", "no whole file in it", _FIX)
    suffixes = [_suffix(name) for _, name in sent]
    if len(sent) == 1:
        return [f"scan{suffixes[0]}"]
    fields = [field for field, _ in sent]
    if len(sent) != len(channels):
        found = f"{len(sent)} files for {len(channels)} channels ({', '.join(channels)})"
        raise DataError("SERVE_REQUEST", found, "send a file each channel, or one of them all")
    if set(fields) == {*channels}:
        numbers = [channels.index(field) for field in fields]
    elif set(fields) == {FIELD}:
        numbers = [*range(len(fields))]
    else:
        found = f"fields {fields!r:.200}, channels are {', '.join(channels)}"
        raise DataError("SERVE_REQUEST", found, _FIX)
    return [f"scan_{n:04}{suffix}" for n, suffix in zip(numbers, suffixes, strict=True)]


def _suffix(name: str) -> str:
    """Return the suffix of what is known to be read: nothing else of a name is kept."""
    other = next((suffix for suffix in _OTHERS if name.lower().endswith(suffix)), "")
    return suffix_of(name).lower() or other


def _length(request: Request) -> float:
    """Return how many bytes a request says it has; 0 if it does not say."""
    text = request.headers.get("content-length", "0")
    return int(text) if text.isdecimal() and len(text) < 20 else math.inf


def _check_size(size: float, most: float) -> None:
    if size > most:
        found = f"more than the {most / 1e6:g} MB that are taken"
        raise DataError("SERVE_UPLOAD", found, "crop or pack it, or ask for more --max-upload-mb")


def _copy(file: UploadFile, path: Path) -> None:
    with path.open("xb") as written:
        shutil.copyfileobj(file.file, written, 1 << 20)
