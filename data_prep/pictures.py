"""PNG, TIFF, BMP and JPEG, in their exact values.

Pillow silently cuts 16-bit colour to 8 bits, shows palettes as colours or indices depending on
the caller, and ignores rotation tags; each such case is decided here or refused.
"""

import io

import numpy as np
import tifffile
from PIL import Image, ImageSequence, UnidentifiedImageError

from data_prep.errors import DataError
from data_prep.scan import Scan

_TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_MAGIC = (b"\x89PNG\r\n\x1a\n", b"BM", b"\xff\xd8\xff", *_TIFF_MAGIC)
_AGAIN = "fetch or export the file again"
_RESAVE = "save it again as an 8-bit or 16-bit PNG or TIFF"


def is_picture(data: bytes) -> bool:
    """Tell by its first bytes whether a file is one that `read_picture` takes."""
    return data.startswith(_MAGIC)


def read_picture(data: bytes) -> Scan:
    """Decode an image to `(1, H, W)` or `(3, H, W)`, uint8, uint16 or as the TIFF stores it.

    Raises:
        DataError: IO_DAMAGED, or IMG_... for what cannot be read exactly.
    """
    array, palette = _decode(data)
    if palette is not None:
        if int(array.max()) >= len(palette):
            raise DataError(
                "IMG_PALETTE", f"index {array.max()} of {len(palette)} colours", _RESAVE
            )
        array = palette[array[..., 0]]
    array = _without_alpha(array, "IMG_ALPHA")
    if array.shape[-1] not in (1, 3):
        raise DataError("IMG_CHANNELS", f"{array.shape[-1]} samples a pixel", _RESAVE)
    return Scan(np.ascontiguousarray(np.moveaxis(array, -1, 0)))


def read_picture_label(data: bytes) -> Scan:
    """Decode a mask to `(1, H, W)` of class numbers; palette images give their indices.

    Raises:
        DataError: LBL_LOSSY for JPEG, LBL_COLORS for colours, else as `read_picture`.
    """
    if data.startswith(b"\xff\xd8\xff"):
        raise DataError(
            "LBL_LOSSY", "a JPEG mask, whose values are not exact", "export masks as PNG or TIFF"
        )
    array = _without_alpha(_decode(data)[0], "LBL_ALPHA")
    if (array != array[..., :1]).any():
        colours = np.unique(array.reshape(-1, array.shape[-1]), axis=0)[:5].tolist()
        raise DataError(
            "LBL_COLORS", f"a mask in colours, such as {colours}", "save class numbers instead"
        )
    return Scan(np.ascontiguousarray(array[None, ..., 0]))


def _decode(data: bytes) -> tuple[np.ndarray, np.ndarray | None]:
    """Return `(H, W, S)` samples, and the `(colours, 3)` palette if they are its indices."""
    try:
        return _decode_tiff(data) if data.startswith(_TIFF_MAGIC) else _decode_other(data)
    except DataError:
        raise
    except Image.DecompressionBombError as error:
        raise DataError("IMG_TOO_LARGE", str(error), "cut it into tiles") from error
    except MemoryError as error:
        raise DataError(
            "IMG_TOO_LARGE", "more than the memory holds", "cut it into tiles"
        ) from error
    except UnidentifiedImageError as error:
        raise DataError("IO_NOT_IMAGE", "no known image format", _RESAVE) from error
    except ValueError as error:
        if "imagecodecs" in str(error):
            raise DataError("IMG_CODEC", str(error), "pip install imagecodecs") from error
        raise DataError("IO_DAMAGED", f"cannot be decoded: {error}", _AGAIN) from error
    # Decoders raise whatever their C libraries report; all of it means the same here.
    except Exception as error:
        raise DataError("IO_DAMAGED", f"cannot be decoded: {error}", _AGAIN) from error


