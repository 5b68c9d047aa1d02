"""Tables, JSON and a picture of what was measured."""

import math
from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from sdunet.bench.sweep import Row

_HEADER = ("case", "contender", "forward", "forward+backward", "speed-up", "peak memory")


def table(rows: Sequence[Row], baseline: str) -> str:
    """Return a Markdown table; the speed-up is that of forward+backward over the baseline."""
    base = {row.case: row.both for row in rows if row.contender == baseline}
    lines = [_line(_HEADER), _line(["---"] * len(_HEADER))]
    for row in rows:
        if row.refused:
            lines.append(_line([row.case, row.contender, "refused", row.refused, "", ""]))
            continue
        times = [_milliseconds(row.forward), _milliseconds(row.both)]
        ratio = base.get(row.case)
        faster = f"{ratio / row.both:.2f}" if ratio and row.both else ""
        peak = "" if row.peak_bytes is None else f"{row.peak_bytes / 2**20:.0f} MiB"
        lines.append(_line([row.case, row.contender, *times, faster, peak]))
    return "\n".join(lines)


def slopes(growth: Mapping[str, Mapping[int, float]]) -> dict[str, float]:
    """Return the exponent of the side in the cost, fitted to sides of 64 and more."""
    return {
        name: _slope({s: t for s, t in found.items() if s >= 64}) for name, found in growth.items()
    }


def draw_growth(growth: Mapping[str, Mapping[int, float]], title: str) -> Figure:
    """Draw cost against side, both logarithmic, with the fitted slopes."""
    figure = Figure((7, 5), layout="constrained")
    axes = figure.subplots()
    fitted = slopes(growth)
    for name, found in growth.items():
        milliseconds = [1000 * seconds for seconds in found.values()]
        axes.plot(list(found), milliseconds, "o-", label=f"{name}: side^{fitted[name]:.1f}")
    sides = list(next(iter(growth.values())))
    axes.set(
        xscale="log", yscale="log", xlabel="side of the map", ylabel="milliseconds", title=title
    )
    axes.set_xticks(sides, [str(side) for side in sides])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(title="forward + backward")
    return figure


def _slope(found: Mapping[int, float]) -> float:
    points = [(math.log(side), math.log(seconds)) for side, seconds in found.items()]
    mean_x, mean_y = (sum(values) / len(points) for values in zip(*points, strict=True))
    rise = sum((x - mean_x) * (y - mean_y) for x, y in points)
    return rise / sum((x - mean_x) ** 2 for x, _ in points)


def _milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{1000 * seconds:.1f} ms"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
