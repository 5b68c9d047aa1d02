"""What the bundle of a package runs: prediction, and training that goes on, by MONAI's engines."""

from collections.abc import Mapping
from typing import Any

from sdunet.segmentation.models.trained_model import Model

_STEPS = "sdunet.bundle"  # where the steps are found that MONAI does not have
_BATCH, _PATCHES = 2, 4  # cases in a batch, patches of each case


def inference_of(model: Model, network: Mapping[str, Any]) -> dict[str, Any]:
    """Return `configs/inference.json`, which predicts what `sdunet predict` does.

    Args:
        model: the trained network.
        network: its `NetworkConfig`, as JSON.
    """
    return {
        **_shared(model, network),
        "dataset_dir": "images",
        "output_dir": "predictions",
        "checkpoint": "$@bundle_root + '/models/model.pt'",
        "datalist": _step("cases_of", package="@package", images="@dataset_dir"),
        "preprocessing": _composed(_partial("read_scan", package="@package")),
        "dataset": _of("Dataset", data="@datalist", transform="@preprocessing"),
        "dataloader": _of("DataLoader", dataset="@dataset", batch_size=1, num_workers=0),
        "inferer": _windows(model),
        "postprocessing": _composed(
            _partial(
                "decide",
                package="@package",
                tidy=_step("has_own_weights", package="@package", checkpoint="@checkpoint"),
                instances=False,
            ),
            _partial("write_label", folder="@output_dir"),
        ),
        "handlers": [
            _of(
                "CheckpointLoader",
                load_path="@checkpoint",
                load_dict={"model": "@network"},
                map_location="@device",
            ),
            _of("StatsHandler", iteration_log=False),
        ],
        "evaluator": _of(
            "SupervisedEvaluator",
            device="@device",
            val_data_loader="@dataloader",
            network="@network",
            inferer="@inferer",
            postprocessing="@postprocessing",
            val_handlers="@handlers",
        ),
        "initialize": [],
        "run": [
            _step("check_paths", package="@package", images="@dataset_dir", out="@output_dir"),
            "$@evaluator.run()",
        ],
        "finalize": [],
    }


def training_of(
    model: Model, network: Mapping[str, Any], loss: Mapping[str, Any]
) -> dict[str, Any]:
    """Return `configs/train.json`, by which training goes on from the weights of the package.

    Args:
        model: the trained network.
        network: its `NetworkConfig`, as JSON.
        loss: of its training, `name` and `weights` as `loss_of` takes them.
    """
    return {
        **_shared(model, network),
        "dataset_dir": "data",
        "output_dir": "fine_tuned",
        "fold": 0,
        "max_epochs": 50,
        "val_interval": 1,
        "learning_rate": 1e-4,
        "prepared": _step(
            "prepare_like",
            package="@package",
            data="@dataset_dir",
            out="@output_dir",
        ),
        "loss": _step("loss_of", package="@package", **loss),
        "optimizer": _of("torch.optim.AdamW", params="$@network.parameters()", lr="@learning_rate"),
        "train": _train(model),
        "validate": _validate(model),
        "initialize": ["$monai.utils.set_determinism(seed=0)"],
        "run": ["$@train#trainer.run()"],
        "finalize": [],
    }


def _shared(model: Model, network: Mapping[str, Any]) -> dict[str, Any]:
    plan = model.plan
    return {
        "bundle_root": ".",
        "accept": [],
        "device": "$torch.device('cuda' if torch.cuda.is_available() else 'cpu')",
        "package": _step("load_package", folder="@bundle_root", accept="@accept"),
        "network_def": {
            "_target_": f"{_STEPS}.network_of",
            "spatial_dims": plan.spatial_dims,
            "in_channels": len(plan.channels),
            "out_channels": plan.outputs,
            **network,
        },
        "network": "$@package.network.to(@device)",
    }


