"""Networks inside of MONAI's own pipelines, whose images carry where they lie."""

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import DataLoader, Dataset, MetaTensor
from monai.engines import SupervisedTrainer
from monai.inferers import SimpleInferer, SlidingWindowInferer
from monai.losses import DiceCELoss
from monai.transforms import AsDiscreted, Compose, EnsureChannelFirstd, LoadImaged, SaveImaged

from sdunet.layers import ResSDNLayer, SDNLayer
from sdunet.nets.nested import NestedSDUNet
from sdunet.nets.unet import SDUNet
from sdunet.ops import carry_sweep, sdn_sweep

AFFINE = np.array([[-1.5, 0, 0, 12], [0, 0, 2, -7], [0, 3, 0, 5], [0, 0, 0, 1.0]])
NETWORKS = {
    "carry": lambda: SDUNet(3, 1, 2, (4, 6), num_features=3),
    "published": lambda: SDUNet(3, 1, 2, (4, 6), num_features=3, cell="gru", init="published"),
    "nested": lambda: NestedSDUNet(3, 1, 2, (4, 6), num_features=3),
}


@pytest.fixture
def scan(tmp_path):
    values = np.random.default_rng(0).normal(size=(20, 14, 18)).astype(np.float32)
    nib.save(nib.Nifti1Image(values, AFFINE), tmp_path / "scan.nii.gz")
    return tmp_path / "scan.nii.gz"


# MONAI tells of a decoder of CUDA that is not there.
@pytest.mark.filterwarnings("ignore:NvImgCodecPydicomReader:UserWarning")
@pytest.mark.parametrize("name", NETWORKS)
def test_a_scan_goes_through_monai_and_comes_out_where_it_lay(scan, tmp_path, name):
    torch.manual_seed(0)
    network = NETWORKS[name]().eval()
    load = Compose([LoadImaged("image"), EnsureChannelFirstd("image")])
    finish = Compose(
        [
            AsDiscreted("logits", argmax=True),
            SaveImaged("logits", output_dir=tmp_path / "out", separate_folder=False,
                       output_postfix="label", print_log=False),
        ]
    )  # fmt: skip
    image = load({"image": scan})["image"]
    windows = SlidingWindowInferer((12, 12, 12), overlap=0.5, mode="gaussian")
    with torch.no_grad():
        logits = windows(image[None], network)
        plain = windows(image.as_tensor()[None], network)
    assert isinstance(logits, MetaTensor)
    assert torch.equal(logits.as_tensor(), plain)
    finish({"logits": logits[0]})
    saved = nib.load(tmp_path / "out/scan_label.nii.gz")
    np.testing.assert_allclose(saved.affine, AFFINE, atol=1e-6)
    np.testing.assert_array_equal(saved.get_fdata(), plain[0].argmax(0).numpy())


@pytest.mark.parametrize("features", [3, 70])  # narrow sweeps and wide ones take other ways
def test_layers_and_sweeps_take_images_that_tell_where_they_lie(features):
    torch.manual_seed(0)
    image = MetaTensor(torch.randn(1, 2, 9, 11))
    for layer in (SDNLayer(2, 3, features, 3, 1, 1), ResSDNLayer(2, 3, features, 3, 1, 1)):
        given, plain = layer(image), layer(image.as_tensor())
        assert torch.equal(torch.Tensor(given), plain)
    lines = MetaTensor(torch.randn(1, 4, 5, features))
    cell = torch.nn.GRUCell(3 * features, features)
    weight, bias = torch.randn(2 * features + 2, features), torch.zeros(2 * features + 2)
    for swept, wanted in (
        (sdn_sweep(lines, *cell.parameters()), sdn_sweep(lines.as_tensor(), *cell.parameters())),
        (carry_sweep(lines, weight, bias), carry_sweep(lines.as_tensor(), weight, bias)),
    ):
        assert torch.equal(torch.Tensor(swept), wanted)


def test_monais_own_trainer_trains_a_network():
    torch.manual_seed(0)
    network = NETWORKS["carry"]()
    image = torch.zeros(1, 16, 16, 16)
    image[:, 4:12, 4:12, 4:12] = 1
    cases = [{"image": MetaTensor(image + 0.1 * torch.randn_like(image)), "label": image}] * 4
    losses = []
    trainer = SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=15,
        train_data_loader=DataLoader(Dataset(cases), batch_size=2),
        network=network,
        optimizer=torch.optim.AdamW(network.parameters(), 0.02),
        loss_function=DiceCELoss(to_onehot_y=True, softmax=True),
        inferer=SimpleInferer(),
    )
    trainer.logger.setLevel("ERROR")
    from ignite.engine import Events

    trainer.add_event_handler(
        Events.ITERATION_COMPLETED,
        lambda engine: losses.append(float(engine.state.output[0]["loss"])),
    )
    trainer.run()
    assert len(losses) == 30
    assert losses[-1] < 0.5 * losses[0]
