"""Records of JSON lists: the parts of a split that their keys tell, and their ids."""

from collections.abc import Iterable

from data_prep.core.findings import Finding, Question
from data_prep.core.parse import whole
from data_prep.layouts.lists.in_vain import GROUPING, parts_told
from data_prep.layouts.words import Role, by_role, role_of


def with_parts(training: list, apart: list, name: str) -> tuple[list, tuple[Finding, ...]]:
    """Return the records for training with the parts that one key tells, and what is not used.

    Args:
        training: records for training.
        apart: those that are kept apart, whose keys are told of, too.
        name: of the list.

    Raises:
        ValueError: if two keys tell different parts of a case, or both name its split or fold.
        DataError: LAY_COLUMNS as `parts_told`.
    """
    records = [record for record in training if isinstance(record, dict)]
    others = [record for record in apart if isinstance(record, dict)]
    keys = dict.fromkeys(key for r in (*records, *others) for key in r if role_of(key) is None)
    unused = {key: [record.get(key, "") for record in records] for key in keys}
    split = [split_and_fold(record)[0] for record in records]
    known = any(value is not None for value in split)
    roles = {role_of(key) for record in records for key in record}
    groups = dict.fromkeys(key for r in records for key in r if role_of(key) in GROUPING)
    grouped = {key: [record.get(key, "") for record in records] for key in groups}
    files = {
        role_of(key): [record.get(key, "") for record in records]
        for key in (records[0] if records else ())
    }
    split = split if known else ()
    parts, findings = parts_told("keys", unused, name, split, roles, grouped, files=files)
    if parts and len(records) == len(training):
        training = [r | {"split": part} for r, part in zip(records, parts, strict=True)]
    return training, findings


def split_and_fold(record: dict) -> tuple[object, object]:
    """Return the values of a record that tell its split and its fold; `None` for each it lacks.

    Raises:
        ValueError: if two keys name one of them.
    """
    told = _values_of(record, "split", "fold")
    return told.get("split"), told.get("fold")


def ids_of(training: list, apart: list, name: str) -> tuple[list[str | None], tuple[Finding, ...]]:
    """Return the id of each record by a key that tells all apart, and what is told of others.

    Without such a key cases are called as their files.

    Args:
        training: records for training.
        apart: those that are kept apart, which follow.
        name: of the list.

    Returns:
        An id or `None` for each record; a warning of each key that names cases for training
        alike, as one of patients does, and a note of others that are not used.
    """
    records = [record if isinstance(record, dict) else {} for record in (*training, *apart)]
    keys = dict.fromkeys(key for record in records for key in record if role_of(key) == "id")
    columns = {key: [_id_text(record.get(key)) for record in records] for key in keys}
    ids: list[str | None] = [None] * len(records)
    told: list[Finding] = []
    for key, column in columns.items():
        valid = all(id_ is not None for id_, r in zip(column, records, strict=True) if key in r)
        if valid and not _shared(column) and not any(ids):
            ids = column
        elif valid and _shared(column[: len(training)]):
            fix = "call it patient if it tells that; else give each case an id of its own"
            found = f"keys that are not used, as they name several cases alike: {key!r}"
            asked = Question("warning", "LAY_COLUMNS", found, fix, file=name, about=("groups",))
            told.append(asked)
        else:
            found = f"keys that are not used: {key!r}"
            told.append(Finding("note", "LAY_COLUMNS", found, "", file=name))
    return ids, tuple(told)


def _id_text(value: object) -> str | None:
    """Return an id as text; `None` if it is none."""
    try:
        return value if isinstance(value, str) else str(whole(value))
    except ValueError:
        return None


def _shared(ids: Iterable[str | None]) -> bool:
    given = [id_.strip().casefold() for id_ in ids if id_ is not None]
    return len({*given}) < len(given)


def _values_of(record: dict, *roles: Role) -> dict[Role, object]:
    found, _ = by_role([key for key in record if role_of(key) in roles])
    return {role: record[key] for role, key in found.items()}
