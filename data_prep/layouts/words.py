"""What people call the columns of a list, the parts of a split, and labels."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from difflib import get_close_matches
from itertools import pairwise
from pathlib import PurePosixPath
from typing import Literal

from data_prep.core.parse import whole
from data_prep.formats.registry import stem

Part = Literal["", "validation", "test"]  # of a split; the empty one is for training
Role = Literal["image", "label", "id", "patient", "group", "site", "split", "fold"]
LABEL_WORDS = (
    *("mask", "masks", "label", "labels", "seg", "segmentation", "gt", "groundtruth"),
    *("labelmap", "annotation", "manual"),
)
_ROLES: dict[Role, tuple[str, ...]] = {
    "image": ("image", "images", "img", "imagepath", "imagefile"),
    "label": ("label", "labels", "mask", "masks", "segmentation", "seg", "labelpath", "maskpath"),
    "id": ("id", "case", "caseid"),
    "patient": ("patient", "patientid", "subject", "subjectid", "participant", "participantid"),
    "group": ("group", "groupid"),
    "site": ("site", "siteid"),
    "split": ("split", "subset", "partition"),
    "fold": ("fold", "foldid", "foldno", "foldnumber", "foldindex", "kfold", "cvfold"),
}
_ROLE_OF = {word: role for role, words in _ROLES.items() for word in words}
# Columns that tell the part where all their values do, and are something else where not.
_PERHAPS = ("set", "dataset", "cohort", "phase", "usage", "datasplit", "datasetsplit")
_ASKING = ("is", "in", "for", "use", "used", "as", "set", "data")  # beside a part, for yes or no
_YES, _NO = ("true", "yes", "y", "t", "1", "1.0"), ("false", "no", "n", "f", "0", "0.0")
# Of a case that is not to be used; the first few say it of a case in any name.
_PLAINLY_OUT = ("exclude", "excluded", "reject", "rejected", "discard", "discarded", "unusable")
_LEFT_OUT = (
    *(*_PLAINLY_OUT, "exclusions", "rejects", "dropped", "skip", "skipped", "ignore", "ignored"),
    *("removed", "unused", "notused", "donotuse", "dontuse"),
)
_LEAVE_OUT = (*_LEFT_OUT, "drop", "bad", "include", "included", "use", "used", "keep", "kept")
# What else folders of such cases are called by: `excluded_cases`, `rejected from training`.
_OF_CASES = (
    *("case", "cases", "scan", "scans", "image", "images", "mask", "masks", "label", "labels"),
    *("patient", "patients", "subject", "subjects", "data", "file", "files", "from", "the"),
    *("study", "train", "training", "set", "dataset"),
)
# Columns that tell of folds or patients by many names, too many to obey.
_FOLD_LIKE = re.compile(
    r"(outer|inner|test|val|cv)fold(id|no|number)?|cv(id|split|set)?|crossval\w*"
)
_PATIENT_LIKE = (
    *("mrn", "pid", "medicalrecordnumber", "patientname", "patientno", "patientnr", "patientcode"),
    *("patientnumber", "subjectname", "subjectno", "subjectnumber", "subjectcode", "personid"),
)
_UNTOLD = ("", "none", "nan")
_PARTS: dict[Part, tuple[str, ...]] = {
    "": ("train", "training", "tr", *_UNTOLD),
    "validation": ("val", "valid", "validation", "dev", "tuning"),
    "test": ("test", "testing", "ts", "tst", "holdout", "heldout", "unseen", "eval", "evaluation"),
}
_PART_OF: dict[str, Part] = {word: part for part, words in _PARTS.items() for word in words}
_OF_SEVERAL: dict[Part, str] = {"": "train", "test": "test", "validation": "validation"}
PARTS_ALLOWED = "allowed are train, validation, test and the numbers of folds: 0, 1, ..."
_BETWEEN = re.compile(r"[\s_\-.()\[\]]+")  # words
_NEAR = 0.8  # of two words, twice the letters they share in order to all letters
_FOLD = re.compile(r"fold[_\-. ]*([0-9]{1,4})", re.IGNORECASE)
# Of nnU-Net and the Decathlon: `imagesTr`, `imagesTs`; and what people add to them, `imagesVa`.
_SHORT = re.compile(r"(images?|imgs?|labels?|masks?)[_\-. ]*(tr|va|ts)", re.IGNORECASE)
_SHORT_PARTS = {"tr": "train", "va": "validation", "ts": "test"}


def role_of(column: str) -> Role | None:
    """Return what a column or key holds, whatever its capitals, blanks, `_`, `-` and `.`."""
    return _ROLE_OF.get(_bare(column))


def _bare(column: str) -> str:
    return re.sub(r"[\s_.\-]+", "", column.lower())


def by_role(columns: Iterable[str]) -> tuple[dict[Role, str], list[str]]:
    """Return the column of each role, and the columns that have none.

    Raises:
        ValueError: if two columns have one role.
    """
    found: dict[Role, str] = {}
    unused = []
    for column in columns:
        role = role_of(column)
        if role is None:
            unused.append(column)
        elif role in found:
            raise ValueError(f"columns {found[role]!r} and {column!r} both name the {role}")
        else:
            found[role] = column
    return found, unused


def is_part_word(told: object) -> bool:
    """Tell whether a value is a word for training, validation or test."""
    word = str(told).strip().lower()
    return word in _PART_OF and word not in _UNTOLD


def told_parts(column: str, values: Collection[object]) -> list[frozenset[Part]] | None:
    """Return the parts that each value of a column leaves open, if its name and all are understood.

    One word names a part; of a column such as `is_test`, no leaves the other parts open.

    Args:
        column: that has no role by its name alone, such as `set` or `is_test`.
        values: one a case.
    """
    words = [str(value).strip().lower() for value in values]
    part = _part_asked(column)
    if part is not None and words and {*words} <= {*_YES, *_NO}:
        only = frozenset({part})
        return [only if word in _YES else frozenset(_PARTS) - only for word in words]
    if (part is not None or _bare(column) in _PERHAPS) and words and all(map(is_part_word, words)):
        return [frozenset({_PART_OF[word]}) for word in words]
    return None


def parts_of_all(
    told: Mapping[str, Sequence[frozenset[Part]]], split: Sequence[object] = ()
) -> list[str]:
    """Return the part of each case by all columns that tell of it; none without such columns.

    Args:
        told: parts that each column leaves open, see `told_parts`.
        split: values of the column that tells the split by its name; then the others must agree.

    Raises:
        ValueError: if two columns leave no part open together.
    """
    if not told:
        return []
    rows: Sequence[tuple[frozenset[Part], ...]] = list(zip(*told.values(), strict=True))
    if split:
        rows = [(*row, _open_by(value)) for row, value in zip(rows, split, strict=True)]
    parts = []
    for number, row in enumerate(rows, start=1):
        left = frozenset.intersection(*row)
        if not left:
            names = " and ".join(map(repr, [*told, *["split"] * bool(split)]))
            raise ValueError(f"columns {names} do not agree about case {number}")
        # What may be learnt from, is; what is only said not to be for training is for testing.
        parts.append(next(name for part, name in _OF_SEVERAL.items() if part in left))
    return [] if split else parts


def _open_by(value: object) -> frozenset[Part]:
    """Return the parts that a value of a split leaves open: all, if it is none that is known."""
    try:
        part = part_of(value)
    except ValueError:
        return frozenset(_PARTS)  # which its row tells of
    return frozenset({"" if isinstance(part, int) else part})


def _part_asked(column: str) -> Part | None:
    """Return the part that a column asks about by its name: `is_test`, `in_val_set`, `train`."""
    words = [word for word in _words(column) if word not in _ASKING]
    joined = re.sub(r"^(is|in|for)(?=.)", "", "".join(words))
    joined = re.sub(r"(?<=.)(data)?set$", "", joined)
    return None if joined in _UNTOLD else _PART_OF.get(joined)


def may_tell_parts(column: str, values: Collection[object]) -> bool:
    """Tell whether a column seems to tell parts, by all of its values or by some and its name."""
    words = [word for value in values if (word := str(value).strip().lower()) not in _UNTOLD]
    asked = _part_asked(column) is not None
    if asked and not {*words}.isdisjoint((*_YES, *_NO)):
        return True
    if asked or _bare(column) in _PERHAPS:  # such as `external test`
        return any(is_part_word(part) for word in words for part in (word, *_words(word)))
    return bool(words) and all(map(is_part_word, words))


def may_tell_of_cases(key: str) -> bool:
    """Tell by the words of a key whether it may name cases of a part, or groups: `test_ids`."""
    return any(
        is_part_word(word)
        or word in _LEAVE_OUT
        or role_of(word.rstrip("s")) in ("split", "fold", "group", "patient")
        for word in _words(key)
    )


def may_leave_out(column: str, values: Collection[object]) -> bool:
    """Tell whether a column seems to tell which cases are to be left out, and which are not."""
    words = {str(value).strip().lower() for value in values}
    if words & {*_PLAINLY_OUT} and not words <= {*_PLAINLY_OUT}:
        return True
    both = not words.isdisjoint(_YES) and bool(words & {*_NO, *_UNTOLD})
    return both and _bare(column) in _LEAVE_OUT and words <= {*_YES, *_NO, *_UNTOLD}


def may_group(column: str, values: Collection[object]) -> Literal["fold", "patient"] | None:
    """Return what a column seems to tell, by its name and by values that several cases share."""
    words = [str(value).strip().lower() for value in values]
    if not 1 < len({*words} - {*_UNTOLD}) < len(words):
        return None
    bare = _bare(column)
    if _FOLD_LIKE.fullmatch(bare) and all(re.fullmatch(r"\D*[0-9]{1,3}(\.0)?", w) for w in words):
        return "fold"
    return "patient" if bare in _PATIENT_LIKE else None


def part_of(told: object) -> Part | int:
    """Return the part of a split that a value names: the empty one for training, or a fold.

    Raises:
        ValueError: if it names none.
    """
    word = "" if told is None else str(told).strip().lower()
    if word in _PART_OF:
        return _PART_OF[word]
    bare = "".join(part for part in _words(word) if part not in _ASKING)  # of `Training set`
    if bare and bare in _PART_OF:
        return _PART_OF[bare]
    if fold := _FOLD.fullmatch(word):
        return int(fold[1])
    try:
        return whole(told, low=0)
    except ValueError as error:
        raise ValueError(f"{told!r:.80} is no part of a split; {PARTS_ALLOWED}") from error


def split_of(split: object, fold: object) -> Literal["test"] | int | None:
    """Return where a row or record puts its case, by the two values that must agree.

    Cases for validation are kept apart as those for testing are.

    Raises:
        ValueError: for a value that names no part, or if they do not agree.
    """
    parts = {part_of(split), part_of(fold)}
    told: set[Literal["test"] | int] = {part for part in parts if isinstance(part, int)}
    if parts & {"validation", "test"}:
        told.add("test")
    if len(told) > 1:
        raise ValueError(f"split {split!r} and fold {fold!r} do not agree")
    return told.pop() if told else None


def test_of(split: object, fold: object) -> Literal["test"]:
    """Return where a record of a list for testing or validation goes, whose values must agree.

    Raises:
        ValueError: if one names no part, or one for training.
    """
    for told in (split, fold):
        written = "" if told is None else str(told).strip().lower()
        if written not in _UNTOLD and part_of(told) not in ("validation", "test"):
            raise ValueError(f"split {split!r} and fold {fold!r} in a list of cases kept apart")
    return "test"


def names_validation(split: object, fold: object) -> bool:
    """Tell whether a row or record says that its case is for validation."""
    try:
        return "validation" in (part_of(split), part_of(fold))
    except ValueError:
        return False  # it says nothing that is known


def part_of_folders(folders: Iterable[str]) -> str | None:
    """Return the part of a split that names of folders tell; `None` where they tell none.

    A folder of several words, such as `train_and_test`, holds both and tells nothing.

    Returns:
        `train`, `validation`, `test`, or `fold_` and its number.

    Raises:
        ValueError: if folders tell of several parts.
    """
    told: set[str] = set()
    for folder in folders:
        if fold := _FOLD.fullmatch(folder):
            told.add(f"fold_{int(fold[1])}")
            continue
        if short := _SHORT.fullmatch(folder):
            told.add(_SHORT_PARTS[short[2].lower()])
            continue
        several = _words(folder)
        words = set(map(_part_word, [*several, "".join(several)]))  # `hold_out` is one word
        parts = {_PART_OF[word] or "train" for word in words & set(_PART_OF) - {"none", "nan"}}
        told |= parts if len(parts) == 1 else set()
    if any(part.startswith("fold_") for part in told):
        told.discard("train")  # of which a fold is a part
    if len(told) > 1:
        raise ValueError(f"folders of several parts: {', '.join(sorted(told))}")
    return told.pop() if told else None


def nearly_part_of(folders: Iterable[str]) -> Part | None:
    """Return the part of a split whose word a folder is called nearly by; `None` if none is."""
    words = [word for folder in folders for word in _words(folder)]
    known = [word for word in _PART_OF if word not in _UNTOLD and len(word) > 2]
    near = (get_close_matches(word, known, 1, _NEAR) for word in words)
    return next((_PART_OF[found[0]] for found in near if found), None)


def part_named(name: str) -> str | None:
    """Return the part of a split that the name of a case tells: `abc_val_1`, `test6`, `tr-03`.

    Returns:
        `train`, `validation` or `test`; `None` if it tells none, or several.
    """
    found = {_part_word(word) for word in _words_of_name(name)} & set(_PART_OF) - {*_UNTOLD}
    parts = {_PART_OF[word] or "train" for word in found}
    return parts.pop() if len(parts) == 1 else None


def says_to_leave_out(name: str) -> bool:
    """Tell whether the name of a case says that it is not to be used: `c11_excluded`."""
    return not _words_of_name(name).isdisjoint(_PLAINLY_OUT)


def holds_left_out(folder: str) -> bool:
    """Tell whether a folder is called as one of cases not to be used, and nothing else."""
    words = _words(folder.replace("'", ""))
    return "".join(word for word in words if word not in _OF_CASES) in _LEFT_OUT


def _words_of_name(name: str) -> set[str]:
    """Return the words of a name, also those that capitals or numbers part: `test6`, `trainImg1`.

    Of these, short ones are parts of other words: `TS` of `BraTS`.
    """
    words = re.split(_BETWEEN, name)
    inner = [part for word in words for part in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", word)]
    pairs = ["".join(pair) for pair in pairwise(words)]  # `hold_out`
    return {word.lower() for word in (*words, *pairs, *(part for part in inner if len(part) > 2))}


def is_split(parts: Collection[str]) -> bool:
    """Tell whether parts are a split: those without any for training are all of one dataset."""
    return len(set(parts)) > 1 and any(p == "train" or p.startswith("fold_") for p in parts)


def split_of_part(part: str) -> Literal["test"] | int | None:
    """Return where cases of a part go: cases for validation are kept apart as for testing."""
    if part.startswith("fold_"):
        return int(part.removeprefix("fold_"))
    return None if part == "train" else "test"


def without_part(folder: str) -> str:
    """Return a folder's name in lower case without the word for a part of a split."""
    if short := _SHORT.fullmatch(folder):
        return short[1].lower()
    kept = [word for word in _words(folder) if _part_word(word) not in _PART_OF]
    return "_".join(kept) or folder.lower()


def _part_word(word: str) -> str:
    """Return the word for a part without what people add to it: `test2`, `testset`, `tests`."""
    bare = re.sub(r"(?<=.)[0-9]+$", "", word)
    bare = re.sub(r"(?<=.)(data|(data)?sets?)$", "", bare)
    return re.sub(r"(?<=[a-z]{3})s$", "", bare) if bare not in _PART_OF else bare


def _words(folder: str) -> list[str]:
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", folder)  # `imagesVal`
    return [word for word in re.split(_BETWEEN, apart.lower()) if word]


def called(name: str) -> str:
    """Return the class that a mask is called by: its name without that of its case's folder."""
    text = stem(name)
    for folder in PurePosixPath(name).parts[-3:-1]:
        if begins_with(text.lower(), folder.lower()):
            text = text[len(folder) :]
    text = text.strip("_-. ")
    words = re.split(r"[_\-. ]+", text)
    kept = [word for word in words if word.lower() not in LABEL_WORDS]
    return text if len(kept) == len(words) else "_".join(kept) or text


def begins_with(text: str, name: str) -> bool:
    """Tell whether text begins with a name, and with nothing that goes on with it."""
    return text.startswith(name) and not text[len(name) :][:1].isalnum()
