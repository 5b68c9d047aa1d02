"""Figures to PNG, without a screen and without matplotlib's global state."""

import io
import warnings

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.text import Text

from data_prep.core.safe_text import inert


def to_png(figure: Figure, dpi: int = 100) -> bytes:
    """Return the figure as PNG bytes; names are escaped, and in legends stay text, not formulas."""
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
