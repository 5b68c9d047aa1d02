"""Tables beside a dataset that no layout reads, and may tell a split or groups of its cases."""

import csv
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from data_prep.core.findings import Subject
from data_prep.files.file_tree import Tree
from data_prep.formats.registry import stem
from data_prep.layouts.by_table import beginning
from data_prep.layouts.cases import Case, Layout
from data_prep.layouts.dicom_files import hashed
from data_prep.layouts.lists.columns import may_group, may_tell_parts, told_parts
from data_prep.layouts.lists.json_yaml import JSON_YAML, Table, tables_in
from data_prep.layouts.words import part_of_folders, role_of
from data_prep.planning.part_words import is_part_word

# Parts of a split as keys, not as numbers; `training` is a section of our own settings.
_PART_KEYS = re.compile(
    r'(?:^|[{,])\s*"?(?:train|val|valid|validation|test)"?\s*:\s*'
    r"(?!-?\.?\d|true\b|false\b|null\b)\S",
    re.MULTILINE,
)
_PARTED = ("split", "fold")  # columns whose name tells a split
_ROWS = 1000  # that tell of a table
_WORDS = re.compile(r"[\s,;\[\]{}\"':]+")  # between the words of JSON and YAML


@dataclass(frozen=True)
class Named:
    """Names in a table that are those of cases, or of what several are of, such as patients.

    Attributes:
        number: of different names, which are not shown: they may be those of people.
        cases: ids of those they name.
        own: whether all are ids, as settings want them.
        about: what the table may tell, and the dataset does not.
    """

    number: int
    cases: frozenset[str]
    own: bool
    about: tuple[Subject, ...] = ()


def named_by_tables(tree: Tree, names: Iterable[str], layout: Layout) -> dict[str, Named]:
    """Return what tables name of a dataset, of those that tell a split or groups of it.

    What the dataset states itself is not told again. A file that is called by a part of a split,
    such as `val.csv`, tells it of the cases that it names, if those are not all.

    Args:
        tree: the dataset.
        names: of tables, texts or files of JSON or YAML.
        layout: of the cases.
    """
    called = _names_of((*layout.cases, *layout.unlabelled))
    found = {name: _named_by(tree, name, layout, called) for name in names}
    return {name: named for name, named in found.items() if named}


def _named_by(
    tree: Tree, name: str, layout: Layout, called: Mapping[str, set[str]]
) -> Named | None:
    cases = (*layout.cases, *layout.unlabelled)
    suffix = PurePosixPath(name).suffix.lower()
    if len(cases) < 2 or suffix not in (".csv", ".tsv", ".txt", *JSON_YAML):
        return None
    if suffix in JSON_YAML:
        tables = tables_in(tree, name)
        parted, of_groups = _what_is_told(tables)
        words = [word for word in _WORDS.split(beginning(tree, name)) if word]
        columns = [words] if has_part_keys(tree, name) else []
        parted |= bool(columns)
    else:
        tables, columns = [_columns_of(tree, name)], []
        parted, of_groups = _what_is_told(tables)
        parted |= has_parts(tree, name)
    columns += [[head, *cells] for table in tables for head, cells in table.items()]
    found = max((_named(cells, called) for cells in columns), key=_number, default=None)
    if found is None:
        return None
    if about := not_stated(layout, split=parted, groups=of_groups):
        return replace(found, about=about) if 2 * len(found.cases) > len(cases) else None
    of_part = part_of_folders([stem(name)]) is not None and not states_split(layout)
    some = of_part and 1 < len(found.cases) < len(cases)
    return replace(found, about=("split",)) if some else None


def not_stated(layout: Layout, *, split: bool = True, groups: bool = True) -> tuple[Subject, ...]:
    """Return what of a split and groups, if those are asked about, a dataset says not itself."""
    asked: dict[Subject, bool] = {
        "split": split and not states_split(layout),
        "groups": groups and not states_groups(layout),
    }
    return tuple(subject for subject, open_ in asked.items() if open_)


def states_split(layout: Layout) -> bool:
    """Tell whether a dataset says itself which cases are for testing, or its folds."""
    cases = (*layout.cases, *layout.unlabelled)
    return bool(layout.apart) or any(case.split is not None for case in cases)


