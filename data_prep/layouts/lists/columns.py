"""What a column or key of a list may tell: parts of a split, cases to leave out, or groups."""

import re
from collections.abc import Collection, Mapping, Sequence

from data_prep.core.parse import is_no_value
from data_prep.core.values.tokens import tokens_of
from data_prep.layouts.lists.holders import may_hold, of_families, tells_people
from data_prep.layouts.words import LEFT_OUT, PLAINLY_OUT, Role, bare_name, role_of
from data_prep.planning.group_words import may_be_parts
from data_prep.planning.part_words import (
    ASKING,
    PART_OF,
    PARTS,
    UNTOLD,
    Part,
    fold_number,
    is_part_word,
    names_fold,
    names_parting,
    part_of,
    part_told,
    part_word,
    plain_word,
    without_marks,
    words_in,
)

# Columns that tell the part where all their values do, and are something else where not.
_PERHAPS = ("set", "dataset", "cohort", "phase", "usage")
_JOINED = ("traintest", "trainval")
_MOST_PARTS = 20  # whole numbers above are measured, not those of parts
# In English, German, French, Spanish and Italian; numbers as tables write them, Access -1 for yes.
_YES = (
    *("true", "yes", "y", "t", "1", "1.0", "-1", "-1.0", "wahr", "ja", "j", "vrai", "oui", "o"),
    *("verdadero", "vero", "si", "sí", "sì", "s"),
)
_SIGNED = ({"1", "1.0"}, {"-1", "-1.0"})  # which are not both yes
_NO = ("false", "no", "n", "f", "0", "0.0", "falsch", "nein", "faux", "non", "falso")
_MARKS = ("x", "✓", "✔", "☑", "*", "+", "•")  # yes, where other cells are empty
# Of a case that is for validation, or can be used.
_OF_QUALITY = re.compile(r"(?:is)?valid(?:data|scan|image|case|flag)?")
_LEAVE_OUT = (
    *(*LEFT_OUT, "drop", "bad", "include", "included", "use", "used", "keep", "kept", "usable"),
    *("qc", "qcpass", "qcpassed", "passqc", "passedqc", "qcok", "withdrawn", "outlier"),
)
# Of control of quality, and what it says of cases that are not to be used.
_OF_QC = ("qc", "qa", "quality", "check", "checked", "review", "inspection")
# Of a treatment and much else, too, unless alone or of a file.
_OF_MUCH = ("status", "control")
_OF_FILES = ("image", "scan", "case", "file", "data", "label", "mask", "segmentation", "study")
# Where people write that a case is not used.
_OF_USE = (
    *("use", "used", "usage", "inclusion", "exclusion", "selection", "eligibility", "decision"),
    *("reason", "comment", "comments", "remark", "remarks", "note", "notes", "flag", "kommentar"),
    *("bemerkung", "bemerkungen", "anmerkung", "commentaire", "comentario", "osservazioni"),
)
_FAILED = ("fail", "failed", "not ok", "nok", "unaccepted", "unacceptable", "durchgefallen")
_OF_SEVERAL: dict[Part, str] = {"": "train", "test": "test", "validation": "validation"}
# Beside a part, for yes or no, besides `ASKING`.
_OF_CASE = (*ASKING, "case", "final", "flag", "model", "scan", "image", "external", "internal")
# Of folds and splits that are of no cases: `split_ratio`, `fold_score`.
_MEASURES = (
    *("change", "ratio", "coefficient", "percent", "rate", "increase", "decrease", "enrichment"),
    *("score", "rank", "dice", "iou", "auc", "loss", "accuracy", "prob", "pred", "prediction"),
    *("count", "date", "time", "epoch", "epochs"),
)
_IN_NO_FOLD = (*PLAINLY_OUT, "all", "unassigned")


def told_parts(column: str, values: Collection[object]) -> list[frozenset[Part]] | None:
    """Return the parts that each value of a column leaves open, if its name and all are understood.

    One word names a part; of a column such as `is_test`, no leaves the other parts open, as do
    empty cells beside marks.

    Args:
        column: that has no role by its name alone, such as `set` or `is_test`.
        values: one a case.
    """
    words = [plain_word(value) for value in values]
    asked = _part_asked(column)
    if asked is not None and words and _are_answers({*words}):
        only, others = frozenset({asked}), frozenset(PARTS) - {asked}
        return [only if word in (*_YES, *_MARKS) else others for word in words]
    parts = [part_told(word) for word in words]
    # Numbers tell one of several splits, of which none is the one that is meant.
    numbered = re.search(r"\d", column) is not None
    if (tells_split(column) and not numbered) or bare_name(column) in _PERHAPS:
        told = [frozenset({part}) for part in parts if part is not None]
        return told if told and len(told) == len(words) else None
    return None


