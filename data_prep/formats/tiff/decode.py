"""TIFF, in its exact values: one page or a stack of them, held to what its tags say.

A TIFF of several equal pages is a volume; all else that pages may be is refused.
"""

import io
import lzma
import math
import re
import zlib
from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
import tifffile
from PIL import Image

from data_prep.core.errors import DataError
from data_prep.core.findings import Findings
from data_prep.core.memory_limits import check_size
from data_prep.files.decompress import (
    Beside,
    Decompressor,
    PackBits,
    alone,
    silenced,
    unpacked_size,
)
from data_prep.formats.header_fields import ask_scale
from data_prep.formats.image_ends import is_whole_group4, is_whole_jpeg
from data_prep.formats.tiff.chain import check_chain
from data_prep.formats.tiff.extra_samples import check_extra_samples
from data_prep.formats.tiff.spacing import Told, told_spacing

TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
# Compressions of TIFF that unpack to whatever comes, and bounded decompressors of them.
_UNPACKING: dict[int, Callable[[], Decompressor]] = {
    8: zlib.decompressobj,
    32946: zlib.decompressobj,
    32773: PackBits,
    34925: lzma.LZMADecompressor,
}
# Compressions of TIFF that Pillow unpacks by libtiff, within the pixels of a strip: LZW, JPEG,
# Group 4 and zstd; where those two end, their strips say.
_BY_PILLOW: dict[int, Callable[[bytes], bool]] = {
    5: lambda _: True,
    50000: lambda _: True,
    7: is_whole_jpeg,
    4: is_whole_group4,
}
_JPEG = 7
_LOSSY = (6, 7, 22610, 33003, 33005, 34712, 34892, 34934, 50001, 50002)
_PLANES = 33629  # tag of MetaMorph
_GDAL, _NO_DATA = 42112, 42113  # tags of GDAL
# Tags of TIFF that bring stored values to others, which no reader of images does.
_CURVES = {291: "GrayResponseCurve", 301: "TransferFunction", 433: "Decode"}
_GDAL_ROLE = re.compile(r'role="(scale|offset)"')
_NOT_SPACE = {"C": "channels", "T": "times"}  # axes of a stack, as tifffile names them
_MODES = ("1", "L", "P", "I", "F", "I;16", "I;16B", "LA", "RGB", "RGBA")
_AGAIN = "fetch or export the file again"
_RESAVE = "save it again as an 8-bit or 16-bit PNG or TIFF"


class Samples(NamedTuple):
    """A decoded 2D image.

    Attributes:
        array: `([Z,] H, W, S)`, in the file's exact values.
        palette: `(colours, 3)`, if they are its indices.
        levels: the number of white, for grey values of less than 8 bits.
        told: what a stack of pages tells of its spacing.
        turned: the EXIF orientation by which it was turned upright, 1 for none.
        shown: `(256, 3)`, the colours that ImageJ shows numbers of 8 bits in, if not in greys.
    """

    array: np.ndarray
    palette: np.ndarray | None
    levels: int | None
    told: Told | None = None
    turned: int = 1
    shown: np.ndarray | None = None


