"""Settings by the names that users give them, where a network knows its arguments alone."""

import re
from collections.abc import Mapping


def as_typed(text: str, settings: Mapping[str, str]) -> str:
    """Return what a network says of its arguments, with the dotted names of the settings.

    At its start any argument is named, also in the singular; further on only those that are no
    words of the language: plurals, and names with an underscore.

    Args:
        text: such as `features must name at least two levels, got (4,)`.
        settings: dotted names, such as `network.features`, by the names of arguments.

    Example:
        >>> as_typed("direction must be one of ...", {"directions": "network.directions"})
        'network.directions must be one of ...'
    """

    def typed(match: re.Match) -> str:
        name = match[0]
        if match.start() == 0:
            return settings.get(name) or settings.get(f"{name}s") or name
        return settings.get(name, name) if "_" in name or name.endswith("s") else name

    return re.sub(r"(?<![\w.])[a-z_]+\b", typed, text)
