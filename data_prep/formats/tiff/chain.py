"""The pages that a TIFF chains, before a decoder follows the chain."""

from typing import Literal

from data_prep.core.errors import DataError
from data_prep.core.memory_limits import check_bytes
from data_prep.formats.tiff.tags import check_tags

_PAGE = 10_000  # bytes that a decoder holds of each page's tags
_MOST = 1 << 16
_MOST_TAGS = 4096  # of a page, as tifffile takes
_SHARED = 1 << 28  # bytes of values that pages may share, each of which is read again
_AGAIN = "fetch or export the file again"
# By version: bytes of an offset, of the number of tags, and of a tag. TIFF 6.0; BigTIFF.
_FORMS = {42: (4, 2, 12), 43: (8, 8, 20)}


def check_chain(data: bytes) -> None:
    """Refuse a chain of pages that has no end, or holds more than can be worked on.

    Where it leaves the file, a decoder says so.

    Raises:
        DataError: IO_DAMAGED, also for pages of more than 4096 tags and pages that overlap, of
            which a small file could hold many; IMG_TOO_LARGE; HDR_CONFLICT as `check_tags`;
            IO_MEMORY as `check_bytes`.
    """
    order: Literal["little", "big"] = "little" if data[:2] == b"II" else "big"

    def number(at: int, size: int) -> int:
        return int.from_bytes(data[at : at + size], order)

    form = _FORMS.get(number(2, 2))
    if form is None:
        return
    offset, count, tag = form
    seen: set[int] = set()
    at = number(offset if offset == 8 else 4, offset)
    left = len(data)  # bytes that may be tags: those of one page are never those of another
    values = len(data) + _SHARED
    while at and at + count <= len(data):
        if at in seen:
            found = f"pages that lead back to byte {at}, after {len(seen)} of them"
            raise DataError("IO_DAMAGED", found, _AGAIN)
        seen.add(at)
        if len(seen) > _MOST:
            raise DataError("IMG_TOO_LARGE", f"more than {_MOST} pages", "cut it into volumes")
        tags = number(at, count)
        end = at + count + tags * tag
        left -= min(end, len(data)) - at
        if tags > _MOST_TAGS or left < 0:
            found = f"a page of {tags} tags" if tags > _MOST_TAGS else "pages that overlap"
            raise DataError("IO_DAMAGED", f"{found}, at byte {at}", _AGAIN)
        values = check_tags(data, data[at + count : end], order, big=offset == 8, room=values)
        at = number(end, offset)
    check_bytes(len(seen), _PAGE)
