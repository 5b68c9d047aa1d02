"""What names of files say of lists in them: of parts of a split, of patients, of cases at all."""

import re
from pathlib import PurePosixPath

from data_prep.layouts.lists.holders import tells_people
from data_prep.layouts.lists.tables import TABLES
from data_prep.planning.part_words import names_dividing, names_parts

# Tables that are not read, whatever they hold.
SHEETS = (
    *(".xlsx", ".xlsm", ".xls", ".ods", ".numbers", ".parquet", ".feather", ".sav", ".dta"),
    *(".sas7bdat", ".rds", ".accdb", ".mdb"),
)
# What tables may be in, too, and much else: they are those of a split by their names alone. What
# programs store is of parts and patients, too.
_PAGES = (".xml", ".html", ".htm", ".pdf", ".docx", ".xhtml", ".odt", ".rtf", ".tex")
_OF_PROGRAMS = (".pkl", ".pickle", ".mat", ".db", ".sqlite", ".sqlite3", ".arrow")
ARRAYS = (".npy", ".npz")
# Code, networks and what they wrote, which tell of no case by what they are called.
NO_LISTS = (
    *(".py", ".sh", ".ipynb", ".m", ".r", ".c", ".cpp", ".h", ".js", ".bat", ".ps1", ".css"),
    *(".log", ".out", ".err", ".cff", ".bib", ".pt", ".pth", ".ckpt", ".onnx", ".safetensors"),
    *(".bval", ".bvec", ".svg", ".mp4", ".avi", ".mov", *SHEETS),
)
NO_TEXTS = (*SHEETS, *_PAGES, *_OF_PROGRAMS, *ARRAYS)
_OF_SPLIT = re.compile(r"(?i)(?<![a-z])(splits?|folds?|partition(s|ing)?)(?![a-z])")
# Names of tables that people keep beside a set, and those that layouts read.
_LIST = re.compile(
    r"(?i)(?<![a-z])(splits?|folds?|partitions?|patients?|subjects?|participants|metadata|cases"
    r"|(train|test|val)(ing|id|idation|val|set)?([_-]?(list|files|cases|ids))?"
    r"|dev|h[eo]ld[_-]?out|groups?|clinical(_?data)?"
    r"|demographics?|mrn|excluded?|redcap|dseg|class(es|_?dict|_?names)?|labels?|labelmap|colou?rs?)"
    r"(?![a-z])"
)
# What else spreadsheets are called that tell of cases.
_OF_CASES = re.compile(
    r"(?i)(?<![a-z])(meta|info|data(set|base|list)?|cohort|lists?|ids?)(?![a-z])"
)
_OF_TALKS = ("slide", "slides")  # whose patients are tissue, too
_OF_MUCH = (".dat", "")  # beside cases, they may be cases
LIST_SUFFIXES = (
    *(suffix for suffix in TABLES if suffix not in _OF_MUCH),
    *(".toml", ".ini", ".ctbl", ".rst", ".pkl", ".pickle", ".docx", ".pdf", ".xml", ".html"),
)


def names_list(stem: str) -> bool:
    """Tell whether a file is called by a word for parts, patients, classes or other of cases."""
    people = tells_people(stem) and stem.lower() not in _OF_TALKS
    return _LIST.search(stem) is not None or people or names_parts(stem)


def is_list_of_parts(name: str) -> bool:
    """Tell whether a file is called by parts of a split, such as `held_out.txt`, and is no code."""
    path = PurePosixPath(name)
    return path.suffix.lower() not in NO_LISTS and names_parts(path.stem)


def is_of_split(stem: str) -> bool:
    """Tell whether a name holds a word for dividing: `splits_final`, `kfold5`, `my_partition`."""
    return _OF_SPLIT.search(stem) is not None or names_dividing(stem)


def names_sheet(name: str) -> bool | None:
    """Tell whether a table that is not read is called as one of cases.

    Of pages and files of programs, which may be anything, those are such tables that are called by
    a split; of programs also by its parts, cohorts or patients alone.

    Returns:
        `None` if it is no such table, by its suffix or its name.
    """
    path = PurePosixPath(name)
    suffix, stem = path.suffix.lower(), path.stem
    alone = is_of_split(stem) or names_parts(stem) or tells_people(stem)
    if suffix in SHEETS:
        return names_list(stem) or _OF_CASES.search(stem) is not None or alone
    if suffix in ARRAYS:
        return alone
    found = alone if suffix in _OF_PROGRAMS else suffix in _PAGES and is_of_split(stem)
    return True if found else None
