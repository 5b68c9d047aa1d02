"""The command and the class for Python predict by the defaults of `PredictOptions`."""

import inspect

from sdunet import Predictor
from sdunet.cli.main import main
from sdunet.segmentation.inference import predict_folder
from sdunet.segmentation.inference.predict_folder import PredictOptions


def test_the_command_without_options_has_the_defaults(monkeypatch, tmp_path):
    taken = []
    monkeypatch.chdir(tmp_path)

    def predict(runs, images, out, only, options, progress):
        taken.append(options)
        return ["case"], []

    monkeypatch.setattr(predict_folder, "predict", predict)
    assert main(["predict", "--model", "run", "-i", "images", "-o", "out"]) == 0
    assert taken == [PredictOptions()]


def test_the_predictor_has_the_same_ones():
    parameters = inspect.signature(Predictor.load).parameters
    found = [parameters[name].default for name in ("device", "mirroring", "accept")]
    assert found == [PredictOptions.device, PredictOptions.mirror, PredictOptions.accept]
