"""U-Nets whose decoders sweep: spatial dependency networks for medical image segmentation."""

from sdunet.layers import ResSDNLayer, SDNLayer
from sdunet.nets.nested import NestedSDUNet
from sdunet.nets.unet import SDUNet
from sdunet.ops import sdn_sweep
from sdunet.vae.ladder import LadderVAE

__all__ = ["LadderVAE", "NestedSDUNet", "ResSDNLayer", "SDNLayer", "SDUNet", "sdn_sweep"]