def _are_answers(words: Collection[str]) -> bool:
    """Tell whether values are yes and no, or marks where other cells are empty."""
    different = {*words}
    if different <= {*_YES, *_NO}:
        return any(different.isdisjoint(ones) for ones in _SIGNED)
    marked = different <= {*_MARKS, *UNTOLD} and not different.isdisjoint(UNTOLD)
    return marked and not different.isdisjoint(_MARKS)


def may_be_usable(column: str, values: Collection[object]) -> bool:
    """Tell whether a column may tell the cases for validation, or as well those of good quality."""
    return _OF_QUALITY.fullmatch(bare_name(column)) is not None and _are_answers(
        [*map(plain_word, values)]
    )


def may_be_of_another_test(column: str, values: Collection[object]) -> bool:
    """Tell whether a column of yes and no may as well tell of a test in a laboratory: `test`."""
    return _may_be_examination(column) and _are_answers([*map(plain_word, values)])


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
        return frozenset(PARTS)  # which its row tells of
    return frozenset({"" if isinstance(part, int) else part})


def _part_asked(column: str) -> Part | None:
    """Return the part that a column asks about by its name: `is_test`, `in_val_set`, `train`."""
    words = [word for word in _words_of(column) if word not in ASKING]
    joined = re.sub(r"^(is|in|for)(?=.)", "", "".join(words))
    # Of several words, `hold_out` is one; `test_menge` and the like are other things, too.
    return part_word(joined) if len(words) == 1 or joined in PART_OF else None


def _words_of(column: str) -> list[str]:
    return words_in(without_marks(column))


def _asks_plainly(column: str) -> bool:
    """Tell whether a column asks about a part by more than its word, which may be of a measure."""
    return _part_asked(column) is not None and bare_name(column) not in PART_OF


def _may_ask(column: str) -> bool:
    """Tell whether a column may ask about a part: `final_eval`, `is_validation_case`."""
    words = _words_of(column)
    parts = [word for word in words if len(word) > 2 and is_part_word(word)]
    quality = _OF_QUALITY.fullmatch(bare_name(column)) is not None
    return len(parts) == 1 < len(words) and {*words} <= {*parts, *_OF_CASE} and not quality


def tells_split(column: str) -> bool:
    """Tell by its name alone whether a column tells a split: `data_split`, `is_test`, `train/val`.

    Such a column is read, or a warning tells why not.
    """
    words = [word for word in _words_of(column.replace("/", " ")) if word not in ("or", "and")]
    # Of two letters they are others, too: TR is a repetition time.
    parted = bool(words) and all(len(word) > 2 and is_part_word(word) for word in words)
    asked = _part_asked(column) is not None and len(bare_name(column)) > 2
    called = names_parting(column) and not _is_measure(column)
    return asked or parted or called or bare_name(column) in _JOINED


def may_tell_parts(column: str, values: Collection[object]) -> bool:
    """Tell whether a column seems to tell parts, by all of its values or by some and its name."""
    words = [word for value in values if (word := plain_word(value)) not in UNTOLD]
    named = tells_split(column)
    if _asks_plainly(column) and not all(map(is_no_value, words)):
        return True
    if _may_ask(column) and _are_answers({*map(plain_word, values)}) and len({*words}) > 1:
        return True
    if named and words and {*words} <= {*_MARKS}:
        return True
    if named and not _are_measured(words) and len({*map(plain_word, values)}) > 1:
        answers = sum(word in (*_YES, *_NO, *_MARKS) for word in words)  # `t`, too, a test's name
        told = 2 * answers > len(words) or any(map(is_part_word, words))
        return told or not _may_be_examination(column)
    if named or bare_name(column) in _PERHAPS:  # such as `external test`
        return any(is_part_word(part) for word in words for part in (word, *words_in(word)))
    if role_of(column) is not None:  # groups, some of which are called by parts
        return may_be_parts(values)
    return bool(words) and all(map(is_part_word, words))


def _may_be_examination(column: str) -> bool:
    """Tell whether a column may as well be of a test of a patient, or of a score: `test`."""
    return PART_OF.get(bare_name(column)) in ("test", "validation")


