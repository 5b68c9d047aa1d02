"""`predict` and `export`."""

from pathlib import Path

import jsonargparse

from data_prep.core.errors import DataError
from data_prep.core.values.numbers import PositiveNumber
from sdunet.cli.options import (
    DEVICE,
    Command,
    accepted,
    add_accept,
    add_cases,
    cases_of,
    number_of,
    report,
)
from sdunet.cli.parser import Parser
from sdunet.runtime.device import own_part
from sdunet.runtime.run_record import bar, say, tell


def _describe_predict(parser: Parser) -> None:
    """Predict labels for new images.

    Example: sdunet predict --model runs/first -i scans -o predictions
    """
    parser.add_argument(
        "--model",
        required=True,
        nargs="+",
        help="folders of runs, packages, or packages on the Hugging Face Hub as "
        "hf:OWNER/NAME@COMMIT; all models in them form an ensemble",
    )
    parser.add_argument("-i", "--input", required=True, help="image, folder or raw dataset")
    parser.add_argument("-o", "--out", required=True, help="folder for the predictions")
    parser.add_argument("--device", choices=["auto", "cpu", "gpu"], default="auto", help=DEVICE)
    parser.add_argument(
        "--mirroring",
        action="store_true",
        help="test-time augmentation: the mean over mirrored windows, too",
    )
    parser.add_argument(
        "--no-postprocess", action="store_true", help="keep what sdunet postprocess would remove"
    )
    parser.add_argument(
        "--uncertainty", action="store_true", help="write a map of the entropy, 0 to 1"
    )
    parser.add_argument(
        "--instances",
        action="store_true",
        help="number objects, also where they touch, by a model trained with dataset.instances",
    )
    parser.add_argument(
        "--probabilities",
        action="store_true",
        help="write the probability of each class or region",
    )
    parser.add_argument(
        "--dicom-seg",
        action="store_true",
        help="write a DICOM Segmentation beside each label, of cases that are DICOM series",
    )
    parser.add_argument(
        "--rtstruct",
        action="store_true",
        help="write contours likewise, as an RT Structure Set",
    )
    parser.add_argument(
        "--class-codes",
        nargs="+",
        default=[],
        metavar="CLASS=CODE",
        help="what classes are called by --dicom-seg: liver=SCT:10200004, or with a category "
        "before, tumour=SCT:49755003/SCT:108369006; default: tissue",
    )
    parser.add_argument(
        "--format",
        choices=["plain", "palette", "seg.nrrd"],
        default="plain",
        help="of labels: plain numbers; PNG that shows them in colours; or volumes for 3D Slicer",
    )
    parser.add_argument(
        "--max-ram",
        type=PositiveNumber,
        metavar="GB",
        help="memory of one scan, beside the networks and their maps; default: what this job has",
    )
    add_accept(parser)
    parser.add_argument("--resume", action="store_true", help="keep what is predicted already")
    parser.add_argument(
        "--shard",
        metavar="I/N",
        help="of N parts of all cases, number I, from 0; default: all, under torchrun a part each",
    )
    add_cases(parser)


def _predict(options: jsonargparse.Namespace) -> int:
    from sdunet.segmentation.inference.predict_folder import PredictOptions, predict

    accept = accepted(options)
    done, problems = predict(
        options.model,
        options.input,
        options.out,
        cases_of(options),
        PredictOptions(
            device=options.device,
            mirror=options.mirroring,
            tidy=not options.no_postprocess,
            uncertainty=options.uncertainty,
            instances=options.instances,
            probabilities=options.probabilities,
            dicom_seg=options.dicom_seg,
            rtstruct=options.rtstruct,
            class_codes=_codes(options.class_codes),
            format=options.format,
            max_ram=options.max_ram,
            accept=accept,
            resume=options.resume,
            shard=_shard(options.shard),
        ),
        bar,
    )
    tell(f"{len(done)} predictions in {Path(options.out)}")
    return report(problems)


def _codes(given: list[str]) -> dict[str, str]:
    """Return codes by class.

    Raises:
        DataError: PRED_CODES for text without `=`, and for a class that is there twice.
    """
    found: dict[str, str] = {}
    for text in given:
        name, between, code = text.rpartition("=")
        if not between or name in found:
            what = "is there twice" if between else "has no ="
            fix = "give each class once, as CLASS=SCT:NUMBER"
            raise DataError("PRED_CODES", f"{text:.80} {what}", fix)
        found[name] = code
    return found


def _shard(text: str | None) -> tuple[int, int]:
    if text is None:
        return own_part()
    number, parts = (number_of(part) for part in text.partition("/")[::2])
    if number is None or parts is None or number >= parts:
        raise DataError("PRED_SHARD", f"--shard {text:.80}", "give it as I/N, I from 0 to N - 1")
    return number, parts


def _describe_export(parser: Parser) -> None:
    """Write a trained network as a package that checks itself, and is a MONAI bundle.

    Example: sdunet export --model runs/first -o package
    """
    parser.add_argument("--model", help="folder of a run (required)")
    parser.add_argument("-o", "--out", required=True, help="folder for the package, or the zip")
    parser.add_argument("--zip", action="store_true", help="write one zip file")
    parser.add_argument(
        "--onnx",
        action="store_true",
        help="write an ONNX file, too, and a script that predicts by it with NumPy and onnxruntime",
    )
    parser.add_argument(
        "--cross-validation",
        metavar="RUNS",
        help="of a run of --fold none: the folds whose scores the model card names",
    )
    parser.add_argument(
        "--license-file",
        metavar="FILE",
        help="text under which the network may be used, which becomes LICENSE; default: none",
    )
    parser.add_argument(
        "--license",
        metavar="NAME",
        help="what the Hugging Face Hub calls that licence, such as apache-2.0; default: other",
    )
    parser.add_argument(
        "--hub-folder",
        action="store_true",
        help="write a folder to upload to the Hugging Face Hub, of files that cannot run; needs a "
        "licence",
    )
    add_accept(parser, "RUN_UNFINISHED: export a run that was stopped before its end")


def _export(options: jsonargparse.Namespace) -> int:
    from sdunet.segmentation.export.package import export

    package = export(
        options.model,
        options.out,
        pack=options.zip,
        accept=accepted(options),
        cross_validation=options.cross_validation,
        onnx=options.onnx,
        licence=options.license_file,
        licence_name=options.license,
        hub=options.hub_folder,
    )
    if options.hub_folder and options.onnx:
        say(
            "network.onnx is in the folder, too; sdunet fetches it with the rest and never reads it"
        )
    tell(f"package {package}; it gave what the network gave, in a process of its own")
    return 0


COMMANDS: dict[str, Command] = {
    "predict": (_describe_predict, _predict),
    "export": (_describe_export, _export),
}
