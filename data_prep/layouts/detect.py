"""Which layout a raw dataset has."""

import re
from collections.abc import Collection
from dataclasses import replace
from pathlib import PurePosixPath

from data_prep.core.errors import DataError
from data_prep.core.findings import Finding, Findings
from data_prep.core.parse import MAX_BYTES
from data_prep.files.file_tree import Tree
from data_prep.formats.registry import is_scan_name, stem
from data_prep.layouts.bids import bids
from data_prep.layouts.by_dicom import dicom, is_dicom_file
from data_prep.layouts.by_folder import dsb2018, file_pairs, folder_pairs, lits
from data_prep.layouts.by_list import listed, several_lists
from data_prep.layouts.by_table import csv_list
from data_prep.layouts.cases import Case, Layout, layout_of, sample
from data_prep.layouts.nnunet import nnunet
from data_prep.layouts.split_folders import split_by_folders


def _listed(tree: Tree) -> Layout | None:
    """The layout that a list of cases tells, which must be the only list."""
    described, table = listed(tree) or nnunet(tree), csv_list(tree)
    if described and described.listed_in and table:
        raise several_lists([described.listed_in, table.listed_in])
    return table or described


# The first that fits is taken: lists before names, special names before general ones.
_LAYOUTS = (_listed, bids, lits, dsb2018, folder_pairs, file_pairs, dicom)
# Files that describe others, or a dataset.
_TEXTS = (
    *(".json", ".csv", ".tsv", ".txt", ".md", ".rst", ".pdf", ".yaml", ".yml", ".xml", ".html"),
    *(".bval", ".bvec", ".docx", ".xlsx", ".log", ".py", ".cff"),
)
_PAPERS = ("license", "licence", "readme", "changes", "changelog", "copying", "citation")
# Names of tables that people keep beside a set, and those that layouts read.
_LIST = re.compile(
    r"(?i)(?<![a-z])(splits?|folds?|train|test|val|patients?|subjects?|participants|metadata)(?![a-z])"
)
_LIST_SUFFIXES = (".csv", ".tsv", ".txt", ".json")
_READ = {"nnunet": ("splits_final.json",), "bids": ("participants.tsv",)}
_HEADER = 1 << 20  # bytes
_VOXELS = re.compile(
    rb"^\s*(?:data ?file\s*:|ElementDataFile\s*=)(.*)$", re.IGNORECASE | re.MULTILINE
)
# Layouts whose cases lie in folders, which may tell of a split.
_IN_FOLDERS = ("bids", "lits", "dsb2018", "file pairs", "dicom")
_OF_LABELS = ("PAIR_NO_LABEL", "PAIR_NO_IMAGE", "SET_COUNT")  # nothing to images alone


def find_layout(tree: Tree, *, need_labels: bool = True) -> Layout:
    """Find the layout of a raw dataset and its cases.

    Without `need_labels`, images alone are cases, and any tree of images is a layout.

    Raises:
        DataError: LAY_UNKNOWN if no layout fits, with what was found instead; LAY_LISTS if several
            lists tell of cases; as `listed`, `nnunet` and `csv_list` for lists that are damaged.
    """
    problems = [
        DataError("IO_NAME", f"a name that is not UTF-8: {name!r}", "rename the file")
        for name in tree.unnamed
    ]
    problems += _lists_that_cannot_be_read(tree)
    for find in _LAYOUTS:
        layout = find(tree)
        if layout is not None:
            layout = split_by_folders(layout) if layout.name in _IN_FOLDERS else layout
            layout = replace(layout, problems=(*layout.problems, *problems))
            layout = _with_unused(tree, _with_losses(tree, layout))
            layout = replace(layout, findings=(*layout.findings, *_hidden(tree)))
            return layout if need_labels else _images_of(layout)
    images = [name for name in tree.names if is_scan_name(name)]
    if images and not need_labels:
        layout = layout_of("images", [Case(stem(n), ((n,),)) for n in images], problems)
        layout = replace(layout, findings=(*layout.findings, *_hidden(tree)))
        return _images_of(_with_losses(tree, layout))
    if not tree.names:
        raise problems[0]
    raise DataError(
        "LAY_UNKNOWN",
        f"no known layout in {tree.root.resolve().name}: {sample(tree.names)}",
        "give folders images/ and masks/ with equal file names, a list of images and labels as "
        "CSV or JSON, DICOM, or a dataset of the Decathlon, nnU-Net, BIDS, LiTS or DSB2018",
    )


