"""Columns and keys: the parts of a split that they tell, and what is told of those not used."""

import re
from collections.abc import Collection, Mapping, Sequence

from data_prep.core.errors import DataError
from data_prep.core.findings import Finding, Question, Subject
from data_prep.core.values.channel_names import CHANNEL
from data_prep.core.values.tokens import tokens_of
from data_prep.formats.registry import is_scan_name, stem
from data_prep.layouts.lists.columns import (
    folds_apart,
    may_be_of_another_test,
    may_be_usable,
    may_group,
    may_leave_out,
    may_tell_of_cases,
    may_tell_of_several,
    may_tell_parts,
    parts_of_all,
    told_parts,
)
from data_prep.layouts.lists.declared import maps_in_vain, names_in_vain
from data_prep.layouts.words import Role, bare_name, role_of
from data_prep.planning.group_words import parts_alone
from data_prep.planning.part_words import Part, plain_word

_INSTEAD: dict[Role, set[Role]] = {
    "fold": {"fold", "split"},
    "patient": {"patient", "group"},
    "group": {"group"},
}
GROUPING: tuple[Role, ...] = ("group", "patient", "site")  # what cases stay together by
_SIZES = re.compile(r"(voxel|pixel)?(spacing|size)(mm)?|resolution(mm)?|units?")
_VALID = (
    "call it is_val if it tells the split; else take out the cases that are not usable, and the "
    "column"
)
_LEFT_OUT = "take out those cases, or the column"
_SECOND: dict[Role | None, str] = {
    "image": "name channels together, of a table in one cell with | between; or take it out",
    "label": "make one label of class numbers for each case, or take it out",
}
_SAY: dict[Role, str] = {
    "split": "call it split if it tells the split, with train, validation or test in each row, or "
    "give dataset.split_file",
    "fold": "call it fold or give dataset.split_file if it does, or take it out",
    "patient": "call it patient or give dataset.group_file if it does, or take it out",
    "group": "give dataset.group_file if it does, or take it out",
}
_ABOUT: dict[Role, tuple[Subject, ...]] = {
    **dict.fromkeys(("split", "fold"), ("split",)),
    **dict.fromkeys(("patient", "group"), ("groups",)),
}


def not_used(what: str, names: list[str], file: str) -> tuple[Finding, ...]:
    """Return a note of columns or keys of a list that say nothing to us; they may be meant to."""
    if not names:
        return ()
    found = f"{what} that are not used: {', '.join(map(repr, names[:8]))}"
    return (Finding("note", "LAY_COLUMNS", found, "", file=file),)


def parts_told(
    what: str,
    unused: Mapping[str, Sequence[object]],
    file: str,
    split: Sequence[object] = (),
    known: Collection[Role | None] = (),
    grouped: Mapping[str, Sequence[object]] | None = None,
    *,
    files: Mapping[Role | None, Sequence[object]] | None = None,
    note_rest: bool = True,
) -> tuple[list[str], tuple[Finding, ...]]:
    """Return the part of each case by the columns that tell it, and what is told of others.

    Args:
        what: `columns` or `keys`.
        unused: values of each that has no role by its name alone, one a case.
        file: the list.
        split: values of the column that tells the split by its name, if there is one, one a case.
        known: what columns tell by their names.
        grouped: values of each that tells groups by its name, see `GROUPING`.
        files: values of the columns that name the image and the label.
        note_rest: whether those that tell nothing are noted.

    Returns:
        The parts, none where no column tells them; and a warning for each that is not used, but
        may tell them, cases to leave out, or folds or patients that no other tells; a note of one
        such as `test` that alone tells the parts, and may be of a laboratory, and of others.

    Raises:
        ValueError: if two columns tell different parts of a case.
        DataError: LAY_COLUMNS as `_parts_as_groups`.
    """
    warned = _parts_as_groups(what, grouped or {}, file)
    understood = {
        name: parts for name, values in unused.items() if (parts := told_parts(name, values))
    }
    unsure = _unsure_of(unused, understood, split)
    understood = {name: told for name, told in understood.items() if name not in unsure}
    parts = parts_of_all(understood, split)
    doubtful = [
        name
        for name, values in unused.items()
        if name not in (*understood, *unsure) and may_tell_parts(name, values)
    ]
    valid = [name for name in unsure if len({*map(plain_word, unused[name])}) > 1]
    leaving = [name for name, values in unused.items() if may_leave_out(name, values)]
    folds = folds_apart(unused)
    grouping = {
        name: role
        for name, values in unused.items()
        if name not in folds
        and (role := may_group(name, values))
        and {*known}.isdisjoint(_INSTEAD[role])
    }
    doubts: list[tuple[str, str, Role]] = [
        *((name, "seem to tell parts of a split", "split") for name in doubtful),
        *(
            (name, f"may tell the {role} of each case", role)
            for name, role in grouping.items()
            if name not in doubtful
        ),
    ]
    for name, may, role in doubts:
        found, fix = f"{what} that are not used, and {may}: {name!r}", _SAY[role]
        asked = Question("warning", "LAY_COLUMNS", found, fix, file=file, about=_ABOUT[role])
        warned += (asked,)
    if folds:
        names = ", ".join(map(repr, folds))
        found = f"{what} that are not used, and seem to tell a fold each: {names}"
        fix = "give their numbers in one column fold, or give dataset.split_file"
        asked = Question("warning", "LAY_COLUMNS", found, fix, file=file, about=_ABOUT["fold"])
        warned += (asked,)
    quality = "may tell cases for validation, or those that are usable"
    second = {name: role for name, vs in unused.items() if (role := _second(name, vs, files or {}))}
    for name, may, fix in (
        *((name, quality, _VALID) for name in valid),
        *((name, "may tell which cases to leave out", _LEFT_OUT) for name in leaving),
        *(
            (name, f"name another {role} of each case", _SECOND[role])
            for name, role in second.items()
        ),
    ):
        found = f"{what} that are not used, and {may}: {name!r}"
        warned += (Finding("warning", "LAY_COLUMNS", found, fix, file=file),)
    told = (*understood, *doubtful, *valid, *leaving, *grouping, *folds, *second)
    alone = [*understood] if len(understood) == 1 and parts else []
    for name in alone:
        if may_be_of_another_test(name, unused[name]) and {*parts} != {"train"}:
            found = f"{name!r} is taken to tell which cases are kept apart from training"
            warned += (Finding("note", "LAY_COLUMNS", found, "", file=file),)
    rest = [name for name in unused if name not in told] if note_rest else []
    return parts, (*warned, *not_used(what, rest, file))


