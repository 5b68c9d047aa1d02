"""What a `dataset.json` declares: classes, or regions in their place, channels, what is ignored."""

from collections.abc import Mapping
from typing import Any

from data_prep.core.parse import once, whole
from data_prep.formats.structure_names import plain
from data_prep.layouts.cases import Regions
from data_prep.layouts.words import bare_name
from data_prep.planning.classes import is_ignore, without_ignored

_BACKGROUND = (0,)
# Other keys by which people say what `labels` and `channel_names` say, see `bare_name`.
_CLASSES = (
    *("classes", "classnames", "classlabels", "labelnames", "labelmap", "names"),
    "segmentationlabels",
)
_CHANNELS = ("channels", "modalities", "sequences", "channelorder", "inputchannels")
_IGNORED = ("ignore", "ignorelabel", "ignoreindex", "ignorevalue", "voidlabel", "voidvalue", "void")
_MAPS = ("labelmap", "labelmapping", "classmap", "classmapping", "mapping", "remap", "lut")
_COUNTS_OF_CLASSES = ("numclasses", "nclasses", "numlabels", "nlabels", "numberofclasses")
_COUNTS_OF_CHANNELS = (
    *("numchannels", "nchannels", "inchannels", "nummodalities", "nmodalities"),
    *("numinputchannels", "numberofchannels"),
)


def declared(described: dict) -> tuple[dict[str, int] | None, tuple[str, ...] | None]:
    """Return classes and channels, written either way round: by number or by name.

    Raises:
        ValueError: if they contradict themselves, or other keys that say the same.
    """
    labels, channels = _labels_declared(described), _channels_declared(described)
    _check_said_again(described, labels, channels)
    return labels, channels


def _labels_declared(described: dict) -> dict[str, int] | None:
    labels = described.get("labels")
    if labels is not None:
        by_number = all(key.isdecimal() for key in labels)
        if not by_number and are_regions(labels):
            return None  # see `regions_of`
        pairs = [(n, k) if by_number else (k, _alone(n)) for k, n in labels.items()]
        labels = once([(str(name), whole(number)) for name, number in pairs])
        once([(number, name) for name, number in labels.items()])  # also that of `ignore`
        labels = without_ignored(labels)
    return labels


def _alone(values: object) -> object:
    return values[0] if isinstance(values, list) else values


def _channels_declared(described: dict) -> tuple[str, ...] | None:
    both = [described[key] for key in ("channel_names", "modality") if key in described]
    if not both:
        return None
    if both[0] != both[-1]:
        raise ValueError(f"channel_names {both[0]} and modality {both[1]} differ")
    channels = once([(whole(number), str(name)) for number, name in both[0].items()])
    if sorted(channels) != list(range(len(channels))):
        raise ValueError(f"channels must be numbered 0, 1, ..., got {sorted(channels)}")
    return tuple(channels[number] for number in range(len(channels)))


def _check_said_again(
    described: Mapping[str, Any],
    labels: Mapping[str, int] | None,
    channels: tuple[str, ...] | None,
) -> None:
    """Refuse keys such as `classes` and `num_channels` that contradict those that are read.

    Counts of classes may be with or without the background, and with what is ignored.
    """
    void = any(map(is_ignore, described.get("labels") or ()))
    classes = {number: plain(name) for name, number in (labels or {}).items()}
    numbered = {number: plain(name) for number, name in enumerate(channels or ())}
    for key, value in described.items():
        for what, known, names, counts in (
            ("labels", classes, _CLASSES, _COUNTS_OF_CLASSES),
            ("channels", numbered, _CHANNELS, _COUNTS_OF_CHANNELS),
        ):
            bare = bare_name(key)
            of_classes = (len(known) - 1, len(known) + void) if what == "labels" else ()
            counted = (len(known), *of_classes)
            named = bare not in names or _agree(value, known)
            if known and not (named and (bare not in counts or value in counted)):
                raise ValueError(f"{key} {value!r:.60} and {what} {known} differ")


def maps_in_vain(described: Mapping[str, Any]) -> list[str]:
    """Return keys that seem to say which value is ignored, or which number becomes which.

    Of these nothing is read but the label `ignore`; where they say the same, they are no matter.
    """
    labels = described.get("labels")
    void = [n for name, n in labels.items() if is_ignore(name)] if isinstance(labels, dict) else []
    found = []
    for key, value in described.items():
        bare = bare_name(key)
        ignored = bare in _IGNORED and type(value) is int and value >= 0 and value not in void
        mapped = bare in _MAPS and isinstance(value, dict)
        if ignored or (mapped and any(str(other) != n for n, other in _numbers(value))):
            found.append(key)
    return found


def _numbers(told: Mapping[str, Any]) -> list[tuple[str, int]]:
    return [(n, other) for n, other in told.items() if n.isdecimal() and type(other) is int]


def names_in_vain(described: Mapping[str, Any]) -> list[str]:
    """Return keys that seem to name classes or channels where no key that is read does."""
    kinds = (("labels",), _CLASSES), (("channel_names", "modality"), _CHANNELS)
    return [
        key
        for read, names in kinds
        if not any(described.get(name) for name in read)
        for key, value in described.items()
        if bare_name(key) in names and isinstance(value, list | dict) and value
    ]


def _agree(told: object, known: Mapping[int, str]) -> bool:
    """Tell whether names are some of those that are known, and of their numbers, or in their order.

    Args:
        told: a list of names, or an object of names and numbers either way round; what is neither
            says nothing.
        known: names by their numbers.
    """
    if isinstance(told, list) and all(isinstance(name, str) for name in told):
        names = [plain(name) for name in told if not is_ignore(name)]
        return names == [name for _, name in sorted(known.items()) if name in names]
    for key, value in told.items() if isinstance(told, dict) else ():
        number, name = (key, value) if key.isdecimal() else (str(value), key)
        said = number.isdecimal() and isinstance(name, str) and not is_ignore(name)
        if said and known.get(int(number)) != plain(name):
            return False
    return True


def are_regions(labels: Mapping[str, Any]) -> bool:
    """Tell whether any of the labels is of several values; a list of one is that value."""
    return any(isinstance(values, list) and len(values) != 1 for values in labels.values())


def regions_of(described: Mapping[str, Any]) -> Regions | None:
    """Return the values of each region, where labels are declared so, and the ignored value.

    Raises:
        ValueError: if they are no numbers, or several values are ignored.
    """
    labels = described.get("labels") or {}
    if all(key.isdecimal() for key in labels):
        labels = once([(str(name), whole(number)) for number, name in labels.items()])
    told = {
        name: tuple(map(whole, values if isinstance(values, list) else [values]))
        for name, values in labels.items()
    }
    void = next((values for name, values in told.items() if is_ignore(name)), None)
    if void is not None and len(void) != 1:
        raise ValueError(f"one value is ignored, got {list(void)}")
    ignored = None if void is None else void[0]
    regions = {
        name: values
        for name, values in told.items()
        if not is_ignore(name) and {*values} != {*_BACKGROUND}
    }
    if ignored is not None and ignored in [n for values in regions.values() for n in values]:
        raise ValueError(f"value {ignored} is ignored, and of a class")
    if not are_regions(labels):
        return None if ignored is None else Regions({}, ignored)
    order = described.get("regions_class_order")
    if not isinstance(order, list | None):
        raise ValueError(f"regions_class_order must be a list, got {order!r:.60}")
    return Regions(regions, ignored, None if order is None else tuple(map(whole, order)))