def _train(model: Model) -> dict[str, Any]:
    plan, both, patch = model.plan, ["image", "label"], list(model.plan.patch_size)
    classes = plan.num_classes
    flips = [_of("RandFlipd", keys=both, prob=0.5, spatial_axis=axis) for axis in model.flip_axes]
    loss = "$monai.handlers.from_engine(['loss'], first=True)"
    return {
        "preprocessing": _composed(
            _partial("read_prepared", dataset="@prepared"),
            _of("SpatialPadd", keys=both, spatial_size=patch),
            _of(
                "RandCropByLabelClassesd",
                keys=both,
                label_key="label",
                spatial_size=patch,
                num_classes=classes,
                ratios=[1] * classes,
                num_samples=_PATCHES,
                warn=False,
            ),
            *flips,
            _of("RandScaleIntensityd", keys="image", factors=0.25, prob=0.5),
            _of("RandShiftIntensityd", keys="image", offsets=0.25, prob=0.5),
        ),
        "dataset": _of("Dataset", data=_side("train"), transform="@train#preprocessing"),
        "dataloader": _of(
            "DataLoader", dataset="@train#dataset", batch_size=_BATCH, shuffle=True, num_workers=0
        ),
        "inferer": _of("SimpleInferer"),
        "handlers": [
            _of(
                "ValidationHandler",
                validator="@validate#evaluator",
                epoch_level=True,
                interval="@val_interval",
            ),
            _of("StatsHandler", tag_name="train_loss", output_transform=loss),
            _saver(save_final=True, final_filename="model_final.pt"),
        ],
        "trainer": _of(
            "SupervisedTrainer",
            device="@device",
            max_epochs="@max_epochs",
            train_data_loader="@train#dataloader",
            network="@network",
            optimizer="@optimizer",
            loss_function="@loss",
            inferer="@train#inferer",
            train_handlers="@train#handlers",
            decollate=False,
        ),
    }


def _validate(model: Model) -> dict[str, Any]:
    pair = "$monai.handlers.from_engine(['pred', 'label'])"
    return {
        "preprocessing": _composed(_partial("read_prepared", dataset="@prepared")),
        "dataset": _of("Dataset", data=_side("val"), transform="@validate#preprocessing"),
        "dataloader": _of("DataLoader", dataset="@validate#dataset", batch_size=1, num_workers=0),
        "inferer": _windows(model),
        "postprocessing": _composed(_partial("as_masks", package="@package")),
        "key_metric": {
            "val_mean_dice": _of("MeanDice", include_background=True, output_transform=pair)
        },
        "handlers": [
            _of("StatsHandler", iteration_log=False),
            _saver(save_key_metric=True, key_metric_filename="model.pt"),
        ],
        "evaluator": _of(
            "SupervisedEvaluator",
            device="@device",
            val_data_loader="@validate#dataloader",
            network="@network",
            inferer="@validate#inferer",
            postprocessing="@validate#postprocessing",
            key_val_metric="@validate#key_metric",
            val_handlers="@validate#handlers",
        ),
    }


def _windows(model: Model) -> dict[str, Any]:
    return _step(
        "WindowInferer",
        roi_size=list(model.plan.patch_size),
        overlap=model.overlap,
        package="@package",
    )


def _saver(**when: Any) -> dict[str, Any]:
    weights = {"model": "@network"}
    return _of("CheckpointSaver", save_dir="@output_dir", save_dict=weights, **when)


def _side(name: str) -> dict[str, Any]:
    return _step("cases_of_side", dataset="@prepared", fold="@fold", side=name)


def _composed(*steps: dict[str, Any]) -> dict[str, Any]:
    return _of("Compose", transforms=list(steps))


def _partial(name: str, **arguments: Any) -> dict[str, Any]:
    return {"_target_": f"{_STEPS}.{name}", "_mode_": "callable", **arguments}


def _step(name: str, /, **arguments: Any) -> dict[str, Any]:
    return {"_target_": f"{_STEPS}.{name}", **arguments}


def _of(name: str, **arguments: Any) -> dict[str, Any]:
    return {"_target_": name, **arguments}
