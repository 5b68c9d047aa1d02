"""The process that listens: where, for how long, and what is left of it: nothing."""

import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from data_prep.core.errors import DataError
from data_prep.core.memory_limits import memory_of_one
from sdunet.runtime.device import choose_device
from sdunet.runtime.doubts import findings_of
from sdunet.runtime.run_record import say, say_if_slow
from sdunet.serve.access import access_for

_NEEDED = ("fastapi", "uvicorn", "python_multipart")
# Waits until this process is no more, however it ended, and removes its folder.
_REMOVER = "import shutil, sys; sys.stdin.read(); shutil.rmtree(sys.argv[1], ignore_errors=True)"


@dataclass(frozen=True)
class ServeOptions:
    """How a server is reached and what it takes.

    Attributes:
        host: name or address to listen at.
        port: of it; 0 for any that is free.
        queue: requests that may wait.
        max_upload_mb: megabytes that one request may have.
        token: that requests must show, see `access_for`.
        no_token: let anybody ask.
        device: `auto`, `cpu` or `gpu`.
        keep_scans: how many scans may be kept for a later request, as MONAI Label's clients ask.
        keep_minutes: without use after which such a scan is removed.
        max_ram: gigabytes that one scan may take; default: what this machine has.
        accept: codes of what is meant to be so.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    queue: int = 8
    max_upload_mb: float = 2000
    token: str | None = None
    no_token: bool = False
    device: str = "auto"
    keep_scans: int = 8
    keep_minutes: float = 60
    max_ram: float | None = None
    accept: tuple[str, ...] = ()


def serve(package: str | Path, options: ServeOptions, ready: Callable[[str], None]) -> None:
    """Predict what is sent, until SIGTERM or SIGINT; a prediction that goes on is finished then.

    Args:
        package: folder or zip of an exported package, which is verified, or a run.
        options: how.
        ready: is told the address when scans are taken.

    Raises:
        DataError: EXTRA_MISSING; SERVE_TOKEN; SERVE_ADDRESS if nothing can listen there; as
            `load_ensemble`.
    """
    if any(find_spec(name) is None for name in _NEEDED):
        found = "a server needs fastapi, uvicorn and python-multipart"
        raise DataError("EXTRA_MISSING", found, "pip install 'sdunet[serve]'")
    from sdunet.serve.app import make_app
    from sdunet.serve.kept_scans import KeptScans
    from sdunet.serve.listening import run_until_stopped
    from sdunet.serve.served_model import ServedModel
    from sdunet.serve.service import Service
    from sdunet.serve.work_queue import WorkQueue

    access = access_for(options.host, options.token, no_token=options.no_token)
    listening = _listen(options.host, options.port)
    with listening, _private_folder() as folder:
        memory = memory_of_one(options.max_ram)
        model = ServedModel(Path(package), choose_device(options.device), memory, options.accept)
        for finding in findings_of(model.ensemble.doubts, options.accept):
            say(str(finding))
        for one in model.ensemble.models:
            say_if_slow(one.network, model.ensemble.device.type)
        queue = WorkQueue(options.queue)
        kept = KeptScans(options.keep_scans, options.keep_minutes * 60)
        app = make_app(Service(model, access, queue, folder, options.max_upload_mb * 1e6, kept))
        host, port = listening.getsockname()[:2]
        address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        run_until_stopped(app, listening, queue, lambda: ready(address))


def _listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens."""
    try:
        if port >= 1 << 16:
            raise ValueError("ports end at 65535")
        # Of a number from an option, which has a type of its own, Python makes no address.
        family, *_, place = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)[0]
        return socket.create_server((place[0], port), family=family)
    except (OSError, ValueError) as error:
        found = f"cannot listen at {host} port {port}: {getattr(error, 'strerror', None) or error}"
        fix = "give another --port, or an address of this machine as --host"
        raise DataError("SERVE_ADDRESS", found, fix) from error


@contextmanager
def _private_folder() -> Iterator[Path]:
    """Make a folder of this process alone, which is removed also when it is killed."""
    folder = Path(tempfile.mkdtemp(prefix="sdunet-serve-"))
    command = [sys.executable, "-I", "-S", "-c", _REMOVER, str(folder)]
    # In a session of its own, or what stops all processes of a terminal would stop it, too.
    remover = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        remover.communicate()
