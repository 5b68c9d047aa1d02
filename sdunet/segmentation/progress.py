"""What training says of itself: loss and Dice, by line and by picture."""

import csv
from pathlib import Path

from matplotlib.figure import Figure

from data_prep.writer import write_bytes
from sdunet.runs.figures import to_png
from sdunet.runs.progress import EpochLines


class DiceLines(EpochLines):
    """Loss and validation Dice after each epoch."""

    def measured(self, found: dict[str, float]) -> tuple[str, float]:
        """Return both as text, and the Dice as the score."""
        dice = found["val_dice"]
        return f"loss {found['train_loss']:.4f}  validation Dice {dice:.4f}", dice


def draw_curve(metrics: Path, picture: Path) -> None:
    """Draw loss and validation Dice over the epochs, from Lightning's CSV log."""
    with metrics.open(newline="") as file:
        rows = list(csv.DictReader(file))
    figure = Figure((7, 4), layout="constrained")
    left = figure.subplots()
    right = left.twinx()
    loss = [(int(r["epoch"]) + 1, float(r["train_loss"])) for r in rows if r.get("train_loss")]
    left.plot(*zip(*loss, strict=True), color="#555555", label="training loss")
    names = [name for name in rows[0] if name.startswith("val_dice")] if rows else []
    for name in names:
        dice = [(int(r["epoch"]) + 1, float(r[name])) for r in rows if r.get(name)]
        title = name.removeprefix("val_dice").removeprefix("_") or "mean"
        right.plot(*zip(*dice, strict=True), label=f"Dice {title}", lw=2 if title == "mean" else 1)
    left.set(xlabel="epoch", ylabel="training loss")
    right.set(ylabel="validation Dice", ylim=(0, 1))
    figure.legend(loc="outside upper center", ncols=4, frameon=False)
    write_bytes(picture, to_png(figure))
