"""DICOM trees: each series a case, with the RTSTRUCT or SEG that refers to it."""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import PurePosixPath
from unicodedata import normalize

from data_prep.core.errors import DataError
from data_prep.core.findings import Finding
from data_prep.files.file_tree import Tree
from data_prep.formats.dicom.references import persons_in
from data_prep.formats.images_2d import SUFFIXES as OF_PICTURES
from data_prep.formats.registry import is_scan_name, stem
from data_prep.layouts.cases import (
    Case,
    LabelKind,
    Layout,
    layout_of,
    no_image,
    sample,
)
from data_prep.layouts.dicom_files import (
    LABELS,
    NO_IMAGES,
    SUFFIXES,
    LostFile,
    SeriesFile,
    groups_of_series,
    hidden_slices,
    is_dicom_file,
    is_encrypted,
    look,
)
from data_prep.layouts.folders.labels import is_label_folder
from data_prep.layouts.words import LABEL_WORDS

_FLAT = (".png", ".bmp", ".jpg", ".jpeg")  # of one plane


def dicom(tree: Tree, *, need_labels: bool = True) -> Layout | None:
    """Series found by what files say, not by their names; other files are listed.

    A series is refused if a file of its own, or one in its folder that says of no series, cannot
    be read or is hidden by its name: its slices would be fewer without a word. So are folders
    that no case comes of, though what lies in them may be images. Where labels are needed, so is a
    series of several; else it is an image without any.
    Identifiers of the patient serve only to group cases, as a hash.
    """
    names = [name for name in tree.names if not is_scan_name(name)]
    looked = [found for name in names for found in look(tree, name)]
    error = DataError("IO_NOT_IMAGE", "not DICOM", "fetch or export the file again")
    looked += [LostFile(n, error, False, "") for n in tree.names if is_scan_name(n)]
    files = [found for found in looked if isinstance(found, SeriesFile)]
    if not files:
        return None
    lost = _slices_lost([found for found in looked if isinstance(found, LostFile)], files)
    problems = [one.error for one in lost]
    hidden = hidden_slices(tree, files)
    series_of = {file.uid: file.series for file in files if file.modality not in LABELS}
    labels = [_by_images(file, series_of) for file in files if file.modality in LABELS]
    images = defaultdict(list)
    for file in files:
        if file.modality not in LABELS:
            images[file.series].append(file)
    for series in [s for s, group in images.items() if {f.modality for f in group} <= NO_IMAGES]:
        del images[series]
    masks = _masks_beside(tree, images, {one.name for one in lost})
    used = {file.name for file in (*labels, *(f for group in images.values() for f in group))}
    used |= {name for several in masks.values() for name in several}
    findings = []
    rest = sorted(set(tree.names) - used - {one.name for one in lost})
    wrong, told = _without_case(tree, rest, used, files)
    problems += wrong
    findings += told
    if rest:
        found = f"{len(rest)} files that are no DICOM image: {sample(rest)}"
        findings.append(Finding("note", "DCM_OTHER", found, ""))
    ids = _ids(images)
    flat = Counter(PurePosixPath(n).parent for n in rest if n.lower().endswith(OF_PICTURES))
    groups, told = groups_of_series(images, ids, files)
    findings += told
    cases = []
    for series, members in images.items():
        id_, scan = ids[series], tuple(sorted(file.name for file in members))
        drawn = [label for label in labels if series in label.refers]
        missing = [one for one in (*hidden, *lost) if _concerns(one, series, members)]
        twice = _labelled_twice(drawn, masks[series])
        problem = _problem(members, missing) or (twice if need_labels else None)
        findings += _copied(id_, members)
        if problem:
            problems.append(problem.at(case=id_))
        else:
            kind: LabelKind = LABELS[drawn[0].modality] if drawn and not twice else "classes"
            names = () if twice else (*(label.name for label in drawn), *masks[series])
            wanted = "an RTSTRUCT or SEG that refers to the series, or a mask called as its folder"
            wanted += " or its file" * (len(scan) == 1)
            wanted += _slices_beside(flat, PurePosixPath(scan[0]).parent, len(scan))
            channels = (members[0].kind,) if members[0].kind else None
            group = groups[series]
            cases.append(Case(id_, (scan,), names, kind, group, wanted=wanted, channels=channels))
    for label in labels:
        if not label.refers & images.keys():
            id_ = PurePosixPath(label.name).stem
            problems.append(no_image(id_, label.name, "the series it refers to"))
    channels, told = _channels([members[0].kind for members in images.values()])
    return layout_of("dicom", cases, problems, channels=channels, findings=(*findings, *told))


