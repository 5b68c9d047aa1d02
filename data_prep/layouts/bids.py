"""BIDS: raw scans in `sub-*/`, their labels in `derivatives/*/sub-*/`."""

import csv
import io
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Literal

from data_prep.core.errors import DataError, words_of
from data_prep.core.findings import Finding
from data_prep.core.parse import MAX_LIST_BYTES, once
from data_prep.files.file_tree import Tree
from data_prep.formats.registry import is_scan_name, stem
from data_prep.layouts.cases import (
    Case,
    Layout,
    duplicate,
    layout_of,
    no_image,
    sample,
)
from data_prep.layouts.lists.columns import told_parts
from data_prep.layouts.lists.in_vain import not_used, parts_told
from data_prep.layouts.lists.members import Table
from data_prep.layouts.lists.partings import parting_columns
from data_prep.layouts.words import Role, by_role, role_of, split_of

_SUBJECTS, _SUBJECT = "participants.tsv", "participant_id"
# Entities that say how a derivative was made; without them it is named like its scan.
_MADE = ("label", "desc", "space", "res", "den", "atlas", "seg")
_LABEL_SUFFIXES = ("mask", "dseg", "seg", "lesion", "msk")


def bids(tree: Tree) -> Layout | None:
    """Scans with the labels that share their entities; the subject is the group.

    Columns `split` and `fold` of `participants.tsv` are obeyed, others as of `parts_told`.

    Raises:
        DataError: LAY_CSV if that table cannot be used; as `Tree.read` if it cannot be read.
    """
    scans: dict[tuple[str, ...], list[tuple[str, str]]] = {}
    labels: dict[tuple[str, ...], list[str]] = {}
    for name in filter(is_scan_name, tree.names):
        *entities, suffix = stem(name).split("_")
        if not entities or not entities[0].startswith("sub-"):
            continue
        derived = "derivatives" in PurePosixPath(name).parts
        # Beside its scan, a label says what it is: sub-1_label-L_desc-T1lesion_mask.
        named = suffix == "mask" and any(e.startswith(("label-", "desc-")) for e in entities)
        if suffix in _LABEL_SUFFIXES and (derived or named):
            # Some pipelines keep the suffix of the scan: sub-1_T1w_seg.
            labels.setdefault(_without_made(entities), []).append(name)
        elif not derived:
            scans.setdefault((*entities,), []).append((suffix, name))
    if not scans or not labels:
        return None
    cases, problems = [], []
    used: set[tuple[str, ...]] = set()
    for entities, named in scans.items():
        for suffix, name in named:
            own = _without_made(entities)
            keys = [(*own, suffix)] + ([own] if len(named) == 1 else [])
            space = _space(name)
            found = [f for k in keys for f in labels.get(k, []) if not space or _space(f) == space]
            used.update(key for key in keys if key in labels)
            id_ = stem(name)
            if len(found) > 1:
                problems.append(duplicate(id_, [name, *found]))
            else:
                wanted = "its entities in derivatives/"
                cases.append(Case(id_, ((name,),), tuple(found), group=entities[0], wanted=wanted))
    for key in sorted(labels.keys() - used):
        several = [
            name for e, named in scans.items() if _without_made(e) == key for _, name in named
        ]
        problems.append(_of_several(key, labels[key][0], several))
    splits, findings = _splits_of_subjects(tree, {case.group for case in cases})
    cases = [replace(case, split=splits.get(case.group or "")) for case in cases]
    layout = layout_of("bids", cases, problems, findings=findings)
    return replace(layout, read=(_SUBJECTS,))


def _of_several(key: tuple[str, ...], label: str, scans: list[str]) -> DataError:
    """Return the error of a label that is of no scan, or of several and does not say of which."""
    if not scans:
        return no_image("_".join(key), label, f"a scan of {key[0]}")
    found = f"a label that is called as each of {len(scans)} scans: {sample(sorted(scans))}"
    fix = "list images and labels in a CSV, as channels those of one grid; or call it as its scan"
    return DataError("PAIR_NO_IMAGE", found, fix, case="_".join(key), file=label)


def _without_made(entities: Sequence[str]) -> tuple[str, ...]:
    return tuple(entity for entity in entities if entity.split("-")[0] not in _MADE)


