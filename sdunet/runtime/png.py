"""Figures to PNG, without a screen and without matplotlib's global state."""

import io

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.legend import Legend


def to_png(figure: Figure, dpi: int = 100) -> bytes:
    """Return the figure as PNG bytes; what legends name stays text, not formulas."""
    FigureCanvasAgg(figure)
    for text in (text for legend in figure.findobj(Legend) for text in legend.get_texts()):
        text.set_parse_math(False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    return buffer.getvalue()
