"""Folders of pictures: which files are pictures, and which part of the split each is in."""

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image, ImageOps

from data_prep.core.errors import DataError, words_of
from data_prep.core.findings import Finding
from data_prep.core.memory_limits import check_size
from data_prep.files.file_tree import open_tree
from data_prep.layouts.detect import hidden_files
from data_prep.layouts.folders.labels import is_label_folder
from data_prep.layouts.split_folders import of_no_part
from data_prep.layouts.words import is_split, part_of_folders
from sdunet.vae.data.raw import BLOCK, Images, RawImages, check_link, damaged

_PICTURES = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".jp2", ".bmp", ".tif", ".tiff"),
    *(".webp", ".gif", ".tga", ".ppm", ".pgm", ".pnm", ".pbm"),
)


_ORIENTATION = 0x0112  # the tag of Exif


def read_folder(root: Path) -> RawImages:
    """Read any folder of pictures; without folders for parts, every tenth is for testing.

    Folders tell of parts as those of segmentation do. Pictures for validation are for testing
    where no others are, and else kept as a split of their own. Those in folders of labels, such
    as `masks`, are left out where there are others.
    """
    found, others, hidden = files_of(root)
    masks = [n for n in found if any(map(is_label_folder, PurePosixPath(n).parts[:-1]))]
    pictures = sorted({*found} - {*masks}, key=PurePosixPath) or found
    parts: dict[str, str] = {}
    told_by: dict[str, str | None] = {}
    for name in pictures:
        try:
            told = part_of_folders(PurePosixPath(name).parts[:-1])
        except ValueError as error:
            raise DataError("LAY_FOLD", str(error), "rename the folders", file=name) from error
        # A fold is a part of what is trained on: a VAE is validated on no fold.
        parts[name] = "train" if told is None or told.startswith("fold_") else told
        told_by[name] = told and parts[name]
    if is_split(parts.values()):
        validates = "validation" if "test" in parts.values() else "test"
        parts = {name: validates if p == "validation" else p for name, p in parts.items()}
    elif None in told_by.values() or "train" not in parts.values():
        parts = {name: "train" if i % 10 != 9 else "test" for i, name in enumerate(pictures)}
    files = {
        split: [root / name for name in pictures if parts[name] == split]
        for split in ("train", "test", "validation")
    }
    splits = {split: picture_images(paths, root) for split, paths in files.items() if paths}
    if not splits:
        splits = {"train": picture_images([], root)}
    shapes = {images.shape[1:] for images in splits.values()}
    if len(shapes) > 1:
        raise DataError("IMG_SIZE", f"splits differ in shape: {shapes}", "make them alike")
    findings = (*of_no_part(told_by), *left_out(others, "are no pictures"), *hidden)
    if pictures != found:
        findings += left_out(masks, "are in folders of labels, beside images")
    return RawImages("folder", 256, splits, findings=findings)


def files_of(root: Path, around: Path | None = None) -> tuple[list[str], list[str], list[Finding]]:
    """Return the pictures below a folder and all other files, in order; a note of hidden ones.

    Args:
        root: the folder.
        around: that of the whole set, if another.

    Raises:
        DataError: IO_LINK for a picture that is a link out of the set; as `open_tree`.
    """
    if not root.is_dir():
        return [], [], []
    try:
        tree = open_tree(root)
    except DataError as error:
        if error.code != "IO_NO_FILES":
            raise
        return [], [], []
    names = sorted(tree.names, key=PurePosixPath)
    found = [name for name in names if PurePosixPath(name).suffix.lower() in _PICTURES]
    for name in tree.outside.intersection(found):
        check_link(root / name, around or root)
    return found, sorted({*names, *tree.unnamed} - {*found}), hidden_files(tree)


def left_out(names: Sequence[str], why: str) -> tuple[Finding, ...]:
    """Return a warning of what is there, and not in the set."""
    if not names:
        return ()
    shown = ", ".join(names[:4]) + ", ..." * (len(names) > 4)
    found = f"{len(names)} left out, which {why}: {shown}"
    return (Finding("warning", "SOURCE_LEFT", found, "check that nothing of the set is lost"),)


def picture_images(files: Sequence[Path], root: Path) -> Images:
    """Return pictures of one size and mode, read when they are needed."""
    if not files:
        raise DataError("SOURCE_EMPTY", f"no pictures in {root}", "give a folder that has some")
    first, _ = _picture(files[0])
    shape = first.shape
    turned: set[str] = set()

    def blocks() -> Iterator[np.ndarray]:
        for start in range(0, len(files), BLOCK):
            arrays = []
            for file in files[start : start + BLOCK]:
                array, is_turned = _picture(file, shape)
                arrays.append(array)
                if is_turned:
                    turned.add(file.relative_to(root).as_posix())
            yield np.stack(arrays)

    return Images((len(files), *shape), blocks, turned)


def _picture(file: Path, shape: tuple[int, ...] | None = None) -> tuple[np.ndarray, bool]:
    """Return one picture, `(C, H, W)`, and whether it was turned upright, as its tag says.

    One of another shape is refused.
    """
    try:
        with Image.open(file) as image:
            check_size(image.width * image.height * len(image.getbands()), 1)
            image.verify()  # all checksums; loading stops at the last pixel
        with Image.open(file) as image:
            turn = image.getexif().get(_ORIENTATION, 1)
            # Pillow turns a TIFF by itself while it loads it, and some of them wrongly.
            if turn not in range(1, 9) or (turn != 1 and image.format == "TIFF"):
                found = f"rotation tag {turn}"
                raise DataError("IMG_ROTATED", found, "save it the right way up", file=str(file))
            image.load()
            mode, frames = image.mode, getattr(image, "n_frames", 1)
            pixels = np.asarray(image if turn == 1 else ImageOps.exif_transpose(image))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise damaged(file, f"not a whole picture: {words_of(error)}") from error
    if frames > 1:
        found = f"{frames} pictures in one file"
        raise DataError("IMG_STACK", found, "store each in a file of its own", file=str(file))
    if mode not in ("L", "RGB"):
        raise DataError(
            "IMG_MODE",
            f"mode {mode} is neither 8-bit grey (L) nor RGB",
            "convert the picture",
            file=str(file),
        )
    array = pixels[None] if mode == "L" else pixels.transpose(2, 0, 1)
    if shape is not None and array.shape != shape:
        code, what = ("IMG_MODE", "modes") if len(array) != shape[0] else ("IMG_SIZE", "sizes")
        raise DataError(
            code,
            f"mixed {what}: {len(array)} x {array.shape[1]} x {array.shape[2]}, the first has "
            f"{shape[0]} x {shape[1]} x {shape[2]}",
            "make all alike",
            file=str(file),
        )
    return array, turn != 1