def _decode_tiff(data: bytes) -> tuple[np.ndarray, np.ndarray | None]:
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        if len(file.pages) != 1:
            raise DataError(
                "IMG_PAGES", f"{len(file.pages)} pages in one TIFF", "save one page a file"
            )
        page = file.pages[0]
        if len(file.series) != 1 or file.series[0].shape != page.shape:
            raise DataError("IMG_PAGES", f"a stack {file.series[0].shape}", "save one page a file")
        if page.size > Image.MAX_IMAGE_PIXELS * 8:
            raise DataError("IMG_TOO_LARGE", f"{page.shape}", "cut it into tiles")
        if len(page.dataoffsets) != np.prod(page.chunked):
            raise DataError("IO_DAMAGED", f"not all of {page.shape} is stored", "export it again")
        if page.photometric.name == "MINISWHITE":
            # Some writers mark plain masks so; whether 0 or 1 is meant cannot be known.
            raise DataError("IMG_WHITE_ZERO", "a TIFF whose white is zero", _RESAVE)
        if page.tags.get("Orientation") and page.tags["Orientation"].value != 1:
            raise DataError("IMG_ROTATED", "a rotation tag", "save it the right way up")
        array = page.asarray()
        if page.axes == "SYX":
            array = np.moveaxis(array, 0, -1)
        elif page.axes != "YXS":
            array = array.reshape(*array.shape, 1)
        if array.ndim != 3:
            raise DataError("IMG_AXES", f"TIFF axes {page.axes}", "save a single 2D image a file")
        photometric = page.photometric.name
        if photometric not in ("MINISBLACK", "RGB", "PALETTE"):
            raise DataError("IMG_COLORS", f"TIFF colours {photometric}", "save it as RGB")
        if array.dtype.kind not in "buif":
            raise DataError("IMG_MODE", f"pixels of kind {array.dtype}", _RESAVE)
        if array.dtype == bool:
            array = array.astype(np.uint8)
        palette = page.colormap.T if photometric == "PALETTE" else None
        return array, palette


def _decode_other(data: bytes) -> tuple[np.ndarray, np.ndarray | None]:
    if data.startswith(b"\x89PNG") and data[24] == 16 and data[25] != 0:
        raise DataError(
            "IMG_16BIT_COLOR", "a 16-bit PNG with colour or alpha", "save it as a 16-bit TIFF"
        )
    Image.open(io.BytesIO(data)).verify()  # checksums; spends the object
    image = Image.open(io.BytesIO(data))
    if sum(1 for _ in ImageSequence.Iterator(image)) != 1:
        raise DataError("IMG_FRAMES", "several frames in one file", "save one frame a file")
    image.seek(0)
    if image.getexif().get(0x0112, 1) != 1:
        raise DataError("IMG_ROTATED", "a rotation tag", "save it the right way up")
    if image.mode not in ("1", "L", "P", "I;16", "I;16B", "LA", "RGB", "RGBA"):
        raise DataError("IMG_MODE", f"pixels of kind {image.mode}", _RESAVE)
    if image.mode == "P" and "transparency" in image.info:
        raise DataError("IMG_ALPHA", "a palette with transparency", _RESAVE)
    array = np.asarray(image)
    if image.mode == "1":
        array = array.astype(np.uint8)
    if data.startswith(b"\x89PNG") and data[25] == 0 and data[24] in (2, 4):
        array = array // (255 // (2 ** data[24] - 1))  # Pillow spreads 2 and 4 bits over 0..255
    palette = None
    if image.mode == "P":
        palette = np.asarray(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
    return array.reshape(*array.shape[:2], -1), palette


def _without_alpha(array: np.ndarray, code: str) -> np.ndarray:
    if array.shape[-1] not in (2, 4):
        return array
    opaque = np.iinfo(array.dtype).max if array.dtype.kind in "ui" else 1
    if (array[..., -1] != opaque).any():
        raise DataError(code, "an alpha channel that is not opaque", "flatten it, then save again")
    return array[..., :-1]