def _space(name: str) -> str:
    """Return the space that a file says it lies in; empty for that of the scanner."""
    return next((e for e in stem(name).split("_") if e.startswith("space-")), "")


def _splits_of_subjects(
    tree: Tree, subjects: Collection[str | None]
) -> tuple[dict[str, Literal["test"] | int | None], tuple[Finding, ...]]:
    """Return where the table of subjects puts each, and what is told of what it says in vain."""
    if _SUBJECTS not in tree.names:
        return {}, ()
    data = tree.read(_SUBJECTS, MAX_LIST_BYTES + 1)
    try:
        if len(data) > MAX_LIST_BYTES:
            raise ValueError(f"more than {MAX_LIST_BYTES} bytes")
        text = data.decode("utf-8-sig", "replace")
        head, *rows = csv.reader(io.StringIO(text, newline=""), delimiter="\t", strict=True)
        if _SUBJECT not in head:
            return {}, _in_vain(f"it has no column {_SUBJECT}, set apart by tabs")
        told, unused = _told_of_subjects(head, [row for row in rows if any(row)])
        splits = {id_: split_of(found[0], found[-1]) for id_, found in once(told).items()}
    except (ValueError, csv.Error) as error:
        raise DataError("LAY_CSV", words_of(error), "repair the table", file=_SUBJECTS) from error
    if not told:
        return {}, unused
    if strange := sorted(splits.keys() - subjects):
        found = f"{len(strange)} subjects of it are not there: {', '.join(strange[:5])}"
        unused += _in_vain(found)
    if without := sorted({name for name in subjects if name} - splits.keys()):
        found = f"{len(without)} subjects without a row in it are for training: "
        unused += _in_vain(found + ", ".join(without[:5]))
    return splits, unused


def _told_of_subjects(
    head: list[str], rows: list[list[str]]
) -> tuple[list[tuple[str, list[str]]], tuple[Finding, ...]]:
    """Return what each row says of split and fold, and what is told of other columns.

    Raises:
        ValueError: if two columns contradict each other, or rows are not as long as the head.
    """
    roles, _ = by_role([column for column in head if role_of(column) in ("split", "fold")])
    others = [c for c in head if role_of(c) and c not in (*roles.values(), _SUBJECT)]
    rows = [["" if cell == "n/a" else cell for cell in row] for row in rows]
    by_column = {c: [row[k] if k < len(row) else "" for row in rows] for k, c in enumerate(head)}
    used = {*roles.values(), _SUBJECT}
    unknown = {column: cells for column, cells in by_column.items() if column not in used}
    split = by_column[roles["split"]] if "split" in roles else ()
    known: set[Role] = {"patient", *roles}  # the subject is the patient
    names = ["sub-" + name.removeprefix("sub-") for name in by_column[_SUBJECT]]
    # What else it tells of subjects, such as age and sex, is nothing to note.
    others += [
        column
        for column in dict.fromkeys(_parting(by_column, names))
        if column in unknown and column not in others and not told_parts(column, unknown[column])
    ]
    parts, findings = parts_told("columns", unknown, _SUBJECTS, split, known, note_rest=False)
    others = [c for c in others if not any(repr(c) in finding.found for finding in findings)]
    findings += not_used("columns", others, _SUBJECTS)
    columns = [parts] * bool(parts) + [by_column[column] for column in roles.values()]
    if columns and any(len(row) != len(head) for row in rows):
        raise ValueError("rows of more or fewer cells than columns")
    told = zip(names, zip(*columns, strict=True), strict=True) if columns else ()
    return [(name, list(cells)) for name, cells in told], findings


def _parting(columns: Table, subjects: list[str]) -> list[str]:
    """Return the columns that put several subjects together by a word, or name another subject."""
    known = {name for name in (*subjects, *columns[_SUBJECT]) if not name.isdecimal()}
    naming = [head for head, cells in columns.items() if not known.isdisjoint(cells)]
    return [*parting_columns(columns, {_SUBJECT: columns[_SUBJECT]}), *naming]


def _in_vain(found: str) -> tuple[Finding, ...]:
    return (Finding("warning", "LAY_UNUSED", found, "repair the table", file=_SUBJECTS),)
