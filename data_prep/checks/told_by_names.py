"""What names of cases and of their folders say, and nothing else states."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from pathlib import PurePosixPath

from data_prep.core.config import DataConfig
from data_prep.core.errors import DataError
from data_prep.core.findings import Finding, Findings
from data_prep.formats.registry import stem
from data_prep.layouts import Case, Layout
from data_prep.layouts.cases import sample
from data_prep.layouts.split_folders import shared_folders
from data_prep.layouts.words import (
    holds_left_out,
    part_named,
    part_of_folders,
    says_to_leave_out,
)


def tell_of_parts(layout: Layout, used: Collection[str], config: DataConfig) -> list[Finding]:
    """Return a warning, SPLIT_NAMES, if names of cases tell a split and nothing states one.

    They tell one where two parts are named, as by `train_1` and `test_2`; or where several are
    named for testing or validation beside others that name none. One alone may be called so. A
    split that folders, a list or `split_file` state is not asked about.

    Args:
        layout: of all cases.
        used: ids of those that can be used.
        config: the user's `split_file`, and what is accepted; then it is a note.
    """
    there = (*layout.cases, *layout.unlabelled)
    if config.split_file or layout.apart or any(case.split is not None for case in there):
        return []
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
    if "SPLIT_NAMES" in config.accept:
        return [Finding("note", "SPLIT_NAMES", f"accepted: {found}", "")]
    fix = "state it, by a CSV list with a column split, folders train and test, or "
    fix += "dataset.split_file; or accept that all are: dataset.accept: [SPLIT_NAMES]"
    return [Finding("warning", "SPLIT_NAMES", found, fix)]


def _part_of(case: Case, shared: int) -> str | None:
    """Return the part that the id of a case names, else its folders, else its file."""
    path = PurePosixPath(case.image)
    try:
        told = part_of_folders(path.parts[shared:-1])
    except ValueError:
        told = None  # of several
    if told and told.startswith("fold_"):
        told = None
    return part_named(case.id) or told or part_named(stem(case.image))


def kept_out(layout: Layout, findings: Findings) -> list[DataError]:
    """Return an error, LAY_EXCLUDED, for each case whose name or folder says to leave it out.

    Where those of all cases do, they are what the dataset is of.

    Args:
        layout: of all cases.
        findings: say what is accepted, and take a note of each case that is.
    """
    images = shared_folders(case.image for case in layout.cases)
    labels = shared_folders(name for case in layout.cases for name in case.labels)
    said = {}
    for case in layout.cases:
        names = [*_below(case.image, images)]
        names += [name for label in case.labels for name in _below(label, labels)]
        saying = [name for name in names if holds_left_out(name)]
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
