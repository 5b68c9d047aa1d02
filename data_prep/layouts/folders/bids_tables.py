"""Tables of scans and of sessions in BIDS: each is of one subject, and all of them are one table.

| written | understood as |
|---|---|
| `anat/sub-1_T1w.nii.gz` in a row of `sub-1/sub-1_scans.tsv` | of the case of this file |
| `ses-2` in the first column of `sub-1/sub-1_sessions.tsv` | of all cases of `sub-1` in `ses-2` |
"""

from collections import defaultdict
from collections.abc import Iterable
from itertools import islice
from pathlib import PurePosixPath

from data_prep.files.file_tree import Tree
from data_prep.formats.registry import stem
from data_prep.layouts.cases import Layout
from data_prep.layouts.lists.tables import columns_of

_KINDS = ("scans", "sessions")
_MOST = 4096  # files that are read


def rows_of_cases(
    tree: Tree, names: Iterable[str], layout: Layout
) -> dict[tuple[str, ...], list[tuple[str, dict[str, str]]]]:
    """Return the rows that tables of one subject each hold of cases, by the tables of one kind.

    Args:
        tree: the dataset.
        names: of its files; others are passed over, as are rows of scans that are no case.
        layout: of the cases.

    Returns:
        for the names of the tables, ids of cases with the cells of their rows by column.
    """
    cases = (*layout.cases, *layout.unlabelled, *layout.apart)
    owners: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for case in cases:
        subject, *entities = stem(case.image).split("_")
        sessions = [entity for entity in entities if entity.startswith("ses-")]
        for session in sessions:
            owners[subject, session].add(case.id)
        for name in case.files:
            owners[(stem(name),)].add(case.id)
    tables: dict[str, list[str]] = defaultdict(list)
    for name in islice(filter(_kind, names), _MOST):
        tables[_kind(name)].append(name)
    found = {}
    for kind, alike in tables.items():
        rows = [row for name in alike for row in _rows(tree, name, kind, owners)]
        if rows:
            found[tuple(alike)] = rows
    return found


def _kind(name: str) -> str:
    """Return what a table of one subject is of; empty for any other file."""
    path = PurePosixPath(name)
    kind = path.stem.rpartition("_")[2]
    of_one = path.name.startswith("sub-") and path.suffix.lower() == ".tsv"
    return kind if of_one and kind in _KINDS else ""


def _rows(
    tree: Tree, name: str, kind: str, owners: dict[tuple[str, ...], set[str]]
) -> list[tuple[str, dict[str, str]]]:
    table = columns_of(tree, name)
    subject = PurePosixPath(name).stem.split("_")[0]
    found = []
    for cells in zip(*table.values(), strict=True):
        keys: list[tuple[str, ...]] = [(stem(cell),) for cell in cells]
        if kind == "sessions":
            keys = [(subject, f"ses-{cells[0].removeprefix('ses-')}")]
        row = {head: "" if c == "n/a" else c for head, c in zip(table, cells, strict=True)}
        found += [(id_, row) for key in keys for id_ in sorted(owners.get(key, ()))]
    return found
