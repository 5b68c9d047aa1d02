"""The errors of several models on the same cases, beside each other on one page."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from data_prep.core.config import DataConfig
from data_prep.core.errors import DataError, set_aside
from data_prep.core.memory_limits import bytes_of, memory_within
from data_prep.core.progress import Progress, silent
from data_prep.files.file_tree import Tree, open_trees
from data_prep.files.output_folder import check_free, check_output, own_folder
from data_prep.layouts.cases import Case
from sdunet.segmentation.evaluation.compare_models import Scored
from sdunet.segmentation.evaluation.pair import Pair, hash_of
from sdunet.segmentation.evaluation.pairing import Pairs, open_pairs
from sdunet.segmentation.review.case_view import find_images, open_view
from sdunet.segmentation.review.error_map import Palette
from sdunet.segmentation.review.html_page import PAGE, Page, remove_page


@dataclass(frozen=True)
class Sides:
    """What a page is made of.

    Attributes:
        pairs: of each model.
        images: where they are.
        cases: of the images, by their ids.
    """

    pairs: list[Pairs]
    images: Tree
    cases: dict[str, Case]


def open_sides(
    images: str | Path,
    references: str | Path,
    predictions: Sequence[str | Path],
    out: str | Path,
    only: set[str],
    config: DataConfig | None = None,
    max_ram: float | None = None,
) -> Sides:
    """Return what a page is made of, or refuse it before anything is written.

    Raises:
        DataError: as `side_by_side`.
    """
    memory = bytes_of(max_ram)
    share = None if memory is None else memory / 1e9 / len(predictions)
    with memory_within(bytes_of(share)):
        tree, labels = open_trees(images, references)
    pairs = [open_pairs(folder, labels, only, config, share) for folder in predictions]
    first = pairs[0]
    for folder, other in zip(predictions, pairs, strict=True):
        if other.targets != first.targets:
            told = [", ".join(target.name for target in one.targets) for one in (first, other)]
            found = f"{predictions[0]} has the classes {told[0]}, {folder} has {told[1]}"
            fix = "compare those of one, or name them by --dataset.labels"
            raise DataError("LBL_CLASSES", found, fix)
    check_output(out, images, references, *predictions)
    check_free(out, "compare", [PAGE])
    with memory_within(first.memory):
        return Sides(pairs, tree, find_images(tree, first.cases))


def side_by_side(
    images: str | Path,
    references: str | Path,
    predictions: Sequence[str | Path],
    models: Sequence[Scored],
    out: str | Path,
    only: set[str] | None = None,
    config: DataConfig | None = None,
    progress: Progress = silent,
    *,
    palette: Palette = "usual",
    max_ram: float | None = None,
    sides: Sides | None = None,
) -> tuple[Path, list[DataError]]:
    """Write `review.html` with the errors of each model on every case.

    Args:
        images: raw dataset or folder of images, with the ids of the references.
        references: raw dataset in a known layout.
        predictions: folder of label files of each model.
        models: what was scored of each; their options are those of the page.
        out: folder for the page.
        only: ids of the cases to show. Default: those that were scored.
        config: classes and label map. Default: those recorded with the predictions.
        progress: wraps the loop over cases, given a title.
        palette: of the errors.
        max_ram: gigabytes of memory that one case, with all predictions of it, may take.
        sides: what `open_sides` gave for the same arguments, if it was called before.

    Returns:
        The page, and an error for each case that could not be shown as it should: COMPARE_PRED or
        COMPARE_OTHER for one whose prediction or reference is not that of the scores.

    Raises:
        DataError: LBL_CLASSES if models predict other classes; OVERLAY_NONE if no case can be
            shown; as `open_pairs`.
    """
    options = models[0].options
    only = only or set(models[0].cases)
    sides = sides or open_sides(images, references, predictions, out, only, config, max_ram)
    pairs, tree, cases = sides.pairs, sides.images, sides.cases
    first = pairs[0]
    names = [model.name for model in models]
    problems: list[DataError] = []
    with own_folder(out, "compare", [PAGE]):
        remove_page(Path(out))
        about = [_about(name, each) for name, each in zip(names, pairs, strict=True)]
        about.append(f"References in {Path(references).name}")
        page = Page(Path(out), names, first.names, palette, options, about, first.targets)
        for case in progress(first.cases, "drawing"):
            with set_aside(problems, case.id):
                together = [each.read(case) for each in pairs]
                of_each = list(zip(names, together, strict=True))
                problems += [_of(name, e) for name, pair in of_each for e in pair.problems]
                for model, pair in zip(models, together, strict=True):
                    _check_scored(model, pair)
                opened = [open_view(p, tree, cases.get(p.id), first.rules) for p in together]
                problems += [_of(n, p) for n, (_, p) in zip(names, opened, strict=True) if p]
                scores = [pair.scores(first.num_classes, options) for pair in together]
                page.add([view for view, _ in opened], scores)
        problems = [*{str(p): p for pair in pairs for p in pair.problems}.values(), *problems]
        if not page.cases:
            raise DataError(
                "OVERLAY_NONE",
                f"no case could be drawn: {problems[-1]}",
                "correct what it names, then run again",
            )
        return page.write(), problems


def _check_scored(model: Scored, pair: Pair) -> None:
    reference = hash_of(pair.reference.array)
    if model.references.get(pair.id, reference) != reference:
        raise DataError(
            "COMPARE_OTHER",
            f"another reference than {model.name} was scored against",
            "give the references of the scores, or evaluate again",
            case=pair.id,
        )
    here = None if pair.prediction is None else hash_of(pair.prediction)
    if model.predictions.get(pair.id, here) != here:
        raise DataError(
            "COMPARE_PRED",
            f"another prediction than was scored as {model.name}",
            "give --pred in the order of the scores, or evaluate again",
            case=pair.id,
        )


def _about(model: str, pairs: Pairs) -> str:
    return f"{model}: {pairs.told[0].lower()}{pairs.told[1:]}"


def _of(model: str, error: DataError) -> DataError:
    """Return an error that also names the model."""
    found = f"{model}: {error.found}"
    return DataError(error.code, found, error.fix, case=error.case, file=error.file)
