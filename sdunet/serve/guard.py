"""What stands before all routes: who may ask, and that whatever happens is answered and counted."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import unquote_to_bytes

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from data_prep.core.errors import DataError, case_errors
from data_prep.core.safe_text import exact_text
from sdunet.runtime.run_record import say
from sdunet.serve.access import Access
from sdunet.serve.answers import refused
from sdunet.serve.metrics import Metrics

_LEFT = 499  # what nginx counts those who did not wait by


@contextmanager
def _named() -> Iterator[None]:
    """Make a named error of whatever is raised, see `case_errors`; of a full disk, too."""
    try:
        with case_errors():
            yield
    except OSError as error:
        raise DataError("OUT_DISK", str(error.strerror), "ask again later") from error


def _check_address(scope: Scope) -> None:
    """Refuse a path or a query of which frameworks would make another: by U+FFFD, two are one."""
    for part in (scope.get("raw_path") or scope["path"].encode(), scope.get("query_string", b"")):
        try:
            exact_text(part.decode("ascii").encode())
            exact_text(unquote_to_bytes(part))
        except ValueError as error:
            fix = "write what is not ASCII as UTF-8, each byte as % and two digits"
            raise DataError("SERVE_REQUEST", "an address that is no UTF-8", fix) from error


class Guard:
    """Calls an application for those who may ask, and makes an answer of what it raises.

    Args:
        app: that is called.
        access: who may ask.
        metrics: where answers are counted.
    """

    def __init__(self, app: ASGIApp, access: Access, metrics: Metrics) -> None:
        self.app = app
        self.access = access
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status = 0

        async def counted(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            with _named():
                self.access.check(scope["path"], Headers(scope=scope))
                _check_address(scope)
                try:
                    await self.app(scope, receive, counted)
                except ClientDisconnect:
                    status = _LEFT
        except DataError as error:
            # Of a fault of ours the place is told here, and of all else the code alone.
            say(f"refused: {error.for_records() if error.code == 'CASE_FAILED' else error.code}")
            if not status:
                await refused(error)(scope, receive, counted)
        finally:
            self.metrics.statuses[status or _LEFT] += 1
