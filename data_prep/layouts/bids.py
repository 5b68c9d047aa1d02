"""BIDS: raw scans in `sub-*/`, their labels in `derivatives/*/sub-*/`."""

import csv
import io
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Literal

from data_prep.core.errors import DataError, words_of
from data_prep.core.parse import MAX_BYTES
from data_prep.files.file_tree import Tree
from data_prep.formats.registry import is_scan_name, stem
from data_prep.layouts.cases import Case, Layout, duplicate, layout_of, no_image
from data_prep.layouts.words import split_of

_SUBJECTS = "participants.tsv"
# Entities that say how a derivative was made; without them it is named like its scan.
_MADE = ("label", "desc", "space", "res", "den", "atlas", "seg")
_LABEL_SUFFIXES = ("mask", "dseg", "seg", "lesion")


def bids(tree: Tree) -> Layout | None:
    """Scans with the labels that share their entities; the subject is the group.

    Columns `split` and `fold` of `participants.tsv` are obeyed.

    Raises:
        DataError: LAY_CSV if that table cannot be used; as `Tree.read` if it cannot be read.
    """
    scans, labels = {}, {}
    for name in filter(is_scan_name, tree.names):
        *entities, suffix = stem(name).split("_")
        if not entities or not entities[0].startswith("sub-"):
            continue
        if "derivatives" in PurePosixPath(name).parts and suffix in _LABEL_SUFFIXES:
            # Some pipelines keep the suffix of the scan: sub-1_T1w_seg.
            kept = tuple(e for e in entities if e.split("-")[0] not in _MADE)
            labels.setdefault(kept, []).append(name)
        elif "derivatives" not in PurePosixPath(name).parts:
            scans.setdefault((*entities,), []).append((suffix, name))
    if not scans or not labels:
        return None
    cases, problems, used = [], [], set()
    for entities, named in scans.items():
        for suffix, name in named:
            keys = [(*entities, suffix)] + ([entities] if len(named) == 1 else [])
            found = [file for key in keys for file in labels.get(key, [])]
            used.update(key for key in keys if key in labels)
            id_ = stem(name)
            if len(found) > 1:
                problems.append(duplicate(id_, [name, *found]))
            else:
                wanted = "its entities in derivatives/"
                cases.append(Case(id_, ((name,),), tuple(found), group=entities[0], wanted=wanted))
    problems += [
        no_image("_".join(key), files[0], f"a scan of {key[0]}")
        for key, files in labels.items()
        if key not in used
    ]
    splits = _splits_of_subjects(tree)
    cases = [replace(case, split=splits.get(case.group or "")) for case in cases]
    return layout_of("bids", cases, problems)


def _splits_of_subjects(tree: Tree) -> dict[str, Literal["test"] | int | None]:
    if _SUBJECTS not in tree.names:
        return {}
    try:
        text = tree.read(_SUBJECTS, MAX_BYTES + 1).decode("utf-8-sig", "replace")
        head, *rows = csv.reader(io.StringIO(text, newline=""), delimiter="\t", strict=True)
        at = {column.strip().lower(): place for place, column in enumerate(head)}
        told = [at[name] for name in ("split", "fold") if name in at]
        if not told:
            return {}
        subject, rows = at["participant_id"], [row for row in rows if any(row)]
        if any(len(row) != len(head) for row in rows):
            raise ValueError("rows of more or fewer cells than columns")
        cells = {row[subject]: [row[k].replace("n/a", "") for k in told] for row in rows}
        return {id_: split_of(found[0], found[-1]) for id_, found in cells.items()}
    except (ValueError, KeyError, csv.Error) as error:
        raise DataError("LAY_CSV", words_of(error), "repair the table", file=_SUBJECTS) from error
