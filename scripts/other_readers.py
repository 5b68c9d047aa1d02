"""Other libraries that read what `data_prep` reads, each in the terms of `Scan`.

Each reader gives `(C, ...)` values, the axes in the order of the file's, and an affine in RAS+
millimetres where the library gives one.
"""

import warnings
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import SimpleITK as sitk  # noqa: N813
import tifffile
from PIL import Image

from data_prep.core.geometry import LPS_TO_RAS, from_lps
from data_prep.core.scan import Scan

_LENGTHS = {"meter": 1e3, "mm": 1.0, "micron": 1e-3, "unknown": 1.0}
_TO_RAS = {
    "left-posterior-superior": LPS_TO_RAS,
    "right-anterior-superior": np.eye(4),
    "left-anterior-superior": np.diag([-1.0, 1.0, 1.0, 1.0]),
}
sitk.ProcessObject.SetGlobalWarningDisplay(False)


def by_nibabel(path: Path) -> Scan:
    """Read a NIfTI file, its lengths brought to millimetres by its unit."""
    image = nib.load(path)
    array = np.asanyarray(image.dataobj)
    if array.dtype.fields:
        raise ValueError("colours")
    affine = np.diag([*[_LENGTHS[image.header.get_xyzt_units()[0]]] * 3, 1.0]) @ image.affine
    if array.ndim > 4 and array.shape[3] == 1:
        array = array[:, :, :, 0]
    array = array.reshape((*array.shape, 1, 1, 1, 1)[:4])
    return Scan(np.moveaxis(array, -1, 0), affine)


def by_simpleitk(path: Path) -> Scan:
    """Read any format that ITK knows."""
    return _of_itk(sitk.ReadImage(str(path)))


def series_by_simpleitk(paths: list[Path]) -> Scan:
    """Read the slices of a series, in the order that GDCM gives them."""
    with_folder = str(paths[0].parent)
    wanted = {str(path) for path in paths}
    for uid in sitk.ImageSeriesReader.GetGDCMSeriesIDs(with_folder):
        names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(with_folder, uid)
        if set(names) == wanted:
            return _of_itk(sitk.ReadImage(names))
    raise ValueError("no such series")


def _of_itk(image: sitk.Image) -> Scan:
    array = sitk.GetArrayFromImage(image)
    several = image.GetNumberOfComponentsPerPixel() > 1
    array = np.moveaxis(array, -1, 0) if several else array[None]
    rank = image.GetDimension()
    array = array.transpose(0, *range(rank, 0, -1))  # ITK's arrays have their last axis first
    if rank == 4:
        array = np.moveaxis(array[0], -1, 0)
    elif rank == 2:
        return Scan(array.transpose(0, 2, 1))
    directions = np.reshape(image.GetDirection(), (rank, rank))[:3, :3]
    lengths = np.multiply(directions, image.GetSpacing()[:3])
    return Scan(array, from_lps(lengths, np.array(image.GetOrigin()[:3])))


def by_pynrrd(path: Path) -> Scan:
    """Read an NRRD file."""
    import nrrd

    array, header = nrrd.read(str(path))
    directions = header.get("space directions")
    if directions is None:
        affine = None
    else:
        spatial = ~np.isnan(directions).any(1)
        if not spatial.all():
            array = np.moveaxis(array, int(np.flatnonzero(~spatial)[0]), 0)
        affine = np.eye(4)
        affine[:3, :3] = directions[spatial].T
        affine[:3, 3] = header.get("space origin", (0, 0, 0))
        affine = _TO_RAS[header["space"]] @ affine
    array = array if array.ndim == 4 else array[None]
    return Scan(array, affine)


