"""Folds for cross-validation and a test set, neither of which ever splits a group."""

import csv
import io
import random
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any
from unicodedata import category, normalize

from data_prep.core.config import DataConfig
from data_prep.core.errors import DataError, words_of
from data_prep.core.findings import Finding, Findings
from data_prep.core.parse import MAX_LIST_BYTES, is_no_value, once, read_bounded, read_json, usable
from data_prep.planning.group_words import may_be_parts, parts_alone
from data_prep.planning.part_words import without_marks

Folds = list[dict[str, list[str]]]
_SIDES = ("train", "val")
_STATED, _PATIENTS = "the dataset", "the dataset, by patient"  # which tell groups
# Columns that a file of groups has not.
_OF_SPLITS = re.compile(
    r"split|set|subset|part|partition|cohort|k?[_ ]?fold([_ ]?(id|no|number))?"
    r"|((is|in|for)[_ ])?(train|val|valid|validation|test|holdout|held[_ ]?out)(ing)?([_ ]?set)?"
)
# Columns of any list that say which cases are not to be used.
_OF_LEAVING = re.compile(r"(exclude|reject|discard|drop|skip|ignore|include|use|keep)(p?e?d)?")


def divided(
    groups: Mapping[str, str], sides: Mapping[str, Hashable]
) -> dict[str, dict[Hashable, list[str]]]:
    """Return the cases by side of each group that lies on several.

    Every way of splitting a dataset is held to this: by test set, by fold, by another grouping.

    Args:
        groups: case id to group.
        sides: case id to what it is on, such as the number of a fold.
    """
    members: dict[str, dict[Hashable, list[str]]] = defaultdict(lambda: defaultdict(list))
    for id_, side in sides.items():
        members[groups[id_]][side].append(id_)
    return {group: dict(found) for group, found in members.items() if len(found) > 1}


def groups_of(
    told: Mapping[str, tuple[str | None, str | None]],
    config: DataConfig,
    left_out: Collection[str] = (),
) -> tuple[dict[str, str], list[DataError], list[Finding]]:
    """Return what each case must stay together with: by the user, else by the dataset.

    Names that differ in spaces or capitals only are one group.

    Args:
        told: case id to the group and the patient that the dataset itself names, if it does.
        config: the user's `group_file` and `group_pattern`.
        left_out: cases that the file may name, too, and that cannot be used.

    Returns:
        The groups; SPLIT_GROUPS for each case that has none, where the dataset tells those of
        others; and a warning if the file names cases that are not there, or a note if groups of
        the dataset hold several of its patients.

    Raises:
        DataError: SPLIT_PATTERN as `group_of`; SPLIT_GROUPS as `read_groups`, if the file lacks a
            case, or if one source parts what another one keeps together.
    """
    sources: dict[str, dict[str, str]] = {}
    findings = Findings()
    if config.group_file:
        named = read_groups(config.group_file)
        if missing := sorted(told.keys() - named):
            found, fix = f"not in {config.group_file}", "name every case"
            raise DataError("SPLIT_GROUPS", found, fix, case=missing[0])
        if more := sorted(named.keys() - told.keys() - set(left_out)):
            found = f"{config.group_file} names {len(more)} cases that are not there: {more[:5]}"
            findings.warn("SPLIT_GROUPS", found, "check how they are written")
        if may_be_parts(named.values()):
            found = f"some groups of {config.group_file} are called by parts of a split"
            fix = "tell the split by dataset.split_file or a list, or call the groups otherwise"
            findings.warn("SPLIT_GROUPS", found, fix)
        sources["group_file"] = {id_: named[id_] for id_ in told}
    if config.group_pattern is not None:
        sources["group_pattern"] = {id_: group_of(id_, config.group_pattern) for id_ in told}
    alone = [id_ for id_, (group, _) in told.items() if group is None]
    errors = []
    if not sources and 0 < len(alone) < len(told):
        found, fix = "no group or patient, where other cases have one", "give it to each case"
        errors = [DataError("SPLIT_GROUPS", found, fix, case=id_) for id_ in alone]
    for i, name in enumerate((_STATED, _PATIENTS)):
        sources[name] = {
            id_: group for id_, names in told.items() if (group := names[i]) is not None
        }
    sources = {name: _spelled_alike(groups) for name, groups in sources.items()}
    (chosen, groups), *others = sources.items()
    groups = {id_: groups.get(id_, id_) for id_ in told}
    for name, other in others:
        for group, parts in divided(other, {id_: groups[id_] for id_ in other}).items():
            first, second = [ids[0] for ids in parts.values()][:2]
            raise DataError(
                "SPLIT_GROUPS",
                f"{chosen} puts {first} into {groups[first]!r} and {second} into "
                f"{groups[second]!r}, {name} has both in {group!r}",
                "say it once, or let them agree",
            )
        patients, held = len({*other.values()}), len({*groups.values()})
        if (chosen, name) == (_STATED, _PATIENTS) and held < patients:
            found = f"whole groups of the dataset stay together: {patients} patients in {held}"
            findings.note("SPLIT_GROUPS", found)
    return groups, errors, findings.found


