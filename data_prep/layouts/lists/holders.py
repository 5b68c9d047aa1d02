"""Columns that tell whose a case is: of a patient, or a video, volume or what else holds several.

| told by | columns |
|---|---|
| their names alone | `patient`, `ID_patient`, `site_patient_id`, `subject_image`, `pt_id` |
| | `person_id`, `mrn`, `hospital_no`, `lesion_id`, `StudyInstanceUID`, `family` |
| | `video_id`, `stack_name`, `volume_id` |
| values that look like ids | `video`, `clip_file`, `volume`, `sequence_no`, `study`, `sample_id` |
| nothing | `patient_age`, `patient_visit_no`, `n_patients`, `person`, `video_codec` |

Words that are not known beside a patient's are of something else that patients have.
"""

import re
from collections.abc import Collection

from data_prep.core.values.tokens import tokens_of

# What is added to a word for what a number or name is of, such as `Patientennummer`.
_NUMBER = "no|nr|num|number|nummer|numero|index|idx"
_CALLED = "ids?|code|codigo|cod|key|[ug]?uid|instanceuid|identifier|pseudonym|hash|编号|番号"
_ID = f"{_CALLED}|{_NUMBER}"
_NAME = f"{_ID}|name"
_ONE = (
    "patient|patienten|paciente|pazient[ei]|pacjent|pasient|hasta|пациент|患者|病人|환자"
    "|subject|sujet|sujeto|soggetto|participant|participante|proband(?:en)?|teilnehmer"
    "|volunteer|donor|animal|mouse|rat|specimen|cadaver|slide|wsi|biopsy"
)
_PERSON = (
    rf"(?:u|id|anon|anonymi[sz]ed|original|source|study)?(?:{_ONE})(?:s|in|innen)?"
    rf"(?:{_NAME})?(?:label)?"
)
# Of a patient, too, where nothing but an id is beside them: `sub_label` is another word.
_SHORT = rf"u?(?:pat|pt|subj?)(?:s|{_NAME})?"
_ADDED = (
    "n|label|anon|anonymi[sz]ed|original|origin|source|study|instance|case|image|scan|file|path"
    "|folder|dir"
)
# Whose ids patients have: `patient_hospital_id`.
_BESIDE = rf"(?:{_NAME}|{_ADDED}|(?:hospital|research|study|eye) (?:{_ID}))"
_PATIENT = re.compile(
    rf"(?:{_BESIDE} )*{_PERSON}(?: {_BESIDE})*|(?:ids? )?{_SHORT}(?: (?:{_NAME}))*"
)
_ID_OF_PATIENT = re.compile(
    rf".+ (?:{_PERSON} (?:{_NAME})|(?:{_ONE})(?:{_NAME})|(?:pat|pt|subj?) ?(?:{_ID}))"
    rf"(?: {_BESIDE})*"
)
# How many patients, or what sort of number is theirs.
_OF_NONE = re.compile(
    rf"(?:.* )?(?:n|nb|{_NUMBER}|count|total|anzahl|nombre) (?:{_ONE})s(?: .*)?|(?:issuer|type) .*"
)
_BETWEEN = ("of", "the", "for", "de")
_ALONE = re.compile(
    r"mrn|pid|ppid|rid|upn|accession|barcode|pseudonym|(?:pseudo|anon|encounter|lesion|recording)id"
    rf"|(?:acc|accession|(?:medical)?record|study|exam|hospital)(?:{_ID})"
    rf"|id(?:person|individual)|(?:person|individual)(?:{_NAME})"
)
# Of one scan or study of a patient.
_SCANNED = "series|study|instance|patient|frame"
_UID = re.compile(rf"(?=.*(?:{_SCANNED}))(?:.* )?(?:sop|{_SCANNED})*uid")
_OF_FAMILIES = re.compile(
    rf"(?:family|families|twins?|household|litter|cage)(?:{_NAME})?|twins?(?:pair|set)s?(?:{_NAME})?"
    rf"|(?:mother|father|parent|sibling|sib|pair|dyad)s?(?:{_ID})"
)
_HOLD = "video|clip|movie|volume|vol|sequence|stack|eye"
_HOLDER = re.compile(rf"(?:(?:{_NAME}|{_ADDED}) )*(?:{_HOLD})(?: ?(?:{_NAME}|{_ADDED}))*")
_ID_OF_HOLDER = re.compile(
    rf".*(?:\bids? ?(?:{_HOLD})|\b(?:{_HOLD}) ?(?:{_CALLED}|name)|\b(?:video|movie) ?(?:{_ID}))\b.*"
)
_SCANS = re.compile(rf"(?:study|exam(?:ination)?|block|sample|series)(?: ?(?:{_ID}))?")
_MEASURED = re.compile(r"[\d.,]+ ?[a-zµ%/]{2,}")  # `50 mg`
_LONGEST = 100  # letters of a name that is looked at: time grows with their square
_FEW = 3  # values of a column that tells a place or kind, such as left and right
_EYES = ("l", "r", "od", "os", "ou", "left", "right", "both")
# How sequences of MR are called, which are kinds.
_MR = re.compile(
    r"\*|t[12]|pd|flair|dwi|adc|swi|stir|dce|bold|asl|dixon|tof|gre|tse|se\d|ep|t?fl[23]d|mp"
)


def tells_people(column: str) -> bool:
    """Tell by its name alone whether a column may tell patients, or families of some."""
    name = _words_in(column)
    bare = name.replace(" ", "")
    if any(p.fullmatch(bare) for p in (_ALONE, _OF_FAMILIES)) or _UID.fullmatch(name):
        return True
    called = any(p.fullmatch(name) for p in (_PATIENT, _ID_OF_PATIENT))
    return called and _OF_NONE.fullmatch(name) is None


def of_families(column: str) -> bool:
    """Tell by its name whether a column tells families and the like, that hold several patients."""
    return _OF_FAMILIES.fullmatch(_words_in(column).replace(" ", "")) is not None


def may_hold(column: str, values: Collection[str]) -> bool:
    """Tell whether a column may tell patients, or what else several cases are of.

    Args:
        column: its name.
        values: the different ones, in lower case, none of them empty.
    """
    name = _words_in(column)
    if "eye" in name and {*values} <= {*_EYES}:
        return False
    if tells_people(column):
        return True
    if not (_HOLDER.fullmatch(name) or _SCANS.fullmatch(name)) or any(map(_MR.match, values)):
        return False
    if "eye" in name and len(values) < _FEW:
        return False
    return _ID_OF_HOLDER.fullmatch(name) is not None or _look_like_ids(values)


def _words_in(column: str) -> str:
    """Return the words of a name with a blank between them, without numbers and small words."""
    words = (word for word in tokens_of(column[:_LONGEST]) if word not in _BETWEEN)
    return " ".join(word for word in words if not word.isdecimal())


def _look_like_ids(words: Collection[str]) -> bool:
    """Tell whether values are several, each of letters and numbers, and not all with a unit."""
    mixed = all(re.search(r"[a-z]", word) and re.search(r"\d", word) for word in words)
    return mixed and len(words) >= _FEW and not all(map(_MEASURED.fullmatch, words))
