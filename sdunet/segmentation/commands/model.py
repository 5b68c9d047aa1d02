"""`train` and `predict`."""

import jsonargparse

from sdunet.runs.parser import Parser
from sdunet.runs.record import bar
from sdunet.segmentation.commands.options import (
    Command,
    add_cases,
    add_task,
    cases_of,
    report,
    task_of,
)


def _describe_train(parser: Parser) -> None:
    """Train a network on a prepared dataset."""
    parser.add_argument("--data", required=True, help="prepared dataset")
    parser.add_argument("--out", required=True, help="folder for the run")
    parser.add_argument("--fold", type=int, default=0, help="fold that validates")
    parser.add_argument("--resume", action="store_true", help="go on where the run stopped")
    add_task(parser)


def _train(options: jsonargparse.Namespace) -> int:
    from sdunet.segmentation.train import train

    dice = train(task_of(options), options.data, options.out, options.fold, resume=options.resume)
    print(f"best validation Dice {dice:.4f}, model in {options.out}")
    return 0


def _describe_predict(parser: Parser) -> None:
    """Predict labels for new images."""
    parser.add_argument("--model", required=True, help="folder of a run")
    parser.add_argument("-i", "--input", required=True, help="image, folder or raw dataset")
    parser.add_argument("-o", "--out", required=True, help="folder for the predictions")
    parser.add_argument("--device", choices=["auto", "cpu", "gpu"], default="auto")
    add_cases(parser)


def _predict(options: jsonargparse.Namespace) -> int:
    from sdunet.segmentation.predict import predict

    done, problems = predict(
        options.model, options.input, options.out, cases_of(options), options.device, bar
    )
    print(f"{len(done)} predictions in {options.out}")
    return report(problems)


COMMANDS: dict[str, Command] = {
    "train": (_describe_train, _train),
    "predict": (_describe_predict, _predict),
}
