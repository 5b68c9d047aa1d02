"""Values and lengths that a header brings to another scale are refused, not taken as they stand."""

import io

import numpy as np
import pytest
import tifffile
from bad_sets import nifti
from dicom_files import encode, multi_frame, series
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from volume_files import MHA, NRRD, VOLUME, replaced

from data_prep.checks.plausibility import look_at_image
from data_prep.core.errors import DataError
from data_prep.core.findings import Findings
from data_prep.core.scan import Scan
from data_prep.formats.dicom.series import read_series
from data_prep.formats.images_2d import read_picture
from data_prep.formats.metaimage import read_metaimage
from data_prep.formats.nifti import read_nifti, read_nifti_label
from data_prep.formats.nrrd import read_nrrd


def added(header, line):
    first = header.splitlines()[2]
    return replaced(header, first, line + b"\n" + first)


def imagej(**calibration):
    buffer = io.BytesIO()
    pixels = np.full((6, 5), 40000, np.uint16)
    tifffile.imwrite(buffer, pixels, imagej=True, metadata=calibration)
    return buffer.getvalue()


SLOPE, OFFSET = (b"ElementToIntensityFunction" + name for name in (b"Slope", b"Offset"))
SCALED = {
    "slope": (read_metaimage, added(MHA, SLOPE + b" = 2")),
    "offset": (read_metaimage, added(MHA, OFFSET + b" = -1024")),
    "nrrd": (read_nrrd, added(NRRD, b"old min: -1")),
    "nrrd without blanks": (read_nrrd, added(NRRD, b"oldmax: 7")),
    "imagej": (read_picture, imagej(cf=0, c0=-32768.0, c1=1.0)),
    "imagej slope": (read_picture, imagej(cf=0, c0=0.0, c1=2.0)),
    "nifti": (read_nifti, nifti(VOLUME, scl_slope=0, scl_inter=-1024)),
    "nifti without a slope": (read_nifti, nifti(VOLUME, scl_slope=np.nan, scl_inter=1)),
    "nifti label": (read_nifti_label, nifti(VOLUME, scl_slope=0, scl_inter=1)),
}


@pytest.mark.parametrize("name", SCALED)
def test_values_that_a_header_scales_are_taken_only_if_that_is_accepted(name):
    read, data = SCALED[name]
    with pytest.raises(DataError, match="HDR_SCALE"):
        read(data, Findings())
    findings = Findings(["HDR_SCALE"])
    read(data, findings)
    assert [f.code for f in findings.found if f.code == "HDR_SCALE"] == ["HDR_SCALE"]


@pytest.mark.parametrize(
    ("read", "data"),
    [
        *(
            (read_nifti, nifti(VOLUME, scl_slope=slope, scl_inter=inter))
            for slope, inter in [(0, 0), (np.nan, np.nan), (0, np.nan), (1, 0)]
        ),
        (read_metaimage, added(MHA, SLOPE + b" = 1")),
        (read_metaimage, added(MHA, OFFSET + b" = 0")),
        (read_metaimage, added(MHA, b"DistanceUnits = mm")),
        (read_metaimage, added(MHA, b"DistanceUnits = ?")),
    ],
)
def test_scales_of_one_change_nothing(read, data):
    assert np.array_equal(read(data, Findings()).array[0], VOLUME)


def test_a_calibration_of_imagej_that_changes_nothing_is_read():
    assert (read_picture(imagej(cf=0, c0=0.0, c1=1.0), Findings()).array == 40000).all()


UNITS = {"cm": 10, "um": 1e-3, "\u00b5m": 1e-3, "microns": 1e-3, "m": 1e3, "inches": 25.4}


@pytest.mark.parametrize("unit", UNITS)
def test_lengths_in_other_units_become_millimetres_and_are_noted(unit):
    findings = Findings({"HDR_SPACING_RANGE"})
    written = unit.encode()
    for scan in (
        read_metaimage(added(MHA, b"DistanceUnits = " + written), findings),
        read_nrrd(added(NRRD, b"space units: " + b" ".join([b'"%s"' % written] * 3)), findings),
    ):
        np.testing.assert_allclose(scan.spacing, np.array([1, 2, 3]) * UNITS[unit])
    assert [f.code for f in findings.found].count("HDR_UNITS") == 2