def _copied(case: str, members: Iterable[SeriesFile]) -> list[Finding]:
    """Return a warning of folders that hold copies of one series: there is one case of them all."""
    folders = defaultdict(set)
    for file in members:
        folders[file.uid].add(str(PurePosixPath(file.name).parent))
    copied = sorted({*chain.from_iterable(there for there in folders.values() if len(there) > 1)})
    if not copied:
        return []
    found = f"{len(copied)} folders hold copies of its files: {sample(copied)}"
    fix = "nothing, if they are of one scan; else export those that were to be others again"
    return [Finding("warning", "DCM_COPY", found, fix, case=case)]


def _without_case(
    tree: Tree, rest: Sequence[str], used: Collection[str], files: Iterable[SeriesFile]
) -> tuple[list[DataError], list[Finding]]:
    """Return what is told of folders, as of a patient, that hold images perhaps and give no case.

    Args:
        tree: where they are.
        rest: files of no case.
        used: files of cases.
        files: what those that are DICOM say of themselves.

    Returns:
        An error for each folder of encrypted files, and of files that are no DICOM and called as
        slices elsewhere are; a warning of each patient who has other DICOM objects alone.
    """
    taken = {folder for name in used for folder in PurePosixPath(name).parents}
    of_case = [file for file in files if file.name in used]
    known = {person for file in of_case for person in (file.patient, file.study)}
    others = {f.name for f in files if not known & {f.patient, f.study}}
    dicom_names = {file.name for file in files}
    slices = {_kind_of_name(PurePosixPath(file.name).name) for file in of_case}
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for name in rest:
        above = [folder for folder in PurePosixPath(name).parents if folder not in taken]
        place = f"{above[-1]}/" if above else name
        if name in dicom_names:
            what = "DICOM objects without images" if above and name in others else ""
        elif is_encrypted(tree, name):
            what = "encrypted files"
        else:
            alike = above and _kind_of_name(PurePosixPath(name).name) in slices
            what = "files called as slices elsewhere, and no DICOM" if alike else ""
        if what:
            found[place, what].append(name)
    problems, findings = [], []
    for (place, what), names in found.items():
        told = f"no case comes of {place}: {len(names)} {what}, {sample(names)}"
        if what.startswith("DICOM"):
            fix = "look whether images of this patient are missing"
            findings.append(Finding("warning", "DCM_NO_CASE", told, fix))
        else:
            fix = "decrypt or fetch them again, or move them out of the dataset"
            problems.append(DataError("DCM_NO_CASE", told, fix, file=names[0]))
    return problems, findings


def _masks_beside(
    tree: Tree, images: dict[str, list[SeriesFile]], lost: set[str]
) -> dict[str, list[str]]:
    """Return the masks of series that are no DICOM: in the folder of a series, or called as it.

    A series of one file is called as that file, else as its folder if it is alone there.
    A mask is told by a word of its name or by its folder. One that fits several series is none's.
    A picture of a stack shows it, as previews do, and masks nothing.
    """
    masks = [n for n in tree.names if is_scan_name(n) and n not in lost and _is_mask(n)]
    places = {series: PurePosixPath(min(f.name for f in group)) for series, group in images.items()}
    found, claims, called = {}, Counter[str](), {}
    for series, first in places.items():
        folder = first.parent
        alone = sum(folder.parent in place.parents for place in places.values()) == 1
        near = {folder, folder.parent} if alone and folder.name else {folder}
        mine = sum(place.parent == folder for place in places.values()) == 1
        several = [n for n in masks if mine and _without_label_folder(n) in near]
        names = [{_plain(folder.name), _plain(folder.parent.name)} - {""}]
        if len(images[series]) == 1:
            names = [{_plain(_stem_of_any(first.name))}, *names * mine]
        for own in names:
            several = several or [n for n in masks if _plain(_stem_of_any(n)) in own]
        found[series], called[series] = several, {*chain.from_iterable(names)} - {""}
        claims.update(several)
    # What is no series' so far may be a second mask, wherever it lies, by its name alone.
    rest = [n for n in masks if not claims[n]]
    for series, own in called.items():
        more = [n for n in rest if _plain(_stem_of_any(n)) in own]
        found[series] += more
        claims.update(more)
    alone = {series: [n for n in names if claims[n] == 1] for series, names in found.items()}
    return {series: _without_preview(n, len(images[series])) for series, n in alone.items()}


