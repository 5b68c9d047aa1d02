"""The model that a server keeps loaded, and what it makes of the files of one request."""

import io
from collections.abc import Collection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from PIL import Image

from data_prep.core.errors import DataError, case_errors
from data_prep.core.findings import Findings
from data_prep.core.memory_limits import memory_within
from data_prep.core.scan import Scan
from data_prep.files.file_tree import open_tree
from data_prep.formats.encode import encode
from data_prep.formats.registry import suffix_of
from data_prep.layouts.cases import Case
from data_prep.prepared.rendering import thumbnail, turned
from sdunet.runtime.doubts import findings_of
from sdunet.runtime.run_record import versions
from sdunet.segmentation.export.licence import LICENCE
from sdunet.segmentation.inference.ensemble import Ensemble, load_ensemble, predict_scan
from sdunet.segmentation.inference.predict_folder import NETWORKS
from sdunet.segmentation.models.hub import fetch, is_on_hub
from sdunet.segmentation.models.input_cases import cases_in, read_in_order
from sdunet.serve.answers import Answer

_FIX = "send one scan a request: a file of a known format, or a zip of one DICOM series"
_MOST_LICENCE = 1 << 16  # bytes of a text that are shown
_SHOWN = 512  # pixels along the longer side that small pictures are enlarged to, in whole times


class ServedModel:
    """A trained network, or an ensemble, that predicts what `sdunet predict` does.

    Args:
        path: of a package, folder or zip, or of a run.
        device: of torch.
        memory: bytes that one scan may take, beside the network.
        accept: codes of what is meant to be so.

    Attributes:
        name: the last part of the path.
        ensemble: the networks.

    Raises:
        DataError: as `load_ensemble`.
    """

    def __init__(
        self, path: Path, device: str, memory: float, accept: Collection[str] = ()
    ) -> None:
        self.name = path.resolve().name.removesuffix(".zip")
        self.memory = memory
        self.accept = tuple(accept)
        with TemporaryDirectory() as folder, memory_within(max(memory, NETWORKS)):
            here = fetch(path, Path(folder) / "package") if is_on_hub(path) else path
            self.ensemble: Ensemble = load_ensemble([here], device, accept=accept)
            self._licence = _licence_of(here)

    @property
    def identity(self) -> dict[str, Any]:
        """Name and hash of the model, and version of sdunet."""
        hashes = [model.sha256 for model in self.ensemble.models]
        return {"model": self.name, "sha256": hashes, "version": versions()["sdunet"]}

    @property
    def info(self) -> dict[str, Any]:
        """What it is sent and gives."""
        plan = self.ensemble.plan
        return {
            **self.identity,
            "labels": dict(plan.stated),
            "regions": {region.name: list(region.classes) for region in plan.regions},
            "channels": list(plan.channels),
            "dimensions": plan.spatial_dims,
            "spacing": None if plan.spacing is None else list(plan.spacing),
            "licence": self._licence,
            "use": "research only",
        }

    def predict(self, path: Path) -> Answer:
        """Predict the one case in a file or folder.

        Raises:
            DataError: IO_SEVERAL if there are several; whatever keeps it from being predicted;
                CASE_FAILED for what nobody expects.
            OSError: if the disk takes nothing more.
        """
        with case_errors(), memory_within(self.memory):
            return self._predict(path)

    def _predict(self, path: Path) -> Answer:
        plan = self.ensemble.plan
        findings = Findings({*plan.accept, *self.accept}, "serve --accept {code}")
        tree = open_tree(path)
        try:
            layout, unused = cases_in(tree, plan, findings, tell=lambda text: None)
        except DataError as error:
            if error.code != "LAY_UNKNOWN":
                raise
            raise DataError("IO_NOT_IMAGE", error.found, _FIX) from error
        for problem in (*layout.problems, *unused):
            raise problem
        case = _only(layout.cases)
        findings.found += [f for f in layout.findings if f.code != "LAY_UNUSED"]
        scan, _ = read_in_order(tree, case, plan, findings)
        found = predict_scan(self.ensemble, scan, findings, lambda text: None, memory=self.memory)
        suffix, label = encode(scan.holding(found.label), suffix_of(case.image))
        doubts = findings_of(self.ensemble.doubts, self.accept)
        told = tuple(one for one in (*doubts, *findings.found) if one.is_told)
        facts = self.identity | {"labels": dict(plan.stated), "use": "research only"}
        return Answer(suffix, label, _overlay(scan, found.label), told, facts)


def _only(cases: Collection[Case]) -> Case:
    if len(cases) != 1:
        raise DataError("IO_SEVERAL", f"{len(cases)} scans in it", _FIX)
    (case,) = cases
    return case


def _overlay(scan: Scan, label: Any) -> bytes:
    """Draw a prediction on its scan; of a volume on the axial plane that has most of it."""
    image = scan.array
    if scan.affine is not None:
        image, label = (turned(array, scan.affine)[0] for array in (image, label))
    picture = Image.open(io.BytesIO(thumbnail(image, label)))
    times = max(1, _SHOWN // max(picture.size))
    buffer = io.BytesIO()
    larger = picture.resize([times * size for size in picture.size], Image.Resampling.NEAREST)
    larger.save(buffer, "PNG")
    return buffer.getvalue()


def _licence_of(path: Path) -> str | None:
    """Return the text under which a package may be used, or `None` where it holds none."""
    tree = open_tree(path)
    name = next((name for name in tree.names if Path(name).name == LICENCE), None)
    return None if name is None else tree.read(name, _MOST_LICENCE).decode(errors="replace")
