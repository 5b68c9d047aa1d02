"""Trainers for nnU-Net 2, which finds them through its variable `nnUNet_extTrainer`."""

import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
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


class nnUNetTrainerSDUNet_NoDeepSupervision(nnUNetTrainerSDUNet):  # noqa: N801
    """The same, with a loss of full resolution alone."""

    def __init__(
        self,
        plans: dict,
        configuration: str,
        fold: int,
        dataset_json: dict,
        device: torch.device = torch.device("cuda"),  # noqa: B008 - of nnU-Net, which reads it
    ) -> None:
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.enable_deep_supervision = False
