"""Files of a dataset that belong to no case, and may be meant to."""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable
from pathlib import PurePosixPath
from unicodedata import normalize

from data_prep.core.chunked_stats import value_counts
from data_prep.core.errors import DataError
from data_prep.core.findings import Finding, Findings, Subject
from data_prep.files.file_tree import Tree
from data_prep.formats.label_tables.beside import beside_label
from data_prep.formats.numpy_files import axes_of
from data_prep.formats.registry import is_scan_name, read_scan, stem
from data_prep.layouts.by_table import beginning, columns_in
from data_prep.layouts.cases import Layout, sample
from data_prep.layouts.dicom_files import is_dicom_file
from data_prep.layouts.folders.case_records import Records, told_by_records
from data_prep.layouts.folders.labels import is_label_folder, name_of
from data_prep.layouts.folders.stems import key_of
from data_prep.layouts.lists.beside import (
    Named,
    left_out_by_tables,
    named_by_tables,
    not_stated,
    parted_by_tables,
    tells_of_cases,
)
from data_prep.layouts.lists.columns import folds_apart, tells_split
from data_prep.layouts.lists.file_names import (
    ARRAYS,
    LIST_SUFFIXES,
    NO_LISTS,
    NO_TEXTS,
    is_of_split,
    names_list,
    names_sheet,
)
from data_prep.layouts.lists.holders import tells_people
from data_prep.layouts.lists.json_yaml import JSON_YAML
from data_prep.layouts.lists.tables import PLAIN, TABLES, columns_of, is_text, rows_of_parts
from data_prep.layouts.words import part_alone, role_of

