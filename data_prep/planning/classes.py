"""The classes of a dataset, and the number of what belongs to none and is ignored."""

from collections import Counter
from collections.abc import Mapping, Sequence

from data_prep.core.config import DataConfig, Plan, Rules
from data_prep.core.errors import DataError
from data_prep.preprocessing.instances import object_classes

# What labels call the value of voxels that take no part in losses and scores, as in nnU-Net.
IGNORE = "ignore"


def classes_of(
    config: DataConfig, declared: Mapping[str, int] | None, ignored: int | None = None
) -> dict[str, int]:
    """Return class names to numbers: the user's, else the dataset's, else two.

    Args:
        config: the user's decisions.
        declared: classes of the dataset.
        ignored: number that the dataset declares to be ignored, to which others may be mapped.

    Raises:
        DataError: LBL_CLASSES if they are not numbered 0, 1, ... with background at 0, if what
            is ignored is one of them, or structures that are called as a class are of another one.
    """
    labels = config.labels or declared or {"background": 0, "foreground": 1}
    if wrong := [number for number in labels.values() if type(number) is not int]:
        found = f"the class number {wrong[0]!r:.80} is no int"
        raise DataError("LBL_CLASSES", found, "number the classes 0, 1, ...")
    for names in (labels, config.structures):
        if others := [name for name in names if not isinstance(name, str)]:
            raise DataError("LBL_CLASSES", f"the name {others[0]!r} is no text", "put it in quotes")
        if empty := [name for name in names if not name.strip()]:
            raise DataError("LBL_CLASSES", f"the name {empty[0]!r} is empty", "name each of them")
        lower = Counter(name.strip().lower() for name in names)  # as names of structures are read
        if (several := lower.most_common(1)) and several[0][1] > 1:
            raise DataError(
                "LBL_CLASSES", f"{several[0][0]!r} is named twice", "name each of them once"
            )
    numbers = Counter(labels.values())
    if twice := [number for number, times in numbers.items() if times > 1]:
        named = ", ".join(name for name, number in labels.items() if number == twice[0])
        raise DataError("LBL_CLASSES", f"class {twice[0]} has several names: {named}", "keep one")
    ignored = ignored_of(config, ignored)
    labels = without_ignored(labels)
    numbers = Counter(labels.values())
    if sorted(numbers) != list(range(len(labels))) or len(labels) < 2:
        beside = "" if ignored is None else f" beside {ignored}, which is ignored"
        fix = f"number them 0, 1, ... with the background at 0; `{IGNORE}` may have any number"
        raise DataError("LBL_CLASSES", f"classes {labels}{beside}", fix)
    number = labels.get("background", 0)
    if number:
        found = f"background is class {number}, and class 0 another one"
        raise DataError("LBL_CLASSES", found, "number the background 0")
    _check_structures(config.structures, labels)
    mapped = {*config.label_map.values(), *config.structures.values()}
    wrong = mapped - {*labels.values(), ignored}
    if wrong:
        raise DataError(
            "LBL_CLASSES",
            f"dataset.label_map or dataset.structures lead to {sorted(wrong)}",
            "map to declared classes only",
        )
    return labels


def _check_structures(structures: Mapping[str, int], labels: Mapping[str, int]) -> None:
    """Refuse structures that are called as one class and are to be another.

    Raises:
        DataError: LBL_CLASSES.
    """
    called = {name.strip().lower(): number for name, number in labels.items()}
    for name, number in structures.items():
        own = called.get(name.strip().lower(), number)
        if own != number:
            found = f"dataset.structures leads {name!r} to class {number}, and it is class {own}"
            raise DataError("LBL_CLASSES", found, "number it alike, or call the class otherwise")


def ignored_of(config: DataConfig, declared: int | None) -> int | None:
    """Return the number of voxels that are ignored: the user's, else the dataset's; or `None`.

    A number that the dataset ignores is none where the user calls it a class.
    """
    labels = config.labels or {}
    asked = next((number for name, number in labels.items() if is_ignore(name)), None)
    return declared if asked is None and declared not in labels.values() else asked


def learned_classes(
    config: DataConfig, labels: Mapping[str, int]
) -> tuple[dict[str, int], str | None]:
    """Return the classes that a network learns, and what objects are called if it is to tell some.

    Args:
        config: `instances` asks for objects.
        labels: the classes of labels, see `classes_of`.

    Raises:
        DataError: SET_CONFLICT if objects are asked for, and settings are for class numbers.
    """
    if not config.instances:
        return dict(labels), None
    background, name, *others = sorted(labels, key=labels.__getitem__)
    maps = [n for n in ("label_map", "structures") if getattr(config, n)]
    if others or maps:
        told = f"classes {', '.join([name, *others])}" if others else f"dataset.{maps[0]}"
        raise DataError(
            "SET_CONFLICT",
            f"dataset.instances takes values for numbers of objects, {told} for those of classes",
            "name one class at most in dataset.labels and map none, or leave instances out",
        )
    return object_classes(background), name


def voxels_of(voxels: Sequence[int], number: int, rules: Rules | Plan) -> int:
    """Return how many voxels a class has that settings name: objects inside and boundary together.

    Args:
        voxels: of each class that is learned.
        number: of the class, see `stated`.
        rules: say whether objects are told apart.
    """
    return sum(voxels[number:]) if rules.instances and number else voxels[number]


def names_of(rules: Rules) -> dict[str, int]:
    """Return names of structures, segments and masks to their numbers in arrays, `void` too."""
    if rules.void is None:
        return dict(rules.structures or rules.labels)
    names = rules.structures or rules.labels | {IGNORE: rules.void}
    return {name: rules.void if n == rules.ignored else n for name, n in names.items()}


def without_ignored(labels: Mapping[str, int]) -> dict[str, int]:
    """Return the classes alone."""
    return {name: number for name, number in labels.items() if not is_ignore(name)}


def with_ignored(labels: Mapping[str, int], ignored: int | None) -> dict[str, int]:
    """Return classes as settings name them, together with what is ignored, if anything is."""
    return {**labels} if ignored is None else {**labels, IGNORE: ignored}


def as_asked(
    asked: Mapping[str, int] | None, labels: Mapping[str, int], ignored: int | None
) -> dict[str, int]:
    """Return the classes of a plan, for settings to be held to.

    What the plan ignores is among them where settings name it, too; they may leave it to the plan.
    """
    named = next((name for name in asked or {} if is_ignore(name)), None)
    return {**labels} if named is None or ignored is None else {**labels, named: ignored}


def is_ignore(name: object) -> bool:
    """Tell whether a label is called as what is ignored, whatever its capitals."""
    return isinstance(name, str) and name.strip().lower() == IGNORE
