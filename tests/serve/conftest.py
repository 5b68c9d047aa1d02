"""A server within the process, of a network that finds classes by intensity."""

import numpy as np
import pytest
from predicted_series import thirds
from starlette.testclient import TestClient

from sdunet.segmentation.inference import predict_folder
from sdunet.segmentation.inference.predict_folder import PredictOptions, predict
from sdunet.serve import served_model
from sdunet.serve.access import Access
from sdunet.serve.app import make_app
from sdunet.serve.kept_scans import KeptScans
from sdunet.serve.served_model import ServedModel
from sdunet.serve.service import Service
from sdunet.serve.work_queue import WorkQueue

LICENCE = "For research.\n"


@pytest.fixture
def service(tmp_path, monkeypatch):
    """Maker of what the routes share; at the end, nothing may be left but scans that are kept."""
    made = []
    (tmp_path / "model").mkdir()
    (tmp_path / "model/LICENSE").write_text(LICENCE)
    folder = tmp_path / "private"
    folder.mkdir()

    def make(ensemble=None, *, token=None, queue=8, most=1e7, memory=1e9, keep=8):
        ensemble = ensemble or thirds()
        for module in (served_model, predict_folder):
            monkeypatch.setattr(module, "load_ensemble", lambda *_, **__: ensemble)
        model = ServedModel(tmp_path / "model", "cpu", memory)
        access = Access(token, local=token is None)
        kept = KeptScans(keep, idle=60)
        made.append(Service(model, access, WorkQueue(queue), folder, most, kept))
        return made[-1]

    yield make
    for one in made:
        for name in one.kept.names:
            one.kept.drop(name)
    assert not [*folder.iterdir()]


@pytest.fixture
def client(service):
    """Maker of a client of such a server, which raises nothing of the server's."""

    def make(made=None, **options):
        app = make_app(made or service(**options))
        return TestClient(app, base_url="http://127.0.0.1:8000")

    return make


@pytest.fixture
def written_by_predict(tmp_path):
    """What the command writes for the same scan: the bytes of its label."""

    def predicted(path):
        out = tmp_path / f"out of {path.name}"
        (case,), problems = predict("m", path, out, options=PredictOptions(device="cpu"))
        assert not problems
        (label,) = (p for p in out.iterdir() if p.name.startswith(case) and p.is_file())
        return label.read_bytes()

    return predicted


@pytest.fixture
def volume(tmp_path, write_nifti):
    """A scan as NIfTI, whose grid is none of the network's."""
    array = np.random.default_rng(0).integers(-1000, 1900, (7, 9, 6)).astype(np.int16)
    return write_nifti(tmp_path / "scan.nii.gz", array, np.diag([1.1, 0.7, 2.0, 1.0]))
