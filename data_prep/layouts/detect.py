"""Which layout a raw dataset has."""

import re
from collections import Counter
from dataclasses import replace
from pathlib import PurePosixPath

from data_prep.core.errors import DataError
from data_prep.core.findings import Finding, Findings
from data_prep.core.parse import MAX_BYTES, parse_json, usable
from data_prep.files.file_tree import Tree
from data_prep.formats.registry import is_scan_name, stem
from data_prep.layouts.bids import bids
from data_prep.layouts.by_dicom import dicom
from data_prep.layouts.by_folder import case_folders, file_pairs, folder_pairs, labels_alone
from data_prep.layouts.by_list import listed, other_list, several_lists
from data_prep.layouts.by_table import csv_list
from data_prep.layouts.cases import Case, Layout, layout_of, sample, shared_files, without
from data_prep.layouts.folders.channel_files import crossed_channels
from data_prep.layouts.folders.labels import require_there
from data_prep.layouts.folders.public_sets import dsb2018, lits
from data_prep.layouts.nnunet import described_beside, nnunet, several_sets
from data_prep.layouts.split_folders import shared_folders, split_by_folders, without_parted
from data_prep.layouts.unused import is_not_read, unused_files, voxels_beside
from data_prep.layouts.words import without_part


def _listed(tree: Tree) -> Layout | None:
    """The layout that a list of cases tells, which must be the only list."""
    described, table = listed(tree) or nnunet(tree), csv_list(tree)
    if described and described.listed_in and table:
        raise several_lists([described.listed_in, table.listed_in])
    if not table and not described:
        several_sets(tree)
    return table or described


# The first that fits is taken: lists before names, special names before general ones.
_LAYOUTS = (_listed, bids, lits, dsb2018, folder_pairs, file_pairs, case_folders, dicom)
# Layouts whose cases lie in folders, which may tell of a split.
_IN_FOLDERS = ("bids", "lits", "dsb2018", "file pairs", "case folders", "dicom")
# Layouts that do not tell of classes and channels.
_UNDESCRIBED = ("folder pairs", "file pairs", "case folders", "csv")
_LIST = re.compile(r"(?i)(data[_-]?list|data[_-]?set|cases|list)s?([_-]?[0-9]+)?\.json")
# What sdunet writes for a trained network.
_OF_NETWORKS, _CURVE = ("model.json", "best.safetensors"), "curve.png"
_OF_LABELS = ("PAIR_NO_LABEL", "SET_COUNT")  # nothing to images alone


def find_layout(tree: Tree, *, need_labels: bool = True, label_folder: str | None = None) -> Layout:
    """Find the layout of a raw dataset and its cases.

    Without `need_labels`, images alone are cases, and any tree of images is a layout; then all
    files that may be images and belong to no case are a warning, not those beside cases alone.
    `label_folder` names the folder of labels, where several could be.

    Raises:
        DataError: LAY_UNKNOWN if no layout fits, with what was found instead; LAY_LABELS if labels
            are needed, and which of several folders holds them is not known; LAY_LIST if the list
            that was given tells of no cases; LAY_LISTS if several lists tell of cases; as
            `listed`, `nnunet` and `csv_list` for lists that are damaged.
    """
    problems = [
        DataError("IO_NAME", f"a name that is not UTF-8: {name!r}", "rename the file")
        for name in tree.unnamed
    ]
    _refuse_network(tree)
    problems += _lists_that_cannot_be_read(tree)
    require_there(tree, label_folder)
    for find in _LAYOUTS:
        if find is folder_pairs:
            layout = folder_pairs(tree, label_folder, need_labels=need_labels)
        elif find is dicom:
            layout = dicom(tree, need_labels=need_labels)
        else:
            layout = find(tree)
        if layout is not None:
            _hold_to_list(tree, layout)
            layout = without_parted(layout) if need_labels else layout
            layout = split_by_folders(layout) if layout.name in _IN_FOLDERS else layout
            layout = described_beside(tree, layout) if layout.name in _UNDESCRIBED else layout
            layout = replace(layout, problems=(*layout.problems, *problems))
            layout = _without_shared_voxels(tree, layout)
            layout = without(layout, crossed_channels(layout))
            layout = _with_left_out(tree, layout, need_labels, label_folder)
            return layout if need_labels else _images_of(layout)
    _hold_to_list(tree, Layout("", ()))
    images = [name for name in tree.names if is_scan_name(name)]
    if images and not need_labels:
        layout = layout_of("images", _named_by_path(images), problems)
        layout = described_beside(tree, layout)
        layout = _without_shared_voxels(tree, layout)
        return _images_of(_with_left_out(tree, layout, need_labels))
    if not tree.names:
        raise problems[0]
    packed = [name for name in tree.names if is_not_read(name)]
    unread = f"; not read: {sample(packed)}, which to unpack, decrypt or convert" if packed else ""
    raise DataError(
        "LAY_UNKNOWN",
        f"no known layout in {tree.root.resolve().name}: {sample(tree.names)}{unread}",
        "give folders images/ and masks/ with equal file names, a list of images and labels as "
        "CSV or JSON, DICOM, a folder a case (x/x_t1, x/x_seg), or a dataset of the Decathlon, "
        "nnU-Net, BIDS, LiTS or DSB2018",
    )


