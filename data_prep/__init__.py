"""From raw scans to a prepared dataset: read, check, plan, preprocess, split, write."""

from typing import TYPE_CHECKING

from lazy_loader import attach

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
__getattr__, __dir__, _ = attach(
    __name__,
    submod_attrs={
        "checks.run": ["check"],
        "core.config": ["DataConfig"],
        "core.errors": ["DataError"],
        "prepared.dataset": ["load_dataset"],
        "prepared.prepare": ["prepare"],
        "reading.scan_file": ["read_scan"],
    },
)
