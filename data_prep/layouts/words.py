"""What people call the columns of a list, folders of a split, and labels."""

import re
from collections.abc import Collection, Iterable
from difflib import get_close_matches
from itertools import pairwise
from pathlib import PurePosixPath
from typing import Literal
from unicodedata import normalize

from data_prep.formats.registry import stem
from data_prep.planning.part_words import (
    BETWEEN,
    PART_OF,
    UNTOLD,
    Part,
    fold_number,
    part_in_name,
    part_of,
    plain_word,
    without_marks,
    words_in,
)

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
# Of a case that is not to be used; the first few say it of a case in any name.
PLAINLY_OUT = (
    *("exclude", "excluded", "reject", "rejected", "discard", "discarded", "unusable", "withdrawn"),
    *("quarantine", "quarantined", "ausgeschlossen", "verworfen", "unbrauchbar", "excluido"),
    *("excluidos", "descartado", "descartados", "escluso", "esclusi", "scartati"),
)
_FAILED = ("fail", "failed", "fails", "failure", "failures", "nogood", "notok")
_QC = ("qc", "qa", "qualitycontrol", "qualitycheck", "qualityassurance", "inspection")
LEFT_OUT = (
    *(*PLAINLY_OUT, "exclusions", "rejects", "dropped", "skip", "skipped", "ignore", "ignored"),
    *("blacklist", "blacklisted", "blocklist", "denylist"),
    *("removed", "unused", "notused", "donotuse", "dontuse", "trash", "trashed", "deleted"),
    *("recyclebin", "papierkorb", "backup", "backups", "duplicate", "duplicates", "noconsent"),
    *("withoutconsent", "consentwithdrawn", "withdrawnconsent", "consentrevoked", "revoked"),
    *(joined for qc in _QC for failed in _FAILED for joined in (f"{qc}{failed}", f"{failed}{qc}")),
)
# Of cases that are worse than others, which may be what a dataset is about.
_POOR = (
    *("corrupt", "corrupted", "outlier", "outliers", "lowquality", "poorquality", "badquality"),
    *("qualitylow", "qualitypoor", "qualitybad", "defective", "damaged"),
)
_GOOD = (
    *("good", "high", "medium", "clean", "inlier", "inliers", "intact", "best", "fine"),
    *("undamaged", "normal", "healthy", "regular", "accepted"),
)
# What a jury, a body or an inspection says of whatever a dataset is about.
_REFUSED = ("reject", "rejected", "rejects")
_TAKEN = ("accept", "accepted", "accepts")
_DENIED = re.compile(
    r"(?<![A-Za-z])(?:not|Not|NOT|non|Non|nicht)(?:[\s_\-.]+[A-Za-z]+|[A-Z][a-z]+)"
)
# What else folders of such cases are called by: `excluded_cases`, `rejected from training`.
_OF_CASES = (
    *("case", "cases", "scan", "scans", "image", "images", "mask", "masks", "label", "labels"),
    *("patient", "patients", "subject", "subjects", "data", "file", "files", "from", "the"),
    *("study", "train", "training", "set", "dataset"),
)
# And by whom and why: `rejected_by_QC`.
_BECAUSE = (
    *(*_QC, "quality", "control", "by", "due", "to", "for", "after", "in", "review", "reviewer"),
    *("reader", "expert", "experts", "radiologist", "consent"),
)
_NEAR = 0.8  # of two words, twice the letters they share in order to all letters
# Of nnU-Net and the Decathlon: `imagesTr`, `imagesTs`; and what people add to them, `imagesVa`.
_SHORT = re.compile(r"(images?|imgs?|labels?|masks?)[_\-. ]*(tr|va|ts)", re.IGNORECASE)
_SHORT_PARTS = {"tr": "train", "va": "validation", "ts": "test"}


def role_of(column: str) -> Role | None:
    """Return what a column or key holds, whatever its capitals, blanks and marks."""
    return _ROLE_OF.get(bare_name(column))


