"""The layout told by a table in the dataset: commas, semicolons or tabs."""

import csv
import io
import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE, getincrementaldecoder
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import PurePosixPath

from data_prep.core.errors import DataError
from data_prep.core.findings import Finding
from data_prep.core.memory_limits import room
from data_prep.core.parse import MAX_BYTES, check_values, plainly
from data_prep.files.file_tree import Tree
from data_prep.formats.registry import stem
from data_prep.layouts.by_list import pair, several_lists
from data_prep.layouts.cases import (
    Case,
    Layout,
    alike,
    groups_in,
    inside,
    kept_apart,
    layout_of,
)
from data_prep.layouts.lists.in_vain import GROUPING, parts_told
from data_prep.layouts.words import Role, by_role, names_validation, role_of, split_of

_START = 1 << 16  # bytes that hold the names of the columns
_UTF16 = (BOM_UTF16_LE, BOM_UTF16_BE)
_SEPARATOR = re.compile(r"sep=([,;\t])\r?\n", re.IGNORECASE)
_TITLE = 10  # lines that may be of a title
_BETWEEN = re.compile(r"[,;\t|]")  # cells
_REMARK = re.compile(r"#|sep=", re.IGNORECASE)


def csv_list(tree: Tree) -> Layout | None:
    """The only CSV or TSV file with a column `image`, perhaps `label`, `id`, `patient`, `fold`.

    Columns may have other usual names, see `role_of`. Those that are not used are noted.

    Raises:
        DataError: LAY_LISTS if several have one; LAY_CSV if it has no rows, or cannot be taken
            apart into rows of columns that are there once; LAY_COLUMNS as `parts_told`; as
            `Tree.read` if it cannot be read.
    """
    tables = [name for name in tree.names if name.lower().endswith((".csv", ".tsv"))]
    names = [name for name in tables if _lists(tree, name)]
    if len(names) > 1:
        raise several_lists(names)
    if not names:
        return None
    (name,) = names
    try:
        rows, unused = _rows(tree.read(name, MAX_BYTES + 1), name)
    except (ValueError, csv.Error) as error:
        raise DataError("LAY_CSV", plainly(error), "repair the list", file=name) from error
    results = [_of_row(tree, name, row, more) for row, more in rows]
    cases = [result for result in results if isinstance(result, Case)]
    problems = [result for result in results if isinstance(result, DataError)]
    absent = {problem.code for problem in problems} == {"PAIR_NO_IMAGE"}
    if absent and len(problems) > 1 and not cases:  # the list is of something else
        found = f"it lists images, and none of {len(problems)} is there"
        fix = "name them by their paths from where it lies, or take it out of the dataset"
        raise DataError("LAY_CSV", found, fix, file=name)
    validating = sum(names_validation(row.get("split"), row.get("fold")) for row, _ in rows)
    findings = (*kept_apart(validating, name), *unused)
    layout = layout_of("csv", cases, problems, None, alike(cases), findings)
    return replace(layout, listed_in=name)


def _lists(tree: Tree, name: str) -> bool:
    """Tell by its first line whether a table lists images, whatever is wrong further on."""
    return "image" in roles_in(tree, name)


def roles_in(tree: Tree, name: str) -> set[Role | None]:
    """Return what the columns of a table hold, by its first line."""
    return set(map(role_of, columns_in(tree, name)))


def columns_in(tree: Tree, name: str) -> list[str]:
    """Return the names of the columns of a table, by its first line."""
    return _columns(beginning(tree, name))


def beginning(tree: Tree, name: str) -> str:
    """Return how a text begins, whatever its encoding; empty if it cannot be read."""
    try:
        start = tree.read(name, min(_START, room(100)))
    except DataError:
        return ""  # `find_layout` tells of it
    decoder = getincrementaldecoder("utf-16" if start.startswith(_UTF16) else "utf-8-sig")()
    with suppress(UnicodeDecodeError):
        return decoder.decode(start).replace("\0", "")
    return start.replace(b"\0", b"").decode("latin-1").lstrip("\xef\xbb\xbf\xff\xfe")


def goes_on(tree: Tree, name: str) -> bool:
    """Tell whether a text is longer than its `beginning`."""
    most = min(_START, room(100))
    try:
        return len(tree.read(name, most + 1)) > most
    except DataError:
        return False