# Files that describe others, or a dataset.
_TEXTS = (
    *(".json", ".csv", ".tsv", ".txt", ".md", ".rst", ".pdf", ".yaml", ".yml", ".xml", ".html"),
    *(".bval", ".bvec", ".docx", ".log", ".py", ".cff", ".jsonl", ".ndjson"),
)
_ACCESS = "Standard Jet DB"  # how its databases begin
_PAPERS = ("license", "licence", "readme", "changes", "changelog", "copying", "citation")
# Of BIDS, where each table names its subjects.
_OF_SCANS = ("sessions", "scans")
_PARTED = {"split", "fold", "group", "site"}
# What holds files, perhaps cases, and formats of scans that are not read.
_NOT_READ = (
    *(".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".zst", ".7z", ".rar", ".part", ".crdownload"),
    *(".gpg", ".pgp", ".age", ".enc", ".p7m", ".aes"),
    *(".mgz", ".mgh", ".mnc", ".vtk", ".vti", ".svs", ".czi", ".lif", ".nd2", ".ndpi", ".mrxs"),
    *(".gif", ".webp", ".jp2", ".j2k", ".jxl", ".heic", ".tga", ".ppm", ".pgm", ".pbm", ".h5"),
    *(".hdf5", ".gipl"),
)
_HEADER = 1 << 20  # bytes
_ARRAY = 1 << 22  # bytes of names in an archive
_HEADERS = (".nhdr", ".mhd", ".nrrd", ".mha")  # the last two seldom have voxels beside
_VOXELS = re.compile(
    rb"^\s*(?:data ?file\s*:|ElementDataFile\s*=)(.*)$", re.IGNORECASE | re.MULTILINE
)
# `SHA256SUMS`, `md5sums.txt`, `manifest-sha256.txt`, `a.nii.gz.md5`; `.sfv` holds CRC of 32 bits.
_SUMS = re.compile(
    r"(?i)(?:.*[_\-.])?(?:(?:md5|sha[_-]?(?:1|224|256|384|512)?|b2|crc32?)sums?|check[_-]?sums?"
    r"|md5|sha(?:1|224|256|384|512)|sfv)(?:\.(?:txt|csv|tsv|json|sum|asc))?"
)
_FEW_VALUES = 16  # classes, rather than intensities
# What may be said of cases, by settings; `{ids}` is of whom.
_GIVEN: dict[Subject, str] = {
    "split": "give the split as a JSON list of train and val{ids} by dataset.split_file, or in a "
    "column split of a CSV list with a column image",
    "groups": "give the groups as a CSV of case,group{ids} by dataset.group_file, or in a column "
    "patient of a CSV list with a column image",
}
_FIX = "remove them, or name them as files of a case"


def unused_files(
    tree: Tree, layout: Layout, need_labels: bool, *, chosen: bool = False
) -> list[Finding]:
    """Return what is told of files that belong to no case, LAY_UNUSED.

    Those beside files of cases, or below them, and DICOM are a warning. Files elsewhere may be
    anything in a dataset of images and labels: there images are a note. Where all images are
    wanted, whatever is no text is a warning, wherever it lies. So is a folder that may hold the
    labels just as well, unless theirs was `chosen`.
    """
    cases = (*layout.cases, *layout.unlabelled, *layout.apart)
    used = {name for case in cases for name in case.files} | {layout.listed_in}
    told = {*used, *layout.read, layout.described_in, *(e.file for e in layout.problems)}
    told |= set().union(*voxels_beside(tree, filter(None, used)).values())
    findings = Findings()
    # What names the values of a label may say more of its case.
    rest = [name for name in tree.names if name not in told]
    told |= {n for case in cases for one in case.labels for n in beside_label(tree, one, case.id)}
    records = told_by_records(tree, rest, layout) if need_labels else []
    for alike in records:
        if alike.about:
            findings.question("LAY_UNUSED", *_what_they_tell(alike), alike.about)
        else:
            findings.warn("LAY_UNUSED", *_what_they_tell(alike))
        findings.place(len(findings.found) - 1, file=alike.names[0])
    told = told.union(*(alike.names for alike in records))
    refused = {error.case for error in layout.problems}
    beside = {PurePosixPath(name).parent for name in used if name}
    top = PurePosixPath(".")
    above = beside - {top}
    # Folders that folders of cases lie in: what lies beside those may be a case, too.
    siblings = {folder.parent for folder in above}
    # What else describes a file of a case shares its name, and is no scan.
    known = {(PurePosixPath(name).parent, stem(name)) for name in used}
    # Which looks at every file itself, and tells of those that are no image.
    by_content = layout.name == "dicom"
    in_pairs = layout.name == "folder pairs"
    near: list[str] = []
    texts: list[str] = []
    far, series, lists, unread = [], [], [], []
    sheets: list[str] = []
    sums: list[str] = []
    for name in tree.names:
        path = PurePosixPath(name)
        id_ = path.parent.name if layout.name == "case folders" else stem(name)
        described = (path.parent, stem(name)) in known and not is_scan_name(name)
        if name in told or id_ in refused or described:
            continue
        if in_pairs and not need_labels and any(map(is_label_folder, path.parts[:-1])):
            continue  # labels, which nobody asked for
        if _SUMS.fullmatch(path.name):
            sums.append(name)
        elif _is_sheet(tree, name):
            sheets.append(name)
        elif _may_list(tree, name, layout.name):
            lists.append(name)
        elif path.suffix.lower() in _TEXTS or path.stem.lower() in _PAPERS:
            texts.append(name)
        elif is_not_read(name) and path.parent not in beside - {top}:
            unread.append(name)
        elif by_content:
            alone = is_scan_name(name) and not need_labels
            (near if alone else texts).append(name)
        elif path.parent in beside or above & set(path.parents):
            near.append(name)
        elif is_dicom_file(tree, name):
            series.append(name)
        elif path.parent.parent in siblings and path.parent != top and not is_scan_name(name):
            unread.append(name)
        elif is_scan_name(name) or not need_labels:
            far.append(name)
        elif names_list(path.stem) and path.suffix.lower() not in NO_LISTS:
            lists.append(name)
        else:
            texts.append(name)
    for folder, several in _like_labels(tree, layout, far).items() if need_labels else ():
        if in_pairs and not chosen:
            found = f"{len(several)} files that look like labels of the same images are not used: "
            fix = "remove them, or say which folder holds the labels, such as "
            fix += f"dataset.label_folder: {folder}"
            findings.warn("LAY_UNUSED", found + sample(several), fix)
            far = [name for name in far if name not in several]
    if near:
        found = f"{len(near)} files beside those of cases are not used: {sample(near)}"
        findings.warn("LAY_UNUSED", found, _FIX)
    if series:
        found = f"{len(series)} DICOM files are not used: {sample(series)}"
        findings.warn("LAY_UNUSED", found, "keep them in a dataset of their own")
    if unread:
        found = f"{len(unread)} files that may hold cases are not read: {sample(unread)}"
        fix = "unpack or convert them, or move them out of the dataset"
        findings.warn("LAY_UNUSED", found, fix)
    tables = (*lists, *_tables_of_several(tree, texts, layout)) if need_labels else ()
    parting = named_by_tables(tree, tables, layout)
    for name, named in parting.items():
        findings.question("LAY_UNUSED", *_what_it_names(named), named.about)
        findings.place(len(findings.found) - 1, file=name)
    leaving = left_out_by_tables(tree, tables, layout)
    for name, columns in leaving.items():
        said = f" by {', '.join(map(repr, columns[:4]))}" if columns else ""
        found = f"it names cases, may tell{said} which of them to leave out, and is not read"
        findings.warn("LAY_UNUSED", found, "take those cases out of the dataset, or the table")
        findings.place(len(findings.found) - 1, file=name)
    rest = [name for name in tables if name not in {*parting, *leaving, *lists}]
    if parted := parted_by_tables(tree, rest, layout):
        found = "tables that are not read part the cases by what may be their split or patients: "
        findings.note("LAY_UNUSED", found + sample(parted))
    lists = [name for name in lists if name not in parting | leaving and not _is_of_sizes(name)]
    if lists:
        found = f"files that may tell of a split, patients or classes are not read: {sample(lists)}"
        findings.note("LAY_UNUSED", found)
    _tell_sheets(findings, sheets, layout, need_labels)
    if sums:
        found = f"checksums are not read, nor are files held to them: {sample(sums)}"
        findings.note("LAY_UNUSED", found)
    if far and in_pairs and need_labels and _kept_apart_alone(layout):
        found = f"{len(far)} images elsewhere are not used, though all cases lie in folders for "
        fix = "name the folders of the others images and labels, too, such as images_train"
        findings.warn("LAY_UNUSED", f"{found}validation or testing: {sample(far)}", fix)
    elif far and need_labels:
        findings.note("LAY_UNUSED", f"{len(far)} images elsewhere are not used: {sample(far)}")
    elif far:
        found = f"{len(far)} files elsewhere are not used: {sample(far)}"
        findings.warn("LAY_UNUSED", found, _FIX)
    return findings.found


def _tables_of_several(tree: Tree, names: Iterable[str], layout: Layout) -> list[str]:
    """Return texts that may be tables of several cases: none that is called as one is."""
    ids = {case.id for case in (*layout.cases, *layout.unlabelled)}
    found = []
    for name in names:
        path = PurePosixPath(name)
        suffix = path.suffix.lower()
        if stem(name) in ids:
            continue
        if suffix in TABLES or (suffix not in NO_TEXTS and is_text(tree, name)):
            found.append(name)
    return found


def _is_sheet(tree: Tree, name: str) -> bool:
    """Tell whether a file is a table that is not read; `.mdb` of LMDB is none, nor is an image."""
    path = PurePosixPath(name)
    suffix = path.suffix.lower()
    if suffix in ARRAYS:
        return _holds_list(tree, name)
    return names_sheet(name) is not None and (suffix != ".mdb" or _ACCESS in beginning(tree, name))


def _holds_list(tree: Tree, name: str) -> bool:
    """Tell whether an array is of texts or one row of numbers; by a split's name, also of several.

    Archives that are larger than lists are may be anything.
    """
    try:
        axes = axes_of(tree.read(name, _ARRAY))
    except DataError:
        return False  # `find_layout` tells of it
    return axes is not None and axes < (3 if is_of_split(PurePosixPath(name).stem) else 2)


def _tell_sheets(findings: Findings, sheets: list[str], layout: Layout, need_labels: bool) -> None:
    """Tell of tables that are not read: a warning where their names say what the set does not."""
    about = not_stated(layout)
    warned = [*filter(names_sheet, sheets)] if need_labels and about else []
    if warned:
        found = f"{len(warned)} tables that may tell a split or patients are not read: "
        fix = "save them as CSV, or take them out"
        findings.question("LAY_UNUSED", found + sample(warned), fix, about)
    if rest := [name for name in sheets if name not in warned]:
        found = f"{len(rest)} tables are not read, whatever they tell: {sample(rest)}"
        findings.note("LAY_UNUSED", found)


def _what_it_names(named: Named) -> tuple[str, str]:
    """Return what is told of a table that names cases, and what to do."""
    ids = "" if named.own else ", by ids of cases"
    ways = [_GIVEN[subject].format(ids=ids) for subject in named.about]
    fix = f"{'; '.join(ways)}; or take it out"
    if named.own:
        return "it names the cases, may tell their split or patients, and is not read", fix
    found = f"its {named.number} names are those of {len(named.cases)} cases, such as "
    found += f"{min(named.cases)}, or of their patients; it may tell their split or patients, "
    return f"{found}and is not read", fix


def _what_they_tell(records: Records) -> tuple[str, str]:
    """Return what is told of records of a case each, and what to do."""
    keys = ", ".join(map(repr, records.columns[:4]))
    more = len(records.names) - 1
    found = (
        f"it and {more} more, of a case or subject each, may tell {{}} by {keys}, and are not read"
    )
    if not more:
        found = f"it may tell {{}} by {keys}, and is not read"
    if not records.about:
        return found.format("which cases to leave out"), "take those cases out, or the files"
    ways = [_GIVEN[subject].format(ids="") for subject in records.about]
    return found.format("their split or patients"), f"{'; '.join(ways)}; or take them out"


def _kept_apart_alone(layout: Layout) -> bool:
    """Tell whether all cases lie in folders of one part, which is not that for training."""
    folders = {PurePosixPath(case.image).parts[:-1] for case in layout.cases}
    parts = set(map(part_alone, folders))
    return bool(parts) and parts <= {"validation", "test"}


def _like_labels(tree: Tree, layout: Layout, names: Collection[str]) -> dict[str, list[str]]:
    """Return the files, by folder, that are called like images and hold few values as labels do."""
    keys = {key_of(stem(case.image)) for case in layout.cases}
    folders = defaultdict(list)
    for name in names:
        folders[name_of(PurePosixPath(name).parts[:-1])].append(name)
    found = {}
    for folder, several in folders.items():
        alike = [name for name in several if key_of(stem(name)) in keys]
        if folder and 2 * len(alike) > len(several) and _has_few_values(tree, alike[0]):
            found[folder] = several
    return found


def _has_few_values(tree: Tree, name: str) -> bool:
    try:
        return len(value_counts(read_scan(tree, name).array)[0]) <= _FEW_VALUES
    except DataError:
        return False  # whatever it is, no label that could be read


def _may_list(tree: Tree, name: str, layout: str) -> bool:
    """Tell whether a text may say of cases what no layout reads from it."""
    path = PurePosixPath(name)
    suffix = path.suffix.lower()
    columns = columns_in(tree, name) if suffix in (".csv", ".tsv") else []
    if suffix in (".tab", ".psv", ".list", ".lst"):
        columns = [*columns_of(tree, name)]
    if suffix == ".tsv" and layout == "bids":
        # Others say what was measured of a subject, and its electrodes have groups, too.
        of_scans = path.stem.split("_")[-1] in _OF_SCANS or not path.name.startswith("sub-")
        if of_scans and ({*map(role_of, columns)} & _PARTED or any(map(tells_split, columns))):
            return True
    elif suffix in PLAIN and suffix in LIST_SUFFIXES:
        named = {*map(role_of, columns)} - {None, "id"}
        named_alike = any(tells_split(column) or tells_people(column) for column in columns)
        if named or named_alike or rows_of_parts(tree, name) or folds_apart(columns_of(tree, name)):
            return True
    elif suffix in (".md", *JSON_YAML) and tells_of_cases(tree, name):
        return True
    named_like = names_list(path.stem) or path.stem.lower() == "dataset"
    return named_like and suffix in LIST_SUFFIXES


def _is_of_sizes(name: str) -> bool:
    """Tell whether a text, whose tables name no cases, is one that tells how large parts are."""
    path = PurePosixPath(name)
    return path.suffix.lower() == ".md" and not names_list(path.stem)


def is_not_read(name: str) -> bool:
    """Tell by its name whether a file is packed, or a scan of a format that is not read."""
    return name.lower().endswith(_NOT_READ) and not is_scan_name(name)


def voxels_beside(tree: Tree, headers: Iterable[str]) -> dict[str, set[str]]:
    """Return the files of the tree that hold the voxels of headers, by header.

    Args:
        tree: where they are.
        headers: names of files; of those that are no headers, nothing is returned.
    """
    found: dict[str, set[str]] = {}
    for name in headers:
        if name.lower().endswith(".hdr"):
            found[name] = {f"{name[:-4]}{suffix}" for suffix in (".img", ".IMG")}
        elif name.lower().endswith(_HEADERS):
            folder = PurePosixPath(name).parent
            found[name] = {(folder / file).as_posix() for file in _voxels_named(tree, name)}
    there = {normalize("NFC", name): name for name in tree.names} if any(found.values()) else {}
    for name, files in found.items():
        wanted = [normalize("NFC", file) for file in files]
        found[name] = {there[f] for file in wanted for f in (file, f"{file}.gz") if f in there}
    return found


def _voxels_named(tree: Tree, name: str) -> list[str]:
    """Return the files that a header says its voxels are in, as written."""
    try:
        header = re.split(rb"\r?\n\r?\n", tree.read(name, _HEADER), maxsplit=1)[0]
    except DataError:
        return []  # which its case tells of
    named = _VOXELS.search(header)
    if not named:
        return []
    files = named[1].decode("utf-8", "replace").strip()
    if files.startswith("LIST"):
        files = header[named.end() :].decode("utf-8", "replace").strip()
    return [file.strip() for file in files.splitlines() if file.strip()]
