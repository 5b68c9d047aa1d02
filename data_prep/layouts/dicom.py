"""DICOM trees: each series a case, with the RTSTRUCT or SEG that refers to it."""

import hashlib
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import PurePosixPath

from pydicom.dataset import Dataset

from data_prep.dicom import is_dicom, named_errors, parse
from data_prep.errors import DataError
from data_prep.findings import Finding
from data_prep.layouts.cases import Case, Layout, layout_of, no_image, sample
from data_prep.reading import is_scan_name
from data_prep.tree import Tree

_LABELS = {"RTSTRUCT": "contours", "SEG": "segments"}
_NO_IMAGES = ("SR", "PR", "KO", "RTPLAN", "RTDOSE", "REG", "FID", "DOC")


@dataclass(frozen=True)
class _File:
    name: str
    series: str
    modality: str
    patient: str
    refers: frozenset[str]


def dicom(tree: Tree) -> Layout | None:
    """Series found by what files say, not by their names; other files are listed.

    Identifiers of the patient serve only to group cases, as a hash.
    """
    names = [name for name in tree.names if not is_scan_name(name)]
    names = [name for name in names if _may_be_dicom(tree, name)]
    files, problems = [], []
    for name in names:
        try:
            with named_errors():
                files.append(_look(tree, name))
        except DataError as error:
            problems.append(error.at(file=name))
    files = [file for file in files if file is not None]
    if not files:
        return None
    images, labels, other = defaultdict(list), [], []
    for file in files:
        if file.modality in _LABELS:
            labels.append(file)
        elif file.modality in _NO_IMAGES:
            other.append(file.name)
        else:
            images[file.series].append(file)
    findings = []
    rest = sorted(other + [name for name in tree.names if name not in {f.name for f in files}])
    if rest:
        found = f"{len(rest)} files that are no image: {sample(rest)}"
        findings.append(Finding("note", "DCM_OTHER", found, ""))
    ids = _ids(images)
    cases = []
    for series, members in images.items():
        id_, scan = ids[series], tuple(sorted(file.name for file in members))
        drawn = [label for label in labels if series in label.refers]
        patients = sorted({file.patient for file in members})
        if len(patients) > 1:
            problems.append(
                DataError(
                    "DCM_PATIENTS", f"{len(patients)} patients in one series", "split it", case=id_
                )
            )
        elif len(drawn) > 1:
            names = [label.name for label in drawn]
            problems.append(
                DataError(
                    "PAIR_DUPLICATE", f"several labels: {sample(names)}", "keep one", case=id_
                )
            )
        else:
            kind = _LABELS[drawn[0].modality] if drawn else "classes"
            names = tuple(label.name for label in drawn)
            wanted = "an RTSTRUCT or SEG that refers to the series"
            cases.append(Case(id_, (scan,), names, kind, group=patients[0], wanted=wanted))
    for label in labels:
        if not label.refers & images.keys():
            id_ = PurePosixPath(label.name).stem
            problems.append(no_image(id_, label.name, "the series it refers to"))
    return layout_of("dicom", cases, problems, findings=tuple(findings))


def _may_be_dicom(tree: Tree, name: str) -> bool:
    try:
        return is_dicom(tree.read(name, 256))
    except DataError:
        # Unreadable or empty: it counts where its name says what it is meant to be.
        return name.lower().endswith((".dcm", ".ima", ".dicom"))


def _look(tree: Tree, name: str) -> _File | None:
    one = parse(tree.read(name), pixels=False)
    if one.get("MediaStorageSOPClassUID") or "DirectoryRecordSequence" in one:
        return None  # DICOMDIR
    series = str(one.get("SeriesInstanceUID") or "")
    if not series:
        return None
    patient = str(one.get("PatientID") or one.get("StudyInstanceUID") or series)
    return _File(
        name,
        series,
        str(one.get("Modality") or ""),
        hashlib.sha256(patient.encode()).hexdigest()[:12],
        frozenset(_series_referred_to(one)),
    )


def _series_referred_to(one: Dataset) -> list[str]:
    found = [str(s.SeriesInstanceUID) for s in one.get("ReferencedSeriesSequence") or []]
    for frame in one.get("ReferencedFrameOfReferenceSequence") or []:
        for study in frame.get("RTReferencedStudySequence") or []:
            for series in study.get("RTReferencedSeriesSequence") or []:
                found.append(str(series.SeriesInstanceUID))
    return found


def _ids(images: dict[str, list[_File]]) -> dict[str, str]:
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
