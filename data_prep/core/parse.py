"""JSON, YAML and whole numbers as others wrote them: one way in, which believes nothing.

Python takes the last of two equal keys, NaN, halves of characters and 1.5 for 1; none of it here.
"""

import csv
import json
import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import yaml

from data_prep.core.errors import DataError, is_of_python

# What rebuilding a record from JSON of the wrong form raises.
UNUSABLE = (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError)
MAX_BYTES = 64 << 20
MAX_SETTINGS_BYTES = 1 << 20  # of YAML, whose parser takes 500 times as much in memory
# Of JSON and tables: more files than any dataset lists, and 0.4 GB in memory whatever they are.
MAX_VALUES = 2_000_000
MAX_LIST_BYTES = 4 << 20  # of ids, a line each: some 100,000 cases, and 50 times as much in memory
# What tables write, in lower case, where there is no value.
_NO_VALUE = ("nan", "na", "n/a", "none", "null", "<na>", "-", "unknown")
_FORMULA = re.compile(r"#(\w+[!?]|div/0!|n/[ad]|nv)")  # of spreadsheets, that found no value
_MAX_DEPTH = 50
_LARGEST = 1 << 64  # of whole numbers, as hashes and seeds are
_MISLEADING = re.compile(r"[-+]?(0[0-7]+|[0-9]+(:[0-5]?[0-9])+(\.[0-9]*)?)")
_MOST_DIGITS = 100  # of a number in YAML: 64 bits written with 0 and 1 are fewer
_OF_ANOTHER_KIND = "a value in it is of another kind than is due there"
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def is_no_value(text: str) -> bool:
    """Tell whether a cell says that there is no value, as tables and spreadsheets write it."""
    plain = text.strip().casefold()
    return plain in ("", *_NO_VALUE) or _FORMULA.fullmatch(plain) is not None


@contextmanager
def usable(code: str, file: str | Path, fix: str) -> Iterator[None]:
    """Make one named error of whatever a damaged record raises while it is read and taken apart.

    Args:
        code: of the error.
        file: the record.
        fix: what to do about it.

    Raises:
        DataError: `code`, also if the file cannot be read; one that is raised inside as it is.
    """
    try:
        yield
    except (OSError, csv.Error, *UNUSABLE) as error:
        raise DataError(
            code, f"it cannot be used: {plainly(error)}", fix, file=str(file)
        ) from error


def plainly(error: Exception) -> str:
    """Return in plain words why a record cannot be used: nothing that only Python's users know.

    Args:
        error: one of `UNUSABLE`, OSError or csv.Error; what a ValueError of ours says stays as it
            is.

    Examples:
        >>> plainly(KeyError("label"))
        "no key 'label'"
    """
    match error:
        case OSError():
            return error.strerror or str(error)
        case UnicodeDecodeError():
            return f"no text: byte {error.start} is not {error.encoding.upper()}"
        case UnicodeError():
            return "text that is no Unicode"
        case json.JSONDecodeError():
            return f"no JSON in line {error.lineno}, character {error.colno}: {error.msg}"
        case KeyError():
            return f"no key {error.args[0]!r:.80}" if error.args else "a key is missing"
        case OverflowError():
            return "a number in it is too large"
    return _OF_ANOTHER_KIND if is_of_python(error) else str(error)


