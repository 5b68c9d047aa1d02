"""From raw scans to a prepared dataset: read, check, plan, preprocess, split, write."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from data_prep.checks.run import check
    from data_prep.core.config import DataConfig
    from data_prep.core.errors import DataError
    from data_prep.prepared.dataset import load_dataset
    from data_prep.prepared.prepare import prepare
    from data_prep.reading.scan_file import read_scan

__all__ = [
    "DataConfig",
    "DataError",
    "check",
    "load_dataset",
    "prepare",
    "read_scan",
]

# Imported when first asked for: preparing needs MONAI, which takes seconds.
_PLACES = {
    "DataConfig": "data_prep.core.config",
    "DataError": "data_prep.core.errors",
    "check": "data_prep.checks.run",
    "load_dataset": "data_prep.prepared.dataset",
    "prepare": "data_prep.prepared.prepare",
    "read_scan": "data_prep.reading.scan_file",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'data_prep' has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)
