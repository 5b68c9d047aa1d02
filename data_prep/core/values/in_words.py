"""What a setting takes, in words, by its type."""

import re
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin


def in_words(kind: Any, *, many: bool = False) -> str:
    """Return what values of a type are, such as `a list of 3 numbers > 0`; nothing for text.

    Args:
        kind: a type of settings: of numbers, those of `numbers` included, text, `bool`, `Literal`,
            or lists, mappings and unions of these; `None` in a union is not told.
        many: say it of several, such as `whole numbers`.
    """
    parts = get_args(kind)
    origin = get_origin(kind)
    if origin in (Union, UnionType):
        return ", or ".join(in_words(part, many=many) for part in parts if part is not NoneType)
    if origin is Literal:
        return _either([f"`{value}`" for value in parts])
    if origin is tuple:
        count = "" if parts[-1] is Ellipsis else f"{len(parts)} "
        return f"{_noun('list', many)} of {count}{in_words(parts[0], many=True) or 'names'}"
    if origin is dict:
        key, example = ("name", "a") if parts[0] is str else ("number", 255)
        return f"{in_words(parts[1], many=True)} by {key}, such as {{{example}: 1}}"
    if kind is bool:
        return _either(["`true`", "`false`"])
    if not isinstance(kind, type) or not issubclass(kind, int | float):
        return ""
    noun = _noun("whole number" if issubclass(kind, int) else "number", many)
    return f"{noun} {_limits(kind)}".rstrip()


def choices(kind: Any) -> list[str]:
    """Return the words of which a value is one, or holds some; none of a type without such."""
    if get_origin(kind) is Literal:
        return [str(value) for value in get_args(kind)]
    return [word for part in get_args(kind) for word in choices(part)]


def _either(words: list[str]) -> str:
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _noun(noun: str, many: bool) -> str:
    return f"{noun}s" if many else f"a {noun}"


def _limits(kind: type) -> str:
    # Such as `v>=0 and v<1` of jsonargparse's restricted numbers.
    limits = getattr(kind, "_expression", "").replace("v", "").replace(" and <inf", "")
    limits = re.sub(r"(<=|>=|<|>)", r"\1 ", limits)
    return re.sub(r"\d+\.0\b", lambda number: f"{float(number[0]):g}".replace("e+", "e"), limits)