def by_pydicom(path: Path) -> Scan:
    """Read one file, its values rescaled as the standard says, its frames as slices."""
    one = pydicom.dcmread(path, force=True)
    if one.get("PhotometricInterpretation") == "PALETTE COLOR":
        array = pydicom.pixels.apply_color_lut(one.pixel_array, one)
    else:
        array = pydicom.pixels.apply_modality_lut(one.pixel_array, one)
    array = array.reshape(-1, one.Rows, one.Columns, array.shape[-1] if _in_colours(one) else 1)
    if len(array) == 1 and "ImagePositionPatient" not in one:
        return Scan(np.moveaxis(array[0], -1, 0))
    return Scan(np.moveaxis(array, -1, 0).transpose(0, 3, 2, 1), _place(one))


def _in_colours(one: pydicom.Dataset) -> bool:
    palette = one.get("PhotometricInterpretation") == "PALETTE COLOR"
    return palette or one.get("SamplesPerPixel", 1) > 1


def _place(one: pydicom.Dataset) -> np.ndarray | None:
    wanted = ("ImageOrientationPatient", "ImagePositionPatient", "PixelSpacing", "SliceThickness")
    if any(not one.get(name) for name in wanted) or one.get("NumberOfFrames", 1) > 1:
        return None
    rows, columns = (float(mm) for mm in one.PixelSpacing)
    along, down = np.array(one.ImageOrientationPatient, float).reshape(2, 3)
    across = np.cross(along, down) * float(one.SliceThickness)
    directions = np.column_stack([along * columns, down * rows, across])
    return from_lps(directions, np.array(one.ImagePositionPatient, float))


def by_tifffile(path: Path) -> Scan:
    """Read the only page of a TIFF."""
    with tifffile.TiffFile(path) as file:
        if len(file.pages) > 1:
            raise ValueError(f"{len(file.pages)} pages")
        page = file.pages[0]
        array = page.asarray()
        return _of_picture(np.moveaxis(array, 0, -1) if page.axes == "SYX" else array)


def by_pillow(path: Path) -> Scan:
    """Read the first frame of a 2D image, indices of a palette as they are."""
    with Image.open(path) as image:
        if getattr(image, "n_frames", 1) > 1:
            raise ValueError(f"{image.n_frames} frames")
        return _of_picture(np.asarray(image))


def by_imagecodecs(path: Path) -> Scan:
    """Read a PNG, JPEG or BMP by libpng, libjpeg or its own code."""
    import imagecodecs

    data = path.read_bytes()
    decoders = {b"\x89PN": "png", b"\xff\xd8\xff": "jpeg8", b"BM": "bmp"}
    name = next(name for start, name in decoders.items() if data.startswith(start))
    return _of_picture(getattr(imagecodecs, f"{name}_decode")(data))


def _of_picture(array: np.ndarray) -> Scan:
    if array.dtype == bool:
        array = array.astype(np.uint8)
    if array.ndim not in (2, 3):
        raise ValueError(f"{array.ndim} axes")
    array = array[..., None] if array.ndim == 2 else array
    return Scan(np.moveaxis(array, -1, 0))


def quietly(read: Callable[[Path], Scan], path: Path) -> Scan | str:
    """Return what a library reads, or which error it raises."""
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return read(path)
    except ImportError:
        raise
    except Exception as error:  # whatever another library says
        return f"{type(error).__name__}: {str(error)[-120:]!r}"


OTHERS: dict[str, dict[str, Callable[[Path], Scan]]] = {
    "NIfTI": {"nibabel": by_nibabel, "SimpleITK": by_simpleitk},
    "NRRD": {"pynrrd": by_pynrrd, "SimpleITK": by_simpleitk},
    "MetaImage": {"SimpleITK": by_simpleitk},
    "TIFF": {"tifffile": by_tifffile, "Pillow": by_pillow, "SimpleITK": by_simpleitk},
    "PNG, JPEG, BMP": {
        **{"imagecodecs": by_imagecodecs, "Pillow": by_pillow, "SimpleITK": by_simpleitk},
    },
    "DICOM": {"pydicom": by_pydicom, "SimpleITK": by_simpleitk},
}
