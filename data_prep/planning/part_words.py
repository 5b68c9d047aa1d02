"""What people call the parts of a split."""

import re
from collections.abc import Collection, Mapping
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
_AROUND_FOLD = "k|n|cv|outer|inner|test|val|set|split|id|idx|no|nr|num|number|index"
_FOLD = re.compile(
    rf"(?:{_AROUND_FOLD})*(?:folds?|cv|xval|crossval(?:idation)?|falten?)(?:{_AROUND_FOLD})*"
)
_CROSS = re.compile(r"(?<=cross)[\W_]+(?=val)", re.IGNORECASE)
# What else names of folds hold: `fold_0_of_5`, `cv0_data`, `k-fold 1`, `1st_fold`.
_BESIDE_FOLD = (
    *("of", "k", "n", "outer", "data", "set", "no", "nr", "number", "id", "idx", "index"),
    *("st", "nd", "rd", "th"),
)
_SPLIT = re.compile(r"\w*splits?")
_PARTS = re.compile(r"\w*splits?|subsets?|partitions?")
_MOST_DIGITS = 4
_LONGEST = 40  # letters of a word that is looked at: time grows with their square
_MOST_FOLDS = 20
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
    words = _of_folds(name)
    folds = [word for word in words if _FOLD.fullmatch(word)]
    sure = any("fold" in word or word[:4] in ("falt", "xval", "cros") for word in folds)
    alone = all(w.isdecimal() or w in _BESIDE_FOLD or _FOLD.fullmatch(w) for w in words)
    return bool(folds) and (sure or alone)


def names_parting(name: str) -> bool:
    """Tell whether a name is of a split: `split2`, `my_split`, `subset_id`, `partition-no`.

    A subset or partition is of cells and much else, too, and so of cases only in names of those.
    """
    words = [word for word in tokens_of(name) if not word.isdecimal()]
    others = [word for word in words if not _PARTS.fullmatch(word)]
    alone = len(others) < len(words) and all(word in _BESIDE_FOLD for word in others)
    return alone or any(map(_SPLIT.fullmatch, words))


def _of_folds(name: str) -> list[str]:
    return [word[:_LONGEST] for word in tokens_of(_CROSS.sub("", name))]


def fold_number(name: str) -> int | None:
    """Return the number of the fold that is called so and no more: `fold_0`, `cv-1`, `2.fold`.

    Returns:
        The number; `None` of other names, as of one that is counted up with zeros, `CV01`.
    """
    words = _of_folds(name)
    numbers = [w for k, w in enumerate(words) if w.isdecimal() and words[k - 1 : k] != ["of"]]
    others = [word for word in words if not word.isdecimal() and word not in _BESIDE_FOLD]
    called = bool(others) and all(map(_FOLD.fullmatch, others))
    if not called or len(numbers) != 1 or len(numbers[0]) > _MOST_DIGITS or _is_subject(words):
        return None
    return int(numbers[0])


def may_be_fold(folder: str) -> bool:
    """Tell whether a folder may be a fold, or any other part: `split1`, `subset_a`, `fold_0_b`."""
    words = tokens_of(folder)
    marked = any(len(word) == 1 or word.isdecimal() for word in words)
    called = names_fold(folder) and not _is_subject(words)
    return marked and (called or any(map(_PARTS.fullmatch, words)))


def _is_subject(words: Collection[str]) -> bool:
    """Tell whether a number is that of a subject rather than of a fold: `CV01`, `CV123`."""
    sure = any("fold" in word or "falte" in word for word in words)
    numbers = [word for word in words if word.isdecimal() and len(word) > 1]
    return not sure and any(n.startswith("0") or int(n[:3]) > _MOST_FOLDS for n in numbers)


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