def _spelled_alike(groups: Mapping[str, str]) -> dict[str, str]:
    """Return groups by the first spelling of each: `P1` and `p1 `, `1`, `01` and `1.0` are one."""
    spelling: dict[str, str] = {}
    return {id_: spelling.setdefault(_plain(name), name) for id_, name in groups.items()}


def _plain(name: str) -> str:
    # What nobody sees, and the mark of spreadsheets for text, are no part of a name.
    letters = (c for c in normalize("NFKC", name) if category(c) != "Cf")
    # Programs for text make dashes of hyphens.
    seen = "".join("-" if category(c) == "Pd" else c for c in letters).lstrip("'")
    plain = " ".join(seen.casefold().split())
    # Tables write numbers as numbers: pandas adds `.0`, spreadsheets take zeros away.
    return re.sub(r"^0+(?=\d)", "", re.sub(r"\.0+$", "", plain)) if plain[:1].isdigit() else plain


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
    except (re.error, IndexError, OverflowError, RecursionError) as error:
        wrong = "no such group" if isinstance(error, IndexError) else words_of(error)
        found = f"dataset.group_pattern {pattern!r}: {wrong}"
        raise DataError("SPLIT_PATTERN", found, "give one (group)") from error
    raise DataError(
        "SPLIT_PATTERN",
        f"dataset.group_pattern {pattern!r} does not match",
        "give a pattern that matches every case",
        case=case_id,
    )


