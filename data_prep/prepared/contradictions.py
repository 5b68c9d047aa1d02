"""Settings that are asked for, held to those that a dataset was prepared with."""

from collections.abc import Collection

from data_prep.checks.settings import planned_for_other_memory
from data_prep.core.config import DataConfig
from data_prep.core.errors import DataError
from data_prep.core.values.regions import as_settings, regions_from
from data_prep.planning.classes import as_asked
from data_prep.planning.splits import split_settings
from data_prep.prepared.dataset import Dataset

# Values that leave a setting to be found out.
_LEFT_OPEN: tuple[object, ...] = (None, "auto", (), {})


def check_contradictions(asked: DataConfig, dataset: Dataset, stated: Collection[str] = ()) -> None:
    """Refuse data settings other than those the dataset was prepared with.

    Args:
        asked: the settings; those that have their default are taken not to be asked for.
        dataset: the prepared dataset.
        stated: names of settings that are asked for even so.

    Raises:
        DataError: CONFIG_DATASET, with the first of them.
    """
    settings = (
        "channels",
        "labels",
        "instances",
        "label_map",
        "structures",
        "intensity",
        "window",
        "resize",
        "spacing",
        "patch_size",
        "accept",
    )
    known = {name: getattr(dataset.plan, name) for name in settings} | dict(dataset.split_by)
    wants = {name: getattr(asked, name) for name in settings} | split_settings(asked)
    known["regions"] = [*as_settings(dataset.plan.regions).items()]
    wants["regions"] = None
    if asked.regions is not None:
        wants["regions"] = [*as_settings(regions_from(asked.regions)).items()]
    known["labels"] = as_asked(asked.labels, dataset.plan.stated, dataset.plan.ignored)
    known["instances"] = dataset.plan.instances is not None
    if other := planned_for_other_memory(asked, dataset.plan):
        raise DataError(
            "CONFIG_DATASET",
            f"dataset.memory_gb is {asked.memory_gb:g}, planned for is another: {other}",
            "prepare again, or leave the setting out",
        )
    for given in (known, wants):
        given["accept"] = tuple(sorted(given["accept"]))
    for name, have in known.items():
        wanted = wants[name]
        open_ = wanted == getattr(DataConfig(), name)
        if wanted != have and not (open_ and (name not in stated or wanted in _LEFT_OPEN)):
            raise DataError(
                "CONFIG_DATASET",
                f"dataset.{name} is {wanted}, the dataset was prepared with {have}",
                "prepare again, or leave the setting out",
            )
