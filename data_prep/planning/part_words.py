"""What people call the parts of a split."""

import re
from collections.abc import Mapping
from typing import Literal
from unicodedata import normalize

from data_prep.core.parse import whole
from data_prep.core.values.tokens import tokens_of

Part = Literal["", "validation", "test"]  # of a split; the empty one is for training
UNTOLD = ("", "none", "nan")
PARTS: dict[Part, tuple[str, ...]] = {
    "": (
        *("train", "training", "tr", "apprentissage", "entrainement", "entraînement"),
        *("entrenamiento", "addestramento", *UNTOLD),
        *(
            "treino",
            "treinamento",
            "oefen",
            "trening",
            "treningowe",
            "uczący",
            "træning",
            "träning",
        ),
        *("eğitim", "обучение", "обучающая", "训练", "训练集", "訓練", "学習", "훈련", "학습"),
    ),
    "validation": (
        *("val", "valid", "validation", "dev", "tuning", "validierung", "validacion"),
        *("validación", "validazione", "validação", "validacao", "validatie", "walidacja"),
        *("walidacyjne", "doğrulama", "валидация", "验证", "验证集", "検証", "검증"),
    ),
    "test": (
        *("test", "testing", "ts", "tst", "holdout", "heldout", "unseen", "eval", "evaluation"),
        *("prueba", "teste", "toets", "testowe", "testowy", "deneme", "тест"),
        *("тестовая", "测试", "测试集", "テスト", "테스트", "시험"),
    ),
}
PART_OF: dict[str, Part] = {word: part for part, words in PARTS.items() for word in words}
# Beside a part, for yes or no.
ASKING = ("is", "in", "for", "use", "used", "as", "set", "data", "dataset", "cohort")
BETWEEN = re.compile(r"[\s_\-.()\[\]]+")  # words
_GAP = r"[\s_\-.]*"
# A fold for sure; those of other words are one only among others, see `folders_below`.
PLAIN_FOLD = re.compile(r"fold[_\-. ]*([0-9]{1,4})", re.IGNORECASE)
_NUMBERED_FOLD = re.compile(
    rf"(?:(?:k|cv)?{_GAP}fold(?:set)?|falte|xval|cross{_GAP}val(?:idation)?)"
    rf"{_GAP}([0-9]{{1,4}})(?:{_GAP}of{_GAP}[0-9]{{1,4}})?",
    re.IGNORECASE,
)
_AROUND_FOLD = (
    "k|n|cv|outer|inner|train|test|val|validation|set|split|id|idx|no|nr|num|number|index"
)
_FOLD = re.compile(
    rf"(?:{_AROUND_FOLD})*(?:folds?|xval|crossval(?:idation)?|falte(?!n))(?:{_AROUND_FOLD})*"
)
_CV = re.compile(rf"cv(?:{_AROUND_FOLD})*")
_CROSS = re.compile(r"(?<=cross)[\W_]+(?=val)", re.IGNORECASE)
# Of folds of a body or a protein, and of how many times something is more.
_OTHER_FOLDS = (
    *("skin", "vocal", "nuchal", "nasolabial", "gastric", "axillary", "ventricular", "side"),
    *("protein", "scop", "dilution", "change", "increase", "enrichment", "times", "two", "ten"),
)
# What else names hold of folds and parts: `fold_0_of_5`, `test_fold_0`, `images_fold_0`; and
# what columns hold.
_BESIDE_FOLD = ("of", "cv", "outer", "inner", "data", "set", "images", "labels", "masks")
_BESIDE_COLUMN = (*_BESIDE_FOLD, "k", "n", "no", "nr", "number", "id", "idx", "index")
_SPLIT = re.compile(r"\w*splits?")
_PARTS = re.compile(r"\w*splits?|subsets?|partition(?:s|ing)?")
_COHORTS = ("cohort", "cohorts")
# What names hold of lists besides what they list: `test_ids`, `subset_list`, `cases_train`.
_OF_LISTS = (
    *("list", "lists", "liste", "listing", "file", "files", "filenames", "case", "cases", "ids"),
    *("name", "names", "image", "images", "scan", "scans", "final", "indices", "keys"),
)
_AT_END = re.compile(r"(?<=\w{2})(?:file)?(?:lists?|liste|files?|cases|ids?|names|images)$")
_LONGEST = 40  # letters of a word that is looked at: time grows with their square
# What forms add to the name of a column: `Test?`, `test set (y/n)`, `Patient ID*`.
_BRACKETS = re.compile(r"[(\[]([^()\[\]]*)[)\]]")
_ANSWERS = {
    *("yes", "no", "true", "false", "ja", "nein", "oui", "non", "y", "n", "t", "f", "j", "x", "o"),
    *("yn", "jn", "tf"),
}
_LETTERS = re.compile(r"[^\W\d_]+")
_MARKED = re.compile(r"[^\w\s.\-/]+")
# Words for several cases, which follow or precede that for a part: `Trainingsdaten`, `datatest`.
_SET = r"(?:(?:data|sub)?sets?|data|daten(?:satz|s[aä]tze)?|menge|kohorte|cohort|splits?)"
_COMPOUND = re.compile(rf"(?P<first>\w{{2,}}?)s?{_SET}|{_SET}(?P<last>\w{{3,}})")
_ALLOWED = "allowed are train, validation, test and the numbers of folds: 0, 1, ..."


