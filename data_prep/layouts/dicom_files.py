"""What each file of a DICOM tree says of itself: its series, or why it cannot be one of them."""

import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from pydicom.dataset import Dataset

from data_prep.core.errors import DataError, named_errors
from data_prep.core.findings import Finding, Question
from data_prep.files.file_tree import Tree
from data_prep.formats.dicom.references import images_referred_to, person_of
from data_prep.formats.dicom.series import is_dicom, parse, start_of
from data_prep.layouts.cases import LabelKind, sample

# At the start of what CMS encrypts: the identifier of its kinds of content, 1.2.840.113549.1.7.
_CMS = bytes.fromhex("06092a864886f70d0107")
LABELS: dict[str, LabelKind] = {"RTSTRUCT": "contours", "SEG": "segments"}
NO_IMAGES = {"SR", "PR", "KO", "RTPLAN", "RTDOSE", "REG", "FID", "DOC"}
SUFFIXES = (".dcm", ".ima", ".dicom")
_MOST_NAMES = 3  # that one patient has in several places
_SOMEBODY = re.compile(r"[1-9]")  # in ids that name somebody
_STANDARD = "1.2.840.10008."  # frames of atlases, which are no patient's


@dataclass(frozen=True)
class SeriesFile:
    """A file that says which series it is of; of the patient, a hash alone.

    Without a PatientID, the patient is the study. The frame of reference may be empty.
    """

    name: str
    series: str
    modality: str
    study: str
    frame: str
    patient: str
    refers: frozenset[str]
    kind: str
    uid: str
    images: frozenset[str]  # that it refers to, if it is a label that names no series
    person: tuple[str, ...]  # see `person_of`
    other_ids: frozenset[str] = frozenset()  # hashes of OtherPatientIDs, that name somebody
    subject: str = ""  # hash of who it is in a clinical trial; empty if it is not said


@dataclass(frozen=True)
class LostFile:
    """A file that may be a slice and cannot be read as one.

    Attributes:
        error: what is wrong with it.
        seen: whether it is DICOM, by its first bytes or its suffix.
        series: the one it says it belongs to; empty if it does not get as far as that.
    """

    name: str
    error: DataError
    seen: bool
    series: str


def is_dicom_file(tree: Tree, name: str) -> bool:
    """Tell DICOM by its suffix or its first bytes."""
    if name.lower().endswith(SUFFIXES):
        return True
    try:
        return is_dicom(tree.read(name, 256))
    except DataError:
        return False  # whatever it is, `find_layout` tells of it


def hidden_slices(tree: Tree, files: Iterable[SeriesFile]) -> list[LostFile]:
    """Return the slices that are hidden by their names, of series that others are there of.

    A hidden copy of a slice that is there, as programs leave that copy files, is none.

    Args:
        tree: where they are.
        files: those that are not hidden.
    """
    there = {file.uid for file in files}
    found = []
    for name in tree.hidden:
        try:
            if not is_dicom(tree.read(name, 256)):
                continue
            start = start_of(tree.read(name))
        except (DataError, KeyError):
            continue  # a folder, which an archive does not list, or nobody's data
        series = str(start.get("SeriesInstanceUID") or "")
        if series and str(start.get("SOPInstanceUID") or "") not in there:
            error = DataError("LAY_HIDDEN", "hidden by its name", "rename it", file=name)
            found.append(LostFile(name, error, True, series))
    return found


def is_encrypted(tree: Tree, name: str) -> bool:
    """Tell whether a file is encrypted as DICOM's media are, by CMS; also by its suffix.

    Source: DICOM PS3.15, D (secure media: files and DICOMDIR are enveloped by CMS, RFC 5652).
    """
    if name.lower().endswith(".p7m"):
        return True
    try:
        start = tree.read(name, 64)
    except DataError:
        return False
    return start[:1] == b"\x30" and _CMS in start


