"""Arrays and figures to PNG, without a screen and without matplotlib's global state."""

import base64
import io
import warnings
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from data_prep.core.safe_text import inert

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def array_to_png(
    pixels: np.ndarray, compress_level: int = 6, palette: np.ndarray | None = None
) -> bytes:
    """Return pixels `(H, W)` or `(H, W, 3)` as PNG bytes.

    Args:
        pixels: uint8, or uint16 of grey.
        compress_level: 0 to 9; of less the file is larger and sooner written.
        palette: `(n, 3)` red, green and blue in which the numbers of uint8 pixels are shown.
    """
    buffer = io.BytesIO()
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    if palette is not None:
        picture.putpalette(palette.ravel().tolist())
    picture.save(buffer, "PNG", compress_level=compress_level)
    return buffer.getvalue()


def figure_to_png(figure: "Figure", dpi: int = 100) -> bytes:
    """Return the figure as PNG bytes; names are escaped, and in legends stay text, not formulas."""
    # Takes half a second to import, and writers of scans need none of it.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.legend import Legend
    from matplotlib.text import Text

    FigureCanvasAgg(figure)
    for text in (text for legend in figure.findobj(Legend) for text in legend.get_texts()):
        text.set_parse_math(False)
    for text in figure.findobj(Text):
        text.set_text(inert(text.get_text(), kept="\n"))
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about letters that the font lacks
        figure.savefig(buffer, format="png", dpi=dpi)
    return buffer.getvalue()


def in_page(png: bytes) -> str:
    """Return PNG bytes as text for a page that holds its pictures."""
    return base64.b64encode(png).decode()