def decode_tiff(data: bytes, findings: Findings, beside: Beside = alone) -> Samples:
    """Return the samples of a TIFF, and what it tells of their spacing.

    Args:
        data: the file.
        findings: what is noticed is added to it.
        beside: reads the JSON that nnU-Net puts beside a stack.

    Raises:
        DataError: IMG_..., IO_..., HDR_SCALE, and as `told_spacing`. Whatever else a decoder raises
            is left to the caller.
    """
    check_chain(data)
    # What tifffile would log of tags is checked below, as far as pixels depend on it.
    with silenced("tifffile"), tifffile.TiffFile(io.BytesIO(data)) as file:
        pages = [page.aspage() for page in file.pages]
        if len(pages) == 1 and (len(file.series) != 1 or file.series[0].shape != pages[0].shape):
            raise DataError("IMG_PAGES", f"a stack {file.series[0].shape}", "save one page a file")
        if _PLANES in pages[0].tags:  # behind each other in one page, of which readers see one
            raise DataError("IMG_PAGES", "a stack of MetaMorph", "save it as pages of TIFF")
        _check_last(pages[-1], data)
        kinds = {(p.shape, p.dtype, p.axes, p.photometric) for p in pages}
        if len(kinds) > 1:
            sizes = sorted({page.shape for page in pages})[:4]
            raise DataError("IMG_PAGES", f"pages that differ, {sizes}", "save one page a file")
        imagej = file.imagej_metadata or {}
        # ImageJ shows c0 + c1 x; signed values of 16 bit are stored so.
        if imagej.get("cf") is not None and (imagej.get("c0", 0), imagej.get("c1", 1)) != (0, 1):
            curve = {name: imagej.get(name) for name in ("cf", "c0", "c1")}
            ask_scale(f"a calibration of ImageJ, {curve}", findings)
        told = imagej.get("images", len(pages))
        held = sum(math.prod(series.shape) for series in file.series)
        if told != len(pages) or held != sum(page.size for page in pages):
            found = f"{len(pages)} pages, described as {told} and {held} samples"
            raise DataError("IMG_PAGES", found, "save the stack again")
        series = file.series[0]
        if file.is_ome and len(pages) > 1:
            _check_order(file)
        sizes = dict(zip(series.axes, series.shape, strict=True))
        several = [f"{sizes[a]} {name}" for a, name in _NOT_SPACE.items() if sizes.get(a, 1) > 1]
        if several and len(pages) > 1:
            findings.ask("IMG_STACK", f"pages of {', '.join(several)}", "save a volume a file")
        size, most = len(pages) * pages[0].size, Image.MAX_IMAGE_PIXELS
        if most and size > most * 8:
            found = f"{len(pages)} pages {pages[0].shape}"
            raise DataError("IMG_TOO_LARGE", found, "cut it into tiles")
        if pages[0].dtype is None:
            raise DataError("IO_DAMAGED", f"samples of {pages[0].bitspersample} bits", _AGAIN)
        check_size(size, pages[0].dtype.itemsize)
        for page in pages:
            _check_values(page, findings)
            _check_strips(page, len(data))
            _check_packed(page, data)
        # Pages may share a value that is far from their tags, but no part of one.
        if not _apart({span for page in pages for span in _spans(page)}):
            found = f"{len(pages)} pages that are stored across each other"
            raise DataError("IO_DAMAGED", found, _AGAIN)
        arrays = [_decode_page(page, data) for page in pages]
        _tell_no_data(pages[0], arrays, findings)
        coloured = [page for page in pages if page.photometric == tifffile.PHOTOMETRIC.PALETTE]
        palettes = [page.colormap.T for page in coloured if page.colormap is not None]
        if len(palettes) < len(coloured):
            raise DataError("IO_DAMAGED", "a palette image without its palette", _AGAIN)
        palette = palettes[0] if palettes else None
        if any(not np.array_equal(palettes[0], other) for other in palettes):
            raise DataError("IMG_PAGES", "pages of several palettes", "save one page a file")
        bits = pages[0].bitspersample
        levels = 2**bits - 1 if palette is None and bits < 8 else None
        array = arrays[0] if len(arrays) == 1 else np.stack(arrays)
        shown = _shown(imagej, array) if palette is None else None
        told = told_spacing(file, findings, beside)
        return Samples(array, palette, levels, told, shown=shown)


def _shown(imagej: Mapping[str, object], array: np.ndarray) -> np.ndarray | None:
    """Return the colours of ImageJ; none for greys that rise, as of any contrast that is set."""
    lut = imagej.get("LUTs")  # a list of several for several channels
    if not isinstance(lut, np.ndarray) or lut.shape != (3, 256) or array.dtype != np.uint8:
        return None
    colours = lut.T.astype(np.uint8)
    grey = (colours == colours[:, :1]).all()
    rising = (np.diff(colours[:, 0].astype(int)) >= 0).all()
    return None if array.shape[-1] != 1 or (grey and rising) else colours


