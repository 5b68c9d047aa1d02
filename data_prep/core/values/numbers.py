"""Numbers within ranges, as settings state them, and whether a value is of its type."""

from types import UnionType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args, get_origin

import numpy as np
from jsonargparse.typing import NonNegativeInt, restricted_number_type

if TYPE_CHECKING:  # a type checker knows no ranges
    PositiveNumber: TypeAlias = float
    NumberFrom0: TypeAlias = float
    ShareBelowOne: TypeAlias = float
    Finite: TypeAlias = float
    Seed: TypeAlias = int
    Count: TypeAlias = int
    CountFrom0: TypeAlias = int
    Steps: TypeAlias = int
    StepsFrom0: TypeAlias = int
else:  # jsonargparse's own types of numbers take any size
    # Optimizers multiply two of them in float32, which ends at 3e38; as minutes, it is 2 My.
    _LARGEST = 1e12
    # Of what memory grows with: far more than any machine holds, and few enough to count bytes.
    _MOST = 100_000
    # Of what time alone grows with: longer than anybody waits.
    _LONGEST = 1_000_000_000
    PositiveNumber = restricted_number_type("PositiveNumber", float, [(">", 0), ("<=", _LARGEST)])
    NumberFrom0 = restricted_number_type("NumberFrom0", float, [(">=", 0), ("<=", _LARGEST)])
    Count = restricted_number_type("Count", int, [(">=", 1), ("<=", _MOST)])
    CountFrom0 = restricted_number_type("CountFrom0", int, [(">=", 0), ("<=", _MOST)])
    Steps = restricted_number_type("Steps", int, [(">=", 1), ("<=", _LONGEST)])
    StepsFrom0 = restricted_number_type("StepsFrom0", int, [(">=", 0), ("<=", _LONGEST)])
    ShareBelowOne = restricted_number_type("ShareBelowOne", float, [(">=", 0), ("<", 1)])
    Finite = restricted_number_type("Finite", float, [(">=", -_LARGEST), ("<=", _LARGEST)])
    Seed = restricted_number_type("Seed", int, [(">=", 0), ("<", 2**32)])


def fits(value: Any, hint: Any) -> bool:
    """Tell whether a value is of a type, numbers in their range, and none of another library."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Literal:
        return value in inner
    if origin is UnionType:
        return any(fits(value, one) for one in inner)
    if origin is tuple:
        if not isinstance(value, tuple):
            return False
        wanted = inner[:1] * len(value) if inner[-1] is ... else inner
        return len(value) == len(wanted) and all(map(fits, value, wanted))
    if origin is dict:
        return type(value) is dict and all(
            fits(key, inner[0]) and fits(one, inner[1]) for key, one in value.items()
        )
    if hint in (Count, NonNegativeInt, PositiveNumber, ShareBelowOne, Finite):
        number = (int, float) if issubclass(hint, float) else int
        if isinstance(value, bool | np.generic) or not isinstance(value, number):
            return False
        try:
            return hint(value) == value
        except ValueError:
            return False
    return type(value) is hint
