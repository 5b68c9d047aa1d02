"""Which file of a folder is the prediction of which case."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

from data_prep.core.errors import DataError
from data_prep.files.file_tree import Tree
from data_prep.formats.registry import is_scan_name, stem, suffix_of
from sdunet.segmentation.inference.prediction_record import BESIDE, SEG_NRRD

_PROBABILITIES = ".npz"  # which nnU-Net leaves beside labels


def in_their_place(names: Iterable[str], hashes: Mapping[str, str]) -> dict[str, str]:
    """Return the hash that a file of another suffix must have where what was recorded is gone."""
    there = set(names)
    gone = {_bare(name): sha256 for name, sha256 in hashes.items() if name not in there}
    return {name: gone[_bare(name)] for name in there if _bare(name) in gone}


def _bare(name: str) -> str:
    return name.removesuffix(suffix_of(name))


def files_by_case(
    predicted: Tree, ids: Collection[str] = ()
) -> tuple[dict[str, str], list[DataError]]:
    """Return the file of each case, and an error for each case with several, which has none.

    Args:
        predicted: the predictions.
        ids: of cases; that of `a.seg.nrrd` is `a`, unless `a.seg` is among them.
    """
    names: dict[str, list[str]] = defaultdict(list)
    for name in predicted.names:
        if is_scan_name(name) and not name.startswith(BESIDE):
            id_ = stem(name)
            if name.lower().endswith(SEG_NRRD) and id_ not in ids:
                id_ = id_[: -len(".seg")]
            names[id_].append(name)
    for id_, several in names.items():
        labels = [name for name in several if not name.lower().endswith(_PROBABILITIES)]
        names[id_] = labels or several
    doubtful = [
        DataError("PRED_DUPLICATE", f"{' and '.join(several)}: none is taken", "keep one", case=id_)
        for id_, several in names.items()
        if len(several) > 1
    ]
    return {id_: found[0] for id_, found in names.items() if len(found) == 1}, doubtful
