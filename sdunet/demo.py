"""The whole road on one real image: nuclei of the 2018 Data Science Bowl, in minutes.

Tiles of the left part of the image train, a gap is left out, tiles of the right part test.
"""

import hashlib
import io
import json
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, distribution
from itertools import pairwise
from pathlib import Path

import numpy as np
import tifffile
from skimage.filters import threshold_otsu

from data_prep.core.config import DataConfig
from data_prep.core.errors import DataError
from data_prep.core.parse import UNUSABLE, read_json
from data_prep.core.progress import Progress
from data_prep.files.atomic import remove_file, write_bytes, write_json
from data_prep.files.output_folder import own_folder
from data_prep.prepared.prepare import prepare
from sdunet.runtime.checkpoint import PREVIOUS, STATE
from sdunet.runtime.run_record import say, tell
from sdunet.segmentation.config import NetworkConfig, TaskConfig, TrainingConfig
from sdunet.segmentation.evaluation.evaluate import evaluate
from sdunet.segmentation.inference.predict_folder import PredictOptions, predict
from sdunet.segmentation.metrics.overlap import overlaps
from sdunet.segmentation.models.trained_model import WEIGHTS
from sdunet.segmentation.review.overlay import overlay
from sdunet.segmentation.training.train_fold import train

TASK = TaskConfig(
    DataConfig(
        labels={"background": 0, "nucleus": 1},
        folds=4,
        patch_size=(128, 128),
        group_pattern="(.*)",  # each tile alone: all are of one image
    ),
    NetworkConfig(features=(16, 32, 64, 128), num_features=16),
    TrainingConfig(epochs=30, patches_per_case=4, batch_size=4, rotate=True, learning_rate=3e-3),
)
_TILE, _TRAIN_COLUMNS, _GAP = 128, 256, 32
_TEST_ROWS, _TEST_COLUMNS = (0, 171, 342, 512), (288, 400, 512)  # where tiles begin and end
_PACKAGE = "stardist"


def demo(out: Path, progress: Progress) -> int:
    """Prepare, train, predict, evaluate and draw; print the table. Return the exit status.

    A model trained before with the same settings is used again; the scores are always measured.

    Raises:
        DataError: DEMO_IMAGE if the image's package is not installed.
    """
    image, nuclei = nuclei_image()
    with own_folder(out, "demo"):
        return _demo(image, nuclei, out, progress)


def _demo(image: np.ndarray, nuclei: np.ndarray, out: Path, progress: Progress) -> int:
    _write_pairs(image, nuclei, out)
    run = out / "run"
    key = hashlib.sha256(json.dumps(asdict(TASK)).encode() + image.tobytes()).hexdigest()
    if _trained_with(run) == key:
        say(f"using the model trained before, in {run}; delete that folder to train again")
    else:
        prepare(out / "train", out / "prepared", TASK.dataset, progress)
        _remove_run(run, out / "predictions")
        train(TASK, out / "prepared", run)
        write_json(run / "demo.json", {"key": key})

    test, predictions = out / "test", out / "predictions"
    options = PredictOptions(probabilities=True)
    predict(run, test, predictions, options=options, progress=progress)
    summary, problems = evaluate(predictions, test, out / "evaluation", progress=progress)
    page, _ = overlay(test, test, predictions, out / "overlays", progress=progress)

    threshold = threshold_otsu(image[:, _TRAIN_COLUMNS + _GAP :])
    otsu, reference = (image > threshold).astype(np.uint8), (nuclei > 0).astype(np.uint8)
    tiles = _test_tiles().values()
    otsu_dice = np.mean([overlaps(otsu[tile], reference[tile], 2)[0].dice for tile in tiles])
    our_dice = summary["foreground_mean"]["Dice"]
    tell(f"mean of {len(tiles)} held-out tiles    Dice")
    tell(f"Otsu's threshold            {otsu_dice:.4f}")
    tell(f"SDU-Net                     {our_dice:.4f}   {our_dice - otsu_dice:+.4f}")
    tell("", f"errors, to look through: {page}")
    if our_dice <= otsu_dice:
        say("error: the network did not beat the threshold")
    return 1 if problems or our_dice <= otsu_dice else 0


def nuclei_image() -> tuple[np.ndarray, np.ndarray]:
    """Return image and numbered nuclei, both `(512, 512)`, that the stardist wheel carries (CC0).

    Raises:
        DataError: DEMO_IMAGE if stardist is not installed.
    """
    try:
        files = distribution(_PACKAGE)
    except PackageNotFoundError as error:
        raise DataError(
            "DEMO_IMAGE",
            "the package with the image is not installed",
            'pip install "sdunet[demo]"',
        ) from error
    # Read from the package without importing it: its code compiles for a minute at first use.
    folder = Path(str(files.locate_file("stardist/data/images")))
    return tifffile.imread(folder / "img2d.tif"), tifffile.imread(folder / "mask2d.tif")


def _write_pairs(image: np.ndarray, nuclei: np.ndarray, out: Path) -> None:
    """Write tiles for training and for testing as folder pairs, the image in its own 16 bits."""
    mask = (nuclei > 0).astype(np.uint8)
    for row in range(0, image.shape[0], _TILE):
        for column in range(0, _TRAIN_COLUMNS, _TILE):
            part = np.s_[row : row + _TILE, column : column + _TILE]
            _write_pair(out / "train", f"tile_{row:03}_{column:03}", image[part], mask[part])
    for name, tile in _test_tiles().items():
        _write_pair(out / "test", name, image[tile], mask[tile])


def _test_tiles() -> dict[str, tuple[slice, slice]]:
    """Return the tiles of the held-out part by name, rows and columns."""
    return {
        f"tile_{top:03}_{left:03}": np.s_[top:bottom, left:right]
        for top, bottom in pairwise(_TEST_ROWS)
        for left, right in pairwise(_TEST_COLUMNS)
    }


def _write_pair(folder: Path, name: str, image: np.ndarray, mask: np.ndarray) -> None:
    for kind, array in (("images", image), ("masks", mask)):
        buffer = io.BytesIO()
        tifffile.imwrite(buffer, np.ascontiguousarray(array), photometric="minisblack")
        write_bytes(folder / kind / f"{name}.tif", buffer.getvalue())


def _trained_with(run: Path) -> str | None:
    try:
        return read_json(run / "demo.json")["key"]
    except (OSError, *UNUSABLE):
        return None


def _remove_run(run: Path, predictions: Path) -> None:
    """Remove the model of an outdated run of this demo, and what it predicted."""
    for name in (WEIGHTS, STATE, PREVIOUS, "demo.json"):
        remove_file(run / name)
    with own_folder(predictions, "predict") as output:
        output.remove_rest()
