"""Cases that may be of one patient, by their ids or folders, where nothing says so."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import PurePosixPath

from data_prep.core.config import DataConfig
from data_prep.core.findings import Finding
from data_prep.layouts import Case
from data_prep.layouts.by_folder import IMAGE_FOLDERS
from data_prep.layouts.folders.labels import LABEL_FOLDERS
from data_prep.layouts.split_folders import shared_folders
from data_prep.layouts.words import part_of_folders, words_in
from data_prep.planning.splits import divided

_BETWEEN = "_. -"  # what stands between the words of an id
_WORDS = re.compile(f"[^{_BETWEEN}]+")
_PERSON = "(?:patient|pat|pt|subject|subj|sub)"
_PERSONS = re.compile(rf"(?i)(?:^|[^a-z])({_PERSON}[_-]?[0-9]+)")
# Where no mark stands between: `slice3p1`, and `p1s3`.
_COMPACT = (
    re.compile(r"(?i)^(?:slice|image|img|im|frame|[sfzt])[0-9]+(p[0-9]+)$"),
    re.compile(r"^([A-Za-z]+[0-9]+)[A-Za-z]+[0-9]+$"),
)
_SHOWN = 3
_MOST_VIEWS = 4  # of one patient; what holds more is a site, or a year
# Words for folders of many patients, and for files of one kind.
_OF_MANY = (
    *("site", "center", "centre", "zentrum", "hospital", "clinic", "institute", "institution"),
    *("scanner", "vendor", "year", "batch", "part", "chunk", "set", "dataset", "data", "subset"),
    *("class", "grade", "stage", "fold", "visit", "session", "ses", "timepoint", "tile", "patch"),
    *("view", "level", "magnification", "mag", "zoom", "round", "rater", "reader", "annotator"),
    *("version", "task", "run", *IMAGE_FOLDERS, *LABEL_FOLDERS),
)
# A magnification, view, size or field: `40x`, `2CH`, `256px`, `3T`.
_MEASURE = re.compile(r"(?i)[0-9]+(x[0-9]*|ch|px|mm|[uµ]m|t)|x[0-9]+")
_CONTRAST = re.compile(r"t[12](w|c|n|f|ce|gd)?", re.IGNORECASE)
_YEAR = re.compile(r"([A-Za-z]{3,}[_\- ]?)?(19|20)[0-9]{2}")  # `ISIC2017`
_NUMBERED_PERSON = re.compile(rf"(?i)(?:^|[^a-z])(?:{_PERSON}|p|s|case|id)[_\- ]?[0-9]")
_FEW_NUMBERS = 3  # of groups that a number alone tells apart: classes, years, and perhaps visits
_MOST_YEARS = 10  # of more folders of such numbers, they are those of patients


def tell_of_patients(cases: Iterable[Case], config: DataConfig) -> list[Finding]:
    """Return a warning, SPLIT_PATIENTS, of cases that may be of one patient and be parted.

    They may be where ids share a beginning with a number in it, as `patient001_frame01` and
    `patient001_frame12`, or a word for a patient further on, as `slice1_patient3`; or where folders
    with a number in their name hold several cases each, perhaps in folders of images and masks.
    Folders of sites, years and such are none of patients.
    Nothing is told where groups are known, or where folds that are stated part no such cases.

    Args:
        cases: that can be used.
        config: the user's `group_file`, `group_pattern` and `split_file`.
    """
    alone = [case for case in cases if case.group is None and case.patient is None]
    if config.group_file or config.group_pattern is not None or config.split_file:
        return []
    pattern, by_id = _by_ids({case.id for case in alone})
    by_folder = _patient_folders(alone)
    splits = {case.id: case.split for case in alone}
    for groups, what, fix in (
        (by_id, "ids are alike", f"dataset.group_pattern: '{pattern}'"),
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


def _patient_folders(cases: Sequence[Case]) -> dict[str, str]:
    """Return the folders of each case, by id, without those that are of many patients for sure.

    Nor are those of a part of a split told: a patient may lie in several. Folders called by a
    number alone are numbered anew in each part.
    """
    shared = shared_folders(case.image for case in cases)
    below = {case.id: PurePosixPath(case.image).parts[shared:-1] for case in cases}
    years = {f for folders in below.values() for f in folders if _is_of_year(f)}
    years = years if len(years) <= _MOST_YEARS else set()
    found = {}
    for id_, folders in below.items():
        counted = any(folder.isdecimal() for folder in folders if folder not in years)
        kept = [
            folder
            for folder in folders
            if folder not in years
            and not _is_of_many(folder)
            and (counted or not _is_of_part(folder))
        ]
        found[id_] = "/".join(kept)
    return {} if _only_count(found.values()) else found


def _only_count(names: Iterable[str]) -> bool:
    """Tell whether a number is all that tells groups apart, which are few and of no persons."""
    there = {name for name in names if re.search(r"\d", name)}
    alike = len({re.sub(r"\d+", "", name).casefold() for name in there}) == 1
    persons = any(map(_NUMBERED_PERSON.search, there))
    return alike and not persons and len(there) <= _FEW_NUMBERS


def _is_of_year(folder: str) -> bool:
    return _YEAR.fullmatch(folder) is not None and not _NUMBERED_PERSON.search(folder)


def _is_of_many(folder: str) -> bool:
    """Tell whether a folder is called as one of a site, such as `site1`, or of a contrast: `T1`."""
    words = ["view" if _MEASURE.fullmatch(word) else word for word in words_in(folder)]
    words = [word.rstrip("0123456789") for word in words]
    of_many = any(words) and all(word in _OF_MANY for word in words if word)
    return of_many or _CONTRAST.fullmatch(folder) is not None


def _is_of_part(folder: str) -> bool:
    return part_of_folders([folder]) is not None


def _by_ids(ids: set[str]) -> tuple[str, dict[str, str]]:
    """Return an expression whose group is the patient that ids tell, and that of each id."""
    words, begins = _beginnings(ids)
    found = (_PERSONS,) if not any(map(_PERSONS.search, begins.values())) else ()
    for pattern in (*found, *(_COMPACT if not begins else ())):
        named = {id_: told[1] for id_ in ids if (told := pattern.search(id_))}
        shared = len(named) == len(ids) > len({*named.values()}) > 1
        compact = pattern in _COMPACT and _only_count(named.values())
        if shared and not compact and not any(map(_is_of_many, named.values())):
            return pattern.pattern, named
    return _pattern(words), {} if all(map(_is_of_many, begins.values())) else begins


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
