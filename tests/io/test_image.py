"""Images: whatever kind a file is, it is known by its content, and its modality must be the one that was promised."""

import numpy as np
from PIL import Image

from support.synthetic_dicom import enhanced, oblique, refusal, save, slices, texture
from xmed.io import read_image, write_nifti
from xmed.volume import Volume

ARRAY, AFFINE = texture((12, 9, 7)), oblique()


def test_every_kind_of_file_gives_the_same_volume(tmp_path):
    folder = save(slices(ARRAY, AFFINE), tmp_path / "series")
    save([enhanced(ARRAY, AFFINE)], tmp_path, names=["without-suffix"])
    write_nifti(Volume(ARRAY, AFFINE), tmp_path / "x.nii.gz")
    (tmp_path / "x.nii.gz").rename(tmp_path / "x.dat")
    for source in (folder, str(folder), list(folder.iterdir()), tmp_path / "without-suffix", tmp_path / "x.dat"):
        volume = read_image(source, "MR")
        assert np.array_equal(volume.array, ARRAY)
        assert volume.modality == "MR"
        assert volume.grid.distance(Volume(ARRAY, AFFINE).grid) < 1e-4


def test_a_series_of_another_modality_is_refused(tmp_path):
    with refusal("MODALITY_MISMATCH", "modality MR", "CT"):
        read_image(save(slices(ARRAY, AFFINE), tmp_path), "CT")


def test_ultrasound_has_a_field_of_view_in_every_format(tmp_path):
    dark = ARRAY * (np.arange(12) > 3)[:, np.newaxis, np.newaxis]
    write_nifti(Volume(dark, AFFINE), tmp_path / "x.nii.gz")
    Image.fromarray(dark[:, :, 0].T.astype(np.uint8)).save(tmp_path / "x.png")
    save([enhanced(dark, AFFINE, "US")], tmp_path, names=["x.dcm"])
    for name in ("x.nii.gz", "x.png", "x.dcm"):
        fov = read_image(tmp_path / name, "US").fov
        assert fov[4:].all()
        assert not fov[:4].any()


def test_what_is_nothing_that_xmed_reads_is_said_to_be_so(tmp_path):
    (tmp_path / "x.nii.gz").write_text("a text in disguise")
    with refusal("NOT_DICOM", "x.nii.gz"):
        read_image(tmp_path / "x.nii.gz", "MR")
    with refusal("PATH_NOT_FOUND"):
        read_image(tmp_path / "none", "MR")
    with refusal("PATH_NOT_FOUND"):
        read_image([tmp_path / "none"], "MR")
