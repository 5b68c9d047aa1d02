"""What a user decides about the data, and the plan that follows from the data."""

from dataclasses import dataclass, field
from typing import Any, Literal, get_type_hints

from jsonargparse.typing import NonNegativeInt

from data_prep.core.errors import DataError
from data_prep.core.findings import Acceptance
from data_prep.core.parse import once, whole
from data_prep.core.values.numbers import (
    Count,
    Finite,
    PositiveNumber,
    ShareBelowOne,
    fits,
)
from data_prep.core.values.regions import Region, targets_of

# Lists that name things, in any section of settings. Others hold sizes, which may be equal, or
# codes to accept, of which a second changes nothing.
_NAMING = (
    *("channels", "directions", "downsample_at", "flip_axes"),
    *("sdn_decoder", "sdn_encoder", "sdn_scales"),
)

Intensity = Literal["zscore", "unit", "ct", "window"]
AskedIntensity = Literal["auto", "zscore", "unit", "ct", "window"]


@dataclass(frozen=True)
class DataConfig:
    """What to know about a raw dataset.

    Args:
        channels: names of the image's channels, in order. Default: those of `dataset.json`, else
            one for grey 2D images and volumes; name three for colour 2D images.
        labels: class names to numbers, background 0. Default: those of `dataset.json`, else
            background 0 and foreground 1. `ignore` names the number, such as 255, of voxels that
            take no part in training and scores.
        instances: whether labels hold the id of an object at each voxel; a network then tells
            objects of one class apart.
        regions: names of regions to the numbers of the classes that each is made of, such as
            `{tumour: [1, 2], core: [2]}`, in the order in which they are painted; a network then
            finds regions, which may overlap, in place of classes; `{}` for none. Default: those
            of `dataset.json`.
        label_map: numbers in the files to class numbers, such as `{255: 1}`; colours are written
            `0xRRGGBB`.
        structures: names of DICOM structures, and of segments of NRRD files, to class numbers.
            Default: those named like a class.
        label_folder: name of the folder of labels, where several could be, such as `1st_manual`
            beside `mask`; with those above it where that is not enough, such as `gt/rater1`.
        accept: codes of findings that are meant to be so, see `data_prep.core.findings.Acceptance`.
        intensity: `zscore` gives each channel of each image mean 0 and deviation 1; where single
            values lie far beyond all others, those decide, and it clips to their range; `unit`
            divides by the largest number of the file's type; `ct` clips to the 0.5 and 99.5
            percentiles of the foreground of all training cases, and gives that mean 0 and
            deviation 1; `window` brings the range that `window` names to 0 to 1. `auto` is `ct`
            for volumes whose channels are all called CT, else `zscore`.
        window: lowest and highest number of the files for intensity `window`, such as Hounsfield
            units -1000 and 1000; what lies beyond is set to them.
        resize: pixels along each axis, height first, to which whole 2D images are brought, their
            proportions too; predictions are brought back to the image. Default: as they are.
        spacing: millimetres between voxels to resample volumes to; two numbers where each case is
            a single slice. Default: the median; along an axis of thick slices the 10th percentile.
        patch_size: voxels of a training patch along each axis. Default: from the median size and
            `memory_gb`.
        memory_gb: what training may take, for choosing patch and batch. Default: nine tenths of the
            smallest GPU here, 8 without one.
        group_pattern: regular expression whose first group, searched in the case id, names what
            must not be split between folds, such as the patient. Default: each case alone.
        group_file: CSV file with columns `case` and `group`, such as the patient. Cases of one
            group never lie in different folds.
        folds: number of folds for cross-validation. Default: those of the dataset or of
            `split_file`, else five.
        split_file: JSON list of folds to use instead, as nnU-Net's `splits_final.json`.
        test_share: part of all cases, whole groups, that no fold holds. Cases that the dataset
            itself marks as test are always kept apart.
        seed: of the shuffling into folds.

    Raises:
        ValueError: for a value that is not of the type of its setting, or out of its range.
    """

    channels: tuple[str, ...] | None = None
    labels: dict[str, int] | None = None
    instances: bool = False
    regions: dict[str, int | tuple[int, ...]] | None = None
    label_map: dict[int, int] = field(default_factory=dict)
    structures: dict[str, int] = field(default_factory=dict)
    label_folder: str | None = None
    accept: tuple[Acceptance, ...] = ()
    intensity: AskedIntensity = "auto"
    window: tuple[Finite, Finite] | None = None
    resize: tuple[Count, Count] | None = None
    spacing: (
        tuple[PositiveNumber, PositiveNumber, PositiveNumber]
        | tuple[PositiveNumber, PositiveNumber]
        | None
    ) = None
    patch_size: tuple[Count, ...] | None = None
    memory_gb: PositiveNumber | None = None
    group_pattern: str | None = None
    group_file: str | None = None
    folds: Count | None = None
    split_file: str | None = None
    test_share: ShareBelowOne = 0.0
    seed: NonNegativeInt = 0

    def __post_init__(self) -> None:
        for name, hint in get_type_hints(type(self)).items():
            value = getattr(self, name)
            if isinstance(value, list):
                value = tuple(value)
            elif name == "regions" and isinstance(value, dict):
                value = {n: tuple(v) if isinstance(v, list) else v for n, v in value.items()}
            object.__setattr__(self, name, value)  # the way of frozen dataclasses
            if name != "labels" and not fits(value, hint):  # of which LBL_CLASSES tells more
                raise ValueError(f"{name} cannot be {value!r:.80}; DataConfig says what can be")


