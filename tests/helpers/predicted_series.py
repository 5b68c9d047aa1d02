"""A network that finds classes by intensity, and predictions by it of DICOM series."""

import shutil
import subprocess

import torch
from dicom_files import OBLIQUE, encode
from pydicom.uid import generate_uid

from data_prep.core.config import Plan, Rules
from data_prep.core.findings import Findings
from data_prep.files.file_tree import open_tree
from data_prep.layouts import Case
from data_prep.reading.label import read_case_label
from sdunet.segmentation.inference.ensemble import Ensemble
from sdunet.segmentation.inference.predict_folder import predict
from sdunet.segmentation.models.trained_model import Model

CLASSES = {"background": 0, "organ": 1, "tumour": 2}
PLAN = Plan(
    *(3, ("CT",), CLASSES, {}, "window", (0.9, 0.7, 2.0), (8, 8, 8)),
    window=(-1024, 1976),
)
FRAME = generate_uid()
SAGITTAL = [0, 1, 0, 0, 0, -1]
WAYS = {
    "axial": {},
    "descending": {"step": -2.0},
    "oblique": {"orientation": OBLIQUE},
    "sagittal": {"orientation": SAGITTAL},
}
FOLDERS = {"segments": "dicom_seg", "contours": "rtstruct"}


def thirds(plan=PLAN):
    """A network that finds class 2 in bright voxels, 1 in those between, 0 in dark ones."""
    network = torch.nn.Conv3d(1, 3 - bool(plan.regions), 1)
    weights, biases = ([20.0, 20.0], [-6, -12]) if plan.regions else ([0.0, 20, 40], [0, -6, -20])
    with torch.no_grad():
        network.weight.copy_(torch.tensor(weights).reshape(network.weight.shape))
        network.bias.copy_(torch.tensor(biases))
    return Ensemble((Model(network.eval(), plan, 0.5, (), "ab" * 32, None),), {})


def written_to(folder, slices):
    folder.mkdir(parents=True)
    for number, one in enumerate(slices):
        one.FrameOfReferenceUID = FRAME
        (folder / f"{number}.dcm").write_bytes(encode(one))
    return folder


def predicted(folder, out, options):
    done, problems = predict("m", folder, out, options=options)
    assert not problems
    return done[0]


def read_again(folder, out, case, kind="segments", classes=CLASSES):
    """What was written of a series, by our own reader on that series, and what it tells."""
    both = shutil.copytree(folder, out.parent / f"{kind} of {out.name}")
    shutil.copy(out / FOLDERS[kind] / f"{case}.dcm", both / "label.dcm")
    tree = open_tree(both)
    scans = tuple(name for name in tree.names if name != "label.dcm")
    found, findings = Case("a", (scans,), ("label.dcm",), kind), Findings()
    label = read_case_label(tree, found, Rules(("CT",), classes), findings=findings)
    return label, [str(f) for f in findings.found if f.level == "warning"]


def said_by_validator(path):
    """Return what dciodvfy of dicom3tools says of a file, by lines."""
    done = subprocess.run(["dciodvfy", "-new", path], capture_output=True, text=True, check=False)
    return done.stderr.splitlines()