def look(tree: Tree, name: str) -> list[SeriesFile | LostFile]:
    """Return what a file says of itself, or the directory of a medium of files not there."""
    seen, series = name.lower().endswith(SUFFIXES), ""
    try:
        with named_errors(name):
            if not is_dicom(tree.read(name, 256)):
                raise DataError("IO_NOT_IMAGE", "not DICOM", "fetch or export the file again")
            seen = True
            data = tree.read(name)
            series = str(start_of(data).get("SeriesInstanceUID") or "")
            one = parse(data, pixels=False)
            if "DirectoryRecordSequence" in one:
                return _not_there(tree, name, one)
            # pydicom may return nothing at all of a file that is damaged further on.
            if not series or one.get("SeriesInstanceUID") != series:
                raise DataError("DCM_SERIES", "no SeriesInstanceUID", "export the series again")
            modality = str(one.get("Modality") or "")
            if modality not in {*LABELS, *NO_IMAGES} and "Rows" not in one:
                series = ""  # which may be cut, too
                raise DataError("IO_TRUNCATED", "a header without an image", "fetch it again")
            study = str(one.get("StudyInstanceUID") or series)
            frame = str(one.get("FrameOfReferenceUID") or "").strip()
            file = SeriesFile(
                name,
                series,
                modality,
                hashed(study),
                "" if not frame or frame.startswith(_STANDARD) else hashed(frame),
                hashed(str(one.get("PatientID") or "").strip() or study),
                refers := frozenset(_series_referred_to(one)),
                _kind(one),
                str(one.get("SOPInstanceUID") or name),
                frozenset() if refers else frozenset(images_referred_to(one)),
                tuple(text and hashed(text) for text in person_of(one)),
                frozenset(map(hashed, _other_ids(one))),
                hashed(subject) if (subject := _subject(one)) else "",
            )
    except DataError as error:
        return [LostFile(name, error, seen, series)]
    return [file]


def groups_of_series(
    images: Mapping[str, Sequence[SeriesFile]], ids: Mapping[str, str], files: Iterable[SeriesFile]
) -> tuple[dict[str, str], list[Finding]]:
    """Return the group of each series: of its patient, and of others that share a study with it.

    A study or a frame of reference belongs to one patient, whom some places call by several names,
    as do other ids of a patient, and the one in a clinical trial.
    What more than three patients share, or all of a dataset, is no one's: programs that take names
    away write one for all.

    Args:
        images: files of each series.
        ids: of its case.
        files: all that are DICOM, also labels.

    Returns:
        The groups; DCM_STUDY where patients share one of these, and where series name no patient
        and others do.
    """
    # A series without PatientID is of the patient that others of its study name.
    named = {file.study: file.patient for file in files if file.patient != file.study}
    firsts = {series: members[0] for series, members in images.items()}
    alone = {series for series, first in firsts.items() if first.patient == first.study}
    people = {
        series: named.get(first.study, first.patient) if series in alone else first.patient
        for series, first in firsts.items()
    }
    everybody = {*people.values()}
    findings: list[Finding] = []
    leader = {person: person for person in everybody}
    for tag, (keys_of, fix) in _OF_ONE.items():
        sharing = defaultdict(set)
        for series, first in firsts.items():
            for key in keys_of(first):
                sharing[key].add(people[series])
        sharing.pop("", None)
        joined, of_nobody = set[str](), set[str]()
        for several in (found for found in sharing.values() if len(found) > 1):
            if len(several) > _MOST_NAMES or (several == everybody and len(several) > 2):
                of_nobody |= several
            elif _join(leader, several):
                joined |= several
        for persons, then in (
            (of_nobody, "it is taken to say nothing, and they stay patients of their own"),
            (joined, "folds keep them together"),
        ):
            if persons:
                cases = sorted(ids[series] for series in people if people[series] in persons)
                told = f"{len(persons)} patients share {tag} with others: {sample(cases)}; {then}"
                doubtful = persons is joined or tag == _STUDY
                findings.append(_shared(told, fix, doubtful=doubtful))
    unnamed = sorted(ids[series] for series in alone if people[series] == firsts[series].study)
    if named and 0 < len(unnamed) < len(images):
        found = f"{len(unnamed)} series name no patient, as others do, and each of their studies "
        found += f"is taken for a patient: {sample(unnamed)}"
        fix = "look whether they are of the same patients; say it by dataset.group_file"
        findings.append(Question("warning", "DCM_STUDY", found, fix, about=("groups",)))
    return {series: _first(leader, person) for series, person in people.items()}, findings


