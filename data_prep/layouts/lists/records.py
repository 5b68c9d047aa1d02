"""Records of JSON lists: the parts of a split that their keys tell, and their ids."""

from data_prep.core.findings import Finding
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
    parts, findings = parts_told("keys", unused, name, split if known else (), roles, grouped)
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


def id_in(record: dict) -> str | None:
    """Return the id that a record names; `None` if it names none.

    Raises:
        ValueError: if it is neither text nor a whole number, or two keys name one.
    """
    id_ = _values_of(record, "id").get("id")
    if id_ is None:
        return None
    if type(id_) not in (str, int):
        raise ValueError(f"id must be a name, got {id_!r:.80}")
    return str(id_)


def _values_of(record: dict, *roles: Role) -> dict[Role, object]:
    found, _ = by_role([key for key in record if role_of(key) in roles])
    return {role: record[key] for role, key in found.items()}
