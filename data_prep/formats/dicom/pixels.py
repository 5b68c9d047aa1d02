"""The stored values of a DICOM file, which must be as many and as large as its header says."""

import warnings

import numpy as np
from pydicom.dataset import Dataset
from pydicom.pixels import pixel_array

from data_prep.core.errors import DataError, words_of
from data_prep.core.findings import Findings
from data_prep.core.memory_limits import check_size
from data_prep.formats.dicom.bounds import check_frames

_AGAIN = "export the series again"


def pixels_of(one: Dataset, findings: Findings | None = None) -> np.ndarray:
    """Return the stored values of all frames, `(frames, rows, columns, samples)`.

    Raises:
        DataError: DCM_PIXELS, DCM_SYNTAX, IO_DAMAGED; DCM_BITS, unless accepted.
    """
    if "PixelData" not in one:
        raise DataError("DCM_PIXELS", "no pixels", "give images, not reports or contours")
    frames = int(one.get("NumberOfFrames") or 1)
    samples = int(one.get("SamplesPerPixel") or 1)
    total = check_size(frames * one.Rows * one.Columns * samples, -(-one.BitsAllocated // 8))
    if not total:
        raise DataError("DCM_PIXELS", f"{one.Rows} x {one.Columns} pixels", _AGAIN)
    if one.HighBit != one.BitsStored - 1 or not 0 < one.BitsStored <= one.BitsAllocated:
        bits = f"{one.BitsStored} of {one.BitsAllocated} bits, the highest {one.HighBit}"
        raise DataError("DCM_PIXELS", bits, _AGAIN)
    if "TransferSyntaxUID" not in getattr(one, "file_meta", {}):
        raise DataError("DCM_SYNTAX", "no transfer syntax", _AGAIN)
    _drop_padding(one, frames * samples, findings or Findings())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # decoders warn where they fill in what is missing
            check_frames(one, frames, samples)
            array = pixel_array(one, correct_unused_bits=False)
    except DataError:
        raise
    except MemoryError as error:
        raise DataError("IO_TOO_LARGE", "more than the memory holds", "split it") from error
    # Decoders raise whatever their libraries report.
    except Exception as error:
        syntax = one.file_meta.TransferSyntaxUID.name
        if "plugin" in str(error) or "missing dependencies" in str(error).lower():
            raise DataError(
                "DCM_SYNTAX",
                f"compressed as {syntax}, for which no decoder is installed",
                "pip install sdunet[dicom]; JPEG lossless also needs pylibjpeg-libjpeg",
            ) from error
        raise DataError("IO_DAMAGED", f"pixels ({syntax}): {words_of(error)}", _AGAIN) from error
    array = _of_stored_bits(array, one.BitsStored, findings or Findings())
    return array.reshape(frames, one.Rows, one.Columns, samples)


def _drop_padding(one: Dataset, planes: int, findings: Findings) -> None:
    """Take zeros away that some writers leave after the pixels; less than there is in one plane."""
    packed = one.file_meta.TransferSyntaxUID.is_compressed or one.BitsAllocated % 8
    if packed or str(one.get("PhotometricInterpretation")).endswith("422"):
        return
    plane = one.Rows * one.Columns * one.BitsAllocated // 8
    end = plane * planes + plane * planes % 2  # values have an even number of bytes
    more = one.PixelData[end:]
    if 0 < len(more) < plane and not any(more):
        one.PixelData = one.PixelData[:end]
        if not any(finding.code == "DCM_PADDED" for finding in findings.found):
            findings.note("DCM_PADDED", f"{len(more)} bytes of 0 after the pixels, dropped")


def _of_stored_bits(array: np.ndarray, bits: int, findings: Findings) -> np.ndarray:
    """Return values without what stands in the bits above those declared as stored."""
    unused = 8 * array.dtype.itemsize - bits
    if array.dtype.kind not in "iu" or unused <= 0:
        return array
    cut = (array << unused) >> unused  # keeps the sign
    beyond = int((cut != array).sum())
    if beyond:
        findings.ask(
            "DCM_BITS",
            f"{beyond} values of more than the {bits} bits stored, such as {array.max()}",
            _AGAIN,
        )
    return cut
