"""Readers of raw image sets for density estimation: every format as uint8 blocks `(n, C, H, W)`."""

import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from operator import mul
from pathlib import Path

import numpy as np

from data_prep.core.errors import DataError, named_errors, words_of
from data_prep.core.findings import Finding
from data_prep.core.memory_limits import check_bytes, memory_of_one, memory_within
from data_prep.files.archives import check_zip, read_member
from data_prep.formats.numpy_files import array_of
from sdunet.vae.data.named_files import (
    check_labels,
    names_in,
    needed,
    numbered,
    other_than_published,
    rest_of,
)
from sdunet.vae.data.picture_folder import files_of, left_out, picture_images, read_folder
from sdunet.vae.data.raw import (
    BLOCK,
    COPY_AGAIN,
    Images,
    RawImages,
    check_link,
    damaged,
    in_memory,
)
from sdunet.vae.data.records import read_cifar10, read_idx

_FEWER = "store fewer images, or give more memory by --max-ram"
_SPLITS = ("train", "test", "validation")


def read_source(
    path: str | Path, kind: str = "auto", name: str | None = None, max_ram: float | None = None
) -> RawImages:
    """Read a raw image set.

    Args:
        path: file or folder.
        kind: one of `SOURCES`, or `auto` to tell it from what is there.
        name: of the set; default: the kind, or the folder's name.
        max_ram: gigabytes of memory that files held whole may take. Default: what there is.

    Raises:
        DataError: SOURCE_MISSING, SOURCE_KIND, SOURCE_EMPTY, SOURCE_TWICE, SOURCE_COUNT,
            FILE_DAMAGED, LAY_FOLD, IMG_SIZE, IMG_MODE, IMG_ROTATED, IMG_STACK, IMG_LEVELS,
            IO_LINK, IO_MEMORY, IO_TOO_LARGE.
    """
    path = Path(path)
    if kind not in ("digits", "factors") and not path.exists():
        raise DataError("SOURCE_MISSING", f"there is no {path}", "give an existing file or folder")
    kind = _tell_kind(path) if kind == "auto" else kind
    with memory_within(memory_of_one(max_ram)):
        raw = SOURCES[kind](path)
    for split, images in raw.splits.items():
        if not images.shape[0]:
            raise DataError("SOURCE_EMPTY", f"0 {split} images in {path}", "fetch the set again")
    findings = raw.findings + other_than_published(raw.name, raw.splits)
    anonymous = kind in ("folder", "npz", "idx")
    named = name or (path.stem if anonymous else raw.name)
    return replace(raw, name=named, findings=findings)


def _tell_kind(path: Path) -> str:
    if path.is_file():
        if path.name.startswith("cifar-10-binary.tar"):
            return "cifar10"
        known = {".npz": "npz", ".h5": "shapes3d", ".hdf5": "shapes3d"}
        if path.suffix in known:
            return known[path.suffix]
    elif list(path.glob("*images-idx3-ubyte*")):
        return "idx"
    elif (path / "data_batch_1.bin").is_file():
        return "cifar10"
    elif (path / "train_32x32").is_dir() or list(path.glob("train_data_batch_*.npz")):
        return "imagenet32"
    elif files_of(path)[0]:
        return "folder"
    there = [] if path.is_file() else sorted(p.name for p in path.iterdir())[:5]
    raise DataError(
        "SOURCE_KIND",
        f"cannot tell what {path} is" + (f", it holds {', '.join(there)}" if there else ""),
        f"name its kind by --kind: {', '.join(SOURCES)}",
    )


def _read_imagenet32(root: Path) -> RawImages:
    """Read the older set, folders of PNG, or the newer one, npz batches."""
    names = names_in(root)
    if "train_32x32/" in names:
        return _read_imagenet32_pictures(root, names)
    train = numbered("train_data_batch_{}.npz", names, root)
    if not train:
        raise DataError(
            "SOURCE_EMPTY",
            f"{root} has neither train_32x32/ nor train_data_batch_1.npz",
            "give the folder that has one of them",
        )
    files = {"train": train, "test": [needed("val_data.npz", names, root)]}
    findings = rest_of(names, [*train, *files["test"]], root, own="data_batch|val_data")
    splits: dict[str, Images] = {}
    for split, batches in files.items():
        splits[split], others = _npz_batches([check_link(root / name, root) for name in batches])
        findings += others
    return RawImages("imagenet32_npz", 256, splits, findings=findings)


