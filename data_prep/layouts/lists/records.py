"""Records of JSON lists: the parts of a split that their keys tell."""

from data_prep.core.findings import Finding
from data_prep.layouts.lists.in_vain import GROUPING, parts_told
from data_prep.layouts.words import role_of


def with_parts(training: list, apart: list, name: str) -> tuple[list, tuple[Finding, ...]]:
    """Return the records for training with the parts that one key tells, and what is not used.

    Args:
        training: records for training.
        apart: those that are kept apart, whose keys are told of, too.
        name: of the list.

    Raises:
        ValueError: if two keys tell different parts of a case.
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
    """Return the values of a record that tell its split and its fold; `None` for each it lacks."""
    told = {role_of(key): value for key, value in record.items()}
    return told.get("split"), told.get("fold")