def states_groups(layout: Layout) -> bool:
    """Tell whether a dataset says itself whose its cases are."""
    return any(case.group or case.patient for case in (*layout.cases, *layout.unlabelled))


def keys_tell(tree: Tree, name: str) -> bool:
    """Tell whether a file of JSON or YAML holds parts of a split or groups, whatever of."""
    return has_part_keys(tree, name) or any(_what_is_told(tables_in(tree, name)))


def _what_is_told(tables: Iterable[Table]) -> tuple[bool, bool]:
    """Tell whether a column of tables tells parts of a split, and whether one tells groups."""
    every = (column for table in tables for column in table.items())
    columns = [(head, cells) for head, cells in every if head and any(cells)]
    parted = any(
        told_parts(head, cells) or may_tell_parts(head, cells) or role_of(head) in _PARTED
        for head, cells in columns
    )
    of_groups = any(
        role_of(head) in ("group", "patient") or may_group(head, cells) for head, cells in columns
    )
    return parted, of_groups


def has_part_keys(tree: Tree, name: str) -> bool:
    """Tell whether a file of JSON or YAML has parts of a split as keys."""
    return _PART_KEYS.search(beginning(tree, name)) is not None


def has_parts(tree: Tree, name: str) -> bool:
    """Tell whether most rows of a table, perhaps without names of columns, hold a part's name."""
    lines = [line for line in beginning(tree, name).splitlines()[:_ROWS] if line.strip()]
    rows = [re.split(r"[,;\t]|\s+", line) for line in lines]
    if len(rows) < 2 or len({len(row) for row in rows}) > 1:  # prose
        return False
    parted = [len(row) > 1 and any(is_part_word(cell.strip("\"'")) for cell in row) for row in rows]
    return 2 * sum(parted) > len(rows)


def _columns_of(tree: Tree, name: str) -> dict[str, list[str]]:
    """Return the cells of each column of a table by its first, without rows that are cut short."""
    lines = [line for line in beginning(tree, name).splitlines()[:_ROWS] if line.strip()]
    if not lines:
        return {}
    delimiter = max(",;\t", key=lines[0].count)
    if delimiter not in lines[0]:
        rows = [line.split() for line in lines]
    else:
        rows = list(csv.reader(lines, delimiter=delimiter, skipinitialspace=True))
    head, *cells = [[cell.strip(" \"'") for cell in row] for row in rows]
    whole = [row for row in cells if len(row) == len(head)]
    return {column: [row[place] for row in whole] for place, column in enumerate(head)}


def _names_of(cases: Iterable[Case]) -> Mapping[str, set[str]]:
    """Return the ids of cases by what may name them: id, beginnings of it, folders, and group."""
    called: dict[str, set[str]] = defaultdict(set)
    for case in cases:
        ends = [found.start() for found in re.finditer(r"(?<=[^\W_])[\W_]", case.id)]
        names = [case.id, *(case.id[:end] for end in ends)]
        names += [*PurePosixPath(case.image).parts[:-1], case.group or "", case.patient or ""]
        names += [name.removeprefix("sub-") for name in names]
        for name in names:
            called[name.casefold()].add(case.id)
    return called


def _named(cells: Iterable[str], called: Mapping[str, set[str]]) -> Named | None:
    """Return what cells of a column name, if most do and no name is of all cases."""
    all_ = set[str]().union(*called.values())
    different = {cell: stem(cell).casefold() for cell in cells if cell}
    keys = {cell: (cell.casefold(), name, hashed(cell)) for cell, name in different.items()}
    found = {cell: next((called[k] for k in ks if k in called), all_) for cell, ks in keys.items()}
    there = {cell: ids for cell, ids in found.items() if ids != all_}
    if not there or 2 * len(there) < len(different):
        return None
    own = all(ids in ({cell}, {stem(cell)}) for cell, ids in there.items())
    return Named(len(there), frozenset().union(*there.values()), own)


def _number(found: Named | None) -> int:
    return len(found.cases) if found else 0