def check_once(section: str, settings: object) -> None:
    """Refuse a list that names one thing twice: an axis flipped twice is not flipped at all.

    Args:
        section: what the settings are called in a file, such as `network`.
        settings: of any class.

    Raises:
        DataError: CONFIG_TWICE, with the first of such lists.
    """
    for name in _NAMING:
        given = list(getattr(settings, name, None) or ())
        if twice := [value for value in given if given.count(value) > 1]:
            found = f"{section}.{name} {given} names {twice[0]} twice"
            raise DataError("CONFIG_TWICE", found, "name each once")


@dataclass(frozen=True)
class MaskForm:
    """How the masks of a dataset that are 2D images are stored; decided over all of them.

    Attributes:
        colours: whether red, green and blue are colours, and not a number three times; `None` if
            as many masks say either.
        palette: colour of each index, `0xRRGGBB`; `None` where no two masks agree.
        plain: numbers up to 255 that masks without a palette hold.
    """

    colours: bool | None
    palette: dict[int, int | None]
    plain: tuple[int, ...] = ()

    @classmethod
    def from_json(cls, record: dict) -> "MaskForm":
        """Rebuild it from what `json` made of it."""
        colours, palette = record["colours"], record["palette"]
        if colours not in (True, False, None):
            raise ValueError(f"colours must be true, false or null, got {colours!r}")
        pairs = [(whole(i), None if c is None else whole(c)) for i, c in palette.items()]
        return cls(colours, once(pairs), tuple(map(whole, record.get("plain", ()))))


@dataclass(frozen=True)
class Rules:
    """What reading a case needs to know; see `DataConfig` and `MaskForm`.

    Voxels of the number `ignored` are of no class, and no background either. Among class numbers
    they have the number `void`, whatever files call them.
    """

    channels: tuple[str, ...]
    labels: dict[str, int]
    label_map: dict[int, int] = field(default_factory=dict)
    structures: dict[str, int] = field(default_factory=dict)
    accept: tuple[str, ...] = ()
    form: MaskForm | None = None
    ignored: int | None = None
    instances: str | None = None
    regions: tuple[Region, ...] = ()

    @property
    def stated(self) -> dict[str, int]:
        """The classes as settings and predictions name them: of objects one, what they are."""
        if self.instances is None:
            return self.labels
        return {min(self.labels, key=self.labels.__getitem__): 0, self.instances: 1}

    @property
    def void(self) -> int | None:
        """Number of ignored voxels in arrays of class numbers, the first that no class has.

        `None` where nothing is ignored.
        """
        return None if self.ignored is None else max(self.labels.values()) + 1


@dataclass(frozen=True)
class Levels:
    """Intensities of the foreground of one channel over all training cases."""

    low: float
    high: float
    mean: float
    deviation: float


@dataclass(frozen=True)
class Seen:
    """What the training cases were like: bounds over all of them, to hold new scans to.

    Attributes:
        cases: number of cases.
        low: of each channel, the lowest 0.5 percentile of any case.
        high: of each channel, the highest 99.5 percentile.
        span: of each channel, the smallest and largest distance between the two in one case.
        spacing: along each axis, the smallest and largest millimetres; `None` for 2D images.
    """

    cases: int
    low: tuple[float, ...]
    high: tuple[float, ...]
    span: tuple[tuple[float, float], ...]
    spacing: tuple[tuple[float, float], ...] | None

    @classmethod
    def from_json(cls, record: dict) -> "Seen":
        """Rebuild it from what `json` made of it."""
        spacing = record["spacing"]
        return cls(
            record["cases"],
            tuple(record["low"]),
            tuple(record["high"]),
            tuple((low, high) for low, high in record["span"]),
            None if spacing is None else tuple((low, high) for low, high in spacing),
        )


@dataclass(frozen=True)
class NetworkPlan:
    """A U-Net that fits the patches, for what the network's settings leave open.

    Attributes:
        features: channels of each level, full resolution first.
        strides: of each level but the last, by how much the next is smaller along each axis.
        kernel_sizes: of each level, cells along each axis that its convolutions see at once.
        batch_size: patches of a step.
    """

    features: tuple[int, ...]
    strides: tuple[tuple[int, ...], ...]
    kernel_sizes: tuple[tuple[int, ...], ...]
    batch_size: int

    @classmethod
    def from_json(cls, record: dict) -> "NetworkPlan":
        """Rebuild it from what `json` made of it."""
        sizes = {name: tuple(map(tuple, record[name])) for name in ("strides", "kernel_sizes")}
        return cls(tuple(record["features"]), batch_size=record["batch_size"], **sizes)


