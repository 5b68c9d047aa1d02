"""Tables in Markdown: a line of names, a line of dashes, and a line for each row."""

import re
from itertools import takewhile

_DASHES = re.compile(r"\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*")
_EDGES = re.compile(r"^\s*\|?|\|?\s*$")
_BAR = re.compile(r"(?<!\\)\|")
_MARKS = " \t`*\"'"


def markdown_tables(text: str) -> list[dict[str, list[str]]]:
    """Return the tables of a text, the cells of each column by its name, without marks of type."""
    lines = text.splitlines()
    found = []
    for number, line in enumerate(lines[1:], start=1):
        head = _cells(lines[number - 1])
        if "|" in line and _DASHES.fullmatch(line) and len(_cells(line)) == len(head):
            rows = [_cells(row) for row in takewhile(lambda row: "|" in row, lines[number + 1 :])]
            whole = [row for row in rows if len(row) == len(head)]
            columns = {name: [row[k] for row in whole] for k, name in enumerate(head)}
            found += [columns] if whole else []
    return found


def _cells(line: str) -> list[str]:
    return [cell.strip(_MARKS) for cell in re.split(_BAR, re.sub(_EDGES, "", line))]
