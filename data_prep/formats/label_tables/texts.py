"""Tables of names in texts, whoever wrote them: columns, rows, objects of JSON, `LabelTable`.

| written | understood as |
|---|---|
| columns `index,name` or `LabelValue,Name,Color_R`, and no others | value and name of a row |
| rows `1 liver` or `1 liver 255 0 0 255` | so, too |
| `{"labels": {"1": "liver"}}`, `{"LabelMap": {"liver": 1}}` | so, each key |
| `{"categories": [{"id": 1, "name": "liver"}]}` | so, each object |

Without such a head or key, what is written so may be counts or measures as well: it is a table
only if all its names are known.
"""

import csv
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from data_prep.core.parse import parse_json
from data_prep.formats.label_tables.entries import SILENT, table_of
from data_prep.formats.label_tables.in_header import in_xml
from data_prep.formats.structure_names import plain

# Value, red, green, blue, opacity, whether it is shown and meshed, name.
_DESCRIBED = re.compile(r'^\s*(\d{1,9})(?:\s+\d{1,3}){3}\s+[\d.]+\s+[01]\s+[01]\s+"(.*)"\s*$')
# Value, name, and perhaps red, green, blue and opacity.
_ROW = re.compile(
    r"""^\s*(\d{1,9})\s*[\s,;:=]\s*["']?([^\W\d][^,;:="'\t]*?)["']?((?:[\s,;]+\d{1,3}){3,4})?\s*$"""
)
_REMARK = re.compile(r"\s*(#.*)?")
_IGNORED = "__ignore__"  # a first line of LabelMe that is of value -1
_BACKGROUND = ("background", "clear label", "unlabeled", "unlabelled", "bg", "none", "exterior")
# Names of columns and keys, without what is no letter.
_VALUES = ("index", "value", "labelvalue", "labelid", "labelnumber", "id", "key", "number", "label")
_NAMES = ("name", "labelname", "structure", "structurename", "class", "classname", "label")
_MORE = re.compile(
    r"colou?rs?(hex|rgba?|code|[rgba])?|[rgba]|red|green|blue|alpha|opacity|hex|rgba?|abbreviation"
    r"|abbr|mapping|description|terminology|visible|show|supercategory"
)
_MAPS = (
    *("labels", "labelmap", "labelmapping", "labelnames", "classes", "classnames", "classmap"),
    *("names", "categories", "segments", "structures", "idtoname", "nametoid"),
)
_MOST = (1 << 16) - 1  # values
_LONGEST = 300  # letters of a row


def names_in(text: str, suffix: str, known: Collection[str], *, sure: bool) -> dict[int, str]:
    """Return the names by value that a text gives; none if it is no table of names.

    Args:
        text: of the file.
        suffix: of its name, in lower case.
        known: names of classes, see `plain`.
        sure: whether the file is called as a table of names, so that rows and keys alone tell one.

    Raises:
        ValueError, TypeError, AttributeError, KeyError, csv.Error: for some of what is no table.
        DataError: as `in_xml`.
    """
    if suffix == ".json":
        return _in_json(parse_json(text, object), known, sure=sure)
    if suffix == ".xml":
        return in_xml(text.encode())
    lines = [line for line in text.splitlines() if not _REMARK.fullmatch(line)]
    readers: tuple[Callable[[list[str]], dict[int, str]], ...] = (_described, _in_columns)
    for read in readers:
        if table := read(lines):
            return table
    first = plain(lines[0]) if lines else ""
    if sure and (first == _IGNORED or first.strip("_") in _BACKGROUND):
        return in_lines(lines)
    return _if(_in_rows(lines), known, sure=sure)


def in_dcmqi(content: Any) -> dict[int, str]:
    """Return the names by value in dcmqi's `segmentAttributes`; none without them."""
    several = content.get("segmentAttributes", [])
    return table_of((int(one["labelID"]), _called(one)) for file in several for one in file)


def in_lines(lines: list[str]) -> dict[int, str]:
    """Return the names by value in LabelMe's lines, one for each value."""
    ignored = bool(lines) and lines[0].strip() == _IGNORED
    return table_of(enumerate(lines, -1 if ignored else 0))