def words_in(name: str) -> list[str]:
    """Return the words of a name in lower case, also those that capitals part: `imagesVal`."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", normalize("NFC", name))
    return [word for word in re.split(BETWEEN, apart.lower()) if word]


def without_marks(column: str) -> str:
    """Return the name of a column without answers in brackets and marks between its words."""
    return re.sub(_MARKED, " ", re.sub(_BRACKETS, _without_answers, column)).strip()


def _without_answers(brackets: re.Match[str]) -> str:
    answers = {*_LETTERS.findall(brackets[1].lower())}
    return " " if brackets[1].strip() and answers <= _ANSWERS else brackets[0]


def plain_word(value: object) -> str:
    """Return a cell as it is compared, without blanks around it and capitals."""
    return str(value).strip().lower()


def part_told(value: object) -> Part | None:
    """Return the part that words name, such as `Training set` or `held out`; `None` for others."""
    word = plain_word(value)
    bare = "".join(part for part in words_in(word) if part not in ASKING)
    return next((part for w in (word, bare) if (part := part_word(w)) is not None), None)


def part_word(word: str, parts: Mapping[str, Part] = PART_OF) -> Part | None:
    """Return the part that one word in lower case names: `training`, `testset`, `testdatensatz`.

    Words that only hold one, such as `contest` or `trainer`, name none.

    Args:
        word: without blanks and marks.
        parts: what words name.
    """
    if word in parts:
        return None if word in UNTOLD else parts[word]
    joined = _COMPOUND.fullmatch(word)
    inner = (joined["first"] or joined["last"]) if joined else ""
    # The s may be of the word itself: `toets`.
    return None if inner in UNTOLD else parts.get(inner, parts.get(f"{inner}s"))


def part_in_name(word: str, parts: Mapping[str, Part] = PART_OF) -> Part | None:
    """Return the part that a word of a name tells, see `part_word`; also `test2` and `tests`."""
    bare = re.sub(r"(?<=.)[0-9]+$", "", word)
    part = part_word(bare, parts)
    if bare == "testes":  # the organ
        return None
    return part if part is not None else part_word(re.sub(r"(?<=\w{3})s$", "", bare), parts)


def is_part_word(value: object) -> bool:
    """Tell whether a value is a word for training, validation or test."""
    return part_told(value) is not None


def names_fold(name: str) -> bool:
    """Tell whether a word of a name is one for folds: `fold_idx`, `kfold5`, `assignedFold`.

    `cv` is of hearts and veins, too, and so of folds only in names of nothing else.
    """
    words = [word[:_LONGEST] for word in tokens_of(_CROSS.sub("", name))]
    if any(map(_FOLD.fullmatch, words)):
        return {*words}.isdisjoint(_OTHER_FOLDS)
    alone = all(w.isdecimal() or w in _BESIDE_COLUMN or _CV.fullmatch(w) for w in words)
    return alone and any(map(_CV.fullmatch, words))


def names_parting(name: str) -> bool:
    """Tell whether a name is of a split: `split2`, `my_split`, `subset_id`, `partition-no`.

    A subset or partition is of cells and much else, too, and so of cases only in names of those.
    """
    words = [word for word in tokens_of(name) if not word.isdecimal()]
    others = [word for word in words if not _PARTS.fullmatch(word)]
    alone = len(others) < len(words) and all(word in _BESIDE_COLUMN for word in others)
    return alone or any(map(_SPLIT.fullmatch, words))


def part_listed(name: str) -> Part | None:
    """Return the part that a list is called by: `test_ids`, `held_out_cases`; `None` if by none."""
    told = part_told(name)
    bare = "_".join(_without_list(name))
    return part_told(bare) if told is None and len(bare) > 2 else told


def names_parts(name: str) -> bool:
    """Tell whether a file is called by parts, folds or cohorts, and by nothing else.

    So are `test_ids`, `train_val`, `hold-out`, `subset_2`, `kfold` and `cohorts`; no `test_report`.
    """
    words = [word for word in _without_list(name) if word not in _BESIDE_COLUMN]
    words = [word for word in words if not word.isdecimal()]
    parts = [w for w in words if w in _COHORTS or (len(w) > 2 and part_in_name(w) is not None)]
    joined = "".join(words)  # `hold_out`
    known = len(parts) == len(words) if words else False
    return known or (len(joined) > 2 and part_word(joined) is not None) or names_dividing(name)


def _without_list(name: str) -> list[str]:
    """Return the words of a name without those for a list: `test` of `test_ids` and `testlist`."""
    bare = (_AT_END.sub("", word) for word in words_in(name) if word not in _OF_LISTS)
    return [*filter(None, bare)]


def names_dividing(name: str) -> bool:
    """Tell whether a name is of folds, or of a split, subset or partition: see both rules."""
    return names_fold(name) or names_parting(name)


def fold_number(name: str) -> int | None:
    """Return the number of the fold that is called so and no more: `fold_0`, `kfold1`, `xval-2`.

    Returns:
        The number; `None` of other names, as of `5fold`, how many there are, and of patients `CV1`.
    """
    called = _NUMBERED_FOLD.fullmatch(name)
    return int(called[1]) if called else None


def may_be_part(folder: str) -> bool:
    """Tell whether a folder may be one of several parts: `split1`, `subset_a`, `test_fold_0`.

    It is called by a word for them and what counts them, and by no word for anything else.
    """
    words = tokens_of(folder)
    called = [w for w in words if _FOLD.fullmatch(w[:_LONGEST]) or _PARTS.fullmatch(w)]
    counts = [word for word in words if len(word) == 1 or word.isdecimal()]
    others = {*words} - {*called, *counts, *_BESIDE_FOLD}
    known = bool(called and counts) and all(part_in_name(word) is not None for word in others)
    return known and words[0] not in counts


def part_of(told: object) -> Part | int:
    """Return the part of a split that a value names: the empty one for training, or a fold.

    Raises:
        ValueError: if it names none.
    """
    word = "" if told is None else plain_word(told)
    if word in UNTOLD:
        return ""
    part = part_told(word)
    if part is not None:
        return part
    if (fold := fold_number(word)) is not None:
        return fold
    try:
        return whole(told, low=0)
    except ValueError as error:
        raise ValueError(f"{told!r:.80} is no part of a split; {_ALLOWED}") from error
