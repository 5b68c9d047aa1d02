"""Tables in JSON and YAML: records, one a line or in a list, and names of cases as keys."""

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import yaml

from data_prep.core.errors import DataError
from data_prep.core.parse import MAX_LIST_BYTES, check_yaml, parse_json
from data_prep.files.file_tree import Tree
from data_prep.planning.part_words import FOLD

Table = dict[str, list[str]]  # cells of each column
JSON_YAML = (".json", ".jsonl", ".ndjson", ".yaml", ".yml")
_LINES = (".jsonl", ".ndjson")
_MOST_YAML = 1 << 16  # bytes; its parser is slow
_DEPTH = 3  # of records within an object


def tables_in(tree: Tree, name: str) -> list[Table]:
    """Return the tables that a file of JSON or YAML holds; none if it cannot be read, or is large.

    Keys that name something each, such as cases, are a column without a name; what they hold is
    one that is called as the file, or a column for each of their own keys.
    """
    suffix = PurePosixPath(name).suffix.lower()
    most = _MOST_YAML if suffix in (".yaml", ".yml") else MAX_LIST_BYTES
    try:
        data = tree.read(name, most + 1)
        if len(data) > most:
            return []
        if suffix in _LINES:
            content: Any = [parse_json(line) for line in data.splitlines() if line.strip()]
        elif suffix == ".json":
            content = parse_json(data, object)
        else:
            content = check_yaml(data.decode("utf-8-sig"))
    except (DataError, ValueError, RecursionError, yaml.YAMLError):
        return []  # whatever it is, no table that could be read
    return _tables_in(content, PurePosixPath(name).stem, _DEPTH)


def _tables_in(content: object, called: str, depth: int) -> list[Table]:
    if isinstance(content, list):
        return _of_records([record for record in content if isinstance(record, dict)])
    if not isinstance(content, dict):
        return []
    plain = {key: _cell(value) for key, value in content.items() if _is_cell(value)}
    inner = {key: value for key, value in content.items() if isinstance(value, dict)}
    lists = [
        (str(key), str(one))
        for key, value in content.items()
        if isinstance(value, list)
        for one in value
        if _is_cell(one)
    ]
    folds = all(FOLD.fullmatch(key) for key, _ in lists)
    found = [{"": [*map(str, plain)], called: [*plain.values()]}] if len(plain) > 1 else []
    found += _of_records([{"": key} | record for key, record in inner.items()])
    if len(lists) > 1:
        members = [member for _, member in lists]
        found.append({"": members, "fold" if folds else called: [key for key, _ in lists]})
    for key, value in content.items() if depth else ():
        found += _tables_in(value, str(key), depth - 1)
    return found


def _of_records(records: Sequence[Mapping[Any, object]]) -> list[Table]:
    keys = dict.fromkeys(key for record in records for key in record)
    columns = {str(key): [_cell(record.get(key)) for record in records] for key in keys}
    return [columns] if len(records) > 1 else []


def _is_cell(value: object) -> bool:
    return isinstance(value, str | int | float)


def _cell(value: object) -> str:
    return str(value) if _is_cell(value) else ""
