"""A trainer of nnU-Net whose whole schedule fits into the minutes that SDUNET_MINUTES says."""

import os
import time

from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

EPOCHS = 10
VALIDATION_STEPS = 1  # of its own estimate; a step on one core takes seconds
STEPS = 5  # that are timed, after two that are not


class nnUNetTrainerMinutes(nnUNetTrainer):  # noqa: N801 - as nnU-Net names trainers
    """nnU-Net's training, with as many steps an epoch as there is time for."""

    def __init__(self, plans, configuration, fold, dataset_json, device) -> None:
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.num_epochs = EPOCHS
        self.num_val_iterations_per_epoch = VALIDATION_STEPS

    def on_train_start(self) -> None:
        """Train a few steps, and plan the others by the time they took."""
        super().on_train_start()
        self.network.train()
        for step in range(2 + STEPS):
            if step == 2:
                began = time.monotonic()
            self.train_step(next(self.dataloader_train))
        seconds = (time.monotonic() - began) / STEPS
        budget = 60 * float(os.environ["SDUNET_MINUTES"])
        steps = budget / EPOCHS / seconds - VALIDATION_STEPS / 2
        self.num_iterations_per_epoch = max(1, int(steps))
        told = f"{EPOCHS} epochs of {self.num_iterations_per_epoch} steps, {seconds:.3g} s each"
        self.print_to_log_file(told)

    def run_training(self) -> None:
        """Train, and say how long it took, final validation left out."""
        self.began = time.monotonic()
        super().run_training()

    def on_train_end(self) -> None:
        """Say how long it took."""
        super().on_train_end()
        minutes = (time.monotonic() - self.began) / 60
        print(f"nnU-Net trained for {minutes:.1f} minutes", flush=True)
