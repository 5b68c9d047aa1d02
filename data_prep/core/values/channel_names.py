"""Which channels the files of one case are called by, and whether they are given in that order."""

import re
from collections.abc import Iterator, Sequence
from itertools import takewhile

from data_prep.core.values.tokens import tokens_of

Words = tuple[tuple[str, ...], ...]  # of a name, each as its tokens
_BETWEEN = re.compile(r"[\W_]+")
CHANNEL = re.compile(r"_([0-9]{4})$")  # at the end of a name, as nnU-Net numbers them


def crossed(files: Sequence[str], channels: Sequence[str] | None) -> str | None:
    """Return what is wrong if files name each channel once, in another order than they are given.

    They name them by words of their names, or number them from 0 as nnU-Net does. Names that do
    neither, or only of some channels, tell nothing.

    Args:
        files: a file or folder each channel, without its suffix.
        channels: their names in the same order, `None` if they have none.
    """
    channels = channels or ()
    order = _by_names(files, channels)
    if order != sorted(order):
        named = ", ".join(channels[k] for k in order)
        return f"files {shown(files)} are {named} by their names, given as {', '.join(channels)}"
    order = _by_numbers(files)
    if order != sorted(order):
        return f"files {shown(files)} are numbered {', '.join(map(str, order))}, given as 0, 1, ..."
    return None


def shown(files: Sequence[str]) -> str:
    """Return files without their folders, where they are called by different names."""
    names = [file.rpartition("/")[2] for file in files]
    return ", ".join(names if len({*names}) == len(names) else files)


def apart(files: Sequence[str]) -> tuple[Words, ...]:
    """Return the words of each name, without those that all begin and end with.

    Args:
        files: of one case, without suffixes.
    """
    names = [_words(file) for file in files]
    start = _alike(names)
    rest = [words[start:] for words in names]
    end = _alike([words[::-1] for words in rest])
    return tuple(words[: len(words) - end] for words in rest)


def _by_names(files: Sequence[str], channels: Sequence[str]) -> list[int]:
    """Return the channel that each file names, by its place; none unless each is named once."""
    keys = ["".join(tokens_of(name)) for name in channels]
    if len(files) != len(keys) or len(keys) < 2 or len({*keys, ""}) <= len(keys):
        return []
    # `t1` and `t1_ce` begin alike with the name of a channel.
    for names in (apart(files), [_words(file) for file in files]):
        found = [_named(words, keys) for words in names]
        order = [k for named in found for k in named]
        if all(len(named) == 1 for named in found) and len({*order}) == len(keys):
            return order
    return []


def _by_numbers(files: Sequence[str]) -> list[int]:
    """Return the number at the end of each name; none unless they are 0, 1, ... in some order."""
    numbers = [int(found[1]) for file in files if (found := CHANNEL.search(file))]
    return numbers if sorted(numbers) == [*range(len(files))] else []


def _named(words: Words, keys: Sequence[str]) -> list[int]:
    """Return which names stand in words, but those that are only a part of another there."""
    there = {*_runs([token for word in words for token in word], max(map(len, keys)))}
    found = [key for key in keys if key in there]
    return [
        keys.index(key)
        for key in found
        if not any(key != other and key in other for other in found)
    ]


def _runs(tokens: Sequence[str], most: int) -> Iterator[str]:
    """Give tokens that follow each other as one word, of at most so many letters."""
    for start in range(len(tokens)):
        run = ""
        for token in tokens[start:]:
            run += token
            if len(run) > most:
                break
            yield run


def _words(name: str) -> Words:
    return tuple(tuple(tokens_of(word)) for word in _BETWEEN.split(name) if word)


def _alike(names: Sequence[Words]) -> int:
    """Return how many words all begin with."""
    columns = zip(*names, strict=False)
    return sum(1 for _ in takewhile(lambda column: len({*column}) == 1, columns))
