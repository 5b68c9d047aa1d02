"""The model card of a package: what it is for, and how well it does, in Hugging Face's form."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import yaml

from data_prep.core.scan import times
from sdunet.runtime.tables import plain_markdown
from sdunet.segmentation.models.trained_model import Model

_CARD = Path(__file__).with_name("model_card.md.jinja")


def model_card(model: Model, facts: Mapping[str, Any]) -> str:
    """Return the card as Markdown with front matter.

    Args:
        model: the trained network.
        facts: `labels`, `regions`, `validation_dice`, `training_cases`, `validation_cases`,
            `trained_on_all`, `parameters`, `smallest`, `doubts` and `versions`; perhaps `licence`,
            the name of its file, `licence_name`, `cross_validation_dice`, of each fold, and `hub`,
            whether it is the card of a folder for the Hub.
    """
    plan, dice, licence = model.plan, facts["validation_dice"], facts.get("licence")
    results = [] if dice is None else [_measured(dice)]
    template = jinja2.Environment(trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)
    template.filters["plain"] = plain_markdown
    front = {
        "library_name": "sdunet",
        "pipeline_tag": "image-segmentation",
        "tags": ["image-segmentation", "medical", "monai", "pytorch", "sdunet"],
        **_licence(facts.get("licence_name"), licence),
        "metrics": ["dice"],
        "model-index": [{"name": "sdunet", "results": results}],
    }
    if facts.get("hub") and not _is_score(facts):  # the Hub lists networks by such scores
        del front["metrics"], front["model-index"]
    spacing = "as they are"
    if plan.resize is not None:
        spacing = f"brought to {times(plan.resize)} pixels"
    if plan.spacing is not None:
        spacing = f"resampled to {' x '.join(f'{mm:g}' for mm in plan.spacing)} mm"
    return template.from_string(_CARD.read_text(encoding="utf-8")).render(
        facts,
        front=yaml.safe_dump(front, sort_keys=False),
        kind="volumes" if plan.spatial_dims == 3 else "pictures",
        plan=plan,
        spacing=spacing,
        dice="not recorded" if dice is None else f"{dice:.4f}",
        sha256=model.sha256,
    )


def _licence(name: str | None, file: str | None) -> dict[str, str]:
    if name:
        return {"license": name}
    named = {"license": "other", "license_name": "see-license", "license_link": file}
    return {key: value for key, value in named.items() if value} if file else {}


def _is_score(facts: Mapping[str, Any]) -> bool:
    """Tell whether the Dice is that of cases which were kept apart to the end of the training."""
    dice = facts["validation_dice"]
    held = not facts["trained_on_all"] and bool(facts["validation_cases"])
    return held and not facts["doubts"] and dice is not None and math.isfinite(dice)


def _measured(dice: float) -> dict[str, Any]:
    return {
        "task": {"type": "image-segmentation", "name": "Segmentation"},
        "dataset": {"name": "validation cases, which it was chosen by", "type": "private"},
        "metrics": [{"type": "dice", "name": "mean Dice", "value": round(dice, 4)}],
    }
