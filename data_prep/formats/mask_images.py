"""Masks that are 2D images: numbers, indices of a palette, or colours; decided once for a set.

A mask of black and white alone may hold colours like its siblings or grey values, and an index
means what the palette of its file says. Neither can be told from one file: `decide` looks at all
masks of a set, and each is held to what was decided.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from data_prep.core.config import MaskForm, Rules
from data_prep.core.errors import DataError, named_errors
from data_prep.core.findings import Acceptance, Findings
from data_prep.core.scan import Scan
from data_prep.files.decompress import Beside, alone
from data_prep.files.file_tree import Tree
from data_prep.formats.images_2d import SUFFIXES, mask_samples, to_scan
from data_prep.formats.tiff.decode import Samples

_AGAIN = "save all masks of the set in one way, best as class numbers of 8 bits"


@dataclass(frozen=True)
class MaskLook:
    """What one mask shows of how its set is stored.

    Attributes:
        kind: `either` for what is the same in both: equal samples, or nothing but 0.
        rgb: whether it stores red, green and blue.
        palette: `0xRRGGBB` of each index that is used; empty without a palette.
        plain: numbers up to 255 that it holds without a palette.
    """

    kind: Literal["colours", "numbers", "either"]
    rgb: bool
    palette: Mapping[int, int]
    plain: frozenset[int] = frozenset()


def drawn_masks(names: Iterable[str]) -> list[str]:
    """Return the names of files that are 2D images."""
    return [name for name in names if name.lower().endswith(SUFFIXES)]


def look_at_masks(tree: Tree, names: Iterable[str]) -> list[MaskLook]:
    """Look at the masks that are 2D images; what cannot be read is told where it is used."""
    found = []
    for name in drawn_masks(names):
        try:
            with named_errors(name):
                found.append(_look(mask_samples(tree.read(name), Findings(get_args(Acceptance)))))
        except DataError:
            continue
    return found


def decide(looks: Iterable[MaskLook], before: MaskForm | None = None) -> MaskForm:
    """Decide how the masks of a set are stored: as most of them say.

    Args:
        looks: of each mask.
        before: decided of the set they are to be read like, if there is one.
    """
    looks = list(looks)
    kinds = Counter(look.kind for look in looks)
    colours: bool | None = kinds["colours"] > kinds["numbers"]
    if kinds["colours"] == kinds["numbers"] > 0:
        colours = None
    elif before is not None and before.colours and not kinds["numbers"]:
        colours = any(look.rgb for look in looks)
    seen: dict[int, Counter[int]] = defaultdict(Counter)
    for look in looks:
        for index, colour in look.palette.items():
            seen[index][colour] += 1
    palette = {index: _most(found) for index, found in sorted(seen.items())}
    plain = frozenset().union(*(look.plain for look in looks), before.plain if before else ())
    return MaskForm(colours, palette | (before.palette if before else {}), tuple(sorted(plain)))


def read_picture_label(
    data: bytes,
    findings: Findings | None = None,
    rules: Rules | None = None,
    beside: Beside = alone,
) -> Scan:
    """Decode a mask to `(1, H, W)` of class numbers; palette images give their indices.

    Colours give `0xRRGGBB`, for `dataset.label_map` to say which class they are.

    Args:
        data: the file.
        findings: what is noticed is added to it.
        rules: hold the form of the set. Default: the mask is read by itself.
        beside: as `read_picture`.

    Raises:
        DataError: LBL_LOSSY for JPEG; LBL_MIXED if it is not stored like the others of its set, or
            `label_map` takes what it shows for another class than what it stores; else as
            `read_picture`.
    """
    findings = findings or Findings()
    samples = mask_samples(data, findings, beside)
    array, look = samples.array, _look(samples)
    form = rules.form if rules else None
    if form:
        _hold(look, _palette_of(samples), form)
    if rules:
        _hold_shown(samples, rules.label_map)
        _hold_greys(look, rules.label_map, form.plain if form else ())
    if look.palette:
        alike = [c for c, times in Counter(look.palette.values()).items() if times > 1]
        shown = "".join(f"; {_indices(look.palette, c)} are all #{c:06x}" for c in alike)
        findings.note("LBL_PALETTE", f"indices of the palette are the classes{shown}")
    if look.kind == "colours" or (look.rgb and form and form.colours):
        if array.dtype != np.uint8 or array.shape[-1] != 3:
            raise DataError("LBL_COLORS", f"colours of type {array.dtype}", "save class numbers")
        array = (array.astype(np.uint32) << np.array([16, 8, 0], np.uint32)).sum(-1, np.uint32)
        array = array[..., None]
    elif look.rgb:
        findings.note("LBL_GREY", "equal red, green and blue, taken once")
    return to_scan(array[..., :1], findings, samples.told, samples.turned)


def _look(samples: Samples) -> MaskLook:
    array = samples.array
    if array.shape[-1] > 1:
        coloured = (array != array[..., :1]).any()
        return MaskLook("colours" if coloured else "either", True, {})
    used = np.unique(array)
    shown = _palette_of(samples)
    palette = {int(n): shown[int(n)] for n in used if int(n) in shown}
    plain = frozenset() if shown else frozenset(int(n) for n in used[used <= 255] if n == int(n))
    return MaskLook("numbers" if used.any() else "either", False, palette, plain)


def _palette_of(samples: Samples) -> dict[int, int]:
    """Return `0xRRGGBB` of each index, of a palette or as ImageJ shows it."""
    palette = samples.shown if samples.palette is None else samples.palette
    if palette is None:
        return {}
    bytes_ = palette.astype(np.int64)
    if palette.dtype != np.uint8:
        bytes_ = bytes_ >> 8  # TIFF holds 16 bits a colour
    return {i: int(r << 16 | g << 8 | b) for i, (r, g, b) in enumerate(bytes_)}


def _indices(palette: Mapping[int, int], colour: int) -> str:
    return ", ".join(str(index) for index, shown in palette.items() if shown == colour)


def _most(found: Counter[int]) -> int | None:
    """Return what is there most often; `None` if two are alike."""
    (first, times), *others = found.most_common(2)
    return None if others and others[0][1] == times else first


def _hold(look: MaskLook, palette: Mapping[int, int], form: MaskForm) -> None:
    """Refuse a mask that is stored otherwise than its set."""
    if look.kind != "either" and form.colours is not (look.kind == "colours"):
        others = {True: "most hold colours", False: "most hold numbers", None: "half hold others"}
        raise DataError(
            "LBL_MIXED", f"a mask of {look.kind}; of its set {others[form.colours]}", _AGAIN
        )
    for index, colour in look.palette.items():
        wanted = form.palette.get(index, colour)
        if wanted != colour:
            other = "in no two the same" if wanted is None else f"in most #{wanted:06x}"
            raise DataError(
                "LBL_MIXED", f"index {index} is #{colour:06x}, of its set {other}", _AGAIN
            )
        place = next((i for i, c in form.palette.items() if c == colour and i != index), None)
        if place is not None and index not in form.palette and palette.get(place) != colour:
            found = f"#{colour:06x} has index {index}, in other masks of its set {place}"
            raise DataError("LBL_MIXED", found, _AGAIN)


def check_shown_alike(*sets: tuple[str, MaskForm, Mapping[int, int]]) -> None:
    """Refuse two sets of masks whose palettes show different classes in one colour.

    Args:
        sets: of each its name, how it is stored, and its `label_map`.

    Raises:
        DataError: LBL_MIXED, with the first such colour.
    """
    shown: list[dict[int, set[int]]] = []
    for _, form, label_map in sets:
        classes: dict[int, set[int]] = defaultdict(set)
        for index, colour in form.palette.items():
            if colour is not None:
                classes[colour].add(label_map.get(index, index))
        shown.append(classes)
    first, second = shown
    for colour in sorted(first.keys() & second.keys()):
        if first[colour].isdisjoint(second[colour]):
            told = [
                f"{min(classes[colour])} in the {name}"
                for (name, *_), classes in zip(sets, shown, strict=True)
            ]
            found = f"palettes show #{colour:06x}, which is class {' and '.join(told)}"
            raise DataError("LBL_MIXED", found, _AGAIN)


def _hold_greys(look: MaskLook, label_map: Mapping[int, int], plain: Collection[int]) -> None:
    """Refuse a palette of greys that are other classes in masks of the set without a palette."""
    for index, colour in look.palette.items():
        grey = colour & 0xFF
        other = label_map.get(grey, grey) != label_map.get(index, index)
        if colour == grey * 0x010101 and grey in plain and other:
            found = f"index {index} of its palette is shown as grey {grey}, which is a number of "
            raise DataError("LBL_MIXED", f"{found}masks of its set without a palette", _AGAIN)


def _hold_shown(samples: Samples, label_map: Mapping[int, int]) -> None:
    """Refuse a mask whose colours are mapped to other classes than the numbers it stores."""
    shown = _palette_of(samples)
    if samples.levels is not None:
        shown = {n: n * 255 // samples.levels * 0x010101 for n in range(samples.levels + 1)}
    for number in np.unique(samples.array[..., 0]).tolist() if label_map and shown else ():
        colour = shown.get(number, number)
        grey = colour == (colour & 0xFF) * 0x010101
        for key in (colour, colour & 0xFF) if grey else (colour,):
            stored = label_map.get(number, number)
            if label_map.get(key, stored) != stored:
                raise DataError(
                    "LBL_MIXED",
                    f"stored is {number}, shown as #{colour:06x}, which label_map takes for "
                    f"class {label_map[key]} and not {stored}",
                    _AGAIN,
                )