def _with_unused(tree: Tree, layout: Layout) -> Layout:
    """Tell of files that belong to no case, and may be meant to.

    Those beside files of cases, or below them, and DICOM are a warning, images elsewhere a note.
    """
    if layout.name == "dicom":  # which looks at every file itself
        return layout
    cases = (*layout.cases, *layout.unlabelled)
    used = {name for case in cases for name in case.files} | {*layout.apart, layout.listed_in}
    told = used | {error.file for error in layout.problems} | _voxels_beside(tree, used)
    named = {case.id for case in cases} | {error.case for error in layout.problems}
    beside = {PurePosixPath(name).parent for name in used if name}
    above = beside - {PurePosixPath(".")}
    # What else describes a file of a case shares its name.
    known = {(PurePosixPath(name).parent, stem(name)) for name in used}
    near, far, series, lists = [], [], [], []
    for name in tree.names:
        path = PurePosixPath(name)
        if name in told or stem(name) in named or (path.parent, stem(name)) in known:
            continue
        if path.suffix.lower() in _TEXTS or path.stem.lower() in _PAPERS:
            named_like = _LIST.search(path.stem) and path.suffix.lower() in _LIST_SUFFIXES
            lists += [name] if named_like and path.name not in _READ.get(layout.name, ()) else []
            continue
        if path.parent in beside or above & set(path.parents):
            near.append(name)
        elif is_scan_name(name):
            far.append(name)
        elif is_dicom_file(tree, name):
            series.append(name)
    findings = Findings()
    fix = "remove them, or name them as files of a case"
    if near:
        found = f"{len(near)} files beside those of cases are not used: {sample(near)}"
        findings.warn("LAY_UNUSED", found, fix)
    if series:
        found = f"{len(series)} DICOM files are not used: {sample(series)}"
        findings.warn("LAY_UNUSED", found, "keep them in a dataset of their own")
    if lists:
        found = f"files that may tell of a split or of patients are not read: {sample(lists)}"
        findings.note("LAY_UNUSED", found)
    if far:
        findings.note("LAY_UNUSED", f"{len(far)} images elsewhere are not used: {sample(far)}")
    return replace(layout, findings=(*layout.findings, *findings.found))


def _hidden(tree: Tree) -> list[Finding]:
    """Return a note of what is left out by its name, if there is any."""
    findings = Findings()
    if tree.hidden:
        found = f"{len(tree.hidden)} files and folders that are hidden, or left by file servers "
        findings.note("LAY_HIDDEN", f"{found}and managers, are not read: {sample(tree.hidden)}")
    return findings.found


def _voxels_beside(tree: Tree, used: Collection[str]) -> set[str]:
    """Return the files of voxels that headers of cases name."""
    found = set()
    for name in used:
        if name.lower().endswith((".nhdr", ".mhd")):
            try:
                header = tree.read(name, _HEADER)
            except DataError:
                continue  # which its case tells of
            if named := _VOXELS.search(header):
                file = named[1].decode("utf-8", "replace").strip()
                found.add((PurePosixPath(name).parent / file).as_posix())
    return found


def _with_losses(tree: Tree, layout: Layout) -> Layout:
    """Add members of an archive that are not read and no case misses: they may be cases."""
    used = {name for case in (*layout.cases, *layout.unlabelled) for name in case.files}
    named = {error.file for error in layout.problems}
    lost = sorted(name for name in tree.lost if name not in used | named)
    if not lost:
        return layout
    error = tree.loss(lost[0])
    error.found = f"{len(lost)} members are not read: {sample(lost)}, the first is {error.found}"
    return replace(layout, problems=(*layout.problems, error))


def _lists_that_cannot_be_read(tree: Tree) -> list[DataError]:
    """Return an error for each file that may be a list of cases, and is not known to be none.

    Of those that are too large, their beginning tells, see `listed` and `csv_list`.
    """
    found = []
    for name in tree.names:
        if name.lower().endswith((".csv", ".json")) and name.count("/") < 2:
            try:
                tree.read(name, MAX_BYTES + 1)
            except DataError as error:
                found += [error] if error.code not in ("IO_MEMORY", "IO_TOO_LARGE") else []
    return found


def _images_of(layout: Layout) -> Layout:
    cases = sorted((*layout.cases, *layout.unlabelled), key=lambda case: case.id)
    problems = [e for e in layout.problems if e.code not in _OF_LABELS]
    return replace(layout, cases=tuple(cases), unlabelled=(), problems=tuple(problems))