def parse_json(data: bytes | str, kind: type = dict) -> Any:
    """Parse JSON in UTF-8 or UTF-16, with a mark of its byte order or without.

    Args:
        data: the text, at most `MAX_BYTES`.
        kind: that the outermost value must be of, `dict` or `list`.

    Raises:
        ValueError: for what is no JSON, a key given twice, a number that is none or has more than
            64 bits, nesting beyond 50, text that is no Unicode, another `kind`, or too many values.
    """
    if len(data) > MAX_BYTES:
        raise ValueError(f"more than {MAX_BYTES} bytes")
    text = data.decode(json.detect_encoding(data)) if isinstance(data, bytes) else data
    check_values(text, "[{,")
    try:
        found = json.loads(
            text,
            object_pairs_hook=once,
            parse_constant=_no_number,
            parse_float=_finite,
            parse_int=_whole_number,
        )
    except RecursionError as error:
        raise ValueError(f"nested more than {_MAX_DEPTH} deep") from error
    _check(found, strings=bool(_SURROGATE.search(text)))
    if not isinstance(found, kind):
        names: dict[type, str] = {dict: "an object", list: "a list"}
        got = names.get(type(found), type(found).__name__)
        raise ValueError(f"{names[kind]} is needed, {got} was found")
    return found


def check_values(text: str, marks: str) -> None:
    """Refuse a text of more values than `MAX_VALUES`, before they are built.

    Args:
        text: of JSON or of a table.
        marks: characters of which each value has one at the most, beside those in quotes.

    Raises:
        ValueError: if there are more.
    """
    if sum(map(text.count, marks)) > MAX_VALUES:
        raise ValueError(f"more than {MAX_VALUES} values")


def read_json(path: str | Path, kind: type = dict) -> Any:
    """Read a JSON file, as `parse_json`.

    Raises:
        ValueError: as `parse_json`.
        OSError: if it cannot be read.
    """
    with Path(path).open("rb") as file:
        return parse_json(file.read(MAX_BYTES + 1), kind)


def read_bounded(path: str | Path, most: int = MAX_BYTES) -> bytes:
    """Return the content of a file that a user gives, or that may have been changed.

    Raises:
        ValueError: if it has more bytes than `most`.
        OSError: if it cannot be read.
    """
    with Path(path).open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise ValueError(f"more than {most} bytes")
    return data


def check_yaml(text: str) -> Any:
    """Refuse YAML that no settings need, or that is not what it looks like.

    Aliases, which can blow up; keys given twice; depth; numbers such as 010, which is 8.

    Raises:
        yaml.YAMLError: with what is wrong in it.
    """
    if len(text) > MAX_SETTINGS_BYTES:
        raise yaml.YAMLError(f"more than {MAX_SETTINGS_BYTES} characters")
    try:
        _check_events(text)
        value = yaml.load(text, _Unique)
        _check(value)
    except (ValueError, TypeError) as error:  # such as keys that are lists
        raise yaml.YAMLError(str(error)) from error
    return value


def read_settings(text: str) -> dict[str, Any]:
    """Return the settings of a YAML file, whose keys may be dotted, such as `training.epochs`.

    Raises:
        ValueError: if it holds none, or something else than settings by name, or one of them twice,
            by its dotted name and below its section.
        yaml.YAMLError: as `check_yaml`.
    """
    found = check_yaml(text)
    if found is None:
        raise ValueError("it is empty; give settings by name, or leave it out")
    if not isinstance(found, dict):
        raise ValueError(f"it must hold settings by name, got {found!r:.80}")
    given = {str(key): value for key, value in found.items()}
    for dotted in given:
        parts = dotted.split(".")
        for depth in range(1, len(parts)):
            above = ".".join(parts[:depth])
            inner = given.get(above)
            in_section = isinstance(inner, dict) and parts[depth] in inner
            if in_section or (depth > 1 and above in given):
                raise ValueError(f"{dotted!r} is given twice, once below {above!r}; give it once")
    return found


def whole(value: object, *, low: int | None = None) -> int:
    """Return a whole number, however it is written: `1`, `1.0`, `"1"`, `"1.0"` as tables have it.

    Args:
        value: the number.
        low: the smallest allowed.

    Raises:
        ValueError: for anything else, such as 1.5, true or 10**400.
    """
    if isinstance(value, str) and re.fullmatch(r"\s*[+-]?\d{1,18}(\.0*)?\s*", value, re.ASCII):
        value = float(value) if "." in value else int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1:
        raise ValueError(f"a whole number is needed, {value!r} was found")
    if abs(value) >= _LARGEST or (low is not None and value < low):
        raise ValueError(f"a number from {low or 0} to 64 bits is needed, {value!r} was found")
    return int(value)