def _called(segment: dict) -> str:
    """Return the first name of a segment that tells something."""
    code = segment.get("SegmentedPropertyTypeCodeSequence", {}).get("CodeMeaning", "")
    names = (segment.get("SegmentLabel", ""), segment.get("SegmentDescription", ""), code)
    return next((str(name) for name in names if not SILENT.fullmatch(str(name))), "")


def _described(lines: list[str]) -> dict[int, str]:
    matches = filter(None, map(_DESCRIBED.match, lines))
    return table_of((int(match[1]), match[2]) for match in matches)


def _in_columns(lines: list[str]) -> dict[int, str]:
    """Return the names of columns of values and names; none if there are others than of colours."""
    delimiter = max(",;\t", key=lines[0].count) if lines else ","
    written = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
    rows = [[cell.strip(" '") for cell in row] for row in written]
    heads = [_bare(cell) for cell in rows[0]] if rows else []
    values = [k for word in _VALUES for k, head in enumerate(heads) if head == word][:1]
    names = [
        k for word in _NAMES for k, head in enumerate(heads) if head == word and k not in values
    ]
    others = [h for k, h in enumerate(heads) if k not in (*values, *names[:1])]
    if not values or not names or not all(map(_MORE.fullmatch, others)):
        return {}
    (value,), name = values, names[0]
    return _whole((row[value], row[name]) for row in rows[1:] if len(row) > max(value, name))


def _in_rows(lines: list[str]) -> dict[int, str]:
    if any(len(line) > _LONGEST for line in lines):
        return {}
    matches = [_ROW.match(line) for line in lines]
    return _whole((m[1], m[2]) for m in matches if m) if all(matches) else {}


def _in_json(content: Any, known: Collection[str], *, sure: bool) -> dict[int, str]:
    if isinstance(content, Mapping):
        if table := in_dcmqi(content):
            return table
        for key, value in content.items():
            called = _bare(str(key))
            if called in _MAPS and (table := _of_map(value)):
                # Below other keys, numbers by name are counts as well.
                numbered = called.startswith("label") or not isinstance(value, Mapping)
                stated = numbered or all(isinstance(name, str) for name in value.values())
                return _if(table, known, sure=stated)
    return _if(_of_map(content), known, sure=sure)


def _of_map(content: Any) -> dict[int, str]:
    """Return the names by value of objects that are a table of names; none of any others.

    Numbers by name may be of counts and marks as well, where one is there twice, or 0 is no
    background.
    """
    if isinstance(content, list):
        return _of_objects(content)
    if not isinstance(content, Mapping):
        return {}
    by_value = [(key, name) for key, name in content.items() if isinstance(name, str)]
    if by_value and len(by_value) == len(content):
        return _whole(by_value)
    by_name = {value: key for key, value in content.items() if type(value) is int}
    if len(by_name) != len(content) or not all(0 <= value <= _MOST for value in by_name):
        return {}
    marked = plain(str(by_name.get(0, _BACKGROUND[0]))).strip("_") not in _BACKGROUND
    return {} if marked else table_of(by_name.items())


def _of_objects(content: list[Any]) -> dict[int, str]:
    entries = []
    for one in content:
        keys = (
            {_bare(str(key)): value for key, value in one.items()} if isinstance(one, dict) else {}
        )
        value = next((keys[key] for key in _VALUES if type(keys.get(key)) is int), None)
        name = next((keys[key] for key in _NAMES if isinstance(keys.get(key), str)), None)
        if value is None or name is None:
            return {}
        entries.append((value, name))
    return _whole(entries)


def _whole(entries: Iterable[tuple[object, str]]) -> dict[int, str]:
    """Return a table of entries; none if a value is no whole number, or a name is there twice."""
    pairs = [(str(value).strip(), name) for value, name in entries]
    whole = all(re.fullmatch(r"[0-9]{1,9}", value) for value, _ in pairs)
    if not whole or len({plain(name) for _, name in pairs}) < len(pairs):
        return {}
    return table_of((int(value), name) for value, name in pairs)


def _if(table: dict[int, str], known: Collection[str], *, sure: bool) -> dict[int, str]:
    """Return a table that is sure to be one, or has several names and none that is not known."""
    names = [plain(name) for name in table.values() if plain(name) not in _BACKGROUND]
    return table if sure or (len(names) > 1 and {*names} <= {*known}) else {}


def _bare(name: str) -> str:
    return re.sub(r"[^a-z]", "", name.lower())
