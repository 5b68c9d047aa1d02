"""What names of cases and of their folders say, and nothing else states."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from itertools import chain
from pathlib import PurePosixPath

from data_prep.core.config import DataConfig
from data_prep.core.errors import DataError
from data_prep.core.findings import Finding, Findings
from data_prep.formats.registry import stem
from data_prep.layouts import Case, Layout
from data_prep.layouts.cases import sample
from data_prep.layouts.lists.beside import states_split
from data_prep.layouts.split_folders import shared_folders
from data_prep.layouts.words import (
    folders_left_out,
    part_alone,
    part_named,
    says_to_leave_out,
)


def tell_of_parts(layout: Layout, used: Collection[str], config: DataConfig) -> list[Finding]:
    """Return a warning, SPLIT_NAMES, if names of cases tell a split and nothing states one.

    They tell one where two parts are named, as by `train_1` and `test_2`; or where several are
    named for testing or validation beside others that name none. One alone may be called so. A
    split that folders or `split_file` state is not asked about, one of a list only where it takes
    cases for training that lie in folders for testing or validation.

    Args:
        layout: of all cases.
        used: ids of those that can be used.
        config: the user's `split_file`, and what is accepted; then it is a note.
    """
    if config.split_file:
        return []
    if states_split(layout):
        return _against_folders(layout, used, config) if layout.listed_in else []
    shared = shared_folders(case.image for case in layout.cases)
    named: dict[str | None, list[str]] = defaultdict(list)
    for case in layout.cases:
        if case.id in used:
            named[_part_of(case, shared)].append(case.id)
    silent = named.pop(None, [])
    apart = [id_ for part, ids in named.items() if part != "train" for id_ in ids]
    if len(named) < 2 and not (silent and len(apart) > 1):
        return []
    several = [f"{len(ids)} {part} ({sample(sorted(ids))})" for part, ids in sorted(named.items())]
    several += [f"{len(silent)} none ({sample(sorted(silent))})"] * bool(silent)
    found = f"names of cases tell parts of a split, which nothing states: {'; '.join(several)}; "
    found += "all are in the folds"
    fix = "state it, by a CSV list with a column split, folders train and test, or "
    return [_of_names(found, f"{fix}dataset.split_file; or accept that all are", config)]


def _of_names(found: str, fix: str, config: DataConfig) -> Finding:
    if "SPLIT_NAMES" in config.accept:
        return Finding("note", "SPLIT_NAMES", f"accepted: {found}", "")
    return Finding("warning", "SPLIT_NAMES", found, f"{fix}: dataset.accept: [SPLIT_NAMES]")


def _against_folders(layout: Layout, used: Collection[str], config: DataConfig) -> list[Finding]:
    """Return a warning of cases that a list has for training and folders for something else.

    A list that numbers folds may well do so for cases of validation.
    """
    cases = (*layout.cases, *layout.unlabelled, *layout.apart)
    shared = shared_folders(case.image for case in cases)
    learnt = [case for case in layout.cases if case.id in used and case.split != "test"]
    told = {case.id: _part_of_folder(case, shared) for case in learnt}
    against = [
        case.id
        for case in learnt
        if told[case.id] == "test" or (told[case.id] == "validation" and case.split is None)
    ]
    if not against:
        return []
    ids = sample(sorted(against))
    found = f"{layout.listed_in} has {len(against)} cases for training that lie in folders for "
    found += f"testing or validation: {ids}"
    return [_of_names(found, "correct the list or the folders; or accept the list", config)]


def _part_of(case: Case, shared: int) -> str | None:
    """Return the part that the id of a case names, else its folders, else its file."""
    told = _part_of_folder(case, shared)
    return part_named(case.id) or told or part_named(stem(case.image))


def _part_of_folder(case: Case, shared: int) -> str | None:
    """Return the part that the folders of a case name; a fold is none."""
    told = part_alone(PurePosixPath(case.image).parts[shared:-1])
    return None if told and told.startswith("fold_") else told


def kept_out(layout: Layout, findings: Findings) -> list[DataError]:
    """Return an error, LAY_EXCLUDED, for each case whose name or folder says to leave it out.

    Where those of all cases do, they are what the dataset is of.

    Args:
        layout: of all cases.
        findings: say what is accepted, and take a note of each case that is.
    """
    images = shared_folders(case.image for case in layout.cases)
    labels = shared_folders(name for case in layout.cases for name in case.labels)
    folders = {
        case.id: [
            *_below(case.image, images),
            *(folder for label in case.labels for folder in _below(label, labels)),
        ]
        for case in layout.cases
    }
    left_out = folders_left_out(chain.from_iterable(folders.values()))
    said = {}
    for case in layout.cases:
        names = folders[case.id]
        saying = [folder for folder in names if folder in left_out]
        saying += [name for name in (case.id, stem(case.image)) if says_to_leave_out(name)]
        if saying:
            said[case.id] = saying[0]
    errors = []
    for id_, name in said.items() if len(said) < len(layout.cases) else ():
        fix = "move it out of the dataset, or call it otherwise if it is to be used"
        try:
            findings.ask("LAY_EXCLUDED", f"{name!r} says that it is not to be used", fix)
            findings.place(len(findings.found) - 1, case=id_)
        except DataError as error:
            errors.append(error.at(case=id_))
    return errors


def _below(file: str, shared: int) -> Iterable[str]:
    """Return the folders of a file that not all files share."""
    return PurePosixPath(file).parts[shared:-1]
