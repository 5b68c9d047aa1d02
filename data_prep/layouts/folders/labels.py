"""Which folder holds the labels, where several could: never the first that comes."""

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import PurePosixPath

from data_prep.core.errors import DataError
from data_prep.files.file_tree import Tree
from data_prep.layouts.cases import sample
from data_prep.layouts.words import part_of_folders, without_part

LABEL_FOLDERS = (
    *("mask", "masks", "label", "labels", "labelstr", "labelsts", "gt", "groundtruth"),
    *("ground truth", "ground_truth", "seg", "segmentation", "segmentations", "annotations"),
)
# Who draws by hand, of whom there may be several: `1st_manual`, `annotator2`.
OBSERVERS = ("manual", "annotator", "observer", "rater", "expert", "grader")
_MARK = re.compile(r"[0-9]+(st|nd|rd|th)?|first|second|third|[a-z]{1,2}")  # such as initials


def is_label_folder(folder: str) -> bool:
    """Tell by its name whether a folder holds labels, perhaps those of one observer of several."""
    bare = without_part(folder)
    if {folder.lower(), bare} & {*LABEL_FOLDERS}:
        return True
    words = [word.rstrip("0123456789") or word for word in re.split(r"[_\-. ]+", bare)]
    known = [word for word in words if word in (*LABEL_FOLDERS, *OBSERVERS)]
    others = [word for word in words if word not in known]
    return bool(known) and all(map(_MARK.fullmatch, others))


def label_folder_of(folders: Sequence[str], chosen: str | None) -> str | None:
    """Return the name of the folder of labels that a file lies in, without parts of a split.

    Args:
        folders: that the file lies in, the outermost first.
        chosen: name of the only one that is taken, perhaps with the folders above it.

    Returns:
        The name in lower case; `None` if there is no such folder.
    """
    if chosen is not None:
        return chosen if _lies_in(folders, chosen) else None
    first = next((i for i, folder in enumerate(folders) if is_label_folder(folder)), None)
    if first is None:
        return None
    told = [_without_part(folder) for folder in folders[first:]]
    return "/".join(name for name in told if name)


def name_of(folders: Sequence[str]) -> str:
    """Return the name of the innermost folder that is not one of a part of a split alone."""
    return next((name for name in map(_without_part, reversed(folders)) if name), "")


def _lies_in(folders: Sequence[str], chosen: str) -> bool:
    wanted = chosen.strip("/").casefold().split("/")
    names = [{folder.casefold(), without_part(folder)} for folder in folders]
    # Folders of parts may lie between those that are named.
    names = [several for several, f in zip(names, folders, strict=True) if _without_part(f)]
    starts = range(len(names) - len(wanted) + 1)
    return any(all(w in n for w, n in zip(wanted, names[i:], strict=False)) for i in starts)


def _without_part(folder: str) -> str:
    """Return the name of a folder in lower case; the empty one if it is one of a part alone."""
    told = part_of_folders((folder,))  # one folder is never of several
    bare = without_part(folder)
    if told is None:
        return folder.lower()
    if told.startswith("fold_"):
        return ""
    return "" if bare == folder.lower() and not is_label_folder(folder) else bare


def in_several(images: Mapping[str, Collection[str]]) -> DataError | None:
    """Return the error LAY_LABELS of folders that have labels of the same images, if there are any.

    Args:
        images: by folder, those that it has a label of.
    """
    held = Counter(image for several in images.values() for image in set(several))
    twice = {image for image, times in held.items() if times > 1}
    folders = sorted(folder for folder, several in images.items() if twice & set(several))
    if not folders:
        return None
    return DataError(
        "LAY_LABELS",
        f"{len(twice)} images have a label in each of several folders: {sample(folders)}",
        f"say which holds the labels, such as dataset.label_folder: {folders[0]}; where each is of "
        "a class, make one label of class numbers",
    )


def require_there(tree: Tree, chosen: str | None) -> None:
    """Refuse a folder of labels that is not in the dataset.

    Raises:
        DataError: LAY_LABELS, with the folders that are.
    """
    folders = {PurePosixPath(name).parent.parts for name in tree.names}
    if chosen is None or any(_lies_in(parts, chosen) for parts in folders):
        return
    there = sorted({parts[-1] for parts in folders if parts})
    raise DataError(
        "LAY_LABELS",
        f"no folder {chosen!r:.80} in the dataset, which has {sample(there) or 'none'}",
        "name one that is there in dataset.label_folder",
    )
