"""References: xmed's volumes equal those of independent converters, voxel by voxel and in the same place.

Three judges: the NIfTI twins that dicom2nifti's and IBSI's authors published, dcm2niix on the same files, and pairs of
one image in two transfer syntaxes.
"""

import gzip
import shutil
import subprocess
from io import BytesIO
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest

from support.synthetic_dicom import DATA, save, texture
from xmed.io import read_series, read_volumes
from xmed.io.dicom.instance import read_instance
from xmed.io.dicom.pixels import modality_values
from xmed.io.nifti.file import RAS_TO_LPS
from xmed.volume import Volume

TWINS = DATA / "dicom2nifti-tests"
IBSI = DATA / "ibsi-sts-dev" / "reference_dicom_nifti"
FILES = DATA / "pydicom-data" / "data"
NIBABEL = Path(nib.__file__).parent / "nicom" / "tests" / "data"
PLACE_MM = 1e-3
FOUR_D = {
    "ge/fmri/001": 2,
    "ge/dti/001": 2,
    "ge/dti/002": 4,
    "philips/dti/001": 4,
    "philips/dti/002": 4,
    "philips/fmri/001": 4,
}
SINGLE = [
    "anatomical/001",
    "ge/anatomical/001",
    "generic/anatomical/001",
    "generic/anatomical/002_non_isotropic",
    "generic/compressed/001",
    "generic/compressed_j2k/001",
    "hitachi/anatomical/001",
    "hyperfine/anatomical/001",
    "philips/anatomical/001",
]
needs_data = pytest.mark.skipif(not TWINS.is_dir(), reason="XMED_DATA is not set: no public data to test on")
needs_dcm2niix = pytest.mark.skipif(shutil.which("dcm2niix") is None, reason="dcm2niix is not installed")


def same_voxels_in_the_same_place(volume: Volume, path: Path, channel: int = 0) -> None:
    """A NIfTI holds the same voxels, turned or mirrored at most; turned back, its affine is ours to PLACE_MM.

    Read with nibabel alone: our own reader is not asked.
    """
    image = nib.load(path)
    values = np.asanyarray(image.dataobj)
    values = values.reshape(*values.shape[:3], -1)[..., channel]
    theirs = RAS_TO_LPS @ image.affine
    turn = np.rint(np.linalg.inv(volume.affine) @ theirs)  # their index → ours: axes permuted and flipped
    np.testing.assert_allclose(theirs @ np.linalg.inv(turn), volume.affine, atol=PLACE_MM)
    ours = turn[:3, :3].astype(int) @ np.indices(values.shape).reshape(3, -1) + turn[:3, 3:].astype(int)
    assert values.size == volume.array.size
    assert ours.min() >= 0
    np.testing.assert_allclose(volume.array[tuple(ours)].reshape(values.shape), values, atol=1e-5)


def converted(source: Path, folder: Path) -> list[Path]:
    """What dcm2niix makes of a folder: NIfTI, not compressed, in the values that the header's rescale gives."""
    folder.mkdir(exist_ok=True)
    asked = ["dcm2niix", "-z", "n", "-b", "n", "-p", "n", "-f", "%s_%e", "-o", str(folder), str(source)]
    subprocess.run(asked, check=True, capture_output=True)
    return sorted(folder.glob("*.nii"))


@needs_data
@pytest.mark.parametrize("name", FOUR_D)
def test_a_series_of_several_volumes_is_split_as_its_nifti_twin_is(name):
    volumes = list(read_volumes(TWINS / name).values())
    assert len(volumes) == FOUR_D[name]
    for n, volume in enumerate(volumes):
        same_voxels_in_the_same_place(volume, TWINS / f"{name}_ground_truth.nii.gz", n)


@needs_data
@needs_dcm2niix
@pytest.mark.parametrize("name", SINGLE)
def test_dcm2niix_makes_the_same_volume_of_a_series(name, tmp_path):
    (path,) = converted(TWINS / name, tmp_path)
    same_voxels_in_the_same_place(read_series(TWINS / name), path)


