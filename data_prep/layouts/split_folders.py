"""Folders for training, validation and testing, above whatever a layout finds in them."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from itertools import takewhile, zip_longest
from pathlib import PurePosixPath

from data_prep.core.errors import DataError
from data_prep.core.findings import Finding, Question
from data_prep.layouts.cases import Case, Layout, kept_apart, sample, without
from data_prep.layouts.words import (
    is_split,
    nearly_part_of,
    part_alone,
    part_of_folders,
    split_of_part,
    without_letters,
)
from data_prep.planning.part_words import PLAIN_FOLD, fold_number, may_be_part, words_in

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
    below = folders_below([case.image for case in cases])
    parts, problems, told_by = {}, list(layout.problems), {}
    for case in cases:
        try:
            told = part_of_folders(below[case.image])
        except ValueError as error:
            problems.append(DataError("LAY_FOLD", str(error), "rename the folders", case=case.id))
            continue
        parts[case.id] = told or "train"
        told_by[case.image] = told
    findings = (*layout.findings, *of_no_part(told_by))
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
    inside = {folder: f"{folder.as_posix()}/x" for folder in folders}
    below = folders_below(inside.values())
    part_of = {f: part_alone(map(without_letters, below[name])) for f, name in inside.items()}
    wrong = {case.id: error for case in cases if (error := _parted_in(case, part_of))}
    return without(layout, wrong)


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


def of_no_part(told: Mapping[str, str | None]) -> tuple[Finding, ...]:
    """Return a warning of files in folders that name no part, if others are named for training.

    Where none are, it is of folders that are called nearly as parts are, and as several.

    Args:
        told: the part that the folders of each file name.
    """
    silent = [name for name, part in told.items() if part is None]
    if "train" not in told.values():
        return _nearly_parted(told, silent)
    if not silent:
        return ()
    folders = sorted({PurePosixPath(name).parent.as_posix() for name in silent})
    found = f"{len(silent)} cases are used for training, whose folders name no part of the split "
    found += f"as others do: {', '.join(folders[:4])}"
    fix = "name the folders train, validation or test"
    return (Question("warning", "SPLIT_FOLDERS", found, fix, about=("split",)),)


def _nearly_parted(told: Mapping[str, str | None], silent: list[str]) -> tuple[Finding, ...]:
    training = silent or [*told]  # those of one part alone are no split
    shared = shared_folders(training)
    below = {name: PurePosixPath(name).parts[shared:-1] for name in training}
    perhaps = {
        folder
        for name, found in below.items()
        for folder in found
        if may_be_part(folder) and (told[name] is None or _tells(folder, told[name]))
    }
    near = [nearly_part_of(below[name]) for name in silent]
    if len(perhaps) < 2:
        if None in near or len(set(near)) < 2:
            return _parted_by_others(silent)
        perhaps = {PurePosixPath(name).parent.as_posix() for name in silent}
    found = f"{len(training)} cases are used for training, in folders whose names may be those of "
    found += f"folds or parts of a split: {', '.join(sorted(perhaps)[:4])}"
    fix = "name the folders train, validation or test, or fold_0, fold_1, ..., if they are"
    return (Question("warning", "SPLIT_FOLDERS", found, fix, about=("split",)),)


def _tells(folder: str, part: str | None) -> bool:
    return fold_number(folder) is None and part_alone([folder]) == part


def _parted_by_others(names: list[str]) -> tuple[Finding, ...]:
    """Return a note of two or three folders that may be parts, called in words nobody knows here.

    Those that have numbers or a letter alone are perhaps of patients, sites or series.
    """
    shared = shared_folders(names)
    tops = Counter("".join(PurePosixPath(name).parts[shared:-1][:1]) for name in names)
    words = [{*words_in(top)} - {*_OF_FILES} for top in tops]
    plain = all(len("".join(word)) > 1 for word in words) and not re.search(r"\d", "".join(tops))
    known = any(not word.isdisjoint(_OF_OTHERS) for word in words)
    if len(tops) not in (2, 3) or not plain or known or min(tops.values()) < 2:
        return ()
    found = f"{len(names)} cases lie in folders that are used neither as a split nor as groups: "
    return (Finding("note", "SPLIT_FOLDERS", found + ", ".join(sorted(tops)), ""),)


def folders_below(names: Collection[str]) -> dict[str, tuple[str, ...]]:
    """Return the folders of each file that may tell its part, below those that all lie in.

    One that is called by another word for folds than `fold` is a fold only beside nothing else but
    folds, which are counted from 0 or 1: `kfold_5` alone says how many there are.
    """
    shared = shared_folders(names)
    below = {name: PurePosixPath(name).parts[shared:-1] for name in names}
    levels = [{*level} for level in zip_longest(*below.values(), fillvalue="")]
    doubtful = {
        folder
        for level in levels
        if not _are_counted(level)
        for folder in level
        if fold_number(folder) is not None and not PLAIN_FOLD.fullmatch(folder)
    }
    return {name: tuple(f for f in found if f not in doubtful) for name, found in below.items()}


def _are_counted(folders: Collection[str]) -> bool:
    """Tell whether folders are several folds, and their numbers have no gap from 0 or 1."""
    numbers = {*map(fold_number, folders)}
    several = len(numbers) > 1
    return several and any(numbers == {*range(k, k + len(numbers))} for k in (0, 1))


def shared_folders(names: Iterable[str]) -> int:
    """Return how many folders all files lie in: they are the dataset's, and tell of no part."""
    folders = zip(*(PurePosixPath(name).parts[:-1] for name in names), strict=False)
    return sum(1 for _ in takewhile(lambda level: len(set(level)) == 1, folders))


def _apart(case: Case, parts: dict[str, str]) -> Case:
    split = split_of_part(parts[case.id])
    return case if split is None else replace(case, split=split)