def _read_imagenet32_pictures(root: Path, names: list[str]) -> RawImages:
    folders = {"train": "train_32x32/", "test": needed("valid_32x32/", names, root)}
    findings = rest_of(names, [*folders.values()], root, own="_32x32")
    splits: dict[str, Images] = {}
    for split, name in folders.items():
        folder = check_link(root / name, root)
        pictures, others, hidden = files_of(folder, root)
        splits[split] = picture_images([folder / picture for picture in pictures], folder)
        findings += (*left_out(others, f"are no pictures in {name}"), *hidden)
    return RawImages("imagenet32", 256, splits, findings=findings)


def _npz_batches(files: Sequence[Path]) -> tuple[Images, tuple[Finding, ...]]:
    """Return the images of all batches, and a warning of other arrays in them."""

    def batch(file: Path) -> tuple[np.ndarray, list[str]]:
        arrays, others = _load_npz(file, ("data", "labels"))
        if "data" not in arrays:
            raise DataError("SOURCE_EMPTY", "holds no data", "name an array so", file=str(file))
        data = arrays["data"]
        if data.ndim != 2 or data.shape[1] != 3 * 32 * 32:
            raise DataError(
                "IMG_SIZE", f"data is {data.shape}, not (N, 3072)", COPY_AGAIN, file=str(file)
            )
        if "labels" in arrays:
            check_labels(arrays["labels"].size, len(data), file)
        return data.reshape(-1, 3, 32, 32), others

    def blocks() -> Iterator[np.ndarray]:
        for file in files:
            yield from in_memory(batch(file)[0]).blocks()

    count, left = 0, set[str]()
    for file in files:
        images, others = batch(file)
        count += len(images)
        left.update(others)
    findings = left_out(sorted(left - {"mean"}), "are not called data, labels or mean")
    return Images((count, 3, 32, 32), blocks), findings


def _read_npz(file: Path) -> RawImages:
    """Read arrays `train` (or `images`), `test` and `validation`; and `levels`, if given."""
    arrays, others = _load_npz(file, ("train", "images", "test", "validation", "levels"))
    levels = arrays.pop("levels", np.array(256))
    if levels.ndim or levels.item() not in range(2, 257):
        found = f"levels is {levels!s:.80}"
        raise DataError("IMG_LEVELS", found, "give one whole number, 2 to 256", file=str(file))
    if "train" in arrays and "images" in arrays:
        found = "has both train and images, one of which would be lost"
        raise DataError("SOURCE_TWICE", found, "keep the one that is meant", file=str(file))
    if "images" in arrays:
        arrays["train"] = arrays.pop("images")
    if "train" not in arrays:
        raise DataError(
            "SOURCE_EMPTY", "has neither train nor images", "name an array so", file=str(file)
        )
    splits = _channels_first({name: arrays[name] for name in _SPLITS if name in arrays}, file)
    if len({part.shape[1:] for part in splits.values()}) > 1:
        raise DataError("IMG_SIZE", "the splits differ in shape", "make them alike")
    images = {split: in_memory(part) for split, part in splits.items()}
    findings = left_out(others, "are not called train, images, test, validation or levels")
    return RawImages("npz", int(levels), images, findings=findings)


def _load_npz(file: Path, names: Sequence[str]) -> tuple[dict[str, np.ndarray], list[str]]:
    """Return those arrays of the file that it has, and the names of all others."""
    with (
        named_errors(str(file), COPY_AGAIN, "FILE_DAMAGED"),
        file.open("rb") as stream,
        zipfile.ZipFile(stream) as packed,
    ):
        check_zip(packed, stream)
        members: dict[str, zipfile.ZipInfo] = {}
        for member in packed.infolist():
            name = member.filename.removesuffix(".npy")  # as NumPy names arrays
            if name in members:
                raise DataError("SOURCE_TWICE", f"has {name!r:.80} twice", "keep one of them")
            members[name] = member
        found = [name for name in names if name in members]
        if not found:
            held = ", ".join(members) or "nothing"
            raise DataError(
                "SOURCE_EMPTY", f"holds {held:.200}, none of {', '.join(names)}", "name arrays so"
            )
        check_bytes(sum(members[name].file_size for name in found), fix=_FEWER)
        arrays = {name: array_of(read_member(packed, members[name]), mul) for name in found}
    return arrays, sorted({*members} - {*names})


