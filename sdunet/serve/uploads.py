"""What is sent: streamed into a private folder, under names of ours, and cut off at its limit."""

import asyncio
import math
import re
import shutil
import time
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.types import Message

from data_prep.core.errors import DataError
from data_prep.formats.registry import suffix_of
from sdunet.serve.work_queue import WorkQueue

FIELD = "scan"  # of files that name no channel
_SILENCE = 30.0  # seconds without a byte after which nobody is waited for
_SLOWEST = 10_000  # bytes a second on the whole, once an upload has taken as long as that
_OTHERS = (".zip", ".tar", ".dcm")  # besides suffixes of images


async def receive_scan(
    request: Request,
    folder: Path,
    channels: Sequence[str],
    most: float,
    queue: WorkQueue,
    *,
    field: str = FIELD,
    texts: Collection[str] = (),
) -> Path:
    """Write the files of a request, and return what is to be predicted: a file or the folder.

    Args:
        request: with a form of files: one image or archive; or an image each channel, in order or
            by the names of the channels.
        folder: empty, and of this request.
        channels: of the model.
        most: bytes that the whole request may have.
        queue: an upload to a server that is being stopped is cut off.
        field: of files that name no channel.
        texts: fields without a file that may be there, and are not looked at.

    Raises:
        DataError: SERVE_REQUEST if there are no such files, SERVE_UPLOAD if they are too large,
            SERVE_SLOW if they do not come, SERVE_STOPPING.
        ClientDisconnect: if the sender has left.
    """
    fix = f"send each file as a field {field} of multipart/form-data, or by the name of its channel"
    async with _whole_form(request, most, queue, max(8, len(channels)), fix) as form:
        sent = _files_of(form, texts, fix)
        told = [(of, file.filename or "") for of, file in sent]
        names = _names_of(told, channels, field, fix)
        for (_, file), name in zip(sent, names, strict=True):
            await asyncio.to_thread(_copy, file, folder / name)
    return folder / names[0] if len(names) == 1 else folder


async def receive_texts(
    request: Request, most: float, queue: WorkQueue, texts: Collection[str]
) -> None:
    """Take the form of a request that sends no scan, whose texts are not looked at.

    Raises:
        DataError: SERVE_REQUEST if it has a file or other fields; as `receive_scan`.
        ClientDisconnect: if the sender has left.
    """
    fix = "send no files beside the name of a scan that is kept"
    async with _whole_form(request, most, queue, 8, fix) as form:
        if sent := _files_of(form, texts, fix):
            raise DataError("SERVE_REQUEST", f"a file as field {sent[0][0]!r:.80}", fix)


def bounded(
    request: Request, most: float, queue: WorkQueue, end: "_FormEnd | None" = None
) -> Request:
    """Return a request whose body is cut off where it is too large, too slow or comes too late.

    Args:
        request: whose body nobody has taken yet.
        most: bytes that it may have.
        queue: the body is cut off when it closes.
        end: that a form must have.

    Raises:
        DataError: SERVE_UPLOAD, also by what the body says of its length; from where it is read
            SERVE_UPLOAD, SERVE_SLOW, SERVE_STOPPING, and SERVE_REQUEST for a form without its end.
    """
    taken, began = 0, time.monotonic()

    async def receive() -> Message:
        nonlocal taken
        try:
            message = await queue.before_end(request.receive(), _SILENCE)
        except TimeoutError as error:
            found = f"nothing came for {_SILENCE:g} seconds"
            raise DataError("SERVE_SLOW", found, "send it again") from error
        body = message.get("body", b"")
        taken += len(body)
        _check_size(taken, most)
        _check_pace(taken, time.monotonic() - began)
        if end is not None:
            end.look(body)
            # A file that was cut would be left out without a word.
            ended = message["type"] == "http.request" and not message.get("more_body", False)
            if ended and not end.seen:
                raise DataError("SERVE_REQUEST", "a form that ends early", "send it again")
        return message

    _check_size(_length(request), most)
    return Request(request.scope, receive)


