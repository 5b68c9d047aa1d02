"""U-Nets whose decoders sweep: spatial dependency networks for medical image segmentation."""

from sdunet.layers import ResSDNLayer, SDNLayer
from sdunet.nets.unet import SDUNet
from sdunet.ops import sdn_sweep

__all__ = ["ResSDNLayer", "SDNLayer", "SDUNet", "sdn_sweep"]
