"""What tests of prediction share."""

import pytest
from predicted_series import PLAN, thirds

from sdunet.segmentation.inference import predict_folder


@pytest.fixture
def model(monkeypatch):
    """Lets `predict` find classes by intensity, of any plan that it is given."""

    def of(plan=PLAN):
        monkeypatch.setattr(predict_folder, "load_ensemble", lambda *_, **__: thirds(plan))

    of()
    return of
