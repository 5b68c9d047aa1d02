"""BIDS: raw scans in `sub-*/`, their labels in `derivatives/*/sub-*/`."""

from pathlib import PurePosixPath

from data_prep.files.file_tree import Tree
from data_prep.formats.registry import is_scan_name, stem
from data_prep.layouts.cases import Case, Layout, duplicate, layout_of, no_image

# Entities that say how a derivative was made; without them it is named like its scan.
_MADE = ("label", "desc", "space", "res", "den", "atlas", "seg")
_LABEL_SUFFIXES = ("mask", "dseg", "seg", "lesion")


def bids(tree: Tree) -> Layout | None:
    """Scans with the labels that share their entities; the subject is the group."""
    scans, labels = {}, {}
    for name in filter(is_scan_name, tree.names):
        *entities, suffix = stem(name).split("_")
        if not entities or not entities[0].startswith("sub-"):
            continue
        if "derivatives" in PurePosixPath(name).parts and suffix in _LABEL_SUFFIXES:
            # Some pipelines keep the suffix of the scan: sub-1_T1w_seg.
            kept = tuple(e for e in entities if e.split("-")[0] not in _MADE)
            labels.setdefault(kept, []).append(name)
        elif "derivatives" not in PurePosixPath(name).parts:
            scans.setdefault((*entities,), []).append((suffix, name))
    if not scans or not labels:
        return None
    cases, problems, used = [], [], set()
    for entities, named in scans.items():
        for suffix, name in named:
            keys = [(*entities, suffix)] + ([entities] if len(named) == 1 else [])
            found = [file for key in keys for file in labels.get(key, [])]
            used.update(key for key in keys if key in labels)
            id_ = stem(name)
            if len(found) > 1:
                problems.append(duplicate(id_, [name, *found]))
            else:
                wanted = "its entities in derivatives/"
                cases.append(Case(id_, ((name,),), tuple(found), group=entities[0], wanted=wanted))
    problems += [
        no_image("_".join(key), files[0], f"a scan of {key[0]}")
        for key, files in labels.items()
        if key not in used
    ]
    return layout_of("bids", cases, problems)
