"""The files that hold what was predicted of a case, and whether they stand as they were written."""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from data_prep.core.config import Plan
from data_prep.core.errors import DataError
from data_prep.core.findings import Findings
from data_prep.core.scan import Scan
from data_prep.files.atomic import remove_file, write_bytes
from data_prep.files.file_tree import Tree
from data_prep.files.output_folder import below
from data_prep.formats.encode import encode
from data_prep.formats.registry import suffix_of
from data_prep.layouts import Case
from data_prep.prepared.rendering import bytes_of_colour
from sdunet.segmentation.inference.decision import Prediction
from sdunet.segmentation.inference.files.class_codes import class_codes
from sdunet.segmentation.inference.files.dicom_seg import check_highdicom, dicom_seg
from sdunet.segmentation.inference.files.rtstruct import rtstruct
from sdunet.segmentation.inference.files.seg_nrrd import (
    check_header_names,
    check_volume,
    seg_nrrd,
)
from sdunet.segmentation.inference.files.source_series import (
    Maker,
    SourceSeries,
    check_dicom,
    check_names,
    read_source,
)
from sdunet.segmentation.inference.prediction_record import DICOM_SEG, RTSTRUCT, SEG_NRRD

LabelFormat = Literal["plain", "palette", "seg.nrrd"]
_COLOURS = 256  # that a palette may have
_SUFFIXES = (".png", ".tif", ".nii.gz", ".mha", ".nrrd")


@dataclass(frozen=True)
class Wanted:
    """Which files each case has, besides its label.

    Attributes:
        uncertainty: the entropy of each voxel, in `uncertainty/`.
        probabilities: of each class or region, in `probabilities/NUMBER/`.
        dicom_seg: a DICOM Segmentation, in `dicom_seg/`.
        rtstruct: an RT Structure Set, in `rtstruct/`.
        format: of the label: `plain` numbers, as `encode` writes them; a PNG whose `palette` shows
            them in the colours of classes; or `seg.nrrd`, volumes for 3D Slicer.
        codes: of classes and regions by their names, see `class_codes`.
    """

    uncertainty: bool = False
    probabilities: bool = False
    dicom_seg: bool = False
    rtstruct: bool = False
    format: LabelFormat = "plain"
    codes: Mapping[str, str] = field(default_factory=dict)

    @property
    def settings(self) -> dict[str, Any]:
        """What files depend on besides what is predicted, where it is not the usual."""
        told: dict[str, Any] = {} if self.format == "plain" else {"format": self.format}
        return told | ({"codes": dict(sorted(self.codes.items()))} if self.codes else {})

    @property
    def of_series(self) -> bool:
        """Whether files refer to a DICOM series."""
        return self.dicom_seg or self.rtstruct