@asynccontextmanager
async def _whole_form(
    request: Request, most: float, queue: WorkQueue, files: int, fix: str
) -> AsyncIterator[FormData]:
    """Give the form of a request, which is there as a whole."""
    kind, told = parse_options_header(request.headers.get("content-type", ""))
    if kind != b"multipart/form-data" or b"boundary" not in told:
        raise DataError("SERVE_REQUEST", "no form of files", fix)
    within = bounded(request, most, queue, _FormEnd(told[b"boundary"]))
    async with within.form(max_files=files, max_fields=8) as form:
        yield form


def _files_of(form: FormData, texts: Collection[str], fix: str) -> list[tuple[str, UploadFile]]:
    """Return the fields of a form that are files; all others must be of `texts`."""
    sent = []
    for field, content in form.multi_items():
        if isinstance(content, UploadFile):
            sent.append((field, content))
        elif field not in texts:
            raise DataError("SERVE_REQUEST", f"a field {field!r:.80} without a file", fix)
    return sent


def _names_of(
    sent: Sequence[tuple[str, str]], channels: Sequence[str], field: str, fix: str
) -> list[str]:
    """Return how files are called here, numbered by channels if there are several."""
    if not sent:
        raise DataError("SERVE_REQUEST", "no whole file in it", fix)
    suffixes, fields = [_suffix(name) for _, name in sent], [of for of, _ in sent]
    if len(sent) not in (1, len(channels)):
        found = f"{len(sent)} files for {len(channels)} channels ({', '.join(channels)})"
        raise DataError("SERVE_REQUEST", found, "send a file each channel, or one of them all")
    if set(fields) == {field}:
        numbers = [*range(len(fields))]
        _check_numbers([name for _, name in sent])
    elif set(fields) == {*channels} and len(fields) == len(channels):
        numbers = [channels.index(of) for of in fields]
    else:
        found = f"fields {fields!r:.200}, channels are {', '.join(channels)}"
        raise DataError("SERVE_REQUEST", found, fix)
    if len(sent) == 1:
        return [f"scan{suffixes[0]}"]
    return [f"scan_{n:04}{suffix}" for n, suffix in zip(numbers, suffixes, strict=True)]


def _check_numbers(names: Sequence[str]) -> None:
    """Refuse files whose names number their channels, as nnU-Net's do, in another order."""
    told = [re.search(r"_(\d{4})\.", name) for name in names]
    numbers = [int(one[1]) for one in told if one]
    if len(names) > 1 and numbers and numbers != [*range(len(names))]:
        found = f"files numbered {', '.join(map(str, numbers))}, taken in the order they are sent"
        raise DataError("SERVE_REQUEST", found, "send them in the order of their numbers")


class _FormEnd:
    """Sees the end of a form go by, after which nothing may come.

    Args:
        boundary: of its parts.
    """

    def __init__(self, boundary: bytes) -> None:
        self.seen = False
        self._end = b"\r\n--%s--" % boundary
        self._last = b""

    def look(self, body: bytes) -> None:
        """See the next bytes.

        Raises:
            DataError: SERVE_REQUEST if anything follows the end, which would be lost.
        """
        if not self.seen:
            known = self._last + body
            _, end, body = known.partition(self._end)
            self.seen, self._last = bool(end), known[-len(self._end) :]
        if self.seen and body.strip(b"\r\n"):
            raise DataError("SERVE_REQUEST", "a form with bytes after its end", "send it again")


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


def _check_pace(size: float, seconds: float) -> None:
    if seconds > _SILENCE and size < _SLOWEST * seconds:
        found = f"{size / 1e3:.3g} kB in {seconds:.0f} seconds"
        raise DataError("SERVE_SLOW", found, "send it over a faster connection")


def _copy(file: UploadFile, path: Path) -> None:
    with path.open("xb") as written:
        shutil.copyfileobj(file.file, written, 1 << 20)
