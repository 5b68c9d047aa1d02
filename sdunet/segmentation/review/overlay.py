"""Draw where predictions are right and wrong on their images, and make a page to look through."""

from pathlib import Path

import numpy as np

from data_prep.core.config import DataConfig
from data_prep.core.errors import DataError, set_aside
from data_prep.core.memory_limits import bytes_of, memory_within
from data_prep.core.progress import Progress, silent
from data_prep.files.atomic import write_bytes
from data_prep.files.file_tree import open_trees
from data_prep.files.output_folder import below, check_output, own_folder
from data_prep.formats.encode import encode
from sdunet.segmentation.evaluation.pair import Pair
from sdunet.segmentation.evaluation.pairing import open_pairs
from sdunet.segmentation.metrics.case_scores import ScoreOptions, mean_scores
from sdunet.segmentation.review.case_figure import draw_case, said
from sdunet.segmentation.review.case_view import find_images, open_view
from sdunet.segmentation.review.contact_sheet import ContactSheet
from sdunet.segmentation.review.error_map import Palette, error_map, itksnap_labels, slicer_colours
from sdunet.segmentation.review.html_page import PAGE, Page, remove_page

_SHEET = "contact_sheet.png"


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
    max_ram: float | None = None,
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
        max_ram: gigabytes of memory that one case may take; a larger one is refused.

    Returns:
        The page, and one error for each case that could not be drawn as it should.

    Raises:
        DataError: OVERLAY_NONE if no case can be drawn, or as `open_pairs`.
    """
    options = options or ScoreOptions()
    with memory_within(bytes_of(max_ram)):
        tree, labels = open_trees(images, references)
    pairs = open_pairs(predictions, labels, only, config, max_ram)
    check_output(out, images, references, predictions)
    with memory_within(pairs.memory):
        cases = find_images(tree, pairs.cases)
    out = Path(out)
    problems: list[DataError] = []
    names = pairs.names
    sheet = ContactSheet(palette)
    files = [PAGE, _SHEET, *(f"cases/{case_id}.png" for case_id in cases)]
    with own_folder(out, "overlay", files) as output:
        output.remove(out / _SHEET)  # an earlier one would show other cases than the pictures
        remove_page(out)
        about = [pairs.told, f"References in {Path(references).name}"]
        page = Page(out, ["prediction"], names, palette, options, about, pairs.targets)
        for case in progress(pairs.cases, "drawing"):
            with set_aside(problems, case.id):
                pair = pairs.read(case)
                problems += pair.problems
                view, problem = open_view(pair, tree, cases.get(pair.id), pairs.rules)
                problems += [problem] if problem else []
                scores = pair.scores(pairs.num_classes, options)
                dice = mean_scores(scores)["dice"]
                state = "no prediction, counted as missed" if view.missing else said(dice)
                if pair.ignored is not None and pair.ignored.any():
                    state += f", {np.count_nonzero(pair.ignored)} voxels ignored"
                picture = draw_case(view, f"{pair.id}   {state}", names, palette)
                write_bytes(below(out, f"cases/{pair.id}.png"), picture)
                if view.affine is not None:
                    _write_error_map(pair, out / "error_maps", palette)
                page.add([view], [scores])
                sheet.add(view, dice)
        if not sheet.seen:
            last = [*pairs.problems, *problems][-1]
            raise DataError(
                "OVERLAY_NONE",
                f"no case could be drawn, the last: {last}",
                "correct what it names, then run again",
            )
        write_bytes(out / _SHEET, sheet.draw())
        place = page.write()
        output.remove_rest()
    return place, [*pairs.problems, *problems]


def _write_error_map(pair: Pair, folder: Path, palette: Palette) -> None:
    reference = pair.reference
    prediction = np.zeros_like(reference.array) if pair.prediction is None else pair.prediction
    errors = error_map(prediction, reference.array)
    suffix, data = encode(reference.holding(errors))
    write_bytes(below(folder, f"{pair.id}{suffix}"), data)
    write_bytes(folder / "itksnap_labels.txt", itksnap_labels(palette).encode())
    write_bytes(folder / "slicer_colours.ctbl", slicer_colours(palette).encode())