@dataclass(frozen=True)
class Plan:
    """How scans become the arrays a network sees; stored with the dataset and with each model.

    Args:
        spatial_dims: 2 for 2D images and single slices, 3 for volumes.
        channels: names of the channels.
        labels: class names to numbers.
        label_map: numbers in the files to class numbers.
        intensity: see `DataConfig`.
        spacing: millimetres between voxels, in the plane of single slices; `None` for 2D images.
        patch_size: voxels of a training patch along each axis.
        why: for each of the values above that was chosen here, the reason.
        structures: names of DICOM structures to class numbers.
        accept: codes of findings that are meant to be so.
        levels: of each channel, for intensity `ct`.
        seen: what the training cases were like; `None` of so few that it would tell of single ones.
        form: how masks that are 2D images are stored; `None` if that was not looked at.
        largest: number of the type of all training images, by which intensity `unit` divides;
            `None` where they have none, or several.
        network: that fits the patches; `None` in plans of before.
        window: lowest and highest number, for intensity `window`.
        resize: pixels that whole 2D images are brought to; `None` where they stay as they are.
        ignored: number in the files of voxels that take no part in losses and scores, see `Rules`.
        instances: what the objects are called whose inside and boundary are the classes; `None`
            where classes are those of the labels.
        regions: what the network finds in place of classes; empty where it tells classes apart.
        split_by: settings of folds and groups that were given when it was planned; of files their
            names. Not kept in a prepared set, which has the folds.
    """

    spatial_dims: int
    channels: tuple[str, ...]
    labels: dict[str, int]
    label_map: dict[int, int]
    intensity: Intensity
    spacing: tuple[float, ...] | None
    patch_size: tuple[int, ...]
    why: dict[str, str] = field(default_factory=dict)
    structures: dict[str, int] = field(default_factory=dict)
    accept: tuple[str, ...] = ()
    levels: tuple[Levels, ...] | None = None
    seen: Seen | None = None
    form: MaskForm | None = None
    largest: int | None = None
    network: NetworkPlan | None = None
    window: tuple[float, float] | None = None
    resize: tuple[int, int] | None = None
    ignored: int | None = None
    instances: str | None = None
    regions: tuple[Region, ...] = ()
    split_by: dict[str, Any] | None = None

    @property
    def stated(self) -> dict[str, int]:
        """The classes as settings and predictions name them, see `Rules`."""
        return self.rules.stated

    @property
    def scored(self) -> tuple[Region, ...]:
        """What scores and rules of predictions are of: regions, or each stated class."""
        return targets_of(self.stated, self.regions)

    @property
    def probability_maps(self) -> int:
        """Probabilities that are kept: of each region, or of each stated class."""
        return len(self.regions) or len(self.stated)

    @property
    def classes(self) -> list[str]:
        """Names of the classes by their numbers, background first."""
        return sorted(self.labels, key=self.labels.__getitem__)

    @property
    def num_classes(self) -> int:
        """Classes of labels, background included."""
        return max(self.labels.values()) + 1

    @property
    def targets(self) -> tuple[Region, ...]:
        """What the network finds and scores are of: regions, or each class but the background."""
        return targets_of(self.labels, self.regions)

    @property
    def outputs(self) -> int:
        """Channels that the network gives: one a region, or one a class and the background's."""
        return len(self.regions) or self.num_classes

    @property
    def rules(self) -> Rules:
        """How cases are read."""
        maps = self.label_map, self.structures
        accept, form, ignored = self.accept, self.form, self.ignored
        looked_for = self.instances, self.regions
        return Rules(self.channels, self.labels, *maps, accept, form, ignored, *looked_for)

    @classmethod
    def from_json(cls, record: dict) -> "Plan":
        """Rebuild a plan from what `json` made of it."""
        spacing, levels, seen = record["spacing"], record.get("levels"), record.get("seen")
        form, network = record.get("form"), record.get("network")
        window, resize = record.get("window"), record.get("resize")
        return cls(
            record["spatial_dims"],
            tuple(record["channels"]),
            dict(record["labels"]),
            once([(whole(number), into) for number, into in record["label_map"].items()]),
            record["intensity"],
            None if spacing is None else tuple(spacing),
            tuple(record["patch_size"]),
            dict(record["why"]),
            dict(record.get("structures", {})),
            tuple(record.get("accept", ())),
            None if levels is None else tuple(Levels(**level) for level in levels),
            None if seen is None else Seen.from_json(seen),
            None if form is None else MaskForm.from_json(form),
            record.get("largest"),
            None if network is None else NetworkPlan.from_json(network),
            None if window is None else tuple(window),
            None if resize is None else tuple(resize),
            record.get("ignored"),
            record.get("instances"),
            tuple(map(Region.from_json, record.get("regions", ()))),
            record.get("split_by"),
        )
