"""Tables in JSON and YAML: records, one a line or in a list, and names of cases as keys."""

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import yaml

from data_prep.core.errors import DataError
from data_prep.core.parse import MAX_LIST_BYTES, check_yaml, parse_json
from data_prep.files.file_tree import Tree
from data_prep.layouts.lists.columns import told_parts
from data_prep.layouts.lists.holders import tells_people
from data_prep.layouts.lists.members import DEPTH, Table, called_one, is_cell, tables_of_members
from data_prep.layouts.words import role_of
from data_prep.planning.part_words import is_part_word

JSON_YAML = (".json", ".jsonl", ".ndjson", ".yaml", ".yml", ".json5", ".jsonc")
_LINES = (".jsonl", ".ndjson")
# JSON5 and JSON with remarks, which YAML can read without these.
_REMARKED = (".json5", ".jsonc")
_REMARK = re.compile(r"(?:^|(?<=[\s{\[,]))//[^\n]*|/\*.*?\*/", re.DOTALL)
_MOST_YAML = 1 << 16  # bytes; its parser is slow
_MOST_COLUMNS = 1000  # of a table; more keys are names themselves
_MOST_INNER = 100  # lists and objects that are looked into alone, such as those of folds


def tables_in(tree: Tree, name: str) -> list[Table]:
    """Return the tables that a file of JSON or YAML holds; none if it cannot be read, or is large.

    Keys that name something each, such as cases, are a column without a name; what they hold is
    one that is called as the file, or a column for each of their own keys. What lists and objects
    hold that are called by a key is another such column, beside one of their names.
    """
    suffix = PurePosixPath(name).suffix.lower()
    most = MAX_LIST_BYTES if suffix in (".json", *_LINES) else _MOST_YAML
    try:
        data = tree.read(name, most + 1)
        if len(data) > most:
            return []
        if suffix in _LINES:
            content: Any = [parse_json(line) for line in data.splitlines() if line.strip()]
        elif suffix == ".json":
            content = parse_json(data, object)
        else:
            text = data.decode("utf-8-sig")
            content = check_yaml(re.sub(_REMARK, " ", text) if suffix in _REMARKED else text)
    except (DataError, ValueError, RecursionError, yaml.YAMLError):
        return []  # whatever it is, no table that could be read
    return tables_within(content, PurePosixPath(name).stem)


def tables_within(content: object, called: str, depth: int = DEPTH) -> list[Table]:
    """Return the tables in lists and objects, see `tables_in`.

    Args:
        content: of strings and numbers.
        called: what it is called by, such as the name of its file.
        depth: how deep it is looked into.
    """
    found: list[Table] = []
    inner: list[tuple[str, object]] = []
    if isinstance(content, list):
        records = [record for record in content if isinstance(record, dict)]
        found += _of_records([flat(record) for record in records])
        for key in _naming(records):
            found += tables_of_members(key, [(_cell(r[key]), r) for r in records if key in r])
        inner = [(called, record) for record in records]
        names = [str(name) for name in content if is_cell(name)]
        listed = depth == DEPTH or all(isinstance(name, str) for name in content)
        found += [{"": names}] if names and listed else []
    elif isinstance(content, dict):
        plain = {key: _cell(value) for key, value in content.items() if is_cell(value)}
        named = {key: value for key, value in content.items() if isinstance(value, dict)}
        # What the members of a part are of, such as numbers of a class, tells of no other part.
        of_members = is_part_word(called) and told_parts(called, [*plain.values()]) is None
        if len(plain) > 1 and not of_members:
            found.append({"": [*map(str, plain)], called_one(called): [*plain.values()]})
        found += _of_records([{"": key} | flat(record) for key, record in named.items()])
        inner = [(str(key), value) for key, value in content.items() if not is_cell(value)]
        found += tables_of_members(called, inner)
    for key, value in inner[:_MOST_INNER] if depth else ():
        found += tables_within(value, key, depth - 1)
    return found


def _of_records(records: Sequence[Mapping[Any, object]]) -> list[Table]:
    keys = dict.fromkeys(key for record in records for key in record)
    if len(records) < 2 or len(keys) > _MOST_COLUMNS:
        return []
    return [{str(key): [_cell(record.get(key)) for record in records] for key in keys}]


def flat(record: Mapping[Any, object], depth: int = DEPTH) -> dict[str, object]:
    """Return a record with what its objects hold: as `split`, and as `meta_split`, if it is in one.

    Its own keys are before those of its objects.
    """
    found = {str(key): value for key, value in record.items() if is_cell(value)}
    for key, value in record.items():
        inner = flat(value, depth - 1) if depth and isinstance(value, dict) else {}
        for name, cell in inner.items():
            found.setdefault(name, cell)
            found.setdefault(f"{key}_{name}", cell)
    return found


def _naming(records: Sequence[Mapping[Any, object]]) -> list[str]:
    """Return the keys by which each record may be called as a part of a split or a patient."""
    keys = dict.fromkeys(k for r in records for k, v in r.items() if is_cell(v))
    return [
        key
        for key in map(str, keys)
        if role_of(key) in ("split", "fold", "group", "patient")
        or tells_people(key)
        or all(is_part_word(r.get(key, "")) for r in records)
    ]


def _cell(value: object) -> str:
    return str(value) if is_cell(value) else ""
