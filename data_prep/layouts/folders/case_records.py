"""Records of one case each, beside its files or in its folder: together they are a table.

| written | understood as |
|---|---|
| `{"subject": "p1", "meta": {"split": "test"}}` in `images/a.json` | `subject` and `split` of `a` |
| `split: test` or `split = test` in `a/info.txt`, `.yaml`, `.ini` | `split` of `a` |
| `<split>test</split>` or `<case split="test">` in `masks/a.xml` | `split` of `a` |
| `split,patient`, then `test,p1` in `a/meta.csv` | `split` and `patient` of `a` |
| `test` alone in `a/split.txt` | `split` of `a` |

So are tables of one subject each in BIDS, see `bids_tables`.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from data_prep.core.findings import Subject
from data_prep.core.parse import parse_json
from data_prep.files.file_tree import Tree
from data_prep.formats.registry import is_scan_name, stem
from data_prep.layouts.by_table import beginning
from data_prep.layouts.cases import Layout
from data_prep.layouts.folders.bids_tables import rows_of_cases
from data_prep.layouts.lists.beside import not_stated, what_is_told
from data_prep.layouts.lists.columns import (
    folds_apart,
    may_group,
    may_leave_out,
    parts_counted,
    tells_split,
)
from data_prep.layouts.lists.file_names import NO_LISTS, NO_TEXTS
from data_prep.layouts.lists.holders import tells_people
from data_prep.layouts.lists.json_yaml import flat
from data_prep.layouts.lists.members import Table
from data_prep.layouts.lists.tables import columns_of, is_text
from data_prep.layouts.words import role_of
from data_prep.planning.part_words import UNTOLD, part_told, plain_word

_MOST = 4096  # files that are read
_KEYS = 1000  # of each; more are of measures
_PARTS = 32  # different values of a split or folds
_LONGEST = 1 << 14  # letters of a text; of more, JSON alone is of one case
_MARKED = (".xml", ".html", ".htm", ".xhtml")
_NONE = {*NO_LISTS, *NO_TEXTS} - {*_MARKED}
_PARTING = re.compile(r"[_\-. ]+")  # words of names
_LINE = re.compile(
    r"""^(?P<before>[ \t\-*{,]*)["']?(?P<key>[^\W_][\w .\-]{0,60}?)["']?[ \t]*[:=][ \t]*["']?"""
    r"""(?P<value>[^\n"'\[{]{0,100}?)["']?[ \t]*[,;}]*[ \t]*\r?$""",
    re.MULTILINE,
)
_TAG = re.compile(r"<(?P<key>[\w.\-]{1,60})(?:\s[^<>]*)?>(?P<value>[^<>]{0,200})</(?P=key)\s*>")
_ATTRIBUTE = re.compile(r"""\s(?P<key>[\w.\-]{1,60})=["'](?P<value>[^<>"'\n]{0,100})["']""")
_WORD = re.compile(r"\s*([\w.\-]{1,60})\s*")
# What scanners write of studies and sequences, which those of several patients share.
_OF_SCANNERS = ("StudyID", "SequenceName", "PulseSequenceName")


@dataclass(frozen=True)
class Records:
    """Files of a case or subject each, called alike, and what they tell that nothing else does.

    Attributes:
        names: of the files.
        columns: their keys that tell it.
        about: a split or groups; empty where they tell which cases to leave out.
    """

    names: tuple[str, ...]
    columns: tuple[str, ...]
    about: tuple[Subject, ...]


def told_by_records(tree: Tree, names: Iterable[str], layout: Layout) -> list[Records]:
    """Return the records of a case each that part the cases by a split, patients, or use.

    Files are of a case if they are called as it, its files or a folder of its own. What all cases
    share is not told, nor what each has for itself. Patients and families are told also beside
    stated groups if some join cases of several.

    Args:
        tree: the dataset.
        names: of files that belong to no case; of texts, the first thousands are read.
        layout: of the cases.
    """
    names = [*names]
    if len(layout.cases) + len(layout.unlabelled) < 2:
        return []
    several = rows_of_cases(tree, names, layout)
    joined = {name for alike in several for name in alike}
    for form, files in _by_form((name for name in names if name not in joined), layout).items():
        called = PurePosixPath(form).stem.strip("*_-. ") or "text"
        records = [(case, _record(tree, name, called)) for name, case in files]
        several[tuple(name for name, _ in files)] = [(id_, told) for id_, told in records if told]
    told = (_told(alike, records, layout) for alike, records in several.items())
    return [*filter(None, told)]


def _told(
    names: tuple[str, ...], records: Sequence[tuple[str, Mapping[str, str]]], layout: Layout
) -> Records | None:
    """Return what records tell, each with the id of its case; `None` if nothing."""
    shared = Counter(key for _, record in records for key in [*record][:_KEYS])
    heads = [key for key, number in shared.most_common(_KEYS) if number > 1]
    table = {head: [record.get(head, "") for _, record in records] for head in heads}
    without = len(layout.cases) + len(layout.unlabelled) - len({id_ for id_, _ in records})
    untold = [""] * (without if len(names) < _MOST else 0)
    parting, grouping = _parting(table, untold), _grouping(table)
    about = not_stated(layout, split=bool(parting), groups=bool(grouping))
    if "groups" not in about and (grouping := _joining(table, [id_ for id_, _ in records], layout)):
        about += ("groups",)
    columns = [*parting * ("split" in about), *grouping * ("groups" in about)]
    columns = columns or [h for h, cells in table.items() if may_leave_out(h, [*cells, *untold])]
    return Records(names, tuple(dict.fromkeys(columns)), about) if columns else None


def _parting(table: Table, untold: list[str]) -> list[str]:
    """Return the columns that put cases into several parts, or all into one not for training."""
    counts, folds = parts_counted(table), folds_apart(table)
    return [
        head
        for head, cells in table.items()
        if head not in counts
        and _differ(head, [*cells, *untold])
        and (head in folds or what_is_told({head: [*cells, *untold]})[0])
    ]


def _differ(head: str, cells: Iterable[str]) -> bool:
    words = {"" if word in UNTOLD else word for word in map(plain_word, cells)}
    if len(words) > _PARTS:
        return False
    parts = {word if (part := part_told(word)) is None else part for word in words}
    return len(parts) > 1 or (tells_split(head) and parts <= {"test", "validation"})


def _grouping(table: Table) -> list[str]:
    """Return the columns of groups by a value that some cases share and others do not."""
    return [head for head, cells in table.items() if _group(head, cells)]


def _joining(table: Table, ids: Sequence[str], layout: Layout) -> list[str]:
    """Return the columns of patients or families of whom some have cases of several groups."""
    groups = {c.id: c.patient or c.group for c in (*layout.cases, *layout.unlabelled)}
    found = []
    for head, cells in table.items():
        whose: dict[str, set[str]] = defaultdict(set)
        for id_, word in zip(ids, map(plain_word, cells), strict=True):
            if word not in UNTOLD and (group := groups.get(id_)):
                whose[word].add(group)
        if tells_people(head) and len(whose) > 1 and max(map(len, whose.values())) > 1:
            found.append(head)
    return found


def _group(head: str, cells: list[str]) -> bool:
    words = [word for cell in cells if (word := plain_word(cell)) not in UNTOLD]
    # Without numbers they are kinds, such as a diagnosis.
    kinds = role_of(head) == "group" and not all(re.search(r"\d", word) for word in words)
    shared = 1 < len({*words}) < len(words)
    if not shared or kinds or head in _OF_SCANNERS:
        return False
    return not {role_of(head), may_group(head, words)}.isdisjoint(("group", "patient"))


def _by_form(names: Iterable[str], layout: Layout) -> dict[str, list[tuple[str, str]]]:
    """Return the files of several cases, each with its case, by the form of their names."""
    called, folders = _own_names(layout)
    forms: dict[str, list[tuple[str, str]]] = defaultdict(list)
    seen: Counter[tuple[str, str]] = Counter()
    for name in names:
        path = PurePosixPath(name)
        if path.suffix.lower() in _NONE or is_scan_name(name):
            continue
        form, case = _case_of(path, called, folders)
        if case:
            number = seen[form, case]  # there may be one beside the image, and one beside the label
            forms[f"{number}/{form}"].append((name, case))
            seen[form, case] += 1
    left = _MOST
    found = {}
    for form, alike in forms.items():
        if len(alike) > 1 and left > 0:
            found[form] = alike[:left]
            left -= len(alike)
    return found


def _own_names(layout: Layout) -> tuple[dict[str, str], dict[str, str]]:
    """Return the case of each name, and of each folder, that is of one case alone."""
    called: dict[str, set[str]] = defaultdict(set)
    folders: dict[str, set[str]] = defaultdict(set)
    for case in (*layout.cases, *layout.unlabelled, *layout.apart):
        called[case.id].add(case.id)
        for name in case.files:
            called[stem(name)].add(case.id)
        for folder in {name.rpartition("/")[0] for name in case.files}:
            for parent in (PurePosixPath(folder), *PurePosixPath(folder).parents):
                folders[parent.as_posix()].add(case.id)
    return _of_one(called), _of_one(folders)


def _of_one(owners: Mapping[str, set[str]]) -> dict[str, str]:
    return {name: next(iter(ids)) for name, ids in owners.items() if len(ids) == 1}


def _case_of(
    path: PurePosixPath, called: Mapping[str, str], folders: Mapping[str, str]
) -> tuple[str, str]:
    """Return the form of a file's name, `*_info.json` of `a_info.json`, and its case, if of one."""
    bare = stem(path.name.removesuffix(path.suffix))
    gaps = [*_PARTING.finditer(bare)]
    begins = [bare[: gap.start()] for gap in reversed(gaps)]
    ends = [bare[gap.end() :] for gap in gaps]
    # Numbers in names are of folds and runs, too: `fold_1.txt`.
    for part in (bare, *(words for words in (*begins, *ends) if not words.isdecimal())):
        if part in called:
            return path.name.replace(part, "*", 1), called[part]
    for folder in path.parents:
        if case := folders.get(folder.as_posix()) or called.get(folder.name):
            return path.name, case
    return path.name, ""


def _record(tree: Tree, name: str, called: str) -> dict[str, str]:
    """Return what a text says of its case by keys of one value each, as far as it is read.

    What is one word is `called` as its file.
    """
    if not is_text(tree, name):
        return {}
    text, suffix = beginning(tree, name), PurePosixPath(name).suffix.lower()
    if suffix == ".json" and (content := _object(text)) is not None:
        return {key: str(value) for key, value in flat(content).items()}
    text = text[:_LONGEST]
    if suffix in (".csv", ".tsv"):
        return {} if len(text) == _LONGEST else _row(columns_of(tree, name))
    if word := _WORD.fullmatch(text):
        return {called: word[1]}
    patterns = (_TAG, _ATTRIBUTE) if suffix in _MARKED else (_LINE,)
    matches = [told for pattern in patterns for told in pattern.finditer(text)]
    if suffix == ".json":  # what lies deeper may be of one of its shapes
        outer = text.partition('"')[0].rpartition("\n")[2]
        matches = [told for told in matches if told["before"] == outer]
    found: dict[str, set[str]] = defaultdict(set)
    for told in matches:
        found[told["key"]].add(told["value"].strip())
    return {key: next(iter(values)) for key, values in found.items() if len(values) == 1}


def _object(text: str) -> dict[str, Any] | None:
    """Return the object of JSON, alone or in a list; `None` if it is cut or written wrongly."""
    try:
        content = parse_json(text, object)
    except (ValueError, RecursionError):
        return None
    alone = content[0] if isinstance(content, list) and len(content) == 1 else content
    return alone if isinstance(alone, dict) else {}


def _row(table: Table) -> dict[str, str]:
    """Return the one row of a table, or its two columns as keys and values."""
    if table and all(len(cells) == 1 for cells in table.values()):
        return {head: cells[0] for head, cells in table.items()}
    if len(table) == 2:
        (key, keys), (value, values) = table.items()
        return dict(zip([key, *keys], [value, *values], strict=True))
    return {}
