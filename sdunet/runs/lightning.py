"""How Lightning is made to talk to users and not to its developers."""

import logging
import warnings


def quiet_lightning() -> None:
    """Keep hints for Lightning's developers from the users of this command."""
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    for hint in (
        ".*does not have many workers",
        "The number of training batches",
        "Experiment logs directory .* exists",
        "Checkpoint directory .* exists",
        ".*LeafSpec.* is deprecated",
    ):
        warnings.filterwarnings("ignore", hint)
