"""Tables of names in the header of a label: of NIfTI by Workbench, and of NRRD by MITK.

Forms: https://www.nitrc.org/projects/gifti (`LabelTable`, in an extension of NIfTI);
https://docs.mitk.org/nightly/MultiLabelSegmentation.html (label groups).
"""

from collections.abc import Mapping
from xml.etree import ElementTree

from data_prep.core.errors import DataError, words_of
from data_prep.core.parse import parse_json
from data_prep.formats.label_tables.entries import MOST_BYTES, table_of

_GROUPS = "org.mitk.multilabel.segmentation.labelgroups"
_AGAIN = "save the label again, without its table of names if need be"


def in_xml(content: bytes) -> dict[int, str]:
    """Return the names by value in the first `LabelTable` of a text in XML; none without one.

    Raises:
        DataError: HDR_DAMAGED for XML that is none, of a type of its own, or above `MOST_BYTES`.
    """
    if b"<LabelTable" not in content:
        return {}
    try:
        if len(content) > MOST_BYTES or b"<!DOCTYPE" in content:
            raise ValueError("entities, or too long")
        root = ElementTree.fromstring(content.rstrip(b"\0").decode("utf-8").strip())
        table = next(root.iter("LabelTable"), None)
        labels = [] if table is None else [*table.iter("Label")]
        return table_of((int(one.attrib["Key"]), one.text or "") for one in labels)
    except (ElementTree.ParseError, KeyError, ValueError) as error:
        raise DataError("HDR_DAMAGED", f"table of labels: {words_of(error)}", _AGAIN) from error


def of_groups(keys: Mapping[str, str]) -> dict[int, str]:
    """Return the names by value in the label groups of MITK; none where it wrote none.

    Args:
        keys: of the header, and their values.

    Raises:
        DataError: HDR_DAMAGED for groups that are not as MITK writes them.
    """
    if _GROUPS not in keys:
        return {}
    try:
        groups = parse_json(keys[_GROUPS], list)
        labels = [one for group in groups for one in group.get("labels", [])]
        return table_of((int(one["value"]), str(one.get("name", ""))) for one in labels)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DataError("HDR_DAMAGED", f"label groups: {words_of(error)}", _AGAIN) from error
