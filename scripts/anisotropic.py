"""Made volumes of thick slices: thin tubes that go through them, and large blobs.

Voxels are 0.7 x 0.7 x 5 mm. Tubes (class 1) go through all slices and drift from slice to slice;
spots that look like them in one slice, and do not go on, are background. Blobs (class 2) are large
ellipsoids. So slices must not be blurred together, and what is above and below counts.

python scripts/anisotropic.py OUT --cases 30
sdunet run OUT -o run --folds 1 --minutes 12
sdunet run OUT -o isotropic --folds 1 --minutes 12 --network.strides "[[2,2,2],[2,2,2],[2,2,2]]" \
    --network.kernel_sizes "[[3,3,3],[3,3,3],[3,3,3],[3,3,3]]" --network.features "[16,32,64,128]"
"""

import argparse
import json
from pathlib import Path

import nibabel as nib
import numpy as np

SIZE = (96, 96, 24)
SPACING = (0.7, 0.7, 5.0)  # mm
LABELS = {"background": 0, "tube": 1, "blob": 2}
_TUBES, _SPOTS, _BLOBS = 6, 60, 2
_RADIUS = 1.6  # pixels of tubes and spots
_DRIFT = 2.0  # pixels from slice to slice, standard deviation
_NOISE = 0.35  # of a contrast of 1


def volume(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return an image, float32, and its label, both `SIZE`."""
    label = np.zeros(SIZE, np.uint8)
    rows, columns, slices = np.ogrid[: SIZE[0], : SIZE[1], : SIZE[2]]
    bright = np.zeros(SIZE, bool)
    for _ in range(_BLOBS):
        centre = random.uniform((20, 20, 5), (76, 76, 19))
        radii = random.uniform((12, 12, 2), (22, 22, 4))
        parts = zip((rows, columns, slices), centre, radii, strict=True)
        label[sum(((n - c) / r) ** 2 for n, c, r in parts) <= 1] = 2
    for _ in range(_SPOTS):
        place, height = random.uniform(4, 92, 2), random.integers(SIZE[2])
        bright[..., height] |= _disc(place)
    for _ in range(_TUBES):
        place = random.uniform(16, 80, 2)
        for height in range(SIZE[2]):
            label[_disc(place), height] = 1
            place = np.clip(place + random.normal(0, _DRIFT, 2), 4, 92)
    image = 0.8 * (label == 2) + 1.0 * (bright | (label == 1))
    image = image + random.normal(0, _NOISE, SIZE)
    return image.astype(np.float32), label


def _disc(place: np.ndarray) -> np.ndarray:
    rows, columns = np.ogrid[: SIZE[0], : SIZE[1]]
    return np.hypot(rows - place[0], columns - place[1]) <= _RADIUS


def main() -> None:
    """Write the set in the layout of nnU-Net."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--cases", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    affine = np.diag([*SPACING, 1.0])
    for folder in ("imagesTr", "labelsTr"):
        (options.out / folder).mkdir(parents=True)
    for case in range(options.cases):
        image, label = volume(np.random.default_rng([options.seed, case]))
        name = f"made_{case:03}"
        nib.save(nib.Nifti1Image(image, affine), options.out / f"imagesTr/{name}_0000.nii.gz")
        nib.save(nib.Nifti1Image(label, affine), options.out / f"labelsTr/{name}.nii.gz")
    told = {"channel_names": {"0": "made"}, "labels": LABELS, "file_ending": ".nii.gz"}
    told["numTraining"] = options.cases
    (options.out / "dataset.json").write_text(json.dumps(told))


if __name__ == "__main__":
    main()
