"""Tables that bring stored values to measured ones. Source: DICOM PS3.3, C.11.1.1."""

from pydicom.dataset import Dataset

from data_prep.core.errors import DataError
from data_prep.formats.dicom.tables.lookup import Table, descriptor_of, entries_of

_AGAIN = "export the series again"


def modality_table(one: Dataset) -> Table | None:
    """Return the table that brings stored values to measured ones; `None` without.

    Raises:
        DataError: DCM_RESCALE if there are several, it is not as long as it says, or it brings a
            CT to another unit than Hounsfield's.
    """
    items = one.get("ModalityLUTSequence")
    if items is None:
        return None
    if len(items) != 1:
        raise DataError("DCM_RESCALE", f"{len(items)} modality lookup tables", _AGAIN)
    item = items[0]
    count, first, bits = descriptor_of(one, item.get("LUTDescriptor"), "DCM_RESCALE")
    if not 8 <= bits <= 16:
        raise DataError("DCM_RESCALE", f"a modality lookup table of {bits} bits", _AGAIN)
    unit = item.get("ModalityLUTType")
    if one.get("Modality") == "CT" and unit != "HU":
        found = f"a CT brought to {unit!r} by a modality lookup table"
        raise DataError("DCM_RESCALE", found, "export Hounsfield units")
    entries = entries_of(one, item.get("LUTData"), count, bits, "DCM_RESCALE")
    return Table(first, entries[:, None], bits)