def read_groups(path: str | Path) -> dict[str, str]:
    """Read case ids and groups from a CSV file with columns `case` and `group`.

    Cells may be divided by semicolons or tabs, too.

    Raises:
        DataError: SPLIT_GROUPS if it cannot be used.
    """
    with usable("SPLIT_GROUPS", path, "give a CSV file with columns case and group"):
        text = read_bounded(path, MAX_LIST_BYTES).decode("utf-8-sig")
        delimiter = max(",;\t", key=text.partition("\n")[0].count)
        lines = list(csv.reader(io.StringIO(text), delimiter=delimiter, strict=True))
        if not lines:
            raise ValueError("it is empty")
        columns = [without_marks(column).lower() for column in lines[0]]
        cells = [row for row in lines[1:] if row]
        if odd := next((row for row in cells if len(row) != len(columns)), None):
            raise ValueError(f"a row of {len(odd)} cells below {len(columns)} columns")
        rows = [once(list(zip(columns, row, strict=True))) for row in cells]
        if told := [column for column in columns if _OF_SPLITS.fullmatch(column)]:
            raise ValueError(f"column {told[0]!r}: a split is told by dataset.split_file or a list")
        for column in filter(_OF_LEAVING.fullmatch, columns):
            if len({row[column].strip().lower() for row in rows}) > 1:
                raise ValueError(f"column {column!r}: cases are left out of the dataset, not here")
        groups = {row["case"].strip(): row["group"].strip() for row in rows}
        if parts := parts_alone(groups.values()):
            told = f"its groups are parts of a split: {', '.join(parts[:4])}"
            raise ValueError(f"{told}, which dataset.split_file or a list tells")
    without = [name for name in groups.values() if is_no_value(name)]
    if len(groups) != len(rows) or without:
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
    if len(members) == 1 < len(groups):
        raise DataError(
            "SPLIT_FEW",
            f"all {len(groups)} cases are of one group or patient, as if one PatientID had been "
            "written into all files",
            "say whose each case is: dataset.group_file or dataset.group_pattern",
        )
    if len(members) < 2 or folds < 2:
        raise DataError(
            "SPLIT_FEW",
            f"{len(members)} groups into {folds} folds",
            "training and validation need two groups and two dataset.folds at least",
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


def read_folds(
    path: str | Path,
    groups: Mapping[str, str],
    left_out: Collection[str] = (),
    findings: Findings | None = None,
) -> Folds:
    """Read folds from nnU-Net's `splits_final.json`, or from our own `splits.json`.

    Args:
        path: the file, a list of `{"train": ids, "val": ids}`.
        groups: case id to group, of all cases that are to be in the folds.
        left_out: cases that the file may name, too, and that cannot be used.
        findings: say what is accepted.

    Raises:
        DataError: SPLIT_FILE if it cannot be used or names unknown cases; SPLIT_LEAK as
            `check_folds`; SPLIT_COVER, unless it is accepted, if a fold lacks a case, or if of
            several folds not exactly one validates it.
    """
    with usable("SPLIT_FILE", path, "give a list of folds with train and val"):
        folds = [fold_of(fold) for fold in read_json(path, list)]
    named = {case_id for fold in folds for side in fold.values() for case_id in side}
    unknown = sorted(named - set(groups) - set(left_out))
    if unknown or not folds:
        raise DataError(
            "SPLIT_FILE", f"{path} names unknown cases {unknown[:5]}", "repair the list of folds"
        )
    for number, fold in enumerate(folds):
        twice = [i for side in fold.values() for i, n in Counter(side).items() if n > 1]
        if twice:
            found = f"fold {number} of {path} names {twice[0]} twice"
            raise DataError("SPLIT_FILE", found, "repair the list of folds")
    folds = [{side: [i for i in fold[side] if i in groups] for side in _SIDES} for fold in folds]
    check_folds(folds, groups, where=f" of {path}")
    _check_cover(folds, groups, path, findings or Findings())
    return folds


def fold_of(record: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the ids of one fold of a file, by `train` and `val`.

    Other keys, such as `test`, may name cases that are to be in neither: they are empty here.

    Raises:
        ValueError: for other keys that hold something, or sides that are no lists of ids.
    """
    others = record.keys() - {*_SIDES}
    if more := sorted(key for key in others if record[key] not in ([], {}, None)):
        raise ValueError(f"unknown key {more[0]!r}; only train and val are folds")
    for side in _SIDES:
        ids = record[side]
        if not isinstance(ids, list) or not all(type(id_) in (str, int) for id_ in ids):
            raise ValueError(f"{side} must be a list of case ids, got {ids!r:.80}")
    return {side: [str(id_) for id_ in record[side]] for side in _SIDES}


def check_folds(
    folds: Sequence[Mapping[str, Sequence[str]]],
    groups: Mapping[str, str],
    test: Collection[str] = (),
    where: str = "",
) -> None:
    """Refuse folds with a group on both sides or in the test set, too, or with an empty side.

    Args:
        folds: for each `{"train": ids, "val": ids}`.
        groups: case id to group, of all of them.
        test: cases that no fold holds.
        where: added to the number of a fold, such as the name of its file.

    Raises:
        DataError: SPLIT_LEAK.
    """
    for number, fold in enumerate(folds):
        sides = [("the test set", id_) for id_ in test]
        sides += [(side, id_) for side in _SIDES for id_ in fold[side]]
        members = defaultdict(set)
        for side, id_ in sides:
            members[groups[id_]].add(side)
        both = sorted(group for group, found in members.items() if len(found) > 1)
        if both or not fold["train"] or not fold["val"]:
            found = f"fold {number}{where}: {both[:5]} on both sides, or one side empty"
            raise DataError("SPLIT_LEAK", found, "split by group")


def _check_cover(
    folds: Folds, groups: Mapping[str, str], path: str | Path, findings: Findings
) -> None:
    told = []
    for number, fold in enumerate(folds):
        if missing := sorted(groups.keys() - {*fold["train"], *fold["val"]}):
            told.append(f"fold {number} lacks {_few(missing)}")
    times = Counter(id_ for fold in folds for id_ in fold["val"])
    if len(folds) > 1:  # one alone splits once and for all
        never = sorted(groups.keys() - times)
        often = sorted(id_ for id_, n in times.items() if n > 1)
        told += [f"no fold validates {_few(never)}"] * bool(never)
        told += [f"several folds validate {_few(often)}"] * bool(often)
    if told:
        findings.ask("SPLIT_COVER", f"{path}: {'; '.join(told)}", "give each case its place")


def _few(ids: Sequence[str]) -> str:
    more = f" and {len(ids) - 5} more" * (len(ids) > 5)
    return f"{', '.join(ids[:5])}{more}"


def _folds(parts: list[list[str]]) -> Folds:
    everyone = {case_id for part in parts for case_id in part}
    return [{"train": sorted(everyone - set(part)), "val": sorted(part)} for part in parts]


def split_settings(config: DataConfig) -> dict[str, Any]:
    """Return the settings that decide folds, groups and labels; of files their names alone."""
    names = ("folds", "split_file", "test_share", "seed", "group_pattern", "group_file")
    names = (*names, "label_folder")
    found = {name: getattr(config, name) for name in names}
    files = {name: found[name] and Path(found[name]).name for name in ("split_file", "group_file")}
    return found | files


def given_split(config: DataConfig) -> dict[str, Any] | None:
    """Return those of `split_settings` that are given, for a plan; `None` without any."""
    nothing = split_settings(DataConfig())
    return {n: v for n, v in split_settings(config).items() if v != nothing[n]} or None
