"""Class numbers: from what files hold to what the classes are called."""

from collections.abc import Mapping

import numpy as np

from data_prep.core.chunked_stats import value_counts
from data_prep.core.config import Rules
from data_prep.core.errors import DataError, named_errors
from data_prep.core.findings import Findings
from data_prep.core.scan import Scan
from data_prep.files.file_tree import Tree
from data_prep.formats.dicom.labels import read_drawn
from data_prep.formats.dicom.references import source_of
from data_prep.formats.dicom.series import parse
from data_prep.formats.label_tables.beside import beside_label
from data_prep.formats.registry import open_file, read_label
from data_prep.formats.structure_names import plain
from data_prep.layouts import Case
from data_prep.planning.classes import IGNORE, names_of
from data_prep.reading.class_masks import read_class_masks
from data_prep.reading.image import read_case_image
from data_prep.reading.objects import objects_as_classes, read_objects, tells_objects
from data_prep.reading.segments import segments_to_classes
from data_prep.reading.tables import by_table, hold_to_table
from data_prep.reading.whole_numbers import nearest_whole

_VOIDS = (-1, 254, 255, 65535)  # usual numbers of what belongs to no class
_IDS = 5  # unknown values: more are most likely numbers of objects
_LOSSY = 32  # unknown values: more, each in single voxels, come from compression or soft edges


def read_case_label(
    tree: Tree,
    case: Case,
    rules: Rules,
    image: Scan | None = None,
    findings: Findings | None = None,
) -> Scan:
    """Read the label of a case as class numbers, uint8 or uint16, `(1, ...)`.

    Ignored voxels have the number `rules.void`.

    Args:
        tree: where the files are.
        case: the case.
        rules: names the classes.
        image: image of the case, on which DICOM structures are drawn; default: it is read.
        findings: what is noticed is added to it.

    Raises:
        DataError: LBL_... if a value is no class, as `read_label` otherwise; LBL_IGNORED if no
            voxel is left.
    """
    findings = findings or Findings(rules.accept)
    since = len(findings.found)
    try:
        if tells_objects(case, rules):
            scan = read_objects(tree, case, findings, rules)
            scan = scan.holding(objects_as_classes(scan.array, rules))
        elif case.kind == "class masks":
            scan = read_class_masks(tree, case, rules, findings)
        elif case.kind in ("contours", "segments"):
            image = image or read_case_image(tree, case, Findings(rules.accept))
            classes = {plain(name): number for name, number in names_of(rules).items() if number}
            with named_errors():
                files = (open_file(tree, name, Findings(rules.accept)) for name in case.scans[0])
                source = source_of(parse(file, pixels=False) for file in files)
                drawn = ((name, open_file(tree, name, findings)) for name in case.labels)
                scan = read_drawn(case.kind, drawn, image, source, classes, findings)
        else:
            scan = read_label(tree, case.labels[0], findings, rules)
            known = {*map(plain, names_of(rules))}
            for name, table in beside_label(tree, case.labels[0], case.id, known).items():
                hold_to_table(scan.array, table, rules, findings, name)
            scan = scan.holding(as_classes(scan, rules, findings))
        look_at_ignored(scan.array, rules, findings)
    except DataError as error:
        raise error.at(file=case.labels[0]) from error.__cause__
    findings.place(since, file=case.labels[0])
    return scan


def as_classes(scan: Scan, rules: Rules, findings: Findings | None = None) -> np.ndarray:
    """Return class numbers of a label, by the names of its header where it has such.

    Raises:
        DataError: as `to_classes`, `by_table` and `segments_to_classes`.
    """
    findings = findings or Findings(rules.accept)
    scan = by_table(scan, rules, findings) if scan.table and not scan.segments else scan
    if scan.segments:
        return segments_to_classes(scan, rules, findings)
    return to_classes(scan.array, rules.labels, rules.label_map, findings, rules.ignored)


def look_at_ignored(label: np.ndarray, rules: Rules, findings: Findings) -> None:
    """Note how many voxels of class numbers are ignored.

    Raises:
        DataError: LBL_IGNORED if all are.
    """
    count = 0 if rules.void is None else int(np.count_nonzero(label == rules.void))
    if count == label.size:
        found, fix = f"all {count} voxels are ignored", "label some of them, or leave the case out"
        raise DataError("LBL_IGNORED", found, fix)
    if count:
        found = f"{count} of {label.size} voxels ({count / label.size:.1%}) are ignored"
        findings.note("LBL_IGNORED", found)


