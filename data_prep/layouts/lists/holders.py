"""Columns that tell whose a case is: of a patient, or a video, volume or what else holds several.

Any word of a name may say so (`ID_patient`, `patientID_anon`, `hash_patient`), and another that it
is of a measure or kind instead (`patient_age`, `video_codec`). Where no word does, the values do.
"""

import re
from collections.abc import Collection

from data_prep.core.values.tokens import tokens_of
from data_prep.layouts.lists.partings import KINDS

# What is added to a word for what a number or name is of, such as `Patientennummer`.
_ID = (
    "ids?|name|no|nr|num|number|nummer|numero|index|idx|code|codigo|key|uid|instanceuid"
    "|identifier|pseudonym|hash|编号|番号"
)
_ONE = (
    "patient|patienten|paciente|pazient[ei]|pacjent|pasient|hasta|пациент|患者|病人|환자|pat|pt"
    "|subj?|subject|sujet|sujeto|soggetto|participant|participante|proband(?:en)?|teilnehmer"
    "|volunteer|person|individual|donor|animal|mouse|rat|specimen|cadaver|slide|wsi|biopsy"
)
_PERSON = re.compile(
    rf"(?:u|id|anon|anonymi[sz]ed|original|source|study)?(?:{_ONE})(?:s|in|innen)?"
    rf"(?P<id>{_ID})?(?:label)?"
)
_PEOPLE = re.compile(rf"(?:{_ONE})s")
_NUMBER = re.compile(r"n|no|nr|num|number|nb|count|total|anzahl|nombre|numero")  # of people
_ADDED = re.compile(
    rf"{_ID}|n|label|anon|anonymi[sz]ed|original|source|study|instance|case|image|scan|file|path"
)
_BETWEEN = ("of", "the", "for", "de")
_LONG = 4  # letters of a word that is of a person beside words of any meaning
# What people have, besides kinds.
_THEIRS = (
    *("weight", "height", "size", "bmi", "position", "orientation", "status", "state", "history"),
    *("comment", "comments", "group", "arm", "treatment", "therapy", "outcome", "response"),
    *("birth", "born", "dob", "strain", "smoker", "total"),
)
MEASURES = (
    *("change", "ratio", "coefficient", "percent", "rate", "increase", "decrease", "enrichment"),
    *("score", "rank", "dice", "iou", "auc", "loss", "accuracy", "prob", "pred", "prediction"),
    *("count", "date", "time", "epoch", "epochs"),
)
_OF_STUDIES = re.compile(
    rf"mrn|pid|rid|upn|accession|barcode|(accession|(medical)?record|study|exam|hospital)({_ID})"
)
_OF_FAMILIES = re.compile(rf"(family|families|twins?|household|litter|cage)({_ID})?")
_HOLDER = re.compile(rf"(?:video|clip|movie|volume|vol|sequence|stack|eye)(?P<id>{_ID})?")
_SCANS = re.compile(rf"(?:study|exam(?:ination)?|block|sample|series)(?:{_ID})?")
_MEASURED = re.compile(r"[\d.,]+ ?[a-zµ%/]{2,}")  # `50 mg`
_FEW = 3  # values of a column that tells a place or kind, such as left and right
# How sequences of MR are called, which are kinds.
_MR = re.compile(r"\*|t[12]|pd|flair|dwi|adc|swi|stir|dce|bold|asl|dixon|tof|gre|tse|ep|fl[23]d|mp")


def tells_people(column: str) -> bool:
    """Tell by its name alone whether a column may tell patients, or families of some."""
    words = _words_of(column)
    bare = "".join(words)
    if _OF_STUDIES.fullmatch(bare) or _OF_FAMILIES.fullmatch(bare):
        return True
    if words and words[-1].endswith("uid"):  # of one scan or study of a patient
        return "class" not in bare
    people = [k for k, word in enumerate(words) if _PERSON.fullmatch(word)]
    if not people or _counts_people(words):
        return False
    others = [w for w in words if not (_PERSON.fullmatch(w) or _ADDED.fullmatch(w))]
    return not others or any(_is_id(words, k, _PERSON) for k in people)


def of_families(column: str) -> bool:
    """Tell by its name whether a column tells families and the like, that hold several patients."""
    return _OF_FAMILIES.fullmatch("".join(_words_of(column))) is not None


def may_hold(column: str, values: Collection[str]) -> bool:
    """Tell whether a column may tell patients, or what else several cases are of.

    Args:
        column: its name.
        values: the different ones, in lower case, none of them empty.
    """
    words = _words_of(column)
    if tells_people(column):
        return True
    if any(map(_PERSON.fullmatch, words)):  # beside words that may be of anything
        known = not {*words}.isdisjoint((*KINDS, *_THEIRS, *MEASURES)) or _counts_people(words)
        of_people = any(_PERSON.fullmatch(word) and len(word) >= _LONG for word in words)
        return of_people and not known and _look_like_ids(values)
    holders = [k for k, word in enumerate(words) if _HOLDER.fullmatch(word)]
    scans = any(map(_SCANS.fullmatch, words))
    patterns = (_HOLDER, _SCANS, _ADDED)
    if not (holders or scans) or not all(any(p.fullmatch(w) for p in patterns) for w in words):
        return False
    if any(map(_MR.match, values)) or ("eye" in words and len(values) < _FEW):
        return False
    return any(_is_id(words, k, _HOLDER) for k in holders) or _look_like_ids(values)


def _words_of(column: str) -> list[str]:
    return [word for word in tokens_of(column) if not word.isdecimal() and word not in _BETWEEN]


def _is_id(words: list[str], place: int, called: re.Pattern[str]) -> bool:
    """Tell whether a word has what names or numbers it, in it, behind it or before it."""
    joined = called.fullmatch(words[place])
    before, after = words[max(0, place - 1) : place], words[place + 1 : place + 2]
    numbered = any(re.fullmatch(_ID, word) for word in after)  # `num_video` counts some
    return bool(joined and joined["id"]) or numbered or before in (["id"], ["ids"])


def _counts_people(words: list[str]) -> bool:
    """Tell whether a column counts people: `n_patients`, `number of subjects`, `patients_total`."""
    return any(
        _PEOPLE.fullmatch(word) and any(map(_NUMBER.fullmatch, (before, after)))
        for before, word, after in zip(["", *words], words, [*words[1:], ""], strict=False)
    )


def _look_like_ids(words: Collection[str]) -> bool:
    """Tell whether values are several, each of letters and numbers, and not all with a unit."""
    mixed = all(re.search(r"[a-z]", word) and re.search(r"\d", word) for word in words)
    return mixed and len(words) >= _FEW and not all(map(_MEASURED.fullmatch, words))