def _second(
    column: str, values: Sequence[object], files: Mapping[Role | None, Sequence[object]]
) -> Role | None:
    """Return what a column names besides another of its role, and other files: `label2`."""
    *words, number = tokens_of(column) or [""]
    role = role_of("".join(words)) if number.isdecimal() else None
    named = any(isinstance(value, str) and is_scan_name(value) for value in values)
    if role not in _SECOND or not named or [*values] == [*files.get(role, ())]:
        return None
    return role


def _unsure_of(
    unused: Mapping[str, Sequence[object]],
    understood: Mapping[str, Sequence[frozenset[Part]]],
    split: Sequence[object],
) -> list[str]:
    """Return columns such as `valid` that may be of quality: those beside no other of a split.

    Beside one they are of a split where they agree with it.
    """
    found = [name for name, values in unused.items() if may_be_usable(name, values)]
    if {*understood} - {*found}:
        return []
    try:
        parts_of_all(understood, split)
    except ValueError:
        return found
    return [] if split else found


def _parts_as_groups(
    what: str, grouped: Mapping[str, Sequence[object]], file: str
) -> tuple[Finding, ...]:
    """Return a warning of each column of groups of which some are called by parts of a split.

    Raises:
        DataError: LAY_COLUMNS if all of them are: whole parts would stay together, and the test
            set be learnt from.
    """
    found = []
    for name, values in grouped.items():
        if parts := parts_alone(values):
            told = f"{name!r} tells groups, and holds nothing but parts of a split: "
            fix = "call it split, or take it out"
            raise DataError("LAY_COLUMNS", told + ", ".join(parts[:4]), fix, file=file)
        if may_tell_parts(name, values):
            told = f"{what} of groups, of which some are called by parts of a split: {name!r}"
            fix = "call it split if it tells the split, or call the groups otherwise"
            found.append(Finding("warning", "LAY_COLUMNS", told, fix, file=file))
    return tuple(found)


def keys_in_vain(
    described: Mapping[str, object], used: Collection[str], file: str, ids: Collection[str]
) -> tuple[Finding, ...]:
    """Return what is told of keys of a description that are not used, and may have to be.

    They may name cases by what they are called, and do where a list in them names some cases and
    not all; or name classes and channels, or give the size of voxels.

    Args:
        described: what the file holds.
        used: keys that are read.
        file: its name.
        ids: of all cases.
    """
    found = [
        key
        for key, value in described.items()
        if key not in used
        and isinstance(value, dict | list)
        and value
        and (
            may_tell_of_cases(key)
            or (len(value) > 1 and may_tell_of_several(key))
            or _names_some(value, {*ids})
        )
    ]
    findings = not_used(
        "keys", [key for key in described if _SIZES.fullmatch(bare_name(key))], file
    )
    if found:
        text = f"keys that are not used, and may tell of a split or groups: {_quoted(found)}"
        fix = "give folds by dataset.split_file, groups by dataset.group_file; or take the keys out"
        about: tuple[Subject, ...] = ("split", "groups")
        findings += (Question("warning", "LAY_COLUMNS", text, fix, file=file, about=about),)
    if names := names_in_vain(described):
        text = f"keys that are not used, and seem to name classes or channels: {_quoted(names)}"
        fix = "call them labels and channel_names, by number; or take them out"
        findings += (Finding("warning", "LAY_COLUMNS", text, fix, file=file),)
    if maps := maps_in_vain(described):
        text = f"keys that are not used, and may say what values mean: {_quoted(maps)}"
        fix = "call the ignored value ignore among labels, map others by dataset.label_map"
        findings += (Finding("warning", "LAY_COLUMNS", text, fix, file=file),)
    return findings


def _quoted(names: Collection[str]) -> str:
    return ", ".join(map(repr, names))


def _names_some(value: object, ids: set[str]) -> bool:
    """Tell whether a list, or one within it, names some of the cases and not all of them."""
    if not isinstance(value, list | dict):
        return False
    inner = value if isinstance(value, list) else [*value.values()]
    stems = [stem(one) for one in inner if isinstance(one, str)] if inner is value else []
    named = ids & {name for found in stems for name in (found, CHANNEL.sub("", found))}
    return (bool(named) and named < ids) or any(_names_some(one, ids) for one in inner)
