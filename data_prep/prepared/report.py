"""One page about a prepared dataset: pictures, what was found, what was chosen, how it is spread.

The page needs no other file and no network. It names cases by their ids; of headers, nothing.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import jinja2
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image

from data_prep.checks.run import Checked
from data_prep.core.config import Plan
from data_prep.core.safe_text import inert
from data_prep.core.values.regions import as_settings
from data_prep.files.atomic import write_bytes
from data_prep.files.png import array_to_png, figure_to_png, in_page
from data_prep.prepared.dataset import Dataset
from data_prep.prepared.rendering import IGNORED, class_colour

REPORT = "qc/report.html"
_MOST_PICTURES = 200
_SIDE = 160
_BLUE = "#2b6cb0"
_PAGE = Path(__file__).with_name("report.html.jinja")
_MOST_FINDINGS = 300


def write_report(dataset: Dataset, checked: Checked) -> Path:
    """Write the page into the dataset, and return its place."""
    told = Counter(f.case for f in checked.findings if f.case and f.level != "note")
    ids = sorted(dataset.cases, key=lambda id_: (-told[id_], id_))
    plan = dataset.plan
    settings = ("spatial_dims", "channels", "labels", "intensity", "spacing", "patch_size")
    environment = jinja2.Environment(autoescape=True, finalize=_shown)
    template = environment.from_string(_PAGE.read_text(encoding="utf-8"))
    page = template.render(
        title="Prepared dataset",
        layout=dataset.layout,
        cases=ids,
        classes=[(name, class_colour(number)) for name, number in plan.labels.items() if number]
        + [("ignored", IGNORED)] * (plan.ignored is not None),
        left_out=len(checked.layout.cases) + len(checked.layout.unlabelled) - len(ids),
        folds=len(dataset.folds),
        test=len(dataset.test),
        plan=[(n, _written(getattr(plan, n)), plan.why.get(n, "")) for n in settings]
        + [("regions", _written(as_settings(plan.regions)), "")] * bool(plan.regions)
        + _network(plan),
        findings=[finding.for_records() for finding in checked.findings[:_MOST_FINDINGS]],
        more=max(0, len(checked.findings) - _MOST_FINDINGS),
        spread=_spread(dataset),
        shown=[(i, _thumbnail(dataset, i), _facts(dataset, i)) for i in ids[:_MOST_PICTURES]],
    )
    path = dataset.root / REPORT
    write_bytes(path, page.encode())
    return path


def _network(plan: Plan) -> list[tuple[str, str, str]]:
    if plan.network is None:
        return []
    rows = [(name, _written(value), "") for name, value in vars(plan.network).items()]
    return [(rows[0][0], rows[0][1], plan.why.get("network", "")), *rows[1:]]


def _shown(value: object) -> object:
    return inert(value) if isinstance(value, str) else value


def _written(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{number} {name}" for name, number in value.items())
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _facts(dataset: Dataset, case_id: str) -> str:
    record = dataset.cases[case_id]
    cells = max(1, sum(record.voxels) + record.ignored)
    ignored = f", {record.ignored / cells:.1%} ignored" if record.ignored else ""
    share = sum(record.voxels[1:]) / cells
    return f"{' x '.join(map(str, record.size))}, {share:.1%} foreground{ignored}"


def _thumbnail(dataset: Dataset, case_id: str) -> str:
    image = Image.open(dataset.root / f"qc/{case_id}.png")
    image.thumbnail((_SIDE, _SIDE))
    return in_page(array_to_png(np.asarray(image)))


def _spread(dataset: Dataset) -> str:
    """Return histograms of the prepared cases as PNG."""
    records = list(dataset.cases.values())
    spacing = dataset.plan.spacing or ()
    cell = float(np.prod(spacing)) / {0: 1, 2: 100, 3: 1000}[len(spacing)]
    unit = {0: "pixels", 2: "cm2", 3: "ml"}[len(spacing)]
    panels: list[tuple[str, Sequence[float]]] = [
        (f"voxels along axis {axis}", [record.size[axis] for record in records])
        for axis in range(dataset.plan.spatial_dims)
    ]
    panels += [
        (f"{name}, {unit}", [record.voxels[number] * cell for record in records])
        for name, number in dataset.plan.labels.items()
        if number
    ][:6]
    columns = 3
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(3.2 * columns, 2.2 * rows), layout="constrained")
    for place, (name, values) in enumerate(panels, 1):
        axes = figure.add_subplot(rows, columns, place)
        axes.hist(values, bins=min(30, max(5, len(values) // 3)), color=_BLUE)
        whole = all(float(value).is_integer() for value in values)
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=whole, min_n_ticks=1))  # more overlap
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.set_xlabel(inert(name), parse_math=False)
        axes.set_ylabel("cases")
        axes.spines[["top", "right"]].set_visible(False)
    return in_page(figure_to_png(figure, dpi=90))