def to_classes(
    array: np.ndarray,
    labels: Mapping[str, int],
    label_map: Mapping[int, int],
    findings: Findings | None = None,
    ignored: int | None = None,
) -> np.ndarray:
    """Return class numbers of a `(1, ...)` label in the smallest of uint8 and uint16.

    Float values are taken if they are whole up to rounding, see `nearest_whole`.

    Args:
        array: values of a file.
        labels: class names to numbers.
        label_map: values to class numbers, or to `ignored`.
        findings: what is noticed is added to it.
        ignored: number of voxels to ignore, which get that after the last class, see `Rules.void`.

    Raises:
        DataError: LBL_NONFINITE, LBL_INTERPOLATED, LBL_IMAGE, LBL_LOSSY, LBL_UNKNOWN.
    """
    values, counts = value_counts(array[0])
    whole = nearest_whole(values)
    if findings is not None and (values != whole).any():
        furthest = float(np.abs(values - whole).max())
        findings.note("LBL_ROUNDED", f"values up to {furthest:.2g} off whole numbers, rounded")
    if findings is not None:
        findings.held.update(map(int, whole))
    classes = np.array([label_map.get(int(number), int(number)) for number in whole])
    void = max(labels.values()) + 1
    unknown = ~np.isin(classes, list(labels.values())) & (classes != ignored)
    if unknown.any():
        regions = _in_regions(array, values[unknown])
        others = bool(classes[~unknown].any())
        raise _unknown(whole[unknown], counts[unknown], labels, regions=regions, others=others)
    highest = max(labels.values()) if ignored is None else void
    classes[classes == ignored] = void
    out = np.zeros_like(array, np.uint8 if highest < 256 else np.uint16)
    for value, number in zip(values, classes, strict=True):
        if number:
            out[array == value] = number
    return out


def _in_regions(array: np.ndarray, values: np.ndarray) -> bool:
    """Tell whether most voxels of these values have one of the same value beside them."""
    cells, beside = array[..., :-1], array[..., 1:]
    asked = np.isin(cells, values)
    return bool(((cells == beside) & asked).sum() > asked.sum() / 2)


def _unknown(
    values: np.ndarray,
    counts: np.ndarray,
    labels: Mapping[str, int],
    *,
    regions: bool,
    others: bool,
) -> DataError:
    if len(values) > _LOSSY and not regions and values.min() < 0:
        return DataError(
            "LBL_IMAGE",
            f"{len(values)} values from {values.min():g} to {values.max():g}, as of an image",
            "give the label, not the image",
        )
    if len(values) > _LOSSY and not regions:
        return DataError(
            "LBL_LOSSY",
            f"{len(values)} values from {values.min():g} to {values.max():g}, as lossy "
            "compression or smoothed edges leave",
            "export the label without either",
        )
    known = ", ".join(f"{number} {name}" for name, number in labels.items())
    several = ", ".join(
        f"{_written(value)} ({count} times)"
        for value, count in list(zip(values, counts, strict=True))[:5]
    )
    more = f" and {len(values) - 5} more" if len(values) > 5 else ""
    found = f"unknown label value {several}{more}, classes are {known}"
    return DataError("LBL_UNKNOWN", found, _advice(values, labels, others=others))


def _advice(values: np.ndarray, labels: Mapping[str, int], *, others: bool) -> str:
    """Return what to do about unknown values, none of which is taken for a class unasked."""
    first = _written(values[0])
    if len(values) == 1 and values[0] in _VOIDS and others:
        return (
            f"{first} beside classes often marks what is not to count: add `{IGNORE}: {first}` to "
            "dataset.labels, or map it to the class that it means, such as the background, "
            f"dataset.label_map: {{{first}: 0}}"
        )
    if len(values) > _IDS and values.max() <= 0xFFFF:  # more are colours
        return (
            "declare classes in dataset.labels; if each is the number of an object, give "
            "dataset.instances: true to tell objects apart, or save 1 wherever there is one"
        )
    number = max(labels.values()) if len(labels) == 2 and len(values) == 1 and not others else None
    meant = "its class" if number is None else number
    return (
        "declare it in dataset.labels, or map it to the class that it means: dataset.label_map: "
        f"{{{first}: {meant}}}"
    )


def _written(value: float) -> str:
    """Write a value as it stands in `label_map`: what can only be a colour as such."""
    return f"0x{int(value):06x}" if 0xFFFF < value <= 0xFFFFFF else f"{int(value)}"
