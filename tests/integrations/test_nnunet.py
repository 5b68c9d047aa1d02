"""nnU-Net's own commands with the trainers: train, predict, and scores that both tools agree on."""

import json
import os
import subprocess
from functools import partial
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

import sdunet.integrations
from sdunet.cli.main import main

ROOT = Path(__file__).parents[2]
COMMANDS = ROOT / ".venv-nnunet/bin"
TRAINER = "nnUNetTrainerSDUNet_3iterations"
# As the guide tells users to write a trainer of fewer epochs.
SHORT_TRAINER = f"""
from sdunet.integrations.nnunet import nnUNetTrainerSDUNet

class {TRAINER}(nnUNetTrainerSDUNet):
    def __init__(self, plans, configuration, fold, dataset_json, device):
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.num_epochs, self.num_iterations_per_epoch, self.num_val_iterations_per_epoch = 1, 3, 1
"""
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(
        not (COMMANDS / "nnUNetv2_train").exists(),
        reason="no nnU-Net: scripts/nnunet_environment.sh installs it in an environment of its own",
    ),
]


def write_dataset(folder):
    images, labels = folder / "imagesTr", folder / "labelsTr"
    images.mkdir(parents=True)
    labels.mkdir()
    random = np.random.default_rng(0)
    voxels = np.stack(np.meshgrid(*[np.arange(24)] * 3, indexing="ij"), axis=-1)
    for case in range(5):
        distance = np.linalg.norm(voxels - random.integers(8, 16, 3), axis=-1)
        label = ((distance < 6).astype(np.uint8)) + (distance < 3)
        image = (100 * label + random.normal(0, 5, label.shape)).astype(np.float32)
        nib.save(nib.Nifti1Image(image, np.eye(4)), images / f"ball_{case}_0000.nii.gz")
        nib.save(nib.Nifti1Image(label, np.eye(4)), labels / f"ball_{case}.nii.gz")
    about = {
        "channel_names": {"0": "MRI"},
        "labels": {"background": 0, "shell": 1, "core": 2},
        "numTraining": 5,
        "file_ending": ".nii.gz",
    }
    (folder / "dataset.json").write_text(json.dumps(about), encoding="utf-8")


@pytest.fixture(scope="module")
def nnunet(tmp_path_factory):
    """Return a function that runs a command of nnU-Net on a dataset that it has prepared."""
    home = tmp_path_factory.mktemp("nnunet")
    write_dataset(home / "raw/Dataset001_Balls")
    (home / "trainers").mkdir()
    (home / "trainers/short.py").write_text(SHORT_TRAINER, encoding="utf-8")
    environment = {
        **os.environ,
        "nnUNet_raw": str(home / "raw"),
        "nnUNet_preprocessed": str(home / "preprocessed"),
        "nnUNet_results": str(home / "results"),
        "nnUNet_extTrainer": os.pathsep.join(
            [str(home / "trainers"), *sdunet.integrations.__path__]
        ),
        "nnUNet_def_n_proc": "1",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(ROOT),
    }

    def run(command, *arguments, processes="0"):
        execute(COMMANDS / f"nnUNetv2_{command}", *arguments, processes=processes)

    def execute(*command, processes="0"):
        done = subprocess.run(
            command,
            env={**environment, "nnUNet_n_proc_DA": processes},
            cwd=home,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]

    planning = ("-d", "1", "-c", "2d", "3d_fullres", "-np", "1", "-npfp", "1")
    run("plan_and_preprocess", *planning, processes="1")
    run.home, run.python = home, partial(execute, COMMANDS / "python")
    return run


@pytest.mark.parametrize("configuration", ["2d", "3d_fullres"])
def test_nnunet_trains_predicts_and_scores(nnunet, configuration, capsys):
    raw = nnunet.home / "raw/Dataset001_Balls"
    predicted = nnunet.home / f"predicted_{configuration}"
    nnunet("train", "1", configuration, "0", "-tr", TRAINER, "-device", "cpu")
    where = ("-d", "1", "-c", configuration, "-f", "0", "-tr", TRAINER, "-device", "cpu")
    one_process = ("-npp", "1", "-nps", "1", "--disable_tta")
    nnunet("predict", "-i", raw / "imagesTr", "-o", predicted, *where, *one_process)

    labels = raw / "labelsTr"
    nnunet("evaluate_simple", labels, predicted, "-l", "1", "2", "-np", "1")
    theirs = json.loads((predicted / "summary.json").read_text(encoding="utf-8"))

    scores = nnunet.home / f"scores_{configuration}"
    folders = ("--pred", str(predicted), "--ref", str(labels), "-o", str(scores))
    assert main(["evaluate", *folders]) == 0
    capsys.readouterr()
    ours = json.loads((scores / "summary.json").read_text(encoding="utf-8"))
    assert counts(ours) == counts(theirs)
    assert len(counts(ours)) == 10


def test_trainers_are_found_with_and_without_deep_supervision(nnunet, tmp_path):
    script = tmp_path / "find.py"
    script.write_text(
        """
from nnunetv2.run.run_training import get_trainer_from_args
from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name as find
import torch
for name, wanted in (("", True), ("_NoDeepSupervision", False)):
    trainer = get_trainer_from_args(
        "1", "2d", 0, f"nnUNetTrainerSDUNet{name}", device=torch.device("cpu")
    )
    assert trainer.enable_deep_supervision is wanted
    trainer.initialize()
    trainer.set_deep_supervision_enabled(True)
    assert trainer.network.deep_supervision is wanted
    assert type(trainer) is not find("nnUNetTrainer")
""",
        encoding="utf-8",
    )
    nnunet.python(script)


def counts(summary):
    """Return true and false positives and negatives of each case and class."""
    return {
        (Path(case["reference_file"]).name, label): [values[of] for of in ("TP", "FP", "FN", "TN")]
        for case in summary["metric_per_case"]
        for label, values in case["metrics"].items()
    }


def test_weights_start_a_task_of_other_classes_as_nnunet_moves_them(nnunet, tmp_path):
    script = tmp_path / "move.py"
    script.write_text(
        """
import sys, torch
from nnunetv2.run.load_pretrained_weights import load_pretrained_weights
from sdunet.integrations.nnunet_network import planned_sdunet
op = "torch.nn.modules.{}".format
plan = {
    "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
    "arch_kwargs": {
        "features_per_stage": [4, 6, 8], "kernel_sizes": [[3, 3]] * 3,
        "strides": [[1, 1], [2, 2], [2, 2]],
        "norm_op": op("instancenorm.InstanceNorm2d"), "norm_op_kwargs": {"affine": True},
        "nonlin": "torch.nn.LeakyReLU", "nonlin_kwargs": {"inplace": True},
    },
}
first, second = (planned_sdunet(plan, 1, classes, True) for classes in (3, 5))
torch.save({"network_weights": first.state_dict()}, sys.argv[1])
heads = [head.weight.clone() for head in (second.network.head, *second.network.aside)]
load_pretrained_weights(second, sys.argv[1])
for old, new in zip(heads, (second.network.head, *second.network.aside), strict=True):
    assert torch.equal(old, new.weight)
moved = [name for name, weight in second.state_dict().items() if "seg_layers" not in name]
assert moved and all(torch.equal(second.state_dict()[n], first.state_dict()[n]) for n in moved)
""",
        encoding="utf-8",
    )
    subprocess.run(
        [COMMANDS / "python", script, tmp_path / "weights.pth"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
    )
