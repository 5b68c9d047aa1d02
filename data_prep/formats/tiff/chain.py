"""The pages that a TIFF chains, before a decoder follows the chain."""

from collections.abc import Callable
from typing import Literal

from data_prep.core.errors import DataError
from data_prep.core.memory_limits import check_bytes
from data_prep.formats.tiff.tags import MOST_PAGES, check_tags, held_of

_PAGE = 10_000  # bytes that a decoder holds of each page's tags, beside large values
_PARSED = 64  # bytes that parsing a byte of text takes: at most 58, measured, of tiny XML elements
_MOST_TAGS = 4096  # of a page, as tifffile takes
_SHARED = 1 << 28  # bytes of values that pages may share, each of which is read again
_AGAIN = "fetch or export the file again"
_LEANER = "allow more by --max-ram, or save it again without its description"
# What marks a text of NDTiff, Micro-Manager and ScanImage, whose lengths are told near the front.
_NDTIFF, _SUMMARY, _SCAN_IMAGE = 483729, 2355492, 117637889
# By version: bytes of an offset, of the number of tags, and of a tag. TIFF 6.0; BigTIFF.
_FORMS = {42: (4, 2, 12), 43: (8, 8, 20)}


def check_chain(data: bytes) -> None:
    """Refuse a chain of pages that has no end, or holds more than can be worked on.

    So are the pages within pages, such as the levels of a pyramid. Where the chain leaves the file,
    a decoder says so.

    Raises:
        DataError: IO_DAMAGED, also for pages of more than 4096 tags and pages that overlap, of
            which a small file could hold many; IMG_TOO_LARGE; HDR_CONFLICT as `check_tags`;
            IO_MEMORY where their tags, or what is parsed of a text, would take too much.
    """
    order: Literal["little", "big"] = "little" if data[:2] == b"II" else "big"

    def number(at: int, size: int) -> int:
        return int.from_bytes(data[at : at + size], order)

    form = _FORMS.get(number(2, 2))
    if form is None:
        return
    offset, count, tag = form
    seen: set[int] = set()
    left = len(data)  # bytes that may be tags: those of one page are never those of another
    values = len(data) + _SHARED
    memory = parsed = 0
    todo = [(number(offset if offset == 8 else 4, offset), True)]
    while todo:
        at, chained = todo.pop()
        if not at or at + count > len(data):
            continue
        if at in seen:
            found = f"pages that lead back to byte {at}, after {len(seen)} of them"
            raise DataError("IO_DAMAGED", found, _AGAIN)
        seen.add(at)
        if len(seen) > MOST_PAGES:
            raise DataError("IMG_TOO_LARGE", f"more than {MOST_PAGES} pages", "cut it into volumes")
        tags = number(at, count)
        end = at + count + tags * tag
        left -= min(end, len(data)) - at
        if tags > _MOST_TAGS or left < 0:
            found = f"a page of {tags} tags" if tags > _MOST_TAGS else "pages that overlap"
            raise DataError("IO_DAMAGED", f"{found}, at byte {at}", _AGAIN)
        entries = data[at + count : end]
        held = held_of(data, entries, order, big=offset == 8)
        memory, parsed = memory + _PAGE + held.memory, max(parsed, held.parsed)
        todo += [(one, False) for one in held.pages]
        if chained:
            values = check_tags(data, entries, order, big=offset == 8, room=values)
            todo.append((number(end, offset), True))
    needed = memory + _PARSED * (parsed + _text_of_programs(data, number))
    check_bytes(len(data), needed / len(data), _LEANER)


def _text_of_programs(data: bytes, number: Callable[[int, int], int]) -> int:
    """Return the bytes of text that programs put at places of their own, which tifffile parses."""
    lengths = []
    if number(8, 4) == _NDTIFF:
        lengths = [number(24 if number(20, 4) == _SUMMARY else 20, 4)]
    elif number(32, 4) == _SUMMARY:
        lengths = [number(36, 4), *(number(number(at, 4) + 4, 4) for at in (20, 28))]
    elif number(16, 4) == _SCAN_IMAGE:
        lengths = [number(24, 4), number(28, 4)]
    return sum(length for length in lengths if length <= len(data))
