"""Folds for cross-validation that never split a group."""

import random
import re
from collections import defaultdict

from data_prep.errors import DataError


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
            "SPLIT_PATTERN", f"group_pattern {pattern!r}: {error}", "give one (group)"
        ) from error
    raise DataError(
        "SPLIT_PATTERN",
        f"group_pattern {pattern!r} does not match",
        "give a pattern that matches every case",
        case=case_id,
    )


def make_folds(groups: dict[str, str], folds: int, seed: int) -> list[dict[str, list[str]]]:
    """Deal the groups into folds of nearly equal numbers of cases.

    Args:
        groups: case id to group.
        folds: number of folds; fewer are made where there are fewer groups.
        seed: of the shuffling.

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
    order = sorted(members)
    random.Random(seed).shuffle(order)
    order.sort(key=lambda group: -len(members[group]))  # stable: equal sizes stay shuffled
    parts: list[list[str]] = [[] for _ in range(min(folds, len(members)))]
    for group in order:
        min(parts, key=len).extend(members[group])
    everyone = set(groups)
    return [{"train": sorted(everyone - set(part)), "val": sorted(part)} for part in parts]
