"""Text that comes from files, shown so that it does nothing: to a terminal, to a reader's eye.

File names, ids, headers and labels are whatever somebody wrote. Control characters could move a
terminal's cursor or forge a line, characters of direction show a name backwards.
"""

import json
import logging
import re
import sys
from collections.abc import Iterator, Mapping
from io import TextIOWrapper
from typing import TextIO

# From where an absolute path begins to its last name; what looks like one in a message is cut, too.
_PLACE = re.compile(
    r"(?:(?<![\w.:/\\-])|(?<=^-\w))"
    r"(?:file:/+|~\w*/|/|[A-Za-z]:[/\\])"
    r"(?:[^\"'\n,;\[\]{}()]*[/\\])?(?=[^\s/\\])"
)
# What stands in quotes, as `repr` writes it: words of somebody else.
_WORDS = re.compile(r"(?<!\w)('(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")")


def inert(text: str, kept: str = "") -> str:
    r"""Return text in which every character that does not print is shown by its number.

    Args:
        text: any text.
        kept: characters that stay as they are, such as line ends.

    Examples:
        >>> inert("a\nb\x1b[2J")
        'a\\nb\\x1b[2J'
    """
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or c in kept else c.encode("unicode_escape").decode() for c in text
    )


def plain_name(text: str) -> str:
    r"""Return text as a name that is in no folder: without slashes and what does not print.

    Examples:
        >>> plain_name("../x\n")
        '.._x_'
    """
    return "".join(c if c.isprintable() and c not in "/\\" else "_" for c in text)


def inert_json(record: object) -> str:
    """Return indented JSON whose characters all print; names of any script stay readable.

    Raises:
        ValueError: for NaN or infinity, which JSON has no word for.
    """
    text = json.dumps(record, indent=1, allow_nan=False, ensure_ascii=False)
    if text.replace("\n", "").isprintable():
        return text
    # JSON's own way to write a character by its number.
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)


def placeless(text: str) -> str:
    """Return text for a record that others may get: of absolute paths, the last name alone.

    Examples:
        >>> placeless("--out=/srv/anna/runs/first")
        '--out=first'
    """
    return _PLACE.sub("", text)


def for_record(text: str) -> str:
    """Return a message for a record: without words in quotes and without places on a disk.

    Examples:
        >>> for_record("header line 'owner: Anna'")
        'header line ...'
    """
    return placeless(_WORDS.sub("...", text))


class InertStream:
    """A stream that shows what is written to it so that it does nothing, but for line ends."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write text; return how many characters of it."""
        self._stream.write(inert(text, "\n\r\t"))
        return len(text)

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


def make_streams_inert() -> None:
    """Show so whatever this process prints: warnings, tracebacks and logs of libraries included."""
    streams: Mapping[str, TextIO | None] = {"stdout": sys.stdout, "stderr": sys.stderr}
    for name, stream in streams.items():
        if stream is not None and not isinstance(stream, InertStream):
            # A terminal of few letters shows the others by their number, too.
            if isinstance(stream, TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")
            shown = InertStream(stream)
            setattr(sys, name, shown)
            for handler in _log_handlers():
                if handler.stream is stream:
                    handler.setStream(shown)


def _log_handlers() -> Iterator[logging.StreamHandler]:
    """Yield those of all loggers, which libraries make when they are imported."""
    for logger in (logging.root, *logging.root.manager.loggerDict.values()):
        for handler in getattr(logger, "handlers", ()):  # a place for a logger has none
            if isinstance(handler, logging.StreamHandler):
                yield handler


def exact_text(data: bytes) -> str:
    """Return bytes as text that has no place for two readings: whole UTF-8, nothing replaced.

    Raises:
        ValueError: if it is not UTF-8, or holds U+FFFD, which stands for what others lost.
    """
    text = data.decode("utf-8")
    if "\ufffd" in text:
        raise ValueError("letters that were lost before, of which U+FFFD is left")
    return text
