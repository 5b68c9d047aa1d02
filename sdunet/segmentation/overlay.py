"""Draw where predictions are right and wrong on their images, and make a page to look through."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from data_prep.config import DataConfig
from data_prep.encode import encode
from data_prep.errors import DataError
from data_prep.layouts import find_layout
from data_prep.progress import Progress, silent
from data_prep.scan import Scan
from data_prep.tree import check_output, open_tree
from data_prep.writer import write_bytes
from sdunet.segmentation.error_map import Palette, error_map, itksnap_labels, slicer_colours
from sdunet.segmentation.page import Page
from sdunet.segmentation.pairs import Pair, open_pairs
from sdunet.segmentation.panel import ContactSheet, draw_case
from sdunet.segmentation.scores import ClassScores, ScoreOptions
from sdunet.segmentation.view import open_view


def overlay(
    images: str | Path,
    references: str | Path,
    predictions: str | Path,
    out: str | Path,
    only: set[str] | None = None,
    config: DataConfig | None = None,
    progress: Progress = silent,
    *,
    palette: Palette = "usual",
    options: ScoreOptions | None = None,
) -> tuple[Path, list[DataError]]:
    """Show the errors of every case.

    Writes `review.html`, a page to look through all cases; `cases/ID.png`; `contact_sheet.png`,
    worst case first; and for volumes `error_maps/ID.nii.gz` on the scan's grid, with files of names
    and colours for ITK-SNAP and 3D Slicer.

    Args:
        images: raw dataset or folder of images, with the ids of the references.
        references: raw dataset in a known layout.
        predictions: folder of label files named like the cases.
        out: folder for the pictures.
        only: ids of the cases to draw. Default: all.
        config: classes and label map. Default: those recorded with the predictions.
        progress: wraps the loop over cases, given a title.
        palette: of the errors.
        options: of the scores. Default: `ScoreOptions()`.

    Returns:
        The page, and one error for each case that could not be drawn as it should.

    Raises:
        DataError: OVERLAY_NONE if no case can be drawn, or as `open_pairs`.
    """
    options = options or ScoreOptions()
    pairs = open_pairs(predictions, references, only, config)
    tree = open_tree(images)
    check_output(out, tree, images)
    check_output(out, open_tree(references), references)
    cases = {case.id: case for case in find_layout(tree, need_labels=False).cases}
    out, problems = Path(out), []
    names = pairs.names
    sheet = ContactSheet(palette)
    page = Page(out, ["prediction"], names, palette, options)
    for pair in progress(pairs, "drawing"):
        if pair.problem:
            problems.append(pair.problem)
        try:
            view, problem = open_view(pair, tree, cases.get(pair.id), pairs.rules)
            problems += [problem] if problem else []
            scores = pair.scores(pairs.num_classes, options)
            page.add([view], [scores])
        except DataError as error:
            problems.append(error.at(case=pair.id))
            continue
        dice = mean_dice(scores)
        state = "true negative" if dice is None else f"Dice {dice:.4f}"
        state = "no prediction, counted as missed" if view.missing else state
        picture = draw_case(view, f"{pair.id}   {state}", names, palette)
        write_bytes(out / "cases" / f"{pair.id}.png", picture)
        if view.affine is not None:
            _write_error_map(pair, out / "error_maps", palette)
        sheet.add(view, dice)
    if not sheet.seen:
        first = [*problems, *pairs.problems][0]
        raise DataError("OVERLAY_NONE", f"no case could be drawn, the first: {first}", "see it")
    write_bytes(out / "contact_sheet.png", sheet.draw())
    return page.write(), [*pairs.problems, *problems]


def side_by_side(
    images: str | Path,
    references: str | Path,
    predictions: Sequence[str | Path],
    names: Sequence[str],
    out: str | Path,
    only: set[str] | None = None,
    config: DataConfig | None = None,
    progress: Progress = silent,
    *,
    palette: Palette = "usual",
    options: ScoreOptions | None = None,
) -> tuple[Path, list[DataError]]:
    """Write `review.html` with the errors of several models on each case beside each other.

    Args:
        images: raw dataset or folder of images, with the ids of the references.
        references: raw dataset in a known layout.
        predictions: folder of label files of each model.
        names: of the models.
        out: folder for the page.
        only: ids of the cases to show. Default: all.
        config: classes and label map. Default: those recorded with the predictions.
        progress: wraps the loop over cases, given a title.
        palette: of the errors.
        options: of the scores. Default: `ScoreOptions()`.

    Raises:
        DataError: as `overlay`; LBL_CLASSES if the models predict other classes.
    """
    options = options or ScoreOptions()
    models = [open_pairs(folder, references, only, config) for folder in predictions]
    first = models[0]
    if any(model.rules.labels != first.rules.labels for model in models):
        raise DataError("LBL_CLASSES", "the models predict other classes", "compare those of one")
    tree = open_tree(images)
    check_output(out, tree, images)
    check_output(out, open_tree(references), references)
    cases = {case.id: case for case in find_layout(tree, need_labels=False).cases}
    problems: list[DataError] = []
    page = Page(Path(out), names, first.names, palette, options)
    others = [iter(model) for model in models[1:]]
    for pair in progress(first, "drawing"):
        pairs = [pair, *map(next, others)]  # of the same references, so of the same cases
        problems += [p.problem for p in pairs if p.problem]
        try:
            opened = [open_view(p, tree, cases.get(p.id), first.rules) for p in pairs]
            problems += [problem for _, problem in opened if problem]
            views = [view for view, _ in opened]
            page.add(views, [p.scores(first.num_classes, options) for p in pairs])
        except DataError as error:
            problems.append(error.at(case=pair.id))
    if not page.cases:
        found = [*problems, *first.problems][0]
        raise DataError("OVERLAY_NONE", f"no case could be drawn, the first: {found}", "see it")
    return page.write(), [*first.problems, *problems]


def mean_dice(scores: Sequence[ClassScores]) -> float | None:
    """Return the mean Dice over the classes that have one."""
    found = [s.values["dice"] for s in scores if s.values["dice"] is not None]
    return float(np.mean(found)) if found else None


def _write_error_map(pair: Pair, folder: Path, palette: Palette) -> None:
    reference = pair.reference
    prediction = np.zeros_like(reference.array) if pair.prediction is None else pair.prediction
    errors = error_map(prediction, reference.array)
    suffix, data = encode(Scan(errors, reference.affine, reference.codes))
    write_bytes(folder / f"{pair.id}{suffix}", data)
    write_bytes(folder / "itksnap_labels.txt", itksnap_labels(palette).encode())
    write_bytes(folder / "slicer_colours.ctbl", slicer_colours(palette).encode())
