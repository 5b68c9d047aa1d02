"""What a run was, written beside every result; and what a run says while it goes on."""

import functools
import platform
import sys
import time
from collections.abc import Collection, Iterable, Mapping, Sequence, Sized
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import nn
from tqdm import tqdm

from data_prep.core.errors import DataError
from data_prep.core.parse import usable
from data_prep.core.safe_text import inert, placeless
from data_prep.files.hashed_json import parse_hashed, read_hashed, write_hashed
from data_prep.files.output_folder import RECORD
from data_prep.files.written_files import check_whole, check_written, list_of
from sdunet.layers import Sweep
from sdunet.ops import backends, missing_backends

_PACKAGES = ("sdunet", "torch", "monai", "pytorch-lightning", "numpy", "nibabel", "scikit-image")


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages results depend on."""
    return {"python": platform.python_version()} | {name: version(name) for name in _PACKAGES}


def flat(settings: Mapping[str, Any], depth: int = 1) -> dict[str, Any]:
    """Return nested settings by their dotted names.

    Args:
        settings: of any kind, in sections.
        depth: of the sections; what is deeper is a value, such as the weights of classes: told
            apart as one, so that those that lack a class differ from those that name it.
    """
    found: dict[str, Any] = {}
    for name, value in settings.items():
        if depth and isinstance(value, Mapping):
            found |= {f"{name}.{key}": one for key, one in flat(value, depth - 1).items()}
        else:
            found[name] = value
    return found


class RunRecord:
    """Collects facts of a run and writes them to `run.json`, with the time it took.

    Args:
        command: that is run.
        device: that computes.
        arguments: of the command line; of absolute paths the last name is kept.
        facts: more.
    """

    def __init__(
        self, command: str, device: str = "cpu", arguments: Sequence[str] = (), **facts: object
    ) -> None:
        self.started = time.monotonic()
        self.facts = {
            "command": command,
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": versions(),
            "platform": platform.platform(),
            "threads": torch.get_num_threads(),
            "device": device,
            "backend": backends(device)[0],
            **({"arguments": [inert(placeless(a)) for a in arguments]} if arguments else {}),
            **facts,
        }

    def write(self, folder: Path, **facts: object) -> None:
        """Write `run.json`, with more facts known by now."""
        seconds = round(time.monotonic() - self.started, 1)
        write_hashed(folder / RECORD, self.facts | facts | {"seconds": seconds})


def check_ended(run: Path, planned: Mapping[str, Any], accept: Collection[str]) -> bool:
    """Refuse the weights of a training that did not come to its end.

    Args:
        run: folder of the run; its `run.json` is written when training ends.
        planned: settings that tell when it ends, by name, as they stood when it began.
        accept: RUN_UNFINISHED, to take the weights all the same.

    Returns:
        Whether it did come to its end.

    Raises:
        DataError: RUN_UNFINISHED; RUN_RECORD if the record is damaged.
    """
    path = run / RECORD
    with usable("RUN_RECORD", path, "train anew"):
        record = read_hashed(path) if path.exists() else {}
        ended = (record.get("config") or record).get("training")
        if ended and all(ended[name] == value for name, value in planned.items()):
            return True
    if "RUN_UNFINISHED" in accept:
        return False
    raise DataError(
        "RUN_UNFINISHED",
        f"{run} was not trained to its end",
        "finish it by train --resume, or give --accept RUN_UNFINISHED to use its weights as they "
        "are",
    )


def check_results(folder: Path, tables: Collection[str] = ()) -> None:
    """Refuse results of which a table, or the record of how they were made, is not as it was.

    A folder without a list is the user's own; of its `run.json` the hash inside tells all the same.

    Args:
        folder: that holds results which are read.
        tables: names of files that belong to them, where they were written at all.

    Raises:
        DataError: OUT_UNFINISHED; OUT_CHANGED for a file that is gone or another; RUN_RECORD if
            what `run.json` says was changed.
    """
    check_whole(folder)
    path, listed = folder / RECORD, list_of(folder / RECORD)
    data = path.read_bytes() if path.is_file() else None
    if data is not None:
        with usable("RUN_RECORD", path, "make the results again"):
            parse_hashed(data)
    # Of parts that end at once, the last in the list need not be the last that wrote.
    if listed is None or listed.parts <= 1:
        check_written(path, data)
    for table in (folder / name for name in tables):
        check_written(table, table.read_bytes() if table.is_file() else None)


def tell(*lines: str) -> None:
    """Tell the user results: on stdout, each a line, whatever characters it has."""
    for line in lines:
        print(inert(line))


def say(text: str) -> None:
    """Tell the user something that is not a result: on stderr, in one line."""
    print(inert(text), file=sys.stderr, flush=True)


def say_if_slow(network: nn.Module, device: str) -> None:
    """Tell, once a process, that a network sweeps on a CPU without the compiled sweep."""
    reason = missing_backends().get("cpu")
    if device == "cpu" and reason and any(isinstance(part, Sweep) for part in network.modules()):
        # Measured with 16 features, forward and backward: docs/benchmarks/performance.md.
        _say_once(
            "sweeps run in PyTorch operations, about 6 times slower than the compiled sweep: "
            f"{reason}; install a C++ compiler (g++ or clang++) and run pip install again"
        )


_say_once = functools.cache(say)


class Pulse:
    """Says now and then that work goes on, for logs, which show no bars.

    Args:
        every: seconds between lines.
    """

    def __init__(self, every: float = 120.0) -> None:
        self.every = every
        self.last = time.monotonic()

    def beat(self, text: str) -> None:
        """Say the text, if that is due."""
        if time.monotonic() - self.last >= self.every:
            self.last = time.monotonic()
            say(text)


def bar(items: Iterable, title: str) -> Iterable:
    """Show a bar on stderr while looping, if that is a terminal; else a line now and then."""
    shown = tqdm(items, desc=inert(title), file=sys.stderr, disable=None, leave=False)
    if not shown.disable:
        yield from shown
        return
    pulse, total = Pulse(), len(items) if isinstance(items, Sized) else "?"
    for number, item in enumerate(items):
        pulse.beat(f"{title}: {number} of {total}")
        yield item
