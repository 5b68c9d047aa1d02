"""PNG, TIFF, BMP and JPEG, in their exact values.

Pillow silently cuts 16-bit colour to 8 bits, shows palettes as colours or indices depending on
the caller, and ignores rotation tags; each such case is decided here or refused. A TIFF of several
equal pages is a volume.
"""

import io
import lzma
import math
import re
import zlib
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import tifffile
from PIL import Image, ImageOps, ImageSequence, UnidentifiedImageError

from data_prep.core.errors import DataError, words_of
from data_prep.core.findings import Findings
from data_prep.core.geometry import AS_SCANNED
from data_prep.core.memory_limits import check_size
from data_prep.core.scan import SCANNER_CODES, Scan
from data_prep.files.decompress import Decompressor, PackBits, silenced, unpacked_size
from data_prep.formats.header_fields import ask_scale
from data_prep.formats.image_ends import check_end, is_whole_group4, is_whole_jpeg
from data_prep.formats.tiff.extra_samples import check_extra_samples

SUFFIXES = (".png", ".tif", ".tiff", ".bmp", ".jpg", ".jpeg")
_TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_JPEG_MAGIC = b"\xff\xd8\xff"
_MAGIC = (b"\x89PNG\r\n\x1a\n", b"BM", _JPEG_MAGIC, *_TIFF_MAGIC)
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
_MODES = ("1", "L", "P", "I", "F", "I;16", "I;16B", "LA", "RGB", "RGBA")
_PLANES = 33629  # tag of MetaMorph
_GDAL, _NO_DATA = 42112, 42113  # tags of GDAL
# Tags of TIFF that bring stored values to others, which no reader of images does.
_CURVES = {291: "GrayResponseCurve", 301: "TransferFunction", 433: "Decode"}
_GDAL_SCALE = re.compile(r'role="(scale|offset)"[^>]*>([^<]*)<')
_GAMMA = 1 / 2.2  # of a PNG that says nothing else
_ROUNDED = 1e-3  # what a gamma written to some digits differs by
_NOT_SPACE = {"C": "channels", "T": "times"}  # axes of a stack, as tifffile names them
_AGAIN = "fetch or export the file again"
_RESAVE = "save it again as an 8-bit or 16-bit PNG or TIFF"


class Samples(NamedTuple):
    """A decoded 2D image.

    Attributes:
        array: `([Z,] H, W, S)`, in the file's exact values.
        palette: `(colours, 3)`, if they are its indices.
        levels: the number of white, for grey values of less than 8 bits.
        unread: what a stack of pages says of its spacing, which is not read.
    """

    array: np.ndarray
    palette: np.ndarray | None
    levels: int | None
    unread: str = ""


def is_picture(data: bytes) -> bool:
    """Tell by its first bytes whether a file is one that `read_picture` takes."""
    return data.startswith(_MAGIC)


def read_picture(data: bytes, findings: Findings | None = None) -> Scan:
    """Decode an image to `(1, H, W)` or `(3, H, W)`, uint8, uint16 or as the TIFF stores it.

    A TIFF of several pages becomes `(C, X, Y, Z)`, its columns to the patient's left.

    Raises:
        DataError: IO_DAMAGED, or IMG_... for what cannot be read exactly; GEO_NONE for pages,
            unless accepted.
    """
    findings = findings or Findings()
    array, palette, _, unread = _decode(data, findings)
    if palette is not None:
        if int(array.max()) >= len(palette):
            raise DataError(
                "IMG_PALETTE", f"index {array.max()} of {len(palette)} colours", _RESAVE
            )
        array = palette[array[..., 0]]
    array = _without_alpha(array, findings)
    if array.shape[-1] not in (1, 3):
        raise DataError("IMG_CHANNELS", f"{array.shape[-1]} samples a pixel", _RESAVE)
    return to_scan(array, findings, unread)


def mask_samples(data: bytes, findings: Findings) -> Samples:
    """Decode a mask without its alpha channel; palette images give their indices.

    Raises:
        DataError: LBL_LOSSY for JPEG, else as `read_picture`.
    """
    if data.startswith(_JPEG_MAGIC) or _is_lossy_tiff(data):
        raise DataError(
            "LBL_LOSSY", "a JPEG mask, whose values are not exact", "export masks as PNG or TIFF"
        )
    samples = _decode(data, findings)
    return samples._replace(array=_without_alpha(samples.array, findings))


