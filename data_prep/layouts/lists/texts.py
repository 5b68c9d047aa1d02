"""What texts hold: tables of Markdown, and names below sections and keys of settings and of code.

A table of Markdown is a line of names, a line of dashes, and a line for each row. Else:

| written | understood as |
|---|---|
| `[test]`, then `c6` and `c7`, a line each | `{"test": ["c6", "c7"]}` |
| `[cases]`, then `test = c6, c7` | `{"cases": {"test": ["c6", "c7"]}}` |
| `test = [`, then `"c6",`, `"c7",` and `]` | `{"test": ["c6", "c7"]}` |
| `c6: test` | `{"c6": "test"}` |
"""

import re
from itertools import takewhile

_DASHES = re.compile(r"\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*")
_EDGES = re.compile(r"^\s*\|?|\|?\s*$")
_BAR = re.compile(r"(?<!\\)\|")
_MARKS = " \t`*\"'"
_LONGEST = 100  # letters of a key; longer ones are sentences
_TOLD = re.compile(r"<-|[:=]+")  # what a key is
_KEY = re.compile(r"(?:export |set )?([\w .\-/\"']+)")
_APART = re.compile(r"[\s,;\[\](){}\"']+")
_REMARKS = ("#", "//", ";", "--", "%")
_AROUND = " \t'\".-"


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


def content_of(text: str) -> dict[str, object]:
    """Return what sections and keys of a text hold, as the table above shows; empty without any.

    Lines that name no key are of the last one, or of their section.
    """
    found: dict[str, dict[str, list[str]]] = {"": {}}
    section = key = ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith(_REMARKS):
            continue
        if (head := _heading(line)) is not None:
            section, key = head, ""
            found.setdefault(section, {})
            continue
        told = _TOLD.search(line)
        named = _KEY.fullmatch(line[: told.start()][:_LONGEST].strip()) if told else None
        if told and named:
            key, line = named[1].strip(_AROUND), line[told.end() :]
        held = found[section].setdefault(key, [])
        held += [word for word in _APART.split(line) if word]
    top = {name: _content(held) for name, held in found.pop("").items() if name}
    return top | {name: _below(keys) for name, keys in found.items()}


def _heading(line: str) -> str | None:
    """Return the name of the section that a line begins: `test` of `[test]` and `[[test]]`."""
    name = line.strip("[]")
    bracketed = line.startswith("[") and line.endswith("]") and bool(name)
    return name.strip(_AROUND) if bracketed and not re.search(r"[\[\],;=]", name) else None


def _below(keys: dict[str, list[str]]) -> object:
    """Return what a section holds: its lines where it has no keys, else those under no key."""
    held = {name: _content(words) for name, words in keys.items()}
    return keys[""] if [*keys] == [""] else held


def _content(words: list[str]) -> object:
    return words[0] if len(words) == 1 else words
