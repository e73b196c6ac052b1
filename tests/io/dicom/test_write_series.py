"""Scanner: what it writes reads back voxel for voxel, whatever the order and the obliqueness, and says what it is."""

import numpy as np
import pydicom
import pytest

from support.dicom_conformance import faults
from xmed.errors import XmedError
from xmed.io import read_series
from xmed.io.dicom.write_series import SeriesIdentity, write_series, write_ultrasound_volume
from xmed.volume import Volume

HEADER = SeriesIdentity("PHANTOM-X-01", "xmed", "model", "T2")


def oblique():
    """1.5 × 1.4 × 3 mm, turned about two axes, right-handed."""
    a, b = 0.2, -0.35
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_z = np.array([[np.cos(b), -np.sin(b), 0], [np.sin(b), np.cos(b), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = about_x @ about_z * [1.5, 1.4, 3.0]
    affine[:3, 3] = (-31.23456789, 12.5, 87.1)
    return affine


def volume(dtype=np.uint16, affine=None):
    array = np.random.default_rng(0).integers(0, 250, (7, 5, 4)).astype(dtype)
    return Volume(array, oblique() if affine is None else affine)


def test_a_series_reads_back_though_its_instance_numbers_run_backwards(tmp_path):
    made = volume()
    files = write_series(made, tmp_path, HEADER, order=[3, 2, 1, 0])
    assert [pydicom.dcmread(path).InstanceNumber for path in files] == [1, 2, 3, 4]
    read = read_series(tmp_path)
    np.testing.assert_array_equal(read.array, made.array)
    assert read.grid.distance(made.grid) < 1e-3
    assert read.frame == HEADER.uid("frame")


def test_an_ultrasound_volume_reads_back_in_its_volume_frame_of_reference(tmp_path):
    made = volume(np.uint8)
    write_ultrasound_volume(made, tmp_path / "us.dcm", HEADER)
    read = read_series(tmp_path / "us.dcm")
    np.testing.assert_array_equal(read.array, made.array)
    assert read.grid.distance(made.grid) < 1e-3
    assert (read.modality, read.frame) == ("US", HEADER.uid("volume frame"))


def test_an_ultrasound_volume_is_an_enhanced_us_volume_with_its_functional_groups(tmp_path):
    write_ultrasound_volume(volume(np.uint8), tmp_path / "us.dcm", HEADER)
    ds = pydicom.dcmread(tmp_path / "us.dcm")
    assert ds.SOPClassUID == "1.2.840.10008.5.1.4.1.1.6.2"
    assert ds.NumberOfFrames == len(ds.PerFrameFunctionalGroupsSequence) == 4
    assert "PixelMeasuresSequence" in ds.SharedFunctionalGroupsSequence[0]
    assert "PlaneOrientationVolumeSequence" in ds.SharedFunctionalGroupsSequence[0]
    assert all("PlanePositionVolumeSequence" in frame for frame in ds.PerFrameFunctionalGroupsSequence)


def test_nobody_can_take_it_for_a_patient(tmp_path):
    write_series(volume(), tmp_path, HEADER)
    ds = pydicom.dcmread(tmp_path / "IM0001.dcm")
    assert "Phantom" in str(ds.PatientName)
    assert "Synthetic" in ds.PatientComments
    assert ds.PatientBirthDate == ""


def test_the_same_volume_gives_the_same_bytes(tmp_path):
    for folder in ("a", "b"):
        write_series(volume(), tmp_path / folder, HEADER)
        write_ultrasound_volume(volume(np.uint8), tmp_path / folder / "us.dcm", HEADER)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_instances_have_distinct_uids_and_patients_distinct_series(tmp_path):
    other = SeriesIdentity("PHANTOM-X-02", "xmed", "model", "T2")
    files = [*write_series(volume(), tmp_path / "a", HEADER), *write_series(volume(), tmp_path / "b", other)]
    read = [pydicom.dcmread(path) for path in files]
    assert len({ds.SOPInstanceUID for ds in read}) == 8
    assert len({ds.SeriesInstanceUID for ds in read}) == len({ds.StudyInstanceUID for ds in read}) == 2


@pytest.mark.parametrize("write", [write_series, write_ultrasound_volume])
def test_voxels_of_another_type_are_refused(write, tmp_path):
    with pytest.raises(XmedError, match=r"DTYPE.*voxels of type float32"):
        write(volume(np.float32), tmp_path / "x", HEADER)


def test_axes_that_dicom_cannot_stack_are_refused(tmp_path):
    mirrored, sheared = oblique(), oblique()
    mirrored[:3, 2] *= -1
    sheared[:3, 2] += (0, 0.5, 0)
    for affine in (mirrored, sheared):
        with pytest.raises(XmedError, match=r"AFFINE_INVALID.*orthogonal axes, right-handed"):
            write_series(volume(affine=affine), tmp_path, HEADER)
    assert not list(tmp_path.iterdir())


def test_dciodvfy_finds_no_error_in_what_it_writes(tmp_path):
    files = write_series(volume(), tmp_path, HEADER)
    write_ultrasound_volume(volume(np.uint8), tmp_path / "us.dcm", HEADER)
    for path in (*files, tmp_path / "us.dcm"):
        assert faults(path) == []
