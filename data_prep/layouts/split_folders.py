"""Folders for training, validation and testing, above whatever a layout finds in them."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import takewhile
from pathlib import PurePosixPath

from data_prep.core.errors import DataError
from data_prep.core.findings import Finding, Question
from data_prep.layouts.cases import Case, Layout, kept_apart, sample
from data_prep.layouts.words import (
    is_split,
    nearly_part_of,
    part_alone,
    part_of_folders,
    split_of_part,
    without_letters,
)
from data_prep.planning.part_words import may_be_fold, words_in

# Of folders that part cases by what they show, or where they are from.
_OF_OTHERS = (
    *("site", "center", "centre", "hospital", "clinic", "patient", "patients", "subject", "case"),
    *("class", "benign", "malignant", "normal", "abnormal", "healthy", "control", "controls"),
    *("positive", "negative", "pos", "neg", "left", "right"),
    *("ct", "mr", "mri", "pet", "us", "flair"),
)
_OF_FILES = ("images", "labels", "masks")


def split_by_folders(layout: Layout) -> Layout:
    """Return the layout with cases kept apart that lie in folders for validation or testing.

    Where all cases lie in folders of one part, they are no split. Cases for testing may all be
    without labels.
    """
    cases = (*layout.cases, *layout.unlabelled)
    shared = shared_folders(case.image for case in cases)
    parts, problems, silent, training = {}, list(layout.problems), [], 0
    for case in cases:
        try:
            told = part_of_folders(PurePosixPath(case.image).parts[shared:-1])
        except ValueError as error:
            problems.append(DataError("LAY_FOLD", str(error), "rename the folders", case=case.id))
            continue
        parts[case.id] = told or "train"
        silent += [] if told else [case.image]
        training += told == "train"
    findings = (*layout.findings, *of_no_part(silent, training))
    if not is_split(parts.values()):
        return replace(layout, problems=tuple(problems), findings=findings)
    tests = {id_ for id_, part in parts.items() if part == "test"}
    if not tests & {case.id for case in layout.cases}:
        problems = [e for e in problems if e.code != "PAIR_NO_LABEL" or e.case not in tests]
    tested = [case.image for case in layout.cases if case.id in tests]
    validating = sum(parts.get(case.id) == "validation" for case in layout.cases)
    return replace(
        layout,
        cases=tuple(_apart(case, parts) for case in layout.cases if case.id in parts),
        unlabelled=tuple(_apart(case, parts) for case in layout.unlabelled if case.id in parts),
        problems=tuple(problems),
        findings=(
            *findings,
            *kept_apart(validating, "the folders for validation"),
            *kept_for_testing(tested, len(parts)),
        ),
    )


def without_parted(layout: Layout) -> Layout:
    """Refuse cases whose files lie in folders of several parts of a split: LAY_FOLD.

    An image for training and a label for testing are perhaps of two cases that are called alike.
    Slices of one series are parted also where some lie in no folder of a part.
    """
    cases = (*layout.cases, *layout.unlabelled, *layout.apart)
    folders = {PurePosixPath(name).parent for case in cases for name in case.files}
    shared = shared_folders(f"{folder.as_posix()}/x" for folder in folders)
    part_of = {f: part_alone(map(without_letters, f.parts[shared:])) for f in folders}
    wrong = {case.id: error for case in cases if (error := _parted_in(case, part_of))}
    if not wrong:
        return layout

    def others(several: Iterable[Case]) -> tuple[Case, ...]:
        return tuple(case for case in several if case.id not in wrong)

    return replace(
        layout,
        cases=others(layout.cases),
        unlabelled=others(layout.unlabelled),
        apart=others(layout.apart),
        problems=(*(e for e in layout.problems if e.case not in wrong), *wrong.values()),
    )


def _parted_in(case: Case, part_of: Mapping[PurePosixPath, str | None]) -> DataError | None:
    scans = [{PurePosixPath(name).parent for name in files} for files in case.scans]
    label = {PurePosixPath(name).parent for name in case.labels}
    for held in scans:
        if len({part_of[folder] or "train" for folder in held}) > 1:
            return _of_several_parts(case, "slices of one series", held)
    held = {folder for folder in label.union(*scans) if part_of[folder] is not None}
    several = len({part_of[folder] for folder in held}) > 1
    return _of_several_parts(case, "its files", held) if several else None


def _of_several_parts(case: Case, what: str, folders: Iterable[PurePosixPath]) -> DataError:
    there = sample(sorted(folder.as_posix() for folder in folders))
    found = f"{what} lie in folders of several parts of a split: {there}"
    fix = "put them into folders of one part"
    return DataError("LAY_FOLD", found, fix, case=case.id, file=case.image)


def kept_for_testing(names: list[str], cases: int) -> tuple[Finding, ...]:
    """Return a note of images that are kept apart by their folders, if there are any.

    Args:
        names: of the images.
        cases: how many there are in all.
    """
    if not names:
        return ()
    folders = sorted({PurePosixPath(name).parent.as_posix() for name in names})
    found = f"{len(names)} of {cases} cases are the test set and in no fold, as their folders "
    found += f"say: {sample(folders)}"
    return (Finding("note", "SPLIT_KEPT", found, ""),)


def of_no_part(names: list[str], training: int) -> tuple[Finding, ...]:
    """Return a warning of files in folders that name no part, if others are named for training.

    Where none are, it is of folders that are all called nearly as parts are, and as several.
    """
    if not training:
        return _nearly_parted(names)
    if not names:
        return ()
    folders = sorted({PurePosixPath(name).parent.as_posix() for name in names})
    found = f"{len(names)} cases are used for training, whose folders name no part of the split "
    found += f"as others do: {', '.join(folders[:4])}"
    fix = "name the folders train, validation or test"
    return (Question("warning", "SPLIT_FOLDERS", found, fix, about=("split",)),)


def _nearly_parted(names: list[str]) -> tuple[Finding, ...]:
    shared = shared_folders(names)
    near = [nearly_part_of(PurePosixPath(name).parts[shared:-1]) for name in names]
    perhaps = [any(map(may_be_fold, PurePosixPath(name).parts[shared:-1])) for name in names]
    if not any(perhaps) and (None in near or len(set(near)) < 2):
        return _parted_by_others(names, shared)
    folders = sorted({PurePosixPath(name).parent.as_posix() for name in names})
    found = f"{len(names)} cases are used for training, in folders called nearly as the parts of a "
    found += f"split are: {', '.join(folders[:4])}"
    fix = "name the folders train, validation or test, or fold_0, fold_1, ..., if they are"
    return (Question("warning", "SPLIT_FOLDERS", found, fix, about=("split",)),)


def _parted_by_others(names: list[str], shared: int) -> tuple[Finding, ...]:
    """Return a note of two or three folders that may be parts, called in words nobody knows here.

    Those that have numbers or a letter alone are perhaps of patients, sites or series.
    """
    tops = Counter("".join(PurePosixPath(name).parts[shared:-1][:1]) for name in names)
    words = [{*words_in(top)} - {*_OF_FILES} for top in tops]
    plain = all(len("".join(word)) > 1 for word in words) and not re.search(r"\d", "".join(tops))
    known = any(not word.isdisjoint(_OF_OTHERS) for word in words)
    if len(tops) not in (2, 3) or not plain or known or min(tops.values()) < 2:
        return ()
    found = f"{len(names)} cases lie in folders that are used neither as a split nor as groups: "
    return (Finding("note", "SPLIT_FOLDERS", found + ", ".join(sorted(tops)), ""),)


def shared_folders(names: Iterable[str]) -> int:
    """Return how many folders all files lie in: they are the dataset's, and tell of no part."""
    folders = zip(*(PurePosixPath(name).parts[:-1] for name in names), strict=False)
    return sum(1 for _ in takewhile(lambda level: len(set(level)) == 1, folders))


def _apart(case: Case, parts: dict[str, str]) -> Case:
    split = split_of_part(parts[case.id])
    return case if split is None else replace(case, split=split)