def folds_apart(columns: Mapping[str, Sequence[object]]) -> list[str]:
    """Return columns of yes and no that are called as a fold each: `fold_0`, `fold_1`."""
    folds = [head for head in columns if fold_number(without_marks(head)) is not None]
    words = {plain_word(value) for head in folds for value in columns[head]}
    return folds if len(folds) > 1 and words and _are_answers(words) else []


def parts_counted(columns: Mapping[str, Sequence[object]]) -> list[str]:
    """Return columns that are called as a part each and count cases: not one is yes in each row."""
    parts = [head for head in columns if part_word(bare_name(head)) is not None]
    rows = [[*map(plain_word, row)] for row in zip(*(columns[h] for h in parts), strict=True)]
    words = {word.removesuffix(".0") for row in rows for word in row} - {*UNTOLD}
    if len(parts) < 2 or not words or not all(map(str.isdecimal, words)):
        return []
    coded = words <= {"0", "1"} or words <= {"1", "2"}
    once = all(sum(word in ("1", "1.0") for word in row) <= 1 for row in rows)
    return [] if coded and once else parts


def _are_measured(words: Collection[str]) -> bool:
    """Tell whether values are numbers, and not all of them small and whole."""
    try:
        return not all(0 <= float(word) <= _MOST_PARTS and float(word) % 1 == 0 for word in words)
    except ValueError:
        return False


def may_tell_of_cases(key: str) -> bool:
    """Tell by the words of a key whether it may name cases of a part, or groups: `test_ids`."""
    return any(
        is_part_word(word)
        or word in _LEAVE_OUT
        or role_of(word.rstrip("s")) in ("split", "group", "patient")
        for word in _words_of(key)
    )


def may_tell_of_several(key: str) -> bool:
    """Tell by a key whether it may name cases, if several values are in it: `kfold_5`, `donors`."""
    return names_fold(key) or names_parting(key) or tells_people(key)


def may_leave_out(column: str, values: Collection[object]) -> bool:
    """Tell whether a column seems to tell which cases are to be left out, and which are not."""
    words = {plain_word(value) for value in values}
    of_quality = _is_of_quality(column)
    if (of_quality or _is_of_use(column)) and words & {*PLAINLY_OUT}:
        return not words <= {*PLAINLY_OUT}
    if of_quality and not words.isdisjoint(_FAILED):
        return not words <= {*_FAILED, *UNTOLD}
    both = not words.isdisjoint(_YES) and bool(words & {*_NO, *UNTOLD})
    return both and bare_name(column) in _LEAVE_OUT and words <= {*_YES, *_NO, *UNTOLD}


def _is_of_quality(column: str) -> bool:
    """Tell whether a column is of control of quality: `QC status`, `status`, and no graft's."""
    words = {*words_in(column)}
    alone = words - {*_OF_FILES}
    return bool(words & {*_OF_QC}) or (bool(alone) and alone <= {*_OF_MUCH})


def _is_of_use(column: str) -> bool:
    """Tell whether a column is of what is done with a case, or of whatever there is to say."""
    return bool({*words_in(column)} & {*_OF_USE}) or bare_name(column) in _LEAVE_OUT


def may_group(column: str, values: Collection[object]) -> Role | None:
    """Return what a column seems to tell, by its name and by values that several cases share.

    Returns:
        `fold`, `group` or `patient`, the last as `may_hold` says; `None` for any other.
    """
    words = [word for value in values if (word := plain_word(value)) not in UNTOLD]
    different = {*words}
    if not 1 < len(different) < len(words):
        return None
    if names_fold(column) and not _is_measure(column) and _may_be_folds(different):
        return "fold"
    if different <= {*_YES, *_NO, *_MARKS} or _have_fractions(different):
        return None
    if of_families(column):
        return "group"
    return "patient" if may_hold(column, different) else None


def _may_be_folds(words: Collection[str]) -> bool:
    """Tell whether values may be folds: numbers or letters, most of them, and cases in none."""
    folds = [word for word in words if re.fullmatch(r"\D*[0-9]{1,3}(\.0)?|[a-z]", word)]
    others = {*words} - {*folds, *_IN_NO_FOLD}
    known = all(is_no_value(word) or is_part_word(word) for word in others)
    return 2 * len(folds) >= len(words) and known


def _is_measure(column: str) -> bool:
    return not {*tokens_of(column)}.isdisjoint(_MEASURES)


def _have_fractions(words: Collection[str]) -> bool:
    return any(re.fullmatch(r"-?[0-9]*[.,][0-9]*[1-9][0-9]*", word) for word in words)
