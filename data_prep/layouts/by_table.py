"""The layout told by a CSV table in the dataset."""

import csv
import io
import re
from pathlib import PurePosixPath

from data_prep.core.errors import DataError
from data_prep.core.parse import MAX_BYTES, whole
from data_prep.files.file_tree import Tree
from data_prep.layouts.by_list import pair, several_lists
from data_prep.layouts.cases import Case, Layout, groups_in, inside, layout_of

_SPLITS = {
    **dict.fromkeys(("", "train", "training")),
    **dict.fromkeys(("test", "testing", "val", "validation"), "test"),
}


def csv_list(tree: Tree) -> Layout | None:
    """The only CSV file with a column `image`, perhaps `label`, `id`, `patient`, `split`, `fold`.

    Raises:
        DataError: LAY_LISTS if several have one; LAY_CSV if it is no UTF-8, or a column is there
            twice.
    """
    names = [name for name in tree.names if name.lower().endswith(".csv")]
    tables = [(name, rows) for name in names if (rows := _rows(tree, name)) is not None]
    if len(tables) > 1:
        raise several_lists([name for name, _ in tables])
    if not tables:
        return None
    ((name, rows),) = tables
    results = [_of_row(tree, name, row, more) for row, more in rows]
    cases = [result for result in results if isinstance(result, Case)]
    return layout_of("csv", cases, [r for r in results if isinstance(r, DataError)])


def _rows(tree: Tree, name: str) -> list[tuple[dict[str, str], list[str]]] | None:
    """Return each row of a list of images by column, and its cells that have none.

    `None` for some other table.
    """
    try:
        data = tree.read(name, MAX_BYTES + 1)
    except DataError:
        return None  # `find_layout` tells of it
    encoding = "utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        text, wrong = data.decode(encoding), None
    except UnicodeDecodeError as error:
        text, wrong = data.decode("latin-1"), f"it is not UTF-8: {error.reason}"
    try:
        columns, *rows = csv.reader(io.StringIO(text), dialect=_dialect(text), strict=True)
    except (ValueError, csv.Error):
        return None
    columns = [column.strip().lower() for column in columns]
    if "image" not in columns or not rows:
        return None
    twice = sorted({column for column in columns if column and columns.count(column) > 1})
    wrong = wrong or (f"column {twice[0]!r} is there twice" if twice else None)
    wrong = wrong or (f"more than {MAX_BYTES} bytes" if len(data) > MAX_BYTES else None)
    if wrong:
        raise DataError("LAY_CSV", wrong, "repair the list", file=name)
    width, empty = len(columns), dict.fromkeys(columns, "")
    return [
        (empty | dict(zip(columns, row, strict=False)), row[width:]) for row in rows if any(row)
    ]


def _of_row(tree: Tree, name: str, row: dict[str, str], more: list[str]) -> Case | DataError:
    """Return the case of a row, or what is wrong with it."""
    root = PurePosixPath(name).parent
    images = [inside(root, image, name) for image in re.split(r"\s*\|\s*", row["image"])]
    label = inside(root, row["label"], name) if row.get("label") else None
    try:
        if any(more):
            raise ValueError(f"more cells than columns: {more}")
        split = _split_of(row.get("split", ""), row.get("fold", ""))
    except ValueError as error:
        case = row.get("id") or images[0]
        return DataError("LAY_FOLD", str(error), "repair the row", case=case, file=name)
    return pair(tree, images, label, split, row.get("id") or None, groups_in(row))


def _split_of(split: str, fold: str) -> str | int | None:
    """Return `test`, a number of a fold, or `None`, of two columns that must agree.

    Raises:
        ValueError: for what is neither, or if they do not.
    """
    told = {
        _SPLITS[text] if text in _SPLITS else whole(text, low=0)
        for text in (split.strip().lower(), fold.strip().lower())
    } - {None}
    if len(told) > 1:
        raise ValueError(f"split {split!r} and fold {fold!r} do not agree")
    return told.pop() if told else None


def _dialect(text: str) -> type[csv.Dialect]:
    try:
        return csv.Sniffer().sniff(text[:4096], ",;\t")
    except csv.Error:  # a single column has no delimiter to be found
        return csv.excel