def to_scan(array: np.ndarray, findings: Findings, unread: str = "") -> Scan:
    """Return `([Z,] H, W, S)` samples as `(S, H, W)` or, of pages, `(S, X, Y, Z)`.

    Raises:
        DataError: GEO_NONE for pages, unless accepted.
    """
    if array.ndim == 3:
        return Scan(np.moveaxis(array, -1, 0))
    findings.ask(
        "GEO_NONE", f"{len(array)} pages {unread or 'without spacing'}", "save the volume as NIfTI"
    )
    # Pages (Z, Y, X, C), as a microscope stacks them.
    return Scan(array.transpose(3, 2, 1, 0), AS_SCANNED, SCANNER_CODES)


def _decode(data: bytes, findings: Findings) -> Samples:
    try:
        decode = _decode_tiff if data.startswith(_TIFF_MAGIC) else _decode_other
        return decode(data, findings)
    except DataError:
        raise
    except Image.DecompressionBombError as error:
        raise DataError("IMG_TOO_LARGE", words_of(error), "cut it into tiles") from error
    except MemoryError as error:
        raise DataError(
            "IMG_TOO_LARGE", "more than the memory holds", "cut it into tiles"
        ) from error
    except UnidentifiedImageError as error:
        raise DataError("IO_NOT_IMAGE", "no known image format", _RESAVE) from error
    except (ValueError, ModuleNotFoundError) as error:
        if "imagecodecs" in str(error) or isinstance(error, ModuleNotFoundError):
            raise DataError("IMG_CODEC", words_of(error), "pip install imagecodecs") from error
        raise DataError("IO_DAMAGED", f"cannot be decoded: {words_of(error)}", _AGAIN) from error
    # Decoders raise whatever their C libraries report; all of it means the same here.
    except Exception as error:
        raise DataError("IO_DAMAGED", f"cannot be decoded: {words_of(error)}", _AGAIN) from error


def _decode_tiff(data: bytes, findings: Findings) -> Samples:
    # What tifffile would log of tags is checked below, as far as pixels depend on it.
    with silenced("tifffile"), tifffile.TiffFile(io.BytesIO(data)) as file:
        pages = [page.aspage() for page in file.pages]
        if len(pages) == 1 and (len(file.series) != 1 or file.series[0].shape != pages[0].shape):
            raise DataError("IMG_PAGES", f"a stack {file.series[0].shape}", "save one page a file")
        if _PLANES in pages[0].tags:  # behind each other in one page, of which readers see one
            raise DataError("IMG_PAGES", "a stack of MetaMorph", "save it as pages of TIFF")
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
        return Samples(array, palette, levels, _unread_spacing(file))


def _unread_spacing(file: tifffile.TiffFile) -> str:
    """Return what a stack says of its spacing: it says nothing of how it lies in the patient."""
    imagej = file.imagej_metadata or {}
    told = [f"{name} {imagej[name]}" for name in ("spacing", "unit") if name in imagej]
    told += re.findall(r'PhysicalSize[XYZ](?:Unit)?="[^"]{1,20}"', file.ome_metadata or "")[:6]
    return f"whose spacing is not read ({', '.join(told)})" if told else ""


def _check_values(page: tifffile.TiffPage, findings: Findings) -> None:
    """Refuse tags by which other values are meant than those that are stored."""
    if curves := [name for number, name in _CURVES.items() if number in page.tags]:
        ask_scale(f"values that a TIFF tag brings to others, {', '.join(curves)}", findings)
    told = str(page.tags[_GDAL].value) if _GDAL in page.tags else ""
    scale = {
        role: text[:40]
        for role, text in _GDAL_SCALE.findall(told)
        if _number(text) != (role == "scale")
    }
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
    if len(page.dataoffsets) != np.prod(page.chunked):
        raise DataError("IO_DAMAGED", f"not all of {page.shape} is stored", "export it again")
    strips = list(zip(page.dataoffsets, page.databytecounts, strict=True))
    form = page.parent.tiff
    taken = [(0, 8), (page.offset, form.tagnosize + form.tagsize * len(page.tags))]
    far = [tag for tag in page.tags if tag.valuebytecount > form.tagoffsetthreshold]
    taken += [(tag.valueoffset, tag.valuebytecount) for tag in far]
    spans = sorted((start, start + count) for start, count in [*strips, *taken])
    apart = all(end <= start for (_, end), (start, _) in pairwise(spans))
    if max(start + count for start, count in strips) > size or not apart:
        raise DataError("IO_DAMAGED", f"pixels at bytes {strips[:3]} of {size}", _AGAIN)
    if page.compression == 1 and not page.is_tiled:
        stored, declared = sum(page.databytecounts), page.nbytes
        if page.bitspersample % 8 == 0 and stored != declared:
            raise DataError("IO_DAMAGED", f"{stored} bytes of pixels, not {declared}", _AGAIN)