def bare_name(column: str) -> str:
    """Return the name of a column without capitals, blanks and what stands between words."""
    return re.sub(r"[\s_.\-]+", "", without_marks(column).lower())


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
        written = "" if told is None else plain_word(told)
        if written not in UNTOLD and part_of(told) not in ("validation", "test"):
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
        if (fold := fold_number(folder)) is not None:
            told.add(f"fold_{fold}")
            continue
        if short := _SHORT.fullmatch(folder):
            told.add(_SHORT_PARTS[short[2].lower()])
            continue
        several = words_in(folder)
        parts = _parts_in([*several, "".join(several)])  # `hold_out` is one word
        told |= parts if len(parts) == 1 else set()
    if any(part.startswith("fold_") for part in told):
        told.discard("train")  # of which a fold is a part
    if len(told) > 1:
        raise ValueError(f"folders of several parts: {', '.join(sorted(told))}")
    return told.pop() if told else None


def nearly_part_of(folders: Iterable[str]) -> Part | None:
    """Return the part of a split whose word a folder is called nearly by; `None` if none is."""
    words = [word for folder in folders for word in words_in(folder)]
    known = [word for word in PART_OF if word not in UNTOLD and len(word) > 2]
    near = (get_close_matches(word, known, 1, _NEAR) for word in words)
    return next((PART_OF[found[0]] for found in near if found), None)


def part_alone(folders: Iterable[str]) -> str | None:
    """Return the part that folders tell, see `part_of_folders`; `None` also where several are."""
    try:
        return part_of_folders(folders)
    except ValueError:
        return None  # which is told of elsewhere


def without_letters(folder: str) -> str:
    """Return a folder's name without words of two letters, which are of much: `TS`, `tr2`.

    Those of nnU-Net, such as `imagesTs`, stay.
    """
    if _SHORT.fullmatch(folder):
        return folder
    bare = {word: word.rstrip("0123456789") for word in words_in(folder)}
    return "_".join(word for word, letters in bare.items() if not letters or len(letters) > 2)


def part_named(name: str) -> str | None:
    """Return the part of a split that the name of a case tells: `abc_val_1`, `test6`, `tr-03`.

    Returns:
        `train`, `validation` or `test`; `None` if it tells none, or several.
    """
    parts = _parts_in(_words_of_name(name))
    return parts.pop() if len(parts) == 1 else None


def _parts_in(words: Iterable[str]) -> set[str]:
    """Return the parts that words of one name tell."""
    return {part or "train" for part in map(part_in_name, words) if part is not None}


def says_to_leave_out(name: str) -> bool:
    """Tell whether the name of a case says that it is not to be used: `c11_excluded`."""
    return not _words_of_name(_DENIED.sub("", name)).isdisjoint(PLAINLY_OUT)


def holds_left_out(folder: str) -> bool:
    """Tell whether a folder is called as one of cases not to be used, and nothing else."""
    words = _words_of_folder(folder)
    why = [word for word in words if word not in _BECAUSE]
    return "".join(words) in LEFT_OUT or "".join(why) in LEFT_OUT


def folders_left_out(folders: Iterable[str]) -> set[str]:
    """Return those folders of a dataset that are called as of cases not to be used.

    Beside folders of better cases, those of worse ones are a kind of case, as are `rejected` ones
    beside `accepted` ones: `corrupt` and `low_quality` are out, and not beside `normal`.
    """
    words = {folder: _words_of_folder(folder) for folder in {*folders}}
    affirmed = {folder: {*words_in(_DENIED.sub("", folder))} for folder in words}
    of_quality = any(not found.isdisjoint(_GOOD) for found in affirmed.values())
    taken = any("".join(found) in _TAKEN for found in words.values())
    kinds = (*_POOR * of_quality, *_REFUSED * taken)
    return {
        folder
        for folder, found in words.items()
        if "".join(found) not in kinds and (holds_left_out(folder) or "".join(found) in _POOR)
    }


def _words_of_folder(folder: str) -> list[str]:
    """Return the words of a folder, without those for cases and numbers: `excluded_cases_2`."""
    words = (word.rstrip("0123456789") for word in words_in(folder.replace("'", "")))
    return [word for word in words if word not in _OF_CASES]


def _words_of_name(name: str) -> set[str]:
    """Return the words of a name, also those that capitals or numbers part: `test6`, `trainImg1`.

    Of these, short ones are parts of other words: `TS` of `BraTS`.
    """
    words = re.split(BETWEEN, normalize("NFC", name))
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
    kept = [word for word in words_in(folder) if part_in_name(word) is None]
    return "_".join(kept) or folder.lower()


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
