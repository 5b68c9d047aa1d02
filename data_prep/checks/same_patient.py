"""Cases that may be of one patient, by their ids or folders, where nothing says so."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import chain
from pathlib import PurePosixPath

from data_prep.core.config import DataConfig
from data_prep.core.findings import Finding
from data_prep.layouts import Case
from data_prep.planning.splits import divided

_BETWEEN = "_. -"  # what stands between the words of an id
_WORDS = re.compile(f"[^{_BETWEEN}]+")
_SHOWN = 3
_MOST_VIEWS = 4  # of one patient; what holds more is a site, or a year


def tell_of_patients(cases: Iterable[Case], config: DataConfig) -> list[Finding]:
    """Return a warning, SPLIT_PATIENTS, of cases that may be of one patient and be parted.

    They may be where ids share a beginning with a number in it, as `patient001_frame01` and
    `patient001_frame12`, or where folders with a number in their name hold several cases each.
    Nothing is told where groups are known, or where folds that are stated part no such cases.

    Args:
        cases: that can be used.
        config: the user's `group_file`, `group_pattern` and `split_file`.
    """
    alone = [case for case in cases if case.group is None and case.patient is None]
    if config.group_file or config.group_pattern is not None or config.split_file:
        return []
    words, by_id = _beginnings({case.id for case in alone})
    by_folder = {case.id: PurePosixPath(case.image).parent.name for case in alone}
    splits = {case.id: case.split for case in alone}
    for groups, what, fix in (
        (by_id, "ids begin alike", f"dataset.group_pattern: '{_pattern(words)}'"),
        (by_folder, "cases lie in one folder", "dataset.group_file, a CSV file of case,group"),
    ):
        if parted := _parted(groups, splits):
            name, ids = min(parted.items())
            found = f"{what}, such as {', '.join(sorted(ids)[:_SHOWN])} ({name}), and nothing says "
            found += "which cases are of one patient: folds may part them"
            return [Finding("warning", "SPLIT_PATIENTS", found, f"say it, as by {fix}")]
    return []


def _parted(
    groups: Mapping[str, str], splits: Mapping[str, str | int | None]
) -> dict[str, list[str]]:
    """Return the groups of several cases that folds to be made may part, or stated ones do."""
    members: dict[str, list[str]] = defaultdict(list)
    for id_, group in groups.items():
        if re.search(r"\d", group):
            members[group].append(id_)
    if len(members) < 2:  # of which one would be all cases
        return {}
    if None not in splits.values():
        members = {
            group: [*chain.from_iterable(sides.values())]
            for group, sides in divided(groups, splits).items()
            if group in members
        }
    return {group: ids for group, ids in members.items() if len(ids) > 1}


def _beginnings(ids: set[str]) -> tuple[int, dict[str, str]]:
    """Return how many words of an id tell its patient, and those of each id.

    As many as ids share, or fewer where these hold views or times of one patient: a number in
    each, and no more views than there are patients. `patient1_2CH_ED` begins with one word.
    """
    shared = {}
    for count in range(1, max((len(_WORDS.findall(id_)) for id_ in ids), default=0)):
        pattern = re.compile(_pattern(count))
        begins = {id_: found[1] for id_ in ids if (found := pattern.search(id_))}
        if 1 < len({*begins.values()}) < len(begins):
            shared[count] = begins
    longest = len({*shared[max(shared)].values()}) if shared else 0
    for count, begins in shared.items():
        there = {*begins.values()}
        numbered = all(re.search(r"\d", name) for name in there)
        views = longest / len(there)
        if count == max(shared) or (numbered and views <= _MOST_VIEWS and views < len(there)):
            return count, begins
    return 1, {}


def _pattern(words: int) -> str:
    """Return an expression whose group is the first words of an id."""
    more = f"(?:[{_BETWEEN}]+[^{_BETWEEN}]+){{0,{words - 1}}}" if words > 1 else ""
    return f"^([^{_BETWEEN}]+{more})"