@needs_data
@needs_dcm2niix
@pytest.mark.parametrize("name", FOUR_D)
def test_dcm2niix_makes_the_same_volumes_of_a_series_of_several(name, tmp_path):
    (path,) = converted(TWINS / name, tmp_path)
    for n, volume in enumerate(read_volumes(TWINS / name).values()):
        same_voxels_in_the_same_place(volume, path, n)


@pytest.mark.skipif(not IBSI.is_dir(), reason="XMED_DATA is not set: no public data to test on")
@needs_dcm2niix
@pytest.mark.parametrize("modality", ["CT", "MR_T1", "PET"])
def test_dcm2niix_makes_the_same_volume_of_a_patient(modality, tmp_path):
    source = IBSI / "STS_025" / "dicom" / modality / "image"
    (path,) = converted(source, tmp_path)
    same_voxels_in_the_same_place(read_series(source), path)


@needs_dcm2niix
@pytest.mark.parametrize("weighting", [0, 1000])
def test_dcm2niix_makes_the_same_volume_of_a_siemens_mosaic(weighting, tmp_path):
    ds = pydicom.dcmread(BytesIO(gzip.decompress((NIBABEL / f"siemens_dwi_{weighting}.dcm.gz").read_bytes())))
    square = texture((896, 896))  # nibabel's authors blacked the pixels out
    ds.PixelData = square.tobytes()
    volume = read_series(save([ds], tmp_path / "mosaic"))
    assert volume.array.shape == (128, 128, 48)
    assert np.array_equal(volume.array[:, :, 9].T, square[128:256, 256:384])
    (path,) = converted(tmp_path / "mosaic", tmp_path / "out")
    same_voxels_in_the_same_place(volume, path)


def stored_as(name: str) -> np.ndarray:
    return modality_values(read_instance(FILES / name))


@needs_data
@pytest.mark.parametrize(
    ("name", "twin"),
    [
        ("MR2_J2KR.dcm", "MR2_UNCR.dcm"),
        ("693_J2KR.dcm", "693_UNCR.dcm"),
        ("US1_J2KR.dcm", "US1_UNCR.dcm"),
        ("emri_small_RLE.dcm", "emri_small.dcm"),
        ("emri_small_big_endian.dcm", "emri_small.dcm"),
        ("emri_small_jpeg_2k_lossless.dcm", "emri_small.dcm"),
        ("emri_small_jpeg_ls_lossless.dcm", "emri_small.dcm"),
        ("gdcm-US-ALOKA-16_big.dcm", "gdcm-US-ALOKA-16.dcm"),
        ("OBXXXX1A_rle_2frame.dcm", "OBXXXX1A_2frame.dcm"),
        ("OBXXXX1A_expb_2frame.dcm", "OBXXXX1A_2frame.dcm"),
    ],
)
@pytest.mark.filterwarnings("ignore::xmed.io.notes.RepairWarning")
def test_one_image_is_the_same_in_every_lossless_transfer_syntax(name, twin):
    np.testing.assert_array_equal(stored_as(name), stored_as(twin))


@needs_data
@pytest.mark.filterwarnings("ignore::xmed.io.notes.RepairWarning")
def test_high_throughput_jpeg_2000_is_read_lossy_and_lossless(tmp_path):
    """As ultrasound, where colour is allowed: the two files show one picture, which their coder kept within 4 of 255."""
    seen = []
    for name in ("HTJ2KLossless_08_RGB.dcm", "HTJ2K_08_RGB.dcm"):
        ds = pydicom.dcmread(FILES / name)
        ds.Modality = "US"
        seen.append(modality_values(read_instance(save([ds], tmp_path) / "000.dcm")))
    assert seen[0].shape == (1, 480, 640)
    assert 0 < np.abs(seen[0] - seen[1]).max() <= 4


def test_a_deflated_data_set_is_read():
    path = pydicom.data.get_testdata_file("image_dfl.dcm")
    values = modality_values(read_instance(path))
    np.testing.assert_array_equal(values[0], pydicom.dcmread(path).pixel_array)
