"""What tests of the server send it, and models that it serves."""

import io
import time
import zipfile
from dataclasses import replace

import nibabel as nib
import numpy as np
import torch
from dicom_files import encode, series
from predicted_series import PLAN, thirds

from data_prep.core.config import Plan
from sdunet.runtime.safetensors_io import write_weights
from sdunet.segmentation.config import NetworkConfig
from sdunet.segmentation.inference.ensemble import Ensemble
from sdunet.segmentation.models.doubts import write_accepted
from sdunet.segmentation.models.integrity import seal
from sdunet.segmentation.models.trained_model import (
    WEIGHTS,
    Model,
    network_for,
    save_description,
)


def until(happens, seconds=20):
    """Wait for what shall happen; return whether it did."""
    end = time.monotonic() + seconds
    while not (found := happens()) and time.monotonic() < end:
        time.sleep(0.05)
    return found


def zipped(files):
    """A zip of bytes by name."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def ct(**options):
    """A DICOM series, by names of its files."""
    return {f"anna/{i}.dcm": encode(one) for i, one in enumerate(series(**options))}


def of_two_channels():
    """A network that sees its first channel alone, so that a changed order shows."""
    plan = replace(PLAN, channels=("T1", "T2"))
    one = thirds().models[0].network
    network = torch.nn.Conv3d(2, 3, 1)
    with torch.no_grad():
        network.weight[:, :1], network.weight[:, 1:], network.bias[:] = one.weight, 0, one.bias
    return Ensemble((Model(network.eval(), plan, 0.5, (), "cd" * 32, None),), {})


def second_channel(volume):
    """Return other voxels on the grid of a NIfTI file, and its affine."""
    first = nib.load(volume)
    noise = np.random.default_rng(1).integers(-1000, 1900, first.shape)
    return noise.astype(np.int16), first.affine


def write_package(folder):
    """Write a package of a network of 2D images that nobody trained."""
    folder.mkdir(parents=True)
    torch.manual_seed(0)
    plan = Plan(2, ("grey",), {"background": 0, "a": 1, "b": 2}, {}, "zscore", None, (32, 32))
    config = NetworkConfig(features=(4, 6), num_features=3)
    save_description(folder, config, plan, 0.5, ())
    write_weights(folder / WEIGHTS, network_for(config, plan).state_dict())
    write_accepted(folder, ())
    seal(folder)
    return folder
