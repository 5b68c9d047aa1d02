"""A page to look through the errors of many cases, of one model or of several side by side.

The page is one HTML file. What it shows of a case lies in a folder beside it and is loaded when the
case is opened; no network is needed. Each case is a script that hands over its slices, the image as
PNG and, packed by zlib, a code for each voxel; so one array is enough for all that can be switched
on and off, and no browser changes a value on the way. Coronal and sagittal planes are put together
in the browser.
"""

import json
import zlib
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from data_prep.core.safe_text import inert
from data_prep.core.values.regions import Region
from data_prep.files.atomic import remove_file, write_bytes
from data_prep.files.png import array_to_png, in_page
from data_prep.prepared.rendering import edges, to_colours
from sdunet.segmentation.metrics.case_scores import METRICS, ClassScores, ScoreOptions, mean_scores
from sdunet.segmentation.metrics.instance_table import AXES, place_in, volume_in
from sdunet.segmentation.metrics.overlap import POLICY
from sdunet.segmentation.review.case_view import AXIAL, View
from sdunet.segmentation.review.error_map import COLOURS, KINDS, Palette

PAGE = "review.html"
_FOLDER = "review"
_STATIC = Path(__file__).parent / "static"
_SCRIPTS = ("cases.js", "planes.js", "lists.js", "drawing.js", "controls.js")  # one after another
# Beside the kind of error, a code holds whether the label has an edge along columns, rows and
# slices: three bits from these on. Outlines in a plane are the edges along its two axes.
REFERENCE_EDGES, PREDICTION_EDGES = 8, 64


class Page:
    """Collects cases, each written at once, and writes the page that lists them.

    Args:
        out: folder for the page.
        models: names, in the order of what `add` is given.
        names: of the classes, background first.
        palette: of the errors, to begin with.
        options: of the scores; the page tells them.
        about: what the page tells of itself besides, such as of which model the predictions are;
            a line each.
        targets: what is scored. Default: the classes.
    """

    def __init__(
        self,
        out: Path,
        models: Sequence[str],
        names: Sequence[str],
        palette: Palette,
        options: ScoreOptions,
        about: Sequence[str] = (),
        targets: Sequence[Region] = (),
    ) -> None:
        self.out = out
        self.models = list(models)
        self.names = list(names)
        self.scored = [target.name for target in targets] or self.names[1:]
        self.palette = palette
        self.options = options
        self.about = list(about)
        self.cases: list[dict[str, Any]] = []

    def add(self, views: Sequence[View], scores: Sequence[Sequence[ClassScores]]) -> None:
        """Write what is shown of a case.

        Args:
            views: of each model, with the same image and reference.
            scores: of each model, of each class.
        """
        first = views[0]
        file = f"{_FOLDER}/case_{len(self.cases):05d}.js"
        height, width = first.cut(first.reference, AXIAL, 0).shape
        content = {
            "image": _image_slices(first),
            "models": [{"codes": _code_slices(view), "wrong": _wrong(view)} for view in views],
        }
        call = f"sdunetCase({len(self.cases)}, {json.dumps(content, allow_nan=False)});\n"
        write_bytes(self.out / file, call.encode())
        self.cases.append(
            {
                "id": first.id,
                "file": file,
                "size": [width, height, first.slices],
                "aspect": [first.aspect(axis) for axis in range(3)],
                "width": [first.width(axis) for axis in range(3)],
                "start": first.row_and_column(first.worst)[::-1],
                "window": list(map(float, first.window)) if len(first.image) != 3 else None,
                "unit": "px" if first.affine is None else "ml",
                "models": [
                    _summary(view, found) for view, found in zip(views, scores, strict=True)
                ],
            }
        )

    def write(self) -> Path:
        """Write the page, and return its place."""
        data = {
            "models": [inert(model) for model in self.models],
            "names": [inert(name) for name in self.names],
            "scored": [inert(name) for name in self.scored],
            "axes": AXES,
            "kinds": KINDS,
            "colours": COLOURS,
            "palette": self.palette,
            "metrics": [
                {"name": name, "label": metric.label, "best": metric.best, "about": metric.about}
                for name, metric in METRICS.items()
            ],
            "cases": [case | {"id": inert(case["id"])} for case in self.cases],
        }
        template = jinja2.Environment(autoescape=True).from_string(_read("review.html.jinja"))
        page = template.render(
            data=data,
            style=_read("review.css"),
            script="".join(map(_read, _SCRIPTS)),
            policy=POLICY,
            about=[*map(inert, self.about), f"Drawn on {date.today().isoformat()}"],
            options=self.options,
        )
        write_bytes(self.out / PAGE, page.encode())
        written = {Path(case["file"]).name for case in self.cases}
        for file in (self.out / _FOLDER).glob("case_*.js"):
            if file.name not in written:  # of an earlier page with more cases
                remove_file(file)
        return self.out / PAGE


def remove_page(out: Path) -> None:
    """Remove an earlier page, before pictures that it would show as its own are written."""
    remove_file(out / PAGE)


def _read(name: str) -> str:
    return (_STATIC / name).read_text(encoding="utf-8")


def _summary(view: View, scores: Sequence[ClassScores]) -> dict[str, Any]:
    """Return the means over classes of each score, the Dice of each, and the counts."""
    return {
        "scores": mean_scores(scores),
        "dice": [s.values["dice"] for s in scores],
        "counts": view.counts,
        "missing": view.missing,
        "wrong": view.wrong[1],
    }


def _image_slices(view: View) -> list[str]:
    slices = []
    for z in range(view.slices):
        picture = to_colours(view.cut(view.image, AXIAL, z), view.window) * 255
        picture = np.rint(picture).astype(np.uint8)
        shown = picture if len(view.image) == 3 else picture[..., 0]
        slices.append(in_page(array_to_png(shown, compress_level=3)))
    return slices


def _code_slices(view: View) -> list[str | None]:
    """Return the packed codes of each slice, row by row; `None` where there is nothing."""
    codes = view.errors.astype("<u2")
    axes = (1, 0) if view.affine is None else (0, 1, 2)  # of columns, rows, slices
    labels = ((REFERENCE_EDGES, view.reference), (PREDICTION_EDGES, view.prediction))
    for first, label in labels:
        for place, axis in enumerate(axes):
            codes[edges(label, axis)] |= first << place
    slices = (np.ascontiguousarray(view.cut(codes, AXIAL, z)) for z in range(view.slices))
    return [in_page(zlib.compress(part.data)) if part.any() else None for part in slices]


def _wrong(view: View) -> list[dict[str, Any]]:
    rows = []
    for piece in view.wrong[0]:
        z, row, column = view.row_and_column(piece.middle)
        rows.append(
            {
                "kind": piece.kind,
                "predicted": piece.predicted,
                "reference": piece.reference,
                "cells": piece.cells,
                "volume": piece.cells * volume_in(view.affine),
                "at": [round(v, 1) for v in place_in(np.array(piece.middle), view.affine)],
                "slice": z,
                "row": row,
                "column": column,
                "chance": piece.chance,
            }
        )
    return rows
