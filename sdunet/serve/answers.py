"""What is answered: the files of a prediction, or an error in words that tell nothing of here."""

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from http import HTTPStatus

from starlette.responses import Response

from data_prep.core.errors import DataError
from data_prep.core.findings import Finding
from data_prep.core.safe_text import inert, inert_json, placeless

BUSY = (HTTPStatus.SERVICE_UNAVAILABLE, {"Retry-After": "5"})
_STATUS: dict[str, tuple[int, Mapping[str, str]]] = {
    "SERVE_BUSY": BUSY,
    "SERVE_STOPPING": BUSY,
    "SERVE_UPLOAD": (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, {}),
    "SERVE_TOKEN": (HTTPStatus.UNAUTHORIZED, {"WWW-Authenticate": "Bearer"}),
    "SERVE_HOST": (HTTPStatus.MISDIRECTED_REQUEST, {}),
    "SERVE_REQUEST": (HTTPStatus.BAD_REQUEST, {}),
    "SERVE_SESSION": (HTTPStatus.NOT_FOUND, {}),
    "SERVE_SLOW": (HTTPStatus.REQUEST_TIMEOUT, {}),
    "OUT_DISK": (HTTPStatus.INSUFFICIENT_STORAGE, {}),
    "CASE_FAILED": (HTTPStatus.INTERNAL_SERVER_ERROR, {}),
}
_READABLE = 0o644  # files, for whoever unpacks them
_OF_SCAN: tuple[int, Mapping[str, str]] = (HTTPStatus.UNPROCESSABLE_ENTITY, {})


@dataclass(frozen=True)
class Answer:
    """What was predicted of one scan.

    Attributes:
        suffix: of the file of the label.
        label: its bytes, those that `sdunet predict` writes.
        overlay: a picture of it, PNG.
        findings: what was noticed.
        facts: of the model.
    """

    suffix: str
    label: bytes
    overlay: bytes
    findings: tuple[Finding, ...]
    facts: Mapping[str, object]

    @property
    def codes(self) -> str:
        """Codes of what was noticed, each once."""
        return ",".join(dict.fromkeys(finding.code for finding in self.findings))

    @property
    def told(self) -> dict[str, object]:
        """Facts of the model, and what was noticed."""
        return {**self.facts, "findings": [asdict(safe(one)) for one in self.findings]}

    def as_zip(self) -> Response:
        """Return a zip of `label` and its suffix, `overlay.png` and `findings.json`."""
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:  # what is in it is packed already
            for name, content in (
                (f"label{self.suffix}", self.label),
                ("overlay.png", self.overlay),
                ("findings.json", inert_json(self.told)),
            ):
                member = zipfile.ZipInfo(name)  # of no time: clocks may stand before those of zips
                member.external_attr = _READABLE << 16
                archive.writestr(member, content)
        return self._file("prediction.zip", buffer.getvalue(), "application/zip")

    def as_label(self) -> Response:
        """Return the file of the label alone; a header tells the codes of what was noticed."""
        return self._file(f"label{self.suffix}", self.label, "application/octet-stream")

    def _file(self, name: str, content: bytes, kind: str) -> Response:
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        headers |= {"X-Findings": self.codes} if self.findings else {}
        return Response(content, media_type=kind, headers=headers)


def safe(finding: Finding) -> Finding:
    """Return a finding without places of this machine and without what does not print."""
    found, fix = inert(placeless(finding.found)), inert(placeless(finding.fix))
    file = None if finding.file is None else inert(placeless(finding.file))
    return replace(finding, found=found, fix=fix, file=file)


def refused(error: DataError, status: int | None = None) -> Response:
    """Return an error as JSON of its code, what was found and what to do.

    Args:
        error: what was raised.
        status: of HTTP. Default: as the code tells, 422 for what is wrong with a scan.
    """
    told = safe(Finding.of(error))
    record = {name: getattr(told, name) for name in ("code", "found", "fix", "file")}
    record = {name: value for name, value in record.items() if value is not None}
    known, headers = _STATUS.get(error.code, _OF_SCAN)
    return as_json(record, status or known, headers)


def as_json(
    record: object, status: int = HTTPStatus.OK, headers: Mapping[str, str] | None = None
) -> Response:
    """Return a record as JSON."""
    text = json.dumps(record, allow_nan=False)
    return Response(text, status, headers, media_type="application/json")
