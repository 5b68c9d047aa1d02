"""What is sent: streamed into a private folder, under names of ours, and cut off at its limit."""

import asyncio
import math
import shutil
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from python_multipart.multipart import parse_options_header
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.types import Message

from data_prep.core.errors import DataError
from data_prep.core.safe_text import exact_text
from data_prep.core.values.channel_names import CHANNEL, crossed
from data_prep.formats.registry import suffix_of
from sdunet.serve.work_queue import WorkQueue

FIELD = "scan"  # of files that name no channel
_SILENCE = 30.0  # seconds without a byte after which nobody is waited for
_SLOWEST = 10_000  # bytes a second on the whole, once an upload has taken as long as that
_OTHERS = (".zip", ".tar", ".dcm")  # besides suffixes of images


@dataclass(frozen=True)
class Received:
    """What a form held.

    Attributes:
        scan: that is to be predicted, a file or a folder of them; `None` if there was none.
        texts: fields that are no files.
    """

    scan: Path | None
    texts: Mapping[str, str]


async def receive_scan(
    request: Request, folder: Path, channels: Sequence[str], most: float, queue: WorkQueue
) -> Path:
    """Write the files of a request, and return what is to be predicted, as `receive_form`.

    Raises:
        DataError: SERVE_REQUEST if there is none; as `receive_form`.
        ClientDisconnect: if the sender has left.
    """
    received = await receive_form(request, folder, channels, most, queue)
    if received.scan is None:
        raise DataError("SERVE_REQUEST", "no whole file in it", _fix(FIELD))
    return received.scan


async def receive_form(
    request: Request,
    folder: Path,
    channels: Sequence[str],
    most: float,
    queue: WorkQueue,
    *,
    field: str = FIELD,
    texts: Collection[str] = (),
) -> Received:
    """Write the files of a request, and return what is to be predicted.

    Args:
        request: with a form of files: one image or archive; or an image each channel, in order or
            by the names of the channels.
        folder: empty, and of this request.
        channels: of the model.
        most: bytes that the whole request may have.
        queue: an upload to a server that is being stopped is cut off.
        field: of files that name no channel.
        texts: fields without a file that may be there.

    Raises:
        DataError: SERVE_REQUEST if there are other fields, a text twice or one that is no UTF-8;
            SERVE_UPLOAD if they are too large, SERVE_SLOW if they do not come, SERVE_STOPPING.
        ClientDisconnect: if the sender has left.
    """
    kind, parameters = parse_options_header(request.headers.get("content-type", ""))
    if kind != b"multipart/form-data" or b"boundary" not in parameters:
        raise DataError("SERVE_REQUEST", "no form of files", _fix(field))
    if parameters.get(b"charset", b"utf-8").lower() != b"utf-8":
        raise DataError("SERVE_REQUEST", "a form of another charset", "send it in UTF-8")
    boundary = parameters[b"boundary"]
    within = bounded(_of_bytes(request, boundary), most, queue, _FormEnd(boundary))
    async with within.form(max_files=max(8, len(channels)), max_fields=8) as form:
        sent, told = [], {}
        for field_name, content in form.multi_items():
            name = _text(field_name)
            if isinstance(content, UploadFile):
                sent.append((name, content))
            elif name in told:
                raise DataError("SERVE_REQUEST", f"{name} twice", "send it once")
            elif name in texts:
                told[name] = _text(content)
            else:
                raise DataError(
                    "SERVE_REQUEST", f"a field {name!r:.80} without a file", _fix(field)
                )
        if not sent:
            return Received(None, told)
        called = [(name, _text(file.filename or "")) for name, file in sent]
        names = _names_of(called, channels, field)
        for (_, file), name in zip(sent, names, strict=True):
            await asyncio.to_thread(_copy, file, folder / name)
    return Received(folder / names[0] if len(names) == 1 else folder, told)


def _of_bytes(request: Request, boundary: bytes) -> Request:
    """Return a request whose form gives a letter for each byte, for `_text` to read.

    Of texts that are no UTF-8, Starlette would make others without a word.
    """
    told = b'multipart/form-data; charset=latin-1; boundary="%s"' % boundary
    headers = [(name, value) for name, value in request.scope["headers"] if name != b"content-type"]
    return Request(
        {**request.scope, "headers": [*headers, (b"content-type", told)]}, request.receive
    )


def _text(letters: str) -> str:
    """Return the text of a form, of which each letter is a byte."""
    try:
        return exact_text(letters.encode("latin-1"))
    except ValueError as error:
        found, fix = "a form with text that is no UTF-8", "send it in UTF-8"
        raise DataError("SERVE_REQUEST", found, fix) from error


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


def _names_of(sent: Sequence[tuple[str, str]], channels: Sequence[str], field: str) -> list[str]:
    """Return how files are called here, numbered by channels if there are several."""
    suffixes, fields = [_suffix(name) for _, name in sent], [of for of, _ in sent]
    if len(sent) not in (1, len(channels)):
        found = f"{len(sent)} files for {len(channels)} channels ({', '.join(channels)})"
        raise DataError("SERVE_REQUEST", found, "send a file each channel, or one of them all")
    if set(fields) == {field}:
        numbers = [*range(len(fields))]
    elif set(fields) == {*channels} and len(fields) == len(channels):
        numbers = [channels.index(of) for of in fields]
    else:
        found = f"fields {fields!r:.200}, channels are {', '.join(channels)}"
        raise DataError("SERVE_REQUEST", found, _fix(field))
    if len(sent) == 1:
        return [f"scan{suffixes[0]}"]
    _check_order([sent[numbers.index(n)][1] for n in sorted(numbers)], channels)
    return [f"scan_{n:04}{suffix}" for n, suffix in zip(numbers, suffixes, strict=True)]


def _fix(field: str) -> str:
    return (
        f"send each file as a field {field} of multipart/form-data, or by the name of its channel"
    )


def _check_order(names: Sequence[str], channels: Sequence[str]) -> None:
    """Refuse files whose names say other channels than those they are sent as, by each of these."""
    bare = [name[: len(name) - len(_suffix(name))] for name in names]
    if wrong := crossed(bare, channels):
        raise DataError("SERVE_REQUEST", wrong, "send each as the channel that its name tells")
    numbers = [int(found[1]) for name in bare if (found := CHANNEL.search(name))]
    if numbers and sorted(numbers) != [*range(len(names))]:
        found = f"files numbered {', '.join(map(str, numbers))}, for {len(names)} channels"
        raise DataError("SERVE_REQUEST", found, "send a file of each channel, numbered from 0")


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