def _channels_first(images: dict[str, np.ndarray], file: Path) -> dict[str, np.ndarray]:
    """Return arrays of one layout as `(N, C, H, W)`."""
    for array in images.values():
        if array.dtype != np.uint8:
            found = f"values are {array.dtype}"
            raise DataError("IMG_MODE", found, "store whole levels as uint8", file=str(file))
    if all(array.ndim == 3 for array in images.values()):
        return {split: array[:, None] for split, array in images.items()}
    fitting = [
        axis
        for axis in (1, 3)
        if all(array.ndim == 4 and array.shape[axis] in (1, 3) for array in images.values())
    ]
    if len(fitting) == 1:
        return {split: np.moveaxis(array, fitting[0], 1) for split, array in images.items()}
    fix = "store all as (N, H, W), (N, C, H, W) or (N, H, W, C) with C 1 or 3"
    if fitting:  # images of 1 or 3 pixels in height or width
        fix = "axis 1 and axis 3 may be channels; store grey images as (N, H, W), others larger"
    raise DataError(
        "IMG_SIZE",
        "the arrays are " + ", ".join(f"{split} {array.shape}" for split, array in images.items()),
        fix,
        file=str(file),
    )


def _read_shapes3d(file: Path) -> RawImages:
    """Read 3D Shapes: all combinations of six factors, one split."""
    try:
        import h5py
    except ImportError as error:
        raise DataError(
            "EXTRA_MISSING", "3D Shapes needs h5py", "pip install 'sdunet[shapes3d]'"
        ) from error
    try:
        with h5py.File(file) as archive:
            shape = archive["images"].shape
            labels = archive["labels"][:]
            others = sorted({*archive} - {"images", "labels"})
    except (OSError, KeyError) as error:
        raise damaged(file, f"not the 3D Shapes file: {words_of(error)}") from error
    if len(shape) != 4 or shape[3] != 3 or labels.ndim != 2:
        raise damaged(file, f"images are {shape}, labels {labels.shape}")
    check_labels(len(labels), shape[0], file)

    def blocks() -> Iterator[np.ndarray]:
        with h5py.File(file) as archive:
            for start in range(0, shape[0], BLOCK):
                yield archive["images"][start : start + BLOCK].transpose(0, 3, 1, 2)

    factors = np.stack([np.unique(column, return_inverse=True)[1] for column in labels.T], 1)
    images = Images((shape[0], 3, shape[1], shape[2]), blocks)
    findings = left_out(others, "are not called images or labels")
    return RawImages("shapes3d", 256, {"train": images}, {"train": factors}, findings)


def _read_digits(path: Path) -> RawImages:
    """Read scikit-learn's 1797 digits of 8x8 pixels and 17 levels; every fifth is for testing."""
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise DataError(
            "EXTRA_MISSING", "the digits need scikit-learn", "pip install 'sdunet[digits]'"
        ) from error
    images = load_digits().images.astype(np.uint8)[:, None]
    test = np.arange(len(images)) % 5 == 4
    return RawImages(
        "digits", 17, {"train": in_memory(images[~test]), "test": in_memory(images[test])}
    )


def _read_factors(path: Path) -> RawImages:
    """Render the small set of known factors."""
    from sdunet.vae.data.factors import render_factors

    images, factors, _ = render_factors()
    return RawImages("factors", 256, {"train": in_memory(images)}, {"train": factors})


SOURCES: dict[str, Callable[[Path], RawImages]] = {
    "idx": read_idx,
    "cifar10": read_cifar10,
    "imagenet32": _read_imagenet32,
    "shapes3d": _read_shapes3d,
    "folder": read_folder,
    "npz": _read_npz,
    "digits": _read_digits,
    "factors": _read_factors,
}