def _without_preview(masks: list[str], slices: int) -> list[str]:
    flat = [name for name in masks if name.lower().endswith(_FLAT)]
    return [name for name in masks if name not in flat] if len(flat) == 1 < slices else masks


def _slices_beside(flat: Counter[PurePosixPath], folder: PurePosixPath, slices: int) -> str:
    """Return what is told of a folder of as many 2D images as a series has slices, if one is near.

    They may be masks, a slice each, as CHAOS has them; which is of which slice, nothing says.
    """
    near = {folder, *folder.parents[:2]}
    found = sorted(f for f, n in flat.items() if n == slices > 1 and {f, f.parent} & near)
    if not found:
        return ""
    told = f"; if the {slices} 2D images in {found[0]}/ are its masks, make one volume of them, on "
    return f"{told}the grid of the series, and put it beside its slices as mask.nii.gz"


def _is_mask(name: str) -> bool:
    words = re.split(r"[_\-. ]+", _stem_of_any(name).lower())
    return any(map(_says_mask, words)) or is_label_folder(PurePosixPath(name).parent.name)


def _says_mask(word: str) -> bool:
    return word.rstrip("0123456789") in LABEL_WORDS


def _without_label_folder(name: str) -> PurePosixPath:
    """Return the folder of a mask, or that above if it is for masks alone."""
    folder = PurePosixPath(name).parent
    return folder.parent if is_label_folder(folder.name) else folder


def _plain(text: str) -> str:
    """Return a name as masks and series are compared: without words for masks."""
    words = re.split(r"[_\-. ]+", normalize("NFC", text).lower())
    return "_".join(word for word in words if not _says_mask(word))


def _stem_of_any(name: str) -> str:
    """Return a name without folders and its suffix, that of DICOM too."""
    text = stem(name)
    return text.rsplit(".", 1)[0] if text.lower().endswith(SUFFIXES) else text


def _labelled_twice(drawn: Sequence[SeriesFile], masks: list[str]) -> DataError | None:
    """Return the error of a series with labels of several kinds, or with several masks.

    Structures and segments of one kind may be told in several files.
    """
    kinds = sorted({label.modality for label in drawn}) + ["the mask"] * bool(masks)
    if len(kinds) > 1:
        found = f"labels of two kinds: {sample([*(label.name for label in drawn), *masks])}"
        return DataError("PAIR_DUPLICATE", found, f"keep {' or '.join(kinds)}")
    if len(masks) > 1:
        found = f"several masks for one series: {sample(masks)}"
        return DataError("PAIR_DUPLICATE", found, "keep one, a volume on the grid of the series")
    return None


def _channels(kinds: list[str]) -> tuple[tuple[str] | None, tuple[Finding, ...]]:
    """Return the name of the channel if all series are alike, and a warning if they are not."""
    counts = Counter(kinds)
    if len(counts) < 2:
        return next(((kind,) for kind in counts if kind), None), ()
    found = ", ".join(f"{kind or 'none'} ({n})" for kind, n in sorted(counts.items()))
    fix = "split them into datasets of their own, or join them as channels of cases by a CSV list"
    return None, (Finding("warning", "DCM_MODALITIES", f"series of {found}", fix),)


def series_in(tree: Tree, folder: str) -> Case | DataError | None:
    """Return the only series in a folder as a case, what is wrong with it, or nothing."""
    names = tuple(name for name in tree.names if name.startswith(f"{folder}/"))
    layout = dicom(replace(tree, names=names), need_labels=False) if names else None
    if layout is None:
        return None
    found = (*layout.cases, *layout.unlabelled)
    wrong = [
        error for error in layout.problems if error.code not in ("PAIR_NO_LABEL", "PAIR_NO_IMAGE")
    ]
    if wrong:
        return min(wrong, key=lambda error: error.case is None)  # what it means for the series
    if len(found) != 1:
        several = f"{len(found)} series in {folder}"
        return DataError("PAIR_DUPLICATE", several, "name the folder of one series")
    return found[0]