def once(pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
    """Return a mapping of keys that are each there once.

    Raises:
        ValueError: if one is there twice.
    """
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in found if keys.count(key) > 1)
        raise ValueError(f"{twice!r} is given twice")
    return found


def _check_events(text: str) -> None:
    """Refuse YAML by what is written in it, before anything is built of it."""
    depth = 0
    for event in yaml.parse(text, _Unique):
        if isinstance(event, yaml.ScalarEvent) and depth and not event.style:
            _check_number(event.value)
        if isinstance(event, yaml.AliasEvent):
            raise yaml.YAMLError(f"an alias, *{event.anchor}; write the value itself")
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > _MAX_DEPTH:
            raise yaml.YAMLError(f"nested more than {_MAX_DEPTH} deep")


def _check_number(text: str) -> None:
    """Refuse numbers that YAML takes for others than they look like: 010 for 8, 1:30 for 90."""
    meant = yaml.load(text, _Unique) if _MISLEADING.fullmatch(text) else text
    if isinstance(meant, int | float) and (":" in text or meant != int(text)):
        raise yaml.YAMLError(
            f"{text}, which YAML takes for {meant}; write that, or put it in quotes"
        )


if TYPE_CHECKING:
    _Safe: TypeAlias = yaml.SafeLoader
else:  # the fast one is there if PyYAML was built with libyaml
    _Safe = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Unique(_Safe):
    """Loads what is safe, and refuses keys given twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key, (written, _) in zip(keys, node.value, strict=True):
            if (key is None or isinstance(key, bool)) and written.value:
                raise ValueError(f"{written.value} is {key} in YAML; put the name in quotes")
            if isinstance(key, bool) or not isinstance(key, int | str):
                raise ValueError(f"{key!r} is no name and no whole number")
        once([(str(key), None) for key in keys])  # 1 and "1" are one class
        return super().construct_mapping(node, deep)

    def construct_whole(self, node: yaml.ScalarNode) -> int:
        _check_length(node)
        return self.construct_yaml_int(node)

    def construct_number(self, node: yaml.ScalarNode) -> float:
        _check_length(node)
        return self.construct_yaml_float(node)


_Unique.add_constructor("tag:yaml.org,2002:int", _Unique.construct_whole)
_Unique.add_constructor("tag:yaml.org,2002:float", _Unique.construct_number)


def _check_length(node: yaml.ScalarNode) -> None:
    """Refuse a number that is too long, of which Python tells in words for programmers."""
    if len(node.value) > _MOST_DIGITS:
        raise ValueError(f"a number of {len(node.value)} digits, which is too long")


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        _no_number(text[:40])
    return number


def _whole_number(text: str) -> int:
    if len(text) > 21 or abs(number := int(text)) >= _LARGEST:
        raise ValueError(f"a number of {len(text)} digits")
    return number


def _check(value: Any, depth: int = 0, *, strings: bool = True) -> None:
    """Refuse depth, numbers that are none, and halves of characters; in JSON, most is checked."""
    if depth > _MAX_DEPTH:
        raise ValueError(f"nested more than {_MAX_DEPTH} deep")
    if isinstance(value, Mapping):
        for key, inner in value.items():
            _check(key, depth + 1, strings=strings)
            _check(inner, depth + 1, strings=strings)
    elif isinstance(value, list):
        for inner in value:
            _check(inner, depth + 1, strings=strings)
    elif isinstance(value, str):
        if strings:
            value.encode()  # UnicodeEncodeError is a ValueError
    elif isinstance(value, float) and not math.isfinite(value):
        _no_number(str(value))
    elif isinstance(value, int) and abs(value) >= _LARGEST:
        raise ValueError("a number of more than 64 bits")
