"""Grids of images as PNG, and whether memory holds them."""

import math

import numpy as np
from torch import Tensor

from data_prep.core.errors import DataError
from data_prep.core.memory_limits import memory_each
from data_prep.files.png import array_to_png
from sdunet.vae.config import ImagesConfig

_SMALLEST_SIDE = 64  # small images are enlarged, each pixel to a square
_GAP = 2
_MOST = 178_956_970  # pixels; Pillow opens no picture of more
_COPIES = 3  # the sheet, what Pillow holds of it, and the PNG, which may be as large


def to_png(images: Tensor, levels: int, columns: int | None = None) -> bytes:
    """Return a grid of images as PNG, row by row; by default nearly as high as wide.

    Args:
        images: uint8 levels, `(N, C, H, W)`.
        levels: how many there are.
        columns: images in a row.
    """
    n, _, height, width = images.shape
    columns = columns or math.ceil(math.sqrt(n))
    scale = _scale(height, width)
    step = (height * scale + _GAP, width * scale + _GAP)
    sheet = np.full((*_sheet_size(n, height, width, columns), 3), 255, np.uint8)
    shades = (np.arange(levels) * (255 / (levels - 1))).round().astype(np.uint8)
    for index, image in enumerate(images.cpu().numpy()):
        top, left = (index // columns) * step[0], (index % columns) * step[1]
        where = np.s_[top : top + height * scale, left : left + width * scale]
        pixels = shades[image].repeat(scale, 1).repeat(scale, 2)
        sheet[where] = pixels.transpose(1, 2, 0)  # grey spreads over the three channels
    return array_to_png(sheet)


def check_sheet(
    images: ImagesConfig, count: int, columns: int | None = None, *, besides: int = 0, fix: str
) -> None:
    """Refuse a grid that memory would not hold or nobody could open, before any is drawn.

    Args:
        images: their size and channels.
        count: how many.
        columns: images in a row, see `to_png`.
        besides: bytes that are needed for something else.
        fix: what a user can do about it.

    Raises:
        DataError: RUN_MEMORY; OPTION for a picture of more pixels than Pillow opens.
    """
    high, wide = _sheet_size(count, *images.size, columns or math.ceil(math.sqrt(count)))
    needed = high * wide * 3 * _COPIES + 2 * count * images.channels * math.prod(images.size)
    needed += besides
    allowed = memory_each(1)
    if allowed is not None and needed > allowed * 1e9:
        found = f"{count} images need about {needed / 1e9:.2g} GB, there are {allowed:.2g} GB"
        raise DataError("RUN_MEMORY", found, fix)
    if high * wide > _MOST:
        found = f"{count} images make a picture of {wide} x {high} pixels, the limit is {_MOST}"
        raise DataError("OPTION", found, fix)


def _sheet_size(count: int, height: int, width: int, columns: int) -> tuple[int, int]:
    scale, rows = _scale(height, width), math.ceil(count / columns)
    return rows * (height * scale + _GAP) - _GAP, columns * (width * scale + _GAP) - _GAP


def _scale(height: int, width: int) -> int:
    return max(1, math.ceil(_SMALLEST_SIDE / max(height, width)))