def _join(leader: dict[str, str], several: Collection[str]) -> bool:
    """Join patients into one group, led by the least of all; tell whether any were apart."""
    firsts = {_first(leader, person) for person in several}
    leader.update(dict.fromkeys(firsts, min(firsts)))
    return len(firsts) > 1


def _first(leader: dict[str, str], person: str) -> str:
    """Return who leads the group of a patient; ways there are shortened, so that none is long."""
    while leader[person] != person:
        leader[person] = leader[leader[person]]
        person = leader[person]
    return person


def _shared(found: str, fix: str, *, doubtful: bool) -> Finding:
    if not doubtful:  # as of images that were all brought onto one atlas
        return Finding("note", "DCM_STUDY", found, "")
    return Finding("warning", "DCM_STUDY", found, fix)


_STUDY = "a StudyInstanceUID"
_OWN = "export them again, each patient with studies and frames of reference of its own"
_ID = "export them again, each patient with one PatientID; or give dataset.group_file"
# What belongs to one patient: what it is in each series, and what to do if several share it.
_OF_ONE: dict[str, tuple[Callable[[SeriesFile], Iterable[str]], str]] = {
    _STUDY: (lambda file: (file.study,), _OWN),
    "a FrameOfReferenceUID": (lambda file: (file.frame,), _OWN),
    "one of OtherPatientIDs": (lambda file: file.other_ids, _ID),
    "a ClinicalTrialSubjectID": (lambda file: (file.subject,), _ID),
}


def _other_ids(one: Dataset) -> set[str]:
    """Return by what else a patient is called, without words that stand for nobody: `ANON`, `0`."""
    told = one.get("OtherPatientIDs") or []
    items = one.get("OtherPatientIDsSequence") or []
    ids = [told] if isinstance(told, str) else [*told]
    ids += [item.get("PatientID") or "" for item in items]
    return {text for text in (str(id_).strip() for id_ in ids) if _SOMEBODY.search(text)}


def _subject(one: Dataset) -> str:
    """Return who a patient is in a clinical trial, with the trial; empty as in `_other_ids`."""
    tags = ("ClinicalTrialSponsorName", "ClinicalTrialProtocolID", "ClinicalTrialSubjectID")
    *trial, subject = (str(one.get(tag) or "").strip() for tag in tags)
    return "\n".join((*trial, subject)) if _SOMEBODY.search(subject) else ""


def _kind(one: Dataset) -> str:
    """Return the modality, with the unit of its values where that is not the usual one."""
    modality = str(one.get("Modality") or "")
    unit = str(one.get("Units" if modality == "PT" else "RescaleType") or "").strip()
    return modality if unit in ("", "HU", "US") else f"{modality} {unit}"


def hashed(text: str) -> str:
    """Return what stands for an identifier of a patient or study, which nothing may show."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _not_there(tree: Tree, name: str, directory: Dataset) -> list[SeriesFile | LostFile]:
    """Return the images that a DICOMDIR lists and the tree lacks, if it is the tree's at all."""
    folder, series, listed = PurePosixPath(name).parent, "", {}
    for record in directory.DirectoryRecordSequence:
        series = str(record.get("SeriesInstanceUID") or series)
        if record.get("DirectoryRecordType") == "IMAGE" and record.get("ReferencedFileID"):
            parts = record.ReferencedFileID
            parts = [parts] if isinstance(parts, str) else parts
            listed[(folder / "/".join(parts)).as_posix()] = series
    there = {known.casefold() for known in tree.names}
    missing = [file for file in listed if file.casefold() not in there]
    if len(missing) == len(listed):
        return []
    fix = "fetch the missing files, or remove the list"
    error = f"{name} lists it, it is missing"
    return [
        LostFile(f, DataError("DCM_LISTED", error, fix, file=f), True, listed[f]) for f in missing
    ]


def _series_referred_to(one: Dataset) -> list[str]:
    found = [str(s.SeriesInstanceUID) for s in one.get("ReferencedSeriesSequence") or []]
    for frame in one.get("ReferencedFrameOfReferenceSequence") or []:
        for study in frame.get("RTReferencedStudySequence") or []:
            for series in study.get("RTReferencedSeriesSequence") or []:
                found.append(str(series.SeriesInstanceUID))
    return found