def _refuse_network(tree: Tree) -> None:
    """Refuse the folder of a trained network, whose only picture is the course of its training.

    Raises:
        DataError: LAY_UNKNOWN.
    """
    images = {name for name in tree.names if is_scan_name(name)}
    if {*_OF_NETWORKS} <= {*tree.names} and images <= {_CURVE}:
        found = f"{tree.root.resolve().name} holds a trained network, no data"
        raise DataError("LAY_UNKNOWN", found, "give the scans here, and the network as the model")


def find_labels(tree: Tree, label_folder: str | None = None) -> Layout:
    """Find references: the cases of a raw dataset, or a folder of nothing but label files.

    `label_folder` names the folder of labels, where several could be.

    Raises:
        DataError: as `find_layout`.
    """
    try:
        return find_layout(tree, label_folder=label_folder)
    except DataError as error:
        names = [name for name in tree.names if is_scan_name(name)]
        if error.code != "LAY_UNKNOWN" or len({PurePosixPath(n).parent for n in names}) != 1:
            raise
        layout = described_beside(tree, labels_alone(names))
        return _with_left_out(tree, layout, need_labels=True)


def _with_left_out(
    tree: Tree, layout: Layout, need_labels: bool, label_folder: str | None = None
) -> Layout:
    """Add what is told of files that belong to no case."""
    layout = _with_losses(tree, layout)
    unused = unused_files(tree, layout, need_labels, chosen=label_folder is not None)
    findings = (*layout.findings, *unused, *hidden_files(tree))
    return replace(layout, findings=findings)


def _without_shared_voxels(tree: Tree, layout: Layout) -> Layout:
    """Refuse cases whose headers name the same file of voxels: one of them is not what it says."""
    cases = (*layout.cases, *layout.unlabelled, *layout.apart)
    beside = voxels_beside(tree, {name for case in cases for name in case.files})
    return without(layout, shared_files(cases, beside) if beside else {})


def hidden_files(tree: Tree) -> list[Finding]:
    """Return a note of what is left out by its name, if there is any."""
    findings = Findings()
    if tree.hidden:
        found = f"{len(tree.hidden)} files and folders that are hidden, or left by file servers "
        findings.note("LAY_HIDDEN", f"{found}and managers, are not read: {sample(tree.hidden)}")
    return findings.found


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
        if name.lower().endswith((".csv", ".tsv", ".json")) and name.count("/") < 2:
            try:
                data = tree.read(name, MAX_BYTES + 1)
                if _LIST.fullmatch(PurePosixPath(name).name):
                    with usable("LAY_JSON", name, "repair the list, or take it out"):
                        parse_json(data, object)
            except DataError as error:
                found += [error] if error.code not in ("IO_MEMORY", "IO_TOO_LARGE") else []
    return found


def _images_of(layout: Layout) -> Layout:
    """Return the layout with every image as a case, those for testing too."""
    images = (*layout.cases, *layout.unlabelled, *layout.apart)
    found = layout_of(layout.name, images, [e for e in layout.problems if not _of_label(layout, e)])
    cases = sorted((*found.cases, *found.unlabelled), key=lambda case: case.id)
    problems = tuple(error for error in found.problems if error.code not in _OF_LABELS)
    return replace(layout, cases=tuple(cases), unlabelled=(), apart=(), problems=problems)


def _of_label(layout: Layout, error: DataError) -> bool:
    """Tell whether an error is about a label alone; an image that a list names is missed."""
    if error.code != "PAIR_NO_IMAGE":
        return error.code in _OF_LABELS
    folder = PurePosixPath(error.file or "").parent.name
    return not layout.listed_in or without_part(folder) == "labels"


def _named_by_path(names: list[str]) -> list[Case]:
    """Return a case for each image, named by its folders too where its name alone is another's."""
    stems = Counter(stem(name) for name in names)
    shared = shared_folders(names)
    cases = []
    for name in names:
        *folders, _ = PurePosixPath(name).parts[shared:]
        alone = stems[stem(name)] == 1
        cases.append(Case(stem(name) if alone else "_".join((*folders, stem(name))), ((name,),)))
    return cases


def _hold_to_list(tree: Tree, layout: Layout) -> None:
    """Refuse a layout that was not told by the list that was given, or lies beside another.

    Raises:
        DataError: LAY_LIST.
    """
    file = tree.list if layout.listed_in != tree.list else ""
    if not tree.list and layout.name in ("folder pairs", "file pairs", "nnunet", "images", ""):
        file = other_list(tree) or ""
    if file:
        raise DataError(
            "LAY_LIST",
            "no list of cases: a CSV list has a column image, JSON a list training or test of "
            "records with the key image",
            "name its columns or keys so, or take it out of the dataset",
            file=file,
        )