@dataclass(frozen=True)
class CaseFiles:
    """Names, writes and recognises the files of cases in a folder.

    Attributes:
        out: the folder.
        plan: of the networks that predict.
        wanted: which files.
        maker: who made them.
    """

    out: Path
    plan: Plan
    wanted: Wanted
    maker: Maker

    def check(self, *, instances: bool) -> None:
        """Refuse files that cannot hold what will be predicted, before anything is.

        Raises:
            DataError: PRED_FORMAT, PRED_CODES; EXTRA_MISSING if a package is not installed.
        """
        names = [one.name for one in self.plan.scored]
        if self.wanted.codes and not self.wanted.dicom_seg:
            fix = "give --dicom-seg, too, or leave --class-codes out"
            raise DataError("PRED_CODES", "codes of classes, and no file that holds any", fix)
        class_codes(self.wanted.codes, names)
        if self.wanted.of_series and instances:
            option = "--dicom-seg" if self.wanted.dicom_seg else "--rtstruct"
            found = f"{option} holds each class as one, --instances gives ids of objects"
            raise DataError("PRED_FORMAT", found, "leave one of them out")
        if self.wanted.of_series:
            check_names(names)
        if self.wanted.dicom_seg:
            check_highdicom()
        self._check_format(instances=instances)

    def _check_format(self, *, instances: bool) -> None:
        wanted = self.wanted.format
        fix = f"leave --format {wanted} out"
        if wanted != "plain" and instances:
            found = f"--format {wanted} shows classes, --instances gives ids of objects"
            raise DataError("PRED_FORMAT", found, "leave one of them out")
        flat = self.plan.spacing is None
        if (wanted, flat) in (("palette", False), ("seg.nrrd", True)):
            found = "2D images, .seg.nrrd is" if flat else "volumes, a palette is"
            other = "volumes" if flat else "2D images"
            raise DataError("PRED_FORMAT", f"the model is of {found} for {other}", fix)
        if wanted == "palette" and self.plan.num_classes > _COLOURS:
            found = f"a palette has {_COLOURS} colours, there are {self.plan.num_classes} classes"
            raise DataError("PRED_FORMAT", found, fix)
        if wanted == "seg.nrrd":
            check_header_names(self.plan.stated)

    def check_ids(self, ids: Collection[str]) -> None:
        """Refuse cases of which one may have a file of the name of another's, as `x` and `x.seg`.

        Raises:
            DataError: CASE_NAME.
        """
        owners: dict[str, str] = {}
        for id_ in sorted(ids):
            for suffix in (*_SUFFIXES, SEG_NRRD):
                name = f"{id_}{suffix}"
                if (other := owners.setdefault(name.casefold(), id_)) != id_:
                    found = f"a file {name} may be of it and of case {other}"
                    fix = "rename one of them, or predict them into folders of their own"
                    raise DataError("CASE_NAME", found, fix, case=id_)

    def check_cases(self, tree: Tree, cases: Sequence[Case], findings: Findings) -> None:
        """Refuse images that wanted files cannot refer to, before anything is predicted.

        Raises:
            DataError: as `check_dicom`.
        """
        if self.wanted.of_series:
            check_dicom(tree, cases, findings)

    def source_of(
        self, tree: Tree, case: Case, scan: Scan, findings: Findings
    ) -> SourceSeries | None:
        """Return the series that files of a case refer to; `None` where none does.

        Raises:
            DataError: as `read_source`; PRED_FORMAT for a scan that the label's file cannot hold.
        """
        if self.wanted.format == "seg.nrrd":
            check_volume(scan)
        if self.wanted.format == "palette" and scan.affine is not None:
            found = "an image that has a place, which no PNG holds"
            raise DataError("PRED_FORMAT", found, "leave --format palette out")
        return read_source(tree, case, scan, findings) if self.wanted.of_series else None

    def names_of(self, case_id: str) -> list[str]:
        """Return the names that files of a case may have, whatever is asked for."""
        at = ["", "uncertainty/", *(f"probabilities/{number}/" for number in self._numbers)]
        names = [f"{folder}{case_id}{suffix}" for folder in at for suffix in _SUFFIXES]
        of_series = [f"{folder}/{case_id}.dcm" for folder in (DICOM_SEG, RTSTRUCT)]
        return [*names, f"{case_id}{SEG_NRRD}", *of_series]

    def stand(self, before: Mapping[str, Any]) -> bool:
        """Tell whether all that is wanted of a case was written, and stands unchanged."""
        files = before.get("files", {})
        there = {Path(name).parent.as_posix() for name in files}
        return {*self._folders} <= there and all(
            (self.out / name).is_file()
            and hashlib.sha256((self.out / name).read_bytes()).hexdigest() == sha256
            for name, sha256 in files.items()
        )

    def write(
        self, case: Case, scan: Scan, found: Prediction, source: SourceSeries | None
    ) -> dict[str, str]:
        """Write what was predicted, and return its files with the hash of each.

        Files that an earlier prediction has left, which asked for more, are removed.
        """
        files = {}
        for folder in self._folders:
            suffix, data = self._content(folder, case, scan, found, source)
            path = Path(folder) / f"{case.id}{suffix}"
            write_bytes(below(self.out, path.as_posix()), data)
            files[path.as_posix()] = hashlib.sha256(data).hexdigest()
        for name in set(self.names_of(case.id)) - set(files):
            remove_file(self.out / name)
        return files

    @property
    def _numbers(self) -> range:
        """What folders of probabilities are called: classes from 0, regions from 1."""
        first = 1 if self.plan.regions else 0
        return range(first, first + self.plan.probability_maps)

    @property
    def _folders(self) -> list[str]:
        """The folders that hold a file of each case; `.` that of the label."""
        probabilities = [f"probabilities/{number}" for number in self._numbers]
        return [
            ".",
            *["uncertainty"] * self.wanted.uncertainty,
            *probabilities * self.wanted.probabilities,
            *[DICOM_SEG] * self.wanted.dicom_seg,
            *[RTSTRUCT] * self.wanted.rtstruct,
        ]

    def _content(
        self, folder: str, case: Case, scan: Scan, found: Prediction, source: SourceSeries | None
    ) -> tuple[str, bytes]:
        """Return the suffix and the bytes of the file of a case in a folder."""
        if folder == DICOM_SEG and source is not None:
            codes = class_codes(self.wanted.codes, [one.name for one in self.plan.scored])
            label = found.label[0]
            return ".dcm", dicom_seg(label, self.plan.scored, codes, source, self.maker)
        if folder == RTSTRUCT and source is not None and scan.affine is not None:
            told = self.plan.scored, source, self.maker
            return ".dcm", rtstruct(found.label[0], scan.affine, *told)
        if folder == "." and self.wanted.format == "seg.nrrd":
            return SEG_NRRD, seg_nrrd(scan.holding(found.label), self.plan.stated)
        if folder == ".":
            return encode(scan.holding(found.label), suffix_of(case.image), self._palette)
        if folder == "uncertainty" and found.entropy is not None:
            array = found.entropy
        else:  # one class at a time: together they may be larger than the memory
            array = found.probability_of(int(folder.rsplit("/")[-1]) - self._numbers.start)
        return encode(scan.holding(array), suffix_of(case.image))

    @property
    def _palette(self) -> np.ndarray | None:
        """The colours of class numbers, background black, if they are wanted."""
        if self.wanted.format != "palette":
            return None
        return np.array([bytes_of_colour(n) for n in range(self.plan.num_classes)], np.uint8)
