"""PNG, TIFF, BMP and JPEG, in their exact values.

Pillow silently cuts 16-bit colour to 8 bits, shows palettes as colours or indices depending on
the caller, and ignores rotation tags; each such case is decided here or refused. A TIFF of several
equal pages is a volume.
"""

import io

import numpy as np
from PIL import Image, ImageOps, ImageSequence, UnidentifiedImageError

from data_prep.core.errors import DataError, words_of
from data_prep.core.findings import Findings
from data_prep.core.geometry import AS_SCANNED, check_affine
from data_prep.core.memory_limits import check_size
from data_prep.core.scan import SCANNER_CODES, Scan
from data_prep.files.decompress import Beside, alone
from data_prep.formats.image_ends import check_end, check_once, check_texts
from data_prep.formats.tiff.decode import TIFF_MAGIC, Samples, decode_tiff, is_lossy_tiff
from data_prep.formats.tiff.spacing import Told

SUFFIXES = (".png", ".tif", ".tiff", ".bmp", ".jpg", ".jpeg")
_JPEG_MAGIC = b"\xff\xd8\xff"
_MAGIC = (b"\x89PNG\r\n\x1a\n", b"BM", _JPEG_MAGIC, *TIFF_MAGIC)
_GAMMA = 1 / 2.2  # of a PNG that says nothing else
_ROUNDED = 1e-3  # what a gamma written to some digits differs by
_AGAIN = "fetch or export the file again"
_RESAVE = "save it again as an 8-bit or 16-bit PNG or TIFF"


def is_picture(data: bytes) -> bool:
    """Tell by its first bytes whether a file is one that `read_picture` takes."""
    return data.startswith(_MAGIC)


def read_picture(data: bytes, findings: Findings | None = None, beside: Beside = alone) -> Scan:
    """Decode an image to `(1, H, W)` or `(3, H, W)`, uint8, uint16 or as the TIFF stores it.

    A TIFF of several pages becomes `(C, X, Y, Z)`, as `to_scan` says.

    Args:
        data: the file.
        findings: what is noticed is added to it.
        beside: reads the JSON that nnU-Net puts beside a stack of pages.

    Raises:
        DataError: IO_DAMAGED, or IMG_... for what cannot be read exactly; as `told_spacing` and
            `to_scan` for pages.
    """
    findings = findings or Findings()
    array, palette, _, told, turned, _ = _decode(data, findings, beside)
    if palette is not None:
        if int(array.max()) >= len(palette):
            raise DataError(
                "IMG_PALETTE", f"index {array.max()} of {len(palette)} colours", _RESAVE
            )
        array = palette[array[..., 0]]
    array = _without_alpha(array, findings)
    if array.shape[-1] not in (1, 3):
        raise DataError("IMG_CHANNELS", f"{array.shape[-1]} samples a pixel", _RESAVE)
    return to_scan(array, findings, told, turned)


def mask_samples(data: bytes, findings: Findings, beside: Beside = alone) -> Samples:
    """Decode a mask without its alpha channel; palette images give their indices.

    Raises:
        DataError: LBL_LOSSY for JPEG, else as `read_picture`.
    """
    if data.startswith(_JPEG_MAGIC) or is_lossy_tiff(data):
        raise DataError(
            "LBL_LOSSY", "a JPEG mask, whose values are not exact", "export masks as PNG or TIFF"
        )
    samples = _decode(data, findings, beside)
    return samples._replace(array=_without_alpha(samples.array, findings))


def to_scan(
    array: np.ndarray, findings: Findings, told: Told | None = None, turned: int = 1
) -> Scan:
    """Return `([Z,] H, W, S)` samples as `(S, H, W)` or, of pages, `(S, X, Y, Z)`.

    The first voxel of pages lies at 0, columns lead to the patient's left, rows to the back and
    pages upwards, as scanners write a stack: no TIFF tells of it.

    Args:
        array: the samples.
        findings: what is noticed is added to it.
        told: of the spacing of pages.
        turned: see `Scan`.

    Raises:
        DataError: GEO_NONE for pages whose spacing is not told along all axes, unless accepted:
            then it is 1 mm; as `check_affine`.
    """
    if array.ndim == 3:
        return Scan(np.moveaxis(array, -1, 0), turned=turned)
    sizes = list(told.mm) if told else [None] * 3
    known = [size for size in sizes if size is not None]
    if len(known) < len(sizes):
        lengths = ", ".join("?" if size is None else f"{size:.4g}" for size in sizes)
        found = f"whose spacing is {lengths} mm" if known else "without spacing"
        fix = 'put {"spacing": [z, y, x]} in a .json beside, or save the volume as NIfTI'
        findings.ask("GEO_NONE", f"{len(array)} pages {found}", fix)
        known = [1.0] * 3
    affine = AS_SCANNED @ np.diag([*known, 1.0])
    check_affine(affine, findings)
    # Pages (Z, Y, X, C), as a microscope stacks them.
    return Scan(array.transpose(3, 2, 1, 0), affine, SCANNER_CODES)


def _decode(data: bytes, findings: Findings, beside: Beside) -> Samples:
    try:
        if data.startswith(TIFF_MAGIC):
            return decode_tiff(data, findings, beside)
        return _decode_other(data, findings)
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


def _decode_other(data: bytes, findings: Findings) -> Samples:
    if data.startswith(b"\x89PNG") and data[24] == 16 and data[25] != 0:
        raise DataError(
            "IMG_16BIT_COLOR", "a 16-bit PNG with colour or alpha", "save it as a 16-bit TIFF"
        )
    check_texts(data)
    image = Image.open(io.BytesIO(data))
    itemsize = 2 if image.mode.startswith("I") else 1
    check_size(image.width * image.height * len(image.getbands()), itemsize)
    image.verify()  # checksums; spends the object
    image = Image.open(io.BytesIO(data))
    if sum(1 for _ in ImageSequence.Iterator(image)) != 1:
        raise DataError("IMG_FRAMES", "several frames in one file", "save one frame a file")
    check_end(data, findings)
    check_once(data)
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
    return Samples(array, palette, levels, turned=turn)


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