def _check_packed(page: tifffile.TiffPage, data: bytes) -> None:
    """Refuse strips and tiles that unpack to more than they hold pixels, before they do."""
    most = check_size(math.prod(page.chunks), np.dtype(page.dtype).itemsize)
    for start, count in zip(page.dataoffsets, page.databytecounts, strict=True):
        stream = _UNPACKING.get(int(page.compression))
        if stream and unpacked_size(data[start : start + count], stream(), most) > most:
            raise DataError("IO_DAMAGED", f"a strip of more than {most} bytes", _AGAIN)


def _is_lossy_tiff(data: bytes) -> bool:
    """Tell whether a TIFF is compressed as JPEG is; of one that is damaged, decoding tells."""
    if not data.startswith(_TIFF_MAGIC):
        return False
    try:
        with silenced("tifffile"), tifffile.TiffFile(io.BytesIO(data)) as file:
            return any(int(page.compression) in _LOSSY for page in file.pages)
    except Exception:  # whatever it is, `_decode` meets it too
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


def _decode_other(data: bytes, findings: Findings) -> Samples:
    if data.startswith(b"\x89PNG") and data[24] == 16 and data[25] != 0:
        raise DataError(
            "IMG_16BIT_COLOR", "a 16-bit PNG with colour or alpha", "save it as a 16-bit TIFF"
        )
    image = Image.open(io.BytesIO(data))
    itemsize = 2 if image.mode.startswith("I") else 1
    check_size(image.width * image.height * len(image.getbands()), itemsize)
    image.verify()  # checksums; spends the object
    image = Image.open(io.BytesIO(data))
    if sum(1 for _ in ImageSequence.Iterator(image)) != 1:
        raise DataError("IMG_FRAMES", "several frames in one file", "save one frame a file")
    check_end(data, findings)
    image.seek(0)
    turn = image.getexif().get(0x0112, 1)
    if turn != 1:
        if turn not in range(2, 9):
            raise DataError("IMG_ROTATED", f"rotation tag {turn}", "save it the right way up")
        image = ImageOps.exif_transpose(image)
        findings.note("IMG_ROTATED", f"turned upright, as its tag {turn} says")
    if image.mode not in ("1", "L", "P", "I;16", "I;16B", "LA", "RGB", "RGBA"):
        raise DataError("IMG_MODE", f"pixels of kind {image.mode}", _RESAVE)
    if image.mode == "P" and "transparency" in image.info:
        raise DataError("IMG_ALPHA", "a palette with transparency", _RESAVE)
    array, levels = np.asarray(image), None
    if image.mode == "1":
        array, levels = array.astype(np.uint8), 1
    if data.startswith(b"\x89PNG") and data[25] == 0 and data[24] in (2, 4):
        levels = 2 ** data[24] - 1
        array = array // (255 // levels)  # Pillow spreads 2 and 4 bits over 0..255
    array = array.reshape(*array.shape[:2], -1)
    _check_png(image, array, findings)
    palette = None
    if image.mode == "P":
        palette = np.asarray(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
    return Samples(array, palette, levels)


def _check_png(image: Image.Image, array: np.ndarray, findings: Findings) -> None:
    """Refuse pixels of the value that a PNG says is transparent; tell of another gamma."""
    key = image.info.get("transparency")
    if key is not None and image.mode != "P":
        key = min(key, 1) if image.mode == "1" else key  # Pillow shows 1 as 255
        hidden = int((array == np.array(key)).all(-1).sum())
        if hidden:
            found = f"{hidden} pixels of the value {key}, which is transparent"
            findings.ask("IMG_ALPHA", found, "flatten it, then save again")
        else:
            findings.note("IMG_OPAQUE", "a value that is transparent, and that no pixel has")
    gamma = image.info.get("gamma")
    if gamma is not None and "srgb" not in image.info and abs(gamma - _GAMMA) > _ROUNDED:
        findings.note("IMG_GAMMA", f"gamma {gamma:g}; values are taken as they are stored")


def _without_alpha(array: np.ndarray, findings: Findings) -> np.ndarray:
    if array.shape[-1] not in (2, 4):
        return array
    opaque = np.iinfo(array.dtype).max if array.dtype.kind in "ui" else 1
    if (array[..., -1] == opaque).all():
        findings.note("IMG_OPAQUE", "an alpha channel that hides nothing, dropped")
    else:
        findings.ask(
            "IMG_ALPHA", "an alpha channel that is not opaque", "flatten it, then save again"
        )
    return array[..., :-1]
