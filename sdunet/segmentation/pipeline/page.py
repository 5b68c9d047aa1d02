"""One page about a run: what was planned and why, how it trained, its scores, and how to predict.

The page needs no network; pictures are inside, the review of all cases is beside it.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jinja2

from data_prep.core.safe_text import inert
from data_prep.core.values.regions import as_settings
from data_prep.files.atomic import write_bytes
from data_prep.files.hashed_json import read_hashed
from data_prep.files.png import in_page
from data_prep.files.written_files import read_written
from data_prep.planning.plan_json import read_plan
from data_prep.prepared.dataset import load_dataset
from sdunet.runtime.callbacks import CURVE
from sdunet.segmentation.evaluation.evaluate import SUMMARY
from sdunet.segmentation.inference.postprocessing import LARGEST, RULES
from sdunet.segmentation.models.run_settings import SETTINGS

INDEX = "index.html"
_PAGE = Path(__file__).with_name("index.html.jinja")
_SHOWN = ("Dice", "IoU", "NSD", "HD95")  # with intervals
_WORST = 10
_MOST_FINDINGS = 50
_PLANNED = ("spatial_dims", "channels", "labels", "intensity", "spacing", "patch_size")


def write_page(out: Path, runs: Sequence[str]) -> Path:
    """Write the page of the run in `out`, and return its place.

    Args:
        out: folder of the run, whose other stages are done.
        runs: folders of the trained networks in it, by fold.
    """
    summary = read_hashed(out / "scores" / SUMMARY)
    checked = read_hashed(out / "check.json")
    schedule = read_hashed(out / "schedule.json")
    trained = read_hashed(out / runs[0] / SETTINGS)
    dataset = load_dataset(out / "prepared")
    told = [f for f in checked["findings"] if f["level"] != "note"]
    notes = defaultdict(list)
    for finding in checked["findings"]:
        if finding["level"] == "note":
            notes[finding["code"]].append(finding["found"])
    environment = jinja2.Environment(autoescape=True, finalize=_shown, trim_blocks=True)
    page = environment.from_string(_PAGE.read_text(encoding="utf-8")).render(
        layout=checked["layout"],
        cases=len(dataset.cases),
        left_out=checked["cases"] - len(dataset.cases),
        test=len(dataset.test),
        folds=len(dataset.folds),
        trained=len(runs),
        schedule=schedule,
        findings=told[:_MOST_FINDINGS],
        more=len(told) - _MOST_FINDINGS,
        notes=sorted(notes.items()),
        plan=_plan_rows(out),
        network=trained["network"],
        batch_size=trained["training"]["batch_size"],
        curves=[(run, in_page(read_written(out / run / CURVE))) for run in runs],
        columns=_SHOWN,
        rows=[(scores["name"], _cells(scores), scores) for scores in summary["mean"].values()],
        n=summary["n_cases"],
        policy=summary["policy"],
        picture=in_page(read_written(out / "scores/dice.png")),
        worst=_worst(summary),
        rules=_rules(out),
        package=f"{out.name}/package",
    )
    write_bytes(out / INDEX, page.encode())
    return out / INDEX


def _shown(value: object) -> object:
    return inert(value) if type(value) is str else value  # what is markup already stays


def _plan_rows(out: Path) -> list[tuple[str, str, str]]:
    plan = read_plan(out / "plan.json")
    found = {name: getattr(plan, name) for name in _PLANNED}
    rows = [
        (name, _written(value), plan.why.get(name, ""))
        for name, value in found.items()
        if value is not None
    ]
    if plan.regions:
        rows.append(("regions", _written(as_settings(plan.regions)), ""))
    network = asdict(plan.network) if plan.network else {}
    why = plan.why.get("network", "")
    for name, value in network.items():
        rows.append((f"network {name}", _written(value), why))
        why = ""
    return rows


def _written(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{number} {name}" for name, number in value.items())
    return ", ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def _cells(scores: Mapping[str, Any]) -> list[str]:
    """Return each mean of a class with its interval."""
    cells = []
    for name in _SHOWN:
        mean, bounds = scores[name], scores["interval"][name]
        text = "-" if mean is None else f"{mean:.4g}"
        cells.append(text + (f" ({bounds[0]:.4g} to {bounds[1]:.4g})" if bounds else ""))
    return cells


def _worst(summary: Mapping[str, Any]) -> list[tuple[str, float]]:
    """Return the cases of the lowest mean Dice over their classes; those without one are left."""
    found = []
    for record in summary["metric_per_case"]:
        dice = [scores["Dice"] for scores in record["metrics"].values()]
        known = [value for value in dice if value is not None]
        if known:
            found.append((str(record["case"]), sum(known) / len(known)))
    return sorted(found, key=lambda case: (case[1], case[0]))[:_WORST]


def _rules(out: Path) -> list[tuple[str, str, float, float]]:
    record = read_hashed(out / "runs" / RULES)
    rows = []
    for name, dice in record["validation_dice"].items():
        rule = record["rules"].get(name)
        kept = "all components are kept" if rule is None else "the largest component is kept" \
            if rule == LARGEST else f"components below {rule:.4g} are removed"  # fmt: skip
        rows.append((name, kept, dice["before"], dice["after"]))
    return rows
