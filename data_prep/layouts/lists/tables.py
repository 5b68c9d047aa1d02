"""Tables in whatever text lies beside a dataset: of commas, JSON, YAML, Markdown and settings."""

import csv
import re
from pathlib import PurePosixPath

from data_prep.files.file_tree import Tree
from data_prep.layouts.by_table import beginning, goes_on, without_title
from data_prep.layouts.lists.json_yaml import JSON_YAML, tables_in, tables_within
from data_prep.layouts.lists.members import Table, tables_of_members
from data_prep.layouts.lists.texts import content_of, markdown_tables
from data_prep.planning.part_words import fold_number, is_part_word

PLAIN = (".csv", ".tsv", ".txt", ".tab", ".psv", ".dat", ".list", ".lst", "")  # rows of text
TABLES = (*PLAIN, ".md", *JSON_YAML)
# Parts of a split as keys, not as numbers; `training` is a section of our own settings.
_PART_KEYS = re.compile(
    r"""(?:^|[{,])\s*["']?(?:train|val|valid|validation|test)["']?\s*:\s*"""
    r"(?!-?\.?\d|true\b|false\b|null\b)\S",
    re.MULTILINE,
)
_BINARY = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]")  # letters that no text has
_ROWS = 1000  # that tell of a table
_WORDS = re.compile(r"[\s,;\[\]{}\"':]+")  # between the words of JSON and YAML


def tables_of(tree: Tree, name: str) -> list[Table]:
    """Return the tables that a text holds, as far as its beginning tells.

    Names of cases in columns that are called as parts are one more, as are rows without a head, and
    what lies below sections and keys.
    """
    suffix = PurePosixPath(name).suffix.lower()
    text = beginning(tree, name)
    if suffix == ".md":
        return markdown_tables(text)
    found = tables_in(tree, name) if suffix in JSON_YAML else []
    if suffix not in JSON_YAML:
        columns = columns_of(tree, name)
        called = {h: fold_number(h) is not None or is_part_word(h) for h in columns}
        parts = [(h, cells) for h, cells in columns.items() if called[h]]
        found = [columns, *tables_of_members("split", parts), *rows_of_parts(tree, name)]
    if suffix not in JSON_YAML or not found:  # too large for its parser, or written wrongly
        found += tables_within(content_of(text), PurePosixPath(name).stem)
        if has_part_keys(tree, name):
            words = [word for word in _WORDS.split(text) if word]
            found.append({"": words, "split": words})
    return found


def is_text(tree: Tree, name: str) -> bool:
    """Tell by its beginning whether a file is a text."""
    text = beginning(tree, name)
    return bool(text) and _BINARY.search(text) is None


def is_cut(tree: Tree, name: str) -> bool:
    """Tell whether rows of a text follow that `tables_of` does not read."""
    rows = PurePosixPath(name).suffix.lower() not in JSON_YAML
    return rows and (goes_on(tree, name) or len(beginning(tree, name).splitlines()) > _ROWS)


def has_part_keys(tree: Tree, name: str) -> bool:
    """Tell whether a file of JSON or YAML has parts of a split as keys."""
    return _PART_KEYS.search(beginning(tree, name)) is not None


def rows_of_parts(tree: Tree, name: str) -> list[Table]:
    """Return the table of rows, perhaps without a head, of which most hold the name of a part."""
    lines = [line for line in beginning(tree, name).splitlines()[:_ROWS] if line.strip()]
    between = r"\s*\|\s*" if name.lower().endswith(".psv") else r"[,;\t]|\s+"
    rows = [[c.strip("\"'") for c in re.split(between, line)] for line in lines]
    if len(rows) < 2 or len({len(row) for row in rows}) > 1 or len(rows[0]) < 2:  # prose
        return []
    parts = [next(filter(is_part_word, row), "") for row in rows]
    if 2 * sum(map(bool, parts)) <= len(rows):
        return []
    columns = {str(k): [*cells] for k, cells in enumerate(zip(*rows, strict=True))}
    return [columns | {"split": parts}]


def columns_of(tree: Tree, name: str) -> Table:
    """Return the cells of each column of a table by its first, without rows that are cut short."""
    written = without_title(beginning(tree, name).splitlines()[:_ROWS])
    lines = [line for line in written if line.strip()]
    if not lines:
        return {}
    delimiter = max(",;\t|", key=lines[0].count)
    if delimiter not in lines[0]:
        rows = [line.split() for line in lines]
    else:
        rows = list(csv.reader(lines, delimiter=delimiter, skipinitialspace=True))
    head, *cells = [[cell.strip(" \"'") for cell in row] for row in rows]
    whole = [row for row in cells if len(row) == len(head)]
    return {column: [row[place] for row in whole] for place, column in enumerate(head)}
