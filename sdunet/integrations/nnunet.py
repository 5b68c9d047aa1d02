"""Trainers for nnU-Net 2, which finds them through its variable `nnUNet_extTrainer`."""

from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.training.nnUNetTrainer.variants.network_architecture import (
    nnUNetTrainerNoDeepSupervision as of_nnunet,  # noqa: N813 - a module
)
from torch import nn
from torch._dynamo import OptimizedModule

from sdunet.integrations.nnunet_network import PlannedSDUNet, planned_sdunet


class nnUNetTrainerSDUNet(nnUNetTrainer):  # noqa: N801 - as nnU-Net names trainers
    """nnU-Net's training, with `SDUNet` in place of its network; see `planned_sdunet`."""

    @staticmethod
    def build_network_architecture(
        plans_manager,
        configuration_manager,
        num_input_channels: int,
        num_output_channels: int,
        enable_deep_supervision: bool = True,
    ) -> nn.Module:
        """Return the network of a plan; arguments are nnU-Net's.

        Raises:
            ValueError: as `planned_sdunet`.
        """
        return planned_sdunet(
            configuration_manager.configuration["architecture"],
            num_input_channels,
            num_output_channels,
            enable_deep_supervision,
        )

    def set_deep_supervision_enabled(self, enabled: bool) -> None:
        """Turn logits of every decoder level on or off."""
        network = self.network.module if self.is_ddp else self.network
        if isinstance(network, OptimizedModule):
            network = network._orig_mod
        assert isinstance(network, PlannedSDUNet)
        network.deep_supervision = enabled and self.enable_deep_supervision


class nnUNetTrainerSDUNet_NoDeepSupervision(  # noqa: N801
    of_nnunet.nnUNetTrainerNoDeepSupervision, nnUNetTrainerSDUNet
):
    """The same, with a loss of full resolution alone."""
