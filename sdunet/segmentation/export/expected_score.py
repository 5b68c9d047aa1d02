"""What to expect of a network that was trained on all cases: the scores of the folds."""

from pathlib import Path

from data_prep.core.errors import DataError
from data_prep.core.parse import usable
from data_prep.files.hashed_json import read_hashed
from data_prep.files.output_folder import RECORD
from sdunet.segmentation.models.run_settings import SETTINGS, is_of_all
from sdunet.segmentation.models.seen_cases import Start, read_start
from sdunet.segmentation.models.together import (
    WITHOUT_VALIDATION,
    check_together,
    differing,
    listed_below,
    settings_of,
)
from sdunet.segmentation.models.trained_model import check_finished

_FIX = "give the folder of the folds of the same data, network and training, or leave it out"


def scores_of_folds(run: str | Path, folds: str | Path) -> list[float]:
    """Return the validation Dice of each run of a cross-validation, 0 to 1.

    Args:
        run: folder of the run that was trained on all cases.
        folds: folder of the runs of the folds, which must be trained alike.

    Raises:
        DataError: PACKAGE_FOLDS if `run` has a score of its own, or the others are not of folds or
            trained otherwise; RUN_UNFINISHED for one that was stopped; as `check_together`.
    """
    own = settings_of(Path(run))
    if not is_of_all(own):
        raise DataError("PACKAGE_FOLDS", f"{run} has a validation score of its own", "leave it out")
    found = []
    for folder in _runs_of(folds):
        settings = settings_of(folder)
        if not settings or is_of_all(settings):
            raise DataError("PACKAGE_FOLDS", f"{folder} is no run of a fold", _FIX)
        if names := [n for n in differing(own, settings) if n not in WITHOUT_VALIDATION]:
            text = f"{folder} was trained with another {', '.join(names)}"
            raise DataError("PACKAGE_FOLDS", text, _FIX)
        check_finished(folder)
        with usable("RUN_RECORD", folder / RECORD, "train anew"):
            found.append(float(read_hashed(folder / RECORD)["validation_dice"]))
    return found


def starts_of_folds(folds: str | Path) -> list[Start]:
    """Return what is known of the weights that each run of a cross-validation began from.

    Args:
        folds: as `scores_of_folds`.

    Raises:
        DataError: as `check_together` and `read_start`.
    """
    return [read_start(folder) for folder in _runs_of(folds)]


def _runs_of(folds: str | Path) -> list[Path]:
    listed = listed_below(Path(folds))
    runs = sorted({*listed, *(path.parent for path in Path(folds).rglob(SETTINGS))})
    check_together(runs, listed)
    return runs or [Path(folds)]
