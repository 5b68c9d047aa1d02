"""Figures stay readable and quick whatever the number of classes."""

import io

from PIL import Image

from sdunet.segmentation.evaluation import plots


def test_of_very_many_classes_the_worst_are_drawn_in_their_order():
    names = [f"c{n}" for n in range(150)]
    worth = {name: (7 * n) % 150 for n, name in enumerate(names) if n != 3}
    chosen = plots._worst(names, worth)
    assert len(chosen) == 24
    assert chosen == sorted(chosen, key=names.index)
    assert {worth[name] for name in chosen} == {*range(25)} - {21}  # of the one without a worth
    assert plots._worst(names[:5], worth) == names[:5]


def test_figures_of_very_many_classes_are_small():
    rows = [{"class": f"c{n}", "dice": n / 150, "outcome": "scored"} for n in range(150)]
    width, height = Image.open(io.BytesIO(plots.dice_by_case(rows))).size
    assert max(width, height) < 4000
