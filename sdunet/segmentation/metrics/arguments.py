"""What masks and labels must be before they are scored; a `ValueError` names what is not."""

import numpy as np


def labels_of(name: str, array: np.ndarray) -> np.ndarray:
    """Return whole numbers: truth values are 0 and 1, reals are taken if all are whole.

    Args:
        name: of the argument.
        array: any shape.

    Raises:
        ValueError: for NaN, infinity, fractions and what are no real numbers; for a masked array
            whose mask leaves elements out, as no score would; for a single value, no array.
    """
    if np.ndim(array) == 0:
        raise ValueError(f"{name} must be an array of voxels, got {array!r:.80}")
    if np.ma.is_masked(array):
        count = np.ma.count_masked(array)
        raise ValueError(f"{name} must hold whole numbers, got {count} masked: fill or cut them")
    array = np.asarray(array)
    if array.dtype == bool:
        return array.astype(np.uint8)
    if array.dtype.kind in "ui":
        return array
    if array.dtype.kind != "f":
        raise ValueError(f"{name} must hold whole numbers, got an array of {array.dtype}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must hold whole numbers, got NaN or infinity")
    fractions = array[array != np.rint(array)]
    if fractions.size:
        raise ValueError(
            f"{name} must hold whole numbers, got {fractions[0]:.4g}: of probabilities take those "
            "above a threshold, or the largest"
        )
    return array.astype(np.int64)


def masks_of(prediction: np.ndarray, reference: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return two masks of one shape as truth values; what is not 0 is inside.

    Raises:
        ValueError: if shapes differ; as `labels_of`.
    """
    masks = labels_of("prediction", prediction) != 0, labels_of("reference", reference) != 0
    check_shapes(*masks)
    return masks


def numbers_of(numbered: np.ndarray, label: np.ndarray, name: str = "numbered") -> np.ndarray:
    """Return the numbers of the objects of a label.

    Args:
        numbered: number of the object at each voxel.
        label: of a reference or prediction; what is not 0 is of an object.
        name: of the argument.

    Raises:
        ValueError: if shapes differ, a number is below 0, or a voxel of the label has none; as
            `labels_of`.
    """
    whose = {"numbered": "reference", "predicted": "prediction"}[name]
    numbered = labels_of(name, numbered)
    if numbered.shape != label.shape:
        found = f"{label.shape}, got {numbered.shape}"
        raise ValueError(f"{name} must have the {whose}'s shape {found}")
    if numbered.size and numbered.min() < 0:
        raise ValueError(f"{name} must be from 0 on, got {numbered.min()}")
    if without := int(np.count_nonzero((label != 0) & (numbered == 0))):
        found = f"got 0 at {without} voxels"
        raise ValueError(f"{name} must tell the object of each voxel of the {whose}, {found}")
    return numbered


def check_classes(name: str, array: np.ndarray, num_classes: int) -> None:
    """Refuse numbers of no class, which would count as background, or as another.

    Raises:
        ValueError: for one below 0, or from `num_classes` on.
    """
    if array.size and not 0 <= array.min() <= array.max() < num_classes:
        found = array.min() if array.min() < 0 else array.max()
        raise ValueError(f"{name} must hold classes below {num_classes}, got {found}")


def check_shapes(prediction: np.ndarray, reference: np.ndarray) -> None:
    """Refuse arrays of different shapes, which NumPy would stretch over one another.

    Raises:
        ValueError: if they differ.
    """
    if prediction.shape != reference.shape:
        raise ValueError(
            f"prediction must have the reference's shape {reference.shape}, got {prediction.shape}"
        )


def without(ignored: np.ndarray, *labels: np.ndarray) -> list[np.ndarray]:
    """Return class numbers with the background wherever they are ignored.

    Raises:
        ValueError: if the mask of what is ignored is none of truth values, or of another shape.
    """
    ignored = np.asarray(ignored)
    for label in labels:
        if ignored.dtype != bool or ignored.shape != label.shape:
            found = f"got {ignored.dtype} of {ignored.shape}"
            raise ValueError(f"ignored must be truth values of the shape {label.shape}, {found}")
    return [np.where(ignored, label.dtype.type(0), label) for label in labels]


def lengths_of(spacing: tuple[float, ...], axes: int) -> np.ndarray:
    """Return the spacing along each axis.

    Raises:
        ValueError: if there is not one length above 0 for each axis.
    """
    given = np.asarray(spacing)
    if given.shape != (axes,) or given.dtype.kind not in "uif":
        raise ValueError(f"spacing must be {axes} lengths above 0, got {spacing}")
    lengths = given.astype(float)
    if not (np.isfinite(lengths) & (lengths > 0)).all():
        raise ValueError(f"spacing must be {axes} lengths above 0, got {spacing}")
    return lengths


def count_of(name: str, value: int) -> int:
    """Return a whole number from 1, which a truth value is not.

    Raises:
        ValueError: for anything else.
    """
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{name} must be a whole number, at least 1, got {value!r:.80}")
    return int(value)
