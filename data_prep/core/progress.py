"""How long loops may report that they move: the caller wraps them."""

from collections.abc import Callable, Iterable

Progress = Callable[[Iterable, str], Iterable]


def silent(items: Iterable, title: str) -> Iterable:
    """Show no progress."""
    return items