def without_title(lines: Sequence[str]) -> Sequence[str]:
    """Return the lines of a table from that on that names its columns, without those of a title.

    A title is of one cell, which others may follow that are empty, where some line below has
    several; or an empty line follows, and one of as many cells. None of it is a known column.

    Args:
        lines: of the text, empty ones too.
    """
    cells = [[cell.strip(" '\"") for cell in _BETWEEN.split(line)] for line in lines[: 2 * _TITLE]]
    number = [sum(map(bool, found)) for found in cells]
    for k, found in enumerate(cells[:_TITLE]):
        rest = [*filter(None, number[k + 1 :])]
        if not number[k]:
            continue
        alone = number[k] == 1 < max(rest, default=0) and bool(found[0])
        apart = rest and number[k] <= rest[0] > 1 and not number[k + 1]
        if any(map(role_of, found)) or not (alone or apart):
            return lines[k:]
    return lines


def _columns(text: str) -> list[str]:
    """Return the names in the first line that is neither empty, a remark nor a title."""
    lines = [line.strip() for line in text.splitlines()]
    kept = without_title([line for line in lines if not _REMARK.match(line)])
    head = next((line for line in kept if line.strip(",;\t")), "")
    return [name.strip(" '\"") for name in re.split("[,;\t]", head)]


def _rows(
    data: bytes, name: str
) -> tuple[list[tuple[dict[Role, str], list[str]]], tuple[Finding, ...]]:
    """Return each row by what its columns hold with its cells beyond them; and what is not used.

    Raises:
        ValueError: with what is wrong in it; csv.Error for quotes that are not closed.
    """
    if len(data) > MAX_BYTES:
        raise ValueError(f"more than {MAX_BYTES} bytes")
    encoding = "utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8: {error.reason}") from error
    if "\0" in text:
        raise ValueError("it is not UTF-8: bytes of 0")
    if said := _SEPARATOR.match(text):  # as Excel writes for itself
        text = text[said.end() :]
    head = text.partition("\n")[0]
    delimiter = said[1] if said else max(",;\t", key=head.count)
    check_values(text, f"{delimiter}\n")
    file = io.StringIO(text, newline="")
    lines = csv.reader(file, delimiter=delimiter, skipinitialspace=True, strict=True)
    columns = [column.strip() for column in next(lines)]
    lower = [column.lower() for column in columns]
    if twice := sorted({name for name in lower if name and lower.count(name) > 1}):
        raise ValueError(f"column {twice[0]!r} is there twice")
    roles, unused = by_role([column for column in columns if column])
    if "image" not in roles:
        raise ValueError("the first line does not name the columns")
    rows = [row for row in lines if any(cell.strip() for cell in row)]
    if not rows:
        raise ValueError("no row below the names of the columns")
    # Of a quote that is closed only by that of a later row.
    if broken := next((cell for row in rows for cell in row if "\n" in cell), None):
        raise ValueError(f"a cell of several lines: {broken!r:.80}")
    places = {role: columns.index(column) for role, column in roles.items()}
    found = [
        ({r: row[k] if k < len(row) else "" for r, k in places.items()}, row[len(columns) :])
        for row in rows
    ]
    others = {
        column or f"number {k + 1}, without a name": cells
        for k, column in enumerate(columns)
        if (column in unused or not column)
        and (any(cells := [row[k] if k < len(row) else "" for row in rows]) or column)
    }
    split = [row.get("split", "") for row, _ in found] if "split" in roles else ()
    grouped = {roles[r]: [row[r] for row, _ in found] for r in GROUPING if r in roles}
    files: dict[Role | None, list[str]] = {r: [row[r] for row, _ in found] for r in roles}
    parts, findings = parts_told("columns", others, name, split, roles, grouped, files=files)
    for (row, _), part in zip(found, parts, strict=False):
        row["split"] = part
    return found, findings


def _of_row(tree: Tree, name: str, row: dict[Role, str], more: list[str]) -> Case | DataError:
    """Return the case of a row, or what is wrong with it."""
    root = PurePosixPath(name).parent
    if not row["image"].strip():
        found, case = "its row names no image", row.get("id") or stem(row.get("label") or name)
        return DataError("PAIR_NO_IMAGE", found, "add it, or remove the row", case=case, file=name)
    images = [inside(tree, root, image, name) for image in re.split(r"\s*\|\s*", row["image"])]
    label = inside(tree, root, row["label"], name) if row.get("label") else None
    try:
        if any(more):
            raise ValueError(
                f"{len(more)} cells more than columns: {', '.join(map(repr, more[:4]))}"
            )
        split = split_of(row.get("split", ""), row.get("fold", ""))
    except ValueError as error:
        case = row.get("id") or images[0]
        return DataError("LAY_FOLD", str(error), "repair the row", case=case, file=name)
    return pair(tree, images, label, split, row.get("id") or None, groups_in(row))