def _check_order(file: tifffile.TiffFile) -> None:
    """Refuse pages that OME puts in another order than they are stored in, or in several images."""
    told = [page.index if page else None for one in file.series for page in one.pages]
    if len(file.series) > 1:
        raise DataError("IMG_PAGES", f"{len(file.series)} images of OME", "save an image a file")
    if told != list(range(len(file.pages))):
        found = f"pages that OME puts in the order {told[:8]}"
        raise DataError("IMG_PAGES", found, "save them in their order")


def _check_last(page: tifffile.TiffPage, data: bytes) -> None:
    """Refuse a last page after which others are told to come: readers stop where none is."""
    form = page.parent.tiff
    at = page.offset + form.tagnosize
    count = int.from_bytes(data[page.offset : at], _order(form.byteorder))
    at += count * form.tagsize
    after = int.from_bytes(data[at : at + form.offsetsize], _order(form.byteorder))
    if after:
        found = f"a page after the last is told to be at byte {after} of {len(data)}"
        raise DataError("IO_TRUNCATED", found, _AGAIN)


def _order(mark: str) -> Literal["little", "big"]:
    return "little" if mark == "<" else "big"


def _check_values(page: tifffile.TiffPage, findings: Findings) -> None:
    """Refuse tags by which other values are meant than those that are stored."""
    if curves := [name for number, name in _CURVES.items() if number in page.tags]:
        ask_scale(f"values that a TIFF tag brings to others, {', '.join(curves)}", findings)
    told = str(page.tags[_GDAL].value) if _GDAL in page.tags else ""
    scale = {}
    for element in told.split("<"):
        start, closed, text = element.partition(">")
        role = _GDAL_ROLE.search(start)
        if role and closed and _number(text) != (role[1] == "scale"):
            scale[role[1]] = text[:40]
    if scale:
        ask_scale(f"values to be scaled as GDAL does, {scale}", findings)


def _tell_no_data(page: tifffile.TiffPage, arrays: list[np.ndarray], findings: Findings) -> None:
    """Warn of pixels that a tag of GDAL says are none."""
    value = _number(str(page.tags[_NO_DATA].value)) if _NO_DATA in page.tags else None
    count = sum(int((array == value).sum()) for array in arrays)
    if count:
        found = f"{count} samples have the value {value:g} that the file says is no data"
        findings.warn("IMG_NO_DATA", found, "fill them, or cut the image")


def _number(text: str) -> float | None:
    try:
        return float(text.strip(" \0"))
    except ValueError:
        return None


def _check_strips(page: tifffile.TiffPage, size: int) -> None:
    """Refuse pixels that are not all stored, or stored where something else is."""
    due = math.prod(page.chunked)
    # Tifffile leaves out those beyond.
    places = page.tags.get("TileOffsets" if page.is_tiled else "StripOffsets")
    listed = max(places.count if places else 0, len(page.dataoffsets))
    if listed != due:
        found = f"{listed} strips or tiles, of which {page.shape} has {due}: not what is stored"
        raise DataError("IO_DAMAGED", found, "export it again")
    strips = _strips(page)
    if max(start + count for start, count in strips) > size or not _apart(_spans(page)):
        raise DataError("IO_DAMAGED", f"pixels at bytes {strips[:3]} of {size}", _AGAIN)
    if page.compression == 1 and not page.is_tiled:
        stored, declared = sum(page.databytecounts), page.nbytes
        if page.bitspersample % 8 == 0 and stored != declared:
            raise DataError("IO_DAMAGED", f"{stored} bytes of pixels, not {declared}", _AGAIN)


def _strips(page: tifffile.TiffPage) -> list[tuple[int, int]]:
    return list(zip(page.dataoffsets, page.databytecounts, strict=True))


def _spans(page: tifffile.TiffPage) -> list[tuple[int, int]]:
    """Return where the pixels of a page, its tags and their values begin and end."""
    form = page.parent.tiff
    listed = form.tagnosize + form.tagsize * len(page.tags) + form.offsetsize
    far = [tag for tag in page.tags if tag.valuebytecount > form.tagoffsetthreshold]
    taken = [(0, 8), (page.offset, listed)]
    taken += [(tag.valueoffset, tag.valuebytecount) for tag in far]
    return [(start, start + count) for start, count in [*_strips(page), *taken]]


