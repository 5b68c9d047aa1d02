"""Tables: as CSV that a spreadsheet opens without running anything, as Markdown, as plain text."""

import csv
import html
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from data_prep.core.safe_text import inert
from data_prep.files.atomic import write_bytes

# A cell that begins so is a formula to a spreadsheet.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def write_csv(path: str | Path, columns: Sequence[str], rows: Sequence[Mapping]) -> None:
    """Write rows atomically, as `csv_bytes` gives them."""
    write_bytes(path, csv_bytes(columns, rows))


def csv_bytes(columns: Sequence[str], rows: Sequence[Mapping]) -> bytes:
    """Return rows as CSV; `None` as nothing, floats with nine digits.

    Text that a spreadsheet would take for a formula gets an apostrophe in front, as spreadsheets
    mark text themselves.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows([_written(row.get(column)) for column in columns] for row in rows)
    return text.getvalue().encode()


def markdown(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown, in which names stay text."""
    shown = [[plain_markdown(cell) for cell in row] for row in lines]
    rows = [head, ["---"] * len(head), *shown]
    return "".join("| " + " | ".join(row) + " |\n" for row in rows)


def aligned(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Return a table whose columns stand under each other, the first to the left."""
    rows = [[inert(cell) for cell in row] for row in (head, *lines)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    text = ""
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        text += "  ".join(cells).rstrip() + "\n"
    return text


def plain_markdown(text: str) -> str:
    r"""Return text that stays text in Markdown: no markup, no link, no HTML, one line.

    Examples:
        >>> plain_markdown("<b>*left* [x](y)")
        '&lt;b&gt;\\*left\\* \\[x\\](y)'
    """
    escaped = re.sub(r"([\\`*|~\[\]]|(?<!\w)_|_(?!\w))", r"\\\1", inert(" ".join(text.split())))
    escaped = re.sub("&(?!#)|[<>]", lambda found: html.escape(found[0]), escaped)
    # Without these, addresses would become links by themselves.
    return escaped.replace("://", "&#58;//").replace("www.", "www&#46;").replace("@", "&#64;")


def _written(value: object) -> object:
    if isinstance(value, float):
        return f"{value:.9g}"
    if isinstance(value, str):
        mark = "'" if value.startswith(_FORMULA) else ""
        return mark + inert(value, "\t")
    return value
