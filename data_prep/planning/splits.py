"""Folds for cross-validation and a test set, neither of which ever splits a group."""

import csv
import io
import random
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from pathlib import Path

from data_prep.core.errors import DataError, words_of
from data_prep.core.parse import UNUSABLE, once, read_json

Folds = list[dict[str, list[str]]]


def group_of(case_id: str, pattern: str | None) -> str:
    """Return what a case must stay together with; without a pattern the case itself.

    Raises:
        DataError: SPLIT_PATTERN if the pattern is broken, has no group or does not match.
    """
    if pattern is None:
        return case_id
    try:
        found = re.search(pattern, case_id)
        if found and found.group(1):
            return found.group(1)
    except (re.error, IndexError) as error:
        raise DataError(
            "SPLIT_PATTERN", f"group_pattern {pattern!r}: {words_of(error)}", "give one (group)"
        ) from error
    raise DataError(
        "SPLIT_PATTERN",
        f"group_pattern {pattern!r} does not match",
        "give a pattern that matches every case",
        case=case_id,
    )


def read_groups(path: str | Path) -> dict[str, str]:
    """Read case ids and groups from a CSV file with columns `case` and `group`.

    Raises:
        DataError: SPLIT_GROUPS if it cannot be used.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
        columns, *cells = csv.reader(io.StringIO(text), strict=True)
        rows = [once(list(zip(columns, row, strict=True))) for row in cells if row]
        groups = {row["case"].strip(): row["group"].strip() for row in rows}
    except (OSError, csv.Error, *UNUSABLE) as error:
        raise DataError(
            "SPLIT_GROUPS",
            f"{path}: {type(error).__name__} {error}",
            "give a CSV file with columns case and group",
        ) from error
    if len(groups) != len(rows) or not all(groups.values()):
        raise DataError("SPLIT_GROUPS", f"{path}: a case twice or without group", "repair it")
    return groups


def choose_test(
    groups: Mapping[str, str], foreground: Collection[str], share: float, seed: int
) -> list[str]:
    """Return the cases of whole groups that make up about `share` of all, at least one group."""
    if share <= 0:
        return []
    parts = max(2, round(1 / share))
    return make_folds(groups, parts, seed, foreground)[0]["val"]


def make_folds(
    groups: Mapping[str, str], folds: int, seed: int, foreground: Collection[str] = ()
) -> Folds:
    """Deal the groups into folds of nearly equal numbers of cases, and of cases with foreground.

    Args:
        groups: case id to group.
        folds: number of folds; fewer are made where there are fewer groups.
        seed: of the shuffling.
        foreground: ids of the cases that have any.

    Returns:
        For each fold `{"train": ids, "val": ids}`; each case is in one `val`.

    Raises:
        DataError: SPLIT_FEW if there are not two groups or two folds.
    """
    members = defaultdict(list)
    for case_id, group in sorted(groups.items()):
        members[group].append(case_id)
    if len(members) < 2 or folds < 2:
        raise DataError(
            "SPLIT_FEW",
            f"{len(members)} groups into {folds} folds",
            "training and validation need two groups and two folds at least",
        )
    shown = {group: sum(c in foreground for c in cases) for group, cases in members.items()}
    order = sorted(members)
    random.Random(seed).shuffle(order)
    # Largest first, those with most foreground before; equal ones stay shuffled.
    order.sort(key=lambda group: (-len(members[group]), -shown[group]))
    parts: list[list[str]] = [[] for _ in range(min(folds, len(members)))]
    has = [0] * len(parts)
    for group in order:
        # Rows of folds fill evenly; among the emptiest, foreground goes where there is least.
        emptiest = min(
            range(len(parts)), key=lambda i: (len(parts[i]), has[i] * bool(shown[group]))
        )
        parts[emptiest].extend(members[group])
        has[emptiest] += shown[group]
    return _folds(parts)


def given_folds(folds: Mapping[str, int]) -> Folds:
    """Return folds as a dataset numbers them, case id to fold.

    Raises:
        DataError: SPLIT_FEW if there is one fold only.
    """
    parts = defaultdict(list)
    for case_id, fold in folds.items():
        parts[fold].append(case_id)
    if len(parts) < 2:
        raise DataError("SPLIT_FEW", f"{len(parts)} fold given", "number two folds at least")
    return _folds([parts[fold] for fold in sorted(parts)])


def read_folds(path: str | Path, groups: Mapping[str, str]) -> Folds:
    """Read folds from nnU-Net's `splits_final.json`, or from our own `splits.json`.

    Raises:
        DataError: SPLIT_FILE if it cannot be used or names unknown cases, SPLIT_LEAK if a group
            is on both sides.
    """
    try:
        content = read_json(path, list)
        folds = [
            {side: [str(i) for i in fold[side]] for side in ("train", "val")} for fold in content
        ]
    except (OSError, *UNUSABLE) as error:
        raise DataError(
            "SPLIT_FILE",
            f"{path}: {type(error).__name__} {error}",
            "give a list of folds with train and val",
        ) from error
    named = {case_id for fold in folds for side in fold.values() for case_id in side}
    unknown = sorted(named - set(groups))
    if unknown or not folds:
        raise DataError(
            "SPLIT_FILE", f"{path} names unknown cases {unknown[:5]}", "repair the list of folds"
        )
    for number, fold in enumerate(folds):
        twice = [i for side in fold.values() for i, n in Counter(side).items() if n > 1]
        if twice:
            found = f"fold {number} of {path} names {twice[0]} twice"
            raise DataError("SPLIT_FILE", found, "repair the list of folds")
        both = {groups[i] for i in fold["train"]} & {groups[i] for i in fold["val"]}
        if both or not fold["train"] or not fold["val"]:
            found = f"fold {number} of {path}: {sorted(both)[:5]} on both sides, or one side empty"
            raise DataError("SPLIT_LEAK", found, "split by group")
    return folds


def _folds(parts: list[list[str]]) -> Folds:
    everyone = {case_id for part in parts for case_id in part}
    return [{"train": sorted(everyone - set(part)), "val": sorted(part)} for part in parts]