@pytest.mark.parametrize(
    ("read", "data"),
    [
        (read_metaimage, added(MHA, b"DistanceUnits = px")),
        (read_nrrd, added(NRRD, b'space units: "px" "px" "px"')),
        (read_nrrd, added(NRRD, b'space units: "um" "um" "mm"')),
        (read_nrrd, added(NRRD, b'space units: "um" "um" ""')),
    ],
)
def test_unknown_and_mixed_units_of_length_are_refused(read, data):
    with pytest.raises(DataError, match="HDR_UNITS"):
        read(data, Findings())


@pytest.mark.parametrize(
    ("read", "data", "code"),
    [
        (
            read_metaimage,
            replaced(MHA, b"ObjectType = Image", b"ObjectType = Tube"),
            "IO_NOT_IMAGE",
        ),
        (read_nrrd, added(NRRD, b"kinds: domain domain time"), "HDR_DIMS"),
    ],
)
def test_what_is_no_volume_is_refused(read, data, code):
    with pytest.raises(DataError, match=code):
        read(data, Findings())


def test_a_modality_table_beside_a_rescale_is_refused():
    slices = series()
    slices[0].ModalityLUTSequence = Sequence([Dataset()])
    with pytest.raises(DataError, match="DCM_RESCALE: a modality lookup table"):
        read_series([(str(z), encode(one)) for z, one in enumerate(slices)], Findings())


FRAMES = {
    "RescaleType": ("PixelValueTransformationSequence", lambda k: "HU" if k else "US"),
    "StackID": ("FrameContentSequence", lambda k: "ab"[k % 2]),
    "NominalPercentageOfCardiacPhase": ("CardiacSynchronizationSequence", lambda k: 50.0 * (k % 2)),
    "FrameType": (
        "CTImageFrameTypeSequence",
        lambda k: ["ORIGINAL", "PRIMARY", "LOCALIZER" if k == 9 else "VOLUME", "NONE"],
    ),
}


def enhanced(name):
    sequence, value = FRAMES[name]
    one = multi_frame()
    for number, group in enumerate(one.PerFrameFunctionalGroupsSequence):
        item = Dataset()
        setattr(item, name, value(number))
        if name == "RescaleType":
            item.RescaleSlope, item.RescaleIntercept = 1, -1024
        setattr(group, sequence, Sequence([item]))
    return one


@pytest.mark.parametrize("name", FRAMES)
def test_frames_of_several_images_are_refused(name):
    with pytest.raises(DataError, match=f"DCM_MIXED: .*({name}|ImageType)"):
        read_series([("one", encode(enhanced(name)))], Findings())


def test_numbers_in_a_stack_against_the_positions_are_told():
    one = multi_frame()
    for number, group in enumerate(one.PerFrameFunctionalGroupsSequence):
        item = Dataset()
        item.InStackPositionNumber = number + 1  # positions are shuffled
        group.FrameContentSequence = Sequence([item])
    findings = Findings()
    read_series([("one", encode(one))], findings)
    assert "DCM_ORDER" in {f.code for f in findings.found if f.level == "warning"}


@pytest.mark.parametrize("form", ["nifti", "hounsfield units", "float"])
def test_signed_values_that_were_saved_as_unsigned_are_told(form):
    signed = np.random.default_rng(0).integers(-900, 2000, (1, 8, 8, 8)).astype(np.int16)
    values = signed.view(np.uint16)
    if form == "hounsfield units":
        values = values.astype(np.int32) - 1024
    if form == "float":
        values = values.astype(np.float32)
    findings = Findings()
    look_at_image(Scan(values, np.eye(4)), ("ct",), findings)
    assert "INT_WRAPPED" in {f.code for f in findings.found}


def test_large_values_alone_are_no_sign_of_that():
    values = np.random.default_rng(0).integers(0, 65535, (1, 8, 8, 8)).astype(np.uint16)
    findings = Findings()
    look_at_image(Scan(values, np.eye(4)), ("mr",), findings)
    assert not {f.code for f in findings.found} & {"INT_WRAPPED"}