def kind_of_label(tree: Tree, name: str) -> LabelKind:
    """Return what a file that is named as a label holds: DICOM structures, or class numbers."""
    if is_scan_name(name) or not is_dicom_file(tree, name):
        return "classes"
    looked = [one.modality for one in look(tree, name) if isinstance(one, SeriesFile)]
    return LABELS.get(looked[0], "classes") if looked else "classes"


def _slices_lost(found: list[LostFile], files: list[SeriesFile]) -> list[LostFile]:
    """Return those that are damaged slices; the others are files of another kind.

    What is not even DICOM any more is told by a name such as the slices beside it have.
    """
    slices = {_kind_of_name(file.name) for file in files}
    stems = {_kind_of_name(_stem(file.name)) for file in files}
    there = {_stem(file.name) for file in files}

    def is_slice(one: LostFile) -> bool:
        if one.seen or _kind_of_name(one.name) in slices:
            return True
        # Packed, or exported as something else; beside the slice itself it is a picture of it.
        stem = _stem(one.name)
        return stem not in there and _kind_of_name(stem) in stems

    return [one for one in found if is_slice(one)]


def _stem(name: str) -> str:
    """Return a name without suffixes that begin with a letter, such as `.dcm` or `.dcm.gz`."""
    return re.sub(r"(\.[A-Za-z][A-Za-z0-9]{0,8})+$", "", name)


def _kind_of_name(name: str) -> tuple[str, str]:
    """Return folder and name, every number in it (decimal or of hexadecimal digits) alike."""
    path = PurePosixPath(name)
    return str(path.parent), re.sub(r"[0-9a-fA-F]*\d[0-9a-fA-F]*", "0", path.name)


def _concerns(one: LostFile, series: str, members: Iterable[SeriesFile]) -> bool:
    if one.series:
        return one.series == series
    folders = {PurePosixPath(file.name).parent for file in members}
    return PurePosixPath(one.name).parent in folders


def _problem(members: list[SeriesFile], missing: list[LostFile]) -> DataError | None:
    """Return why a series is no case, if it is none."""
    if missing:
        first = missing[0].error
        if all(one.error.code == "LAY_HIDDEN" for one in missing):
            found = f"{len(missing)} of its slices are hidden by their names: "
            found += sample([one.name for one in missing])
            return DataError("DCM_LOST", found, "rename them, or move them out of the dataset")
        return DataError(
            "DCM_LOST",
            f"{len(missing)} files that may be slices of it cannot be read: "
            f"{sample([one.name for one in missing])}, {first.code} {first.found}",
            "fetch or export them again, or move what is no slice out of the folder",
        )
    if told := persons_in(file.person for file in members):
        found = f"{max(told.values())} patients in one series, by {' and '.join(told)}"
        return DataError("DCM_PATIENTS", found, "split it")
    kinds = {file.kind for file in members}
    if len(kinds) > 1:
        found = f"modalities or units {sorted(kinds)} in one series"
        return DataError("DCM_MIXED", found, "split it")
    return None


def _by_images(label: SeriesFile, series_of: Mapping[str, str]) -> SeriesFile:
    """Return a label with the series of its images where it names no series itself."""
    if label.refers:
        return label
    return replace(label, refers=frozenset(series_of.get(uid, "") for uid in label.images) - {""})


def _ids(images: dict[str, list[SeriesFile]]) -> dict[str, str]:
    """Name each series by its folder; never by what the files say of themselves."""
    folders = {
        series: "_".join(PurePosixPath(min(file.name for file in files)).parts[:-1]) or "series"
        for series, files in images.items()
    }
    shared = Counter(folders.values())
    numbers: Counter[str] = Counter()
    ids = {}
    for series in sorted(images, key=lambda s: min(file.name for file in images[s])):
        folder = folders[series]
        numbers[folder] += 1
        ids[series] = folder if shared[folder] == 1 else f"{folder}_{numbers[folder]}"
    return ids