def _apart(spans: Iterable[tuple[int, int]]) -> bool:
    return all(end <= start for (_, end), (start, _) in pairwise(sorted(spans)))


def _check_packed(page: tifffile.TiffPage, data: bytes) -> None:
    """Refuse strips and tiles that unpack to more than they hold pixels, before they do."""
    most = check_size(math.prod(page.chunks), np.dtype(page.dtype).itemsize)
    for start, count in _strips(page):
        stream = _UNPACKING.get(int(page.compression))
        if stream and unpacked_size(data[start : start + count], stream(), most) > most:
            raise DataError("IO_DAMAGED", f"a strip of more than {most} bytes", _AGAIN)


def is_lossy_tiff(data: bytes) -> bool:
    """Tell whether a TIFF is compressed as JPEG is; of one that is damaged, decoding tells."""
    if not data.startswith(TIFF_MAGIC):
        return False
    try:
        check_chain(data)
        with silenced("tifffile"), tifffile.TiffFile(io.BytesIO(data)) as file:
            return any(int(page.compression) in _LOSSY for page in file.pages)
    except Exception:  # whatever it is, `decode_tiff` meets it too
        return False


def _by_pillow(page: tifffile.TiffPage, data: bytes) -> np.ndarray:
    """Return the `(H, W, S)` samples of a page that tifffile cannot unpack by itself.

    Raises:
        DataError: IO_TRUNCATED for strips without their end; IMG_CODEC if Pillow gives others than
            are stored.
    """
    for start, count in zip(page.dataoffsets, page.databytecounts, strict=True):
        if not _BY_PILLOW[int(page.compression)](data[start : start + count]):
            raise DataError("IO_TRUNCATED", f"a strip of {count} bytes without its end", _AGAIN)
    image = Image.open(io.BytesIO(data))
    image.seek(page.index)
    array = np.asarray(image) if image.mode in _MODES else np.empty(0, np.uint8)
    wanted = page.imagelength, page.imagewidth, page.samplesperpixel
    stored = np.dtype(bool if page.bitspersample == 1 else page.dtype)
    if array.size != math.prod(wanted) or array.dtype != stored.newbyteorder("="):
        packing = tifffile.COMPRESSION(page.compression).name
        kind = f"{packing} of {page.samplesperpixel} {page.dtype} a pixel"
        raise DataError("IMG_CODEC", f"a TIFF of {kind}", "pip install imagecodecs")
    return array.reshape(wanted)


def _decode_page(page: tifffile.TiffPage, data: bytes) -> np.ndarray:
    """Return the `(H, W, S)` samples of a page."""
    photometric = tifffile.PHOTOMETRIC(page.photometric).name
    if photometric == "MINISWHITE":
        # Some writers mark plain masks so; whether 0 or 1 is meant cannot be known.
        raise DataError("IMG_WHITE_ZERO", "a TIFF whose white is zero", _RESAVE)
    if page.tags.get("Orientation") and page.tags["Orientation"].value != 1:
        raise DataError("IMG_ROTATED", "a rotation tag", "save it the right way up")
    packed = int(page.compression) in _BY_PILLOW
    as_rgb = photometric == "YCBCR" and int(page.compression) == _JPEG  # which Pillow brings to RGB
    if photometric not in ("MINISBLACK", "RGB", "PALETTE") and not as_rgb:
        raise DataError("IMG_COLORS", f"TIFF colours {photometric}", "save it as RGB")
    check_extra_samples(page)
    array = _by_pillow(page, data) if packed else page.asarray()
    if not packed and page.axes == "SYX":
        array = np.moveaxis(array, 0, -1)
    elif not packed and page.axes != "YXS":
        array = array.reshape(*array.shape, 1)
    if array.ndim != 3:
        raise DataError("IMG_AXES", f"TIFF axes {page.axes}", "save a single 2D image a page")
    if array.dtype.kind not in "buif":
        raise DataError("IMG_MODE", f"pixels of kind {array.dtype}", _RESAVE)
    return array.astype(np.uint8) if array.dtype == bool else array
