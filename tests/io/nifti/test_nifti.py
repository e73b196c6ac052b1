"""NIfTI: what is written comes back in place, and what cannot be trusted is refused by name."""

import gzip
import itertools

import nibabel as nib
import numpy as np
import pytest

from support.synthetic_dicom import DATA, oblique, refusal, texture
from xmed.io import read_image, read_nifti, write_nifti
from xmed.io.notes import collect_notes
from xmed.volume import Volume

RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@pytest.fixture
def plain(tmp_path):
    """A healthy 6 × 5 × 4 NIfTI, and a way to change its header bytes before it is written."""

    def write(name="x.nii", array=None, affine=None, sform=1, qform=1, **fields):
        array = texture((6, 5, 4)).astype(np.int16) if array is None else array
        place = np.eye(4) if affine is None else affine
        image = nib.Nifti1Image(array, place, dtype=array.dtype)
        image.set_sform(place, sform)
        image.set_qform(place, qform)
        data = bytearray(image.to_bytes())
        header = nib.Nifti1Header(bytes(data[:348]), check=False)
        for field, value in fields.items():
            header[field] = value
        data[:348] = header.binaryblock
        path = tmp_path / name
        path.write_bytes(gzip.compress(bytes(data)) if name.endswith(".gz") else bytes(data))
        return path

    return write


@pytest.mark.parametrize("name", ["x.nii", "x.nii.gz"])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.int64, np.float32, np.float64])
def test_a_volume_comes_back_as_it_was_written(tmp_path, name, dtype):
    volume = Volume(texture((7, 6, 5)).astype(dtype), oblique())
    write_nifti(volume, tmp_path / name)
    back = read_nifti(tmp_path / name)
    assert back.array.dtype == dtype
    assert np.array_equal(back.array, volume.array)
    assert back.grid.distance(volume.grid) < 1e-4  # NIfTI keeps float32


def test_equal_volumes_give_equal_bytes_and_no_part_is_left(tmp_path):
    volume = Volume(texture((7, 6, 5)), oblique())
    for name in ("a.nii.gz", "b.nii.gz"):
        write_nifti(volume, tmp_path / name)
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.nii.gz", "b.nii.gz"]


def test_other_readers_see_the_written_file_in_the_same_place(tmp_path):
    volume = Volume(texture((7, 6, 5)), oblique())
    write_nifti(volume, tmp_path / "x.nii.gz")
    image = nib.load(tmp_path / "x.nii.gz")
    np.testing.assert_allclose(RAS @ image.affine, volume.affine, atol=1e-5)
    np.testing.assert_allclose(image.get_qform(), image.get_sform(), atol=1e-4)
    assert (image.header["sform_code"], image.header["qform_code"], image.header["xyzt_units"]) == (1, 1, 2)
    assert not any(bytes(image.header["descrip"]))


def test_left_in_lps_is_the_negative_of_right_in_ras(plain):
    volume = read_nifti(plain(affine=np.diag([2.0, 3.0, 4.0, 1.0])))
    np.testing.assert_allclose(volume.affine, np.diag([-2.0, -3.0, 4.0, 1.0]))


@pytest.mark.parametrize("flips", itertools.product((1, -1), repeat=3), ids=str)
@pytest.mark.parametrize("order", itertools.permutations(range(3)), ids=str)
@pytest.mark.parametrize("form", ["sform", "qform"])
def test_every_orientation_puts_the_voxels_where_nibabel_does(plain, form, order, flips):
    affine = np.eye(4)
    affine[:3, :3] = np.eye(3)[:, order] * flips * (0.7, 1.3, 3.1)
    affine[:3, 3] = (-31.5, 12.25, 87.0)
    path = plain(affine=affine, sform=int(form == "sform"), qform=int(form == "qform"))
    volume = read_nifti(path)
    np.testing.assert_allclose(volume.affine, RAS @ nib.load(path).affine, atol=1e-5)
    np.testing.assert_allclose(volume.affine, RAS @ affine, atol=1e-5)


def test_sform_is_preferred_and_qform_taken_where_there_is_none(plain):
    with collect_notes():
        assert read_nifti(plain(sform=2, srow_x=[9, 0, 0, 0])).spacing[0] == 9
    assert read_nifti(plain(sform=0, srow_x=[9, 0, 0, 0])).spacing[0] == 1


@pytest.mark.parametrize(("unit", "factor"), [(0, 1.0), (1, 1000.0), (2, 1.0), (3, 0.001)])
def test_metres_and_micrometres_become_millimetres(plain, unit, factor):
    with collect_notes() as notes:
        np.testing.assert_allclose(read_nifti(plain(xyzt_units=unit)).spacing, [factor] * 3)
    assert [note.code for note in notes] == (["UNITS"] if unit in (1, 3) else [])


def test_fine_voxels_in_metres_are_no_singular_affine(plain):
    with collect_notes() as notes:
        volume = read_nifti(plain(affine=np.diag([1e-4, 1e-4, 1e-4, 1]), xyzt_units=1))
    np.testing.assert_allclose(volume.spacing, [0.1] * 3, rtol=1e-5)
    assert [note.code for note in notes] == ["UNITS"]


def test_slope_and_intercept_are_applied(plain):
    array = texture((6, 5, 4)).astype(np.int16)
    np.testing.assert_allclose(read_nifti(plain(array=array, scl_slope=0.5, scl_inter=-7)).array, array * 0.5 - 7)


def test_content_decides_over_the_name(plain, tmp_path):
    (tmp_path / "y.nii.gz").write_bytes(plain("x.nii").read_bytes())
    (tmp_path / "y.nii").write_bytes(plain("x.nii.gz").read_bytes())
    with collect_notes() as notes:
        assert np.array_equal(read_nifti(tmp_path / "y.nii.gz").array, read_nifti(tmp_path / "y.nii").array)
    assert [note.code for note in notes] == ["GZIP_NAME", "GZIP_NAME"]


def test_big_endian_comes_in_as_native(plain):
    array = texture((6, 5, 4)).astype(">i2")
    volume = read_nifti(plain(array=array))
    assert np.array_equal(volume.array, array)
    assert volume.array.dtype.isnative


def test_a_channel_is_chosen_and_an_axis_of_one_dropped(plain):
    array = texture((6, 5, 4, 3)).astype(np.int16)
    assert np.array_equal(read_nifti(plain(array=array), channel=2).array, array[..., 2])
    with collect_notes() as notes:
        assert read_nifti(plain(array=array[..., :1])).array.shape == (6, 5, 4)
    assert [note.code for note in notes] == ["SQUEEZED"]
    assert read_nifti(plain(array=array[:, :, 0, 0])).array.shape == (6, 5, 1)
    with refusal("NDIM", "(6, 5, 4, 3)"):
        read_nifti(plain(array=array))
    with refusal("NDIM", "channel 3 was requested"):
        read_nifti(plain(array=array), channel=3)


def test_a_few_holes_are_filled_and_many_refused(plain):
    array = np.arange(2000, dtype=np.float32).reshape(20, 10, 10) + 5
    array[3, 3, 3] = np.nan
    with collect_notes() as notes:
        volume = read_nifti(plain(array=array), modality="MR")
    assert volume.array[3, 3, 3] == 5
    assert np.argwhere(~volume.fov).tolist() == [[3, 3, 3]]
    assert [note.code for note in notes] == ["HOLES"]
    array[:3] = np.inf
    with refusal("NON_FINITE", "15."):
        read_nifti(plain(array=array))


def test_an_ultrasound_image_with_a_hole_keeps_its_sector(tmp_path, plain):
    array = np.zeros((20, 18, 9), np.float32)
    array[4:16, 3:15] = texture((12, 12, 9))
    whole = read_image(plain(array=array), "US").fov
    array[8, 8, 4] = np.nan
    with collect_notes():
        holed = read_image(plain(array=array), "US").fov
    assert np.argwhere(whole != holed).tolist() == [[8, 8, 4]]


@pytest.mark.parametrize(
    ("code", "words", "changes"),
    [
        ("SLOPE", "slope 0", {"scl_slope": 0}),
        ("SLOPE", "slope nan", {"scl_slope": np.nan}),
        ("FORMS", "up to 5 mm and 0.0° apart", {"srow_x": [1, 0, 0, 5]}),
        ("FORMS", "not a rotation", {"quatern_b": 3}),
        ("FORMS", "not a rotation", {"qoffset_x": np.nan}),
        ("FORMS", "singular", {"pixdim": [1, 1e-4, 1e-4, 1e-4, 1, 1, 1, 1]}),
        ("PIXDIM", "[1.0, -1.0, 1.0]", {"pixdim": [1, 1, -1, 1, 1, 1, 1, 1]}),
        ("SHEAR", "5.71° off the right angle", {"srow_x": [1, 0, 0.1, 0], "qform": 0}),
    ],
)
def test_a_header_that_contradicts_itself_is_read_by_rule_and_on_record(plain, code, words, changes):
    with collect_notes() as notes:
        volume = read_nifti(plain(**changes))
    assert [note.code for note in notes] == [code]
    assert words in notes[0].text
    assert np.array_equal(volume.array, texture((6, 5, 4)))
    np.testing.assert_allclose(volume.affine[0], -np.array(changes.get("srow_x", [1, 0, 0, 0])), atol=1e-6)


def test_a_healthy_file_has_nothing_on_record(plain):
    with collect_notes() as notes:
        read_nifti(plain("x.nii.gz", affine=np.array(oblique())))
    assert notes == []


def test_shear_is_kept_to_the_last_voxel(tmp_path):
    lean = np.eye(4)
    lean[0, 2] = 0.3
    volume = Volume(texture((7, 6, 5)), oblique() @ lean)
    with collect_notes():
        image = nib.Nifti1Image(volume.array, RAS @ volume.affine)
        image.set_qform(None, 0)
        nib.save(image, tmp_path / "x.nii")
        back = read_nifti(tmp_path / "x.nii")
    assert back.grid.distance(volume.grid) < 1e-4


def test_an_image_must_not_be_constant_but_a_label_map_may_be_empty(plain):
    path = plain(array=np.zeros((6, 5, 4), np.uint8))
    assert not read_nifti(path).array.any()
    with refusal("CONSTANT", "every voxel"):
        read_nifti(path, modality="MR")


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("NO_ORIENTATION", {"sform": 0, "qform": 0}),
        ("AFFINE_INVALID", {"srow_x": [0, 0, 0, 0]}),
        ("AFFINE_INVALID", {"srow_y": [0, np.nan, 0, 0]}),
        ("SIZE_CLAIM", {"dim": [3, 30000, 30000, 30000, 1, 1, 1, 1]}),
        ("SIZE_CLAIM", {"dim": [3, 60, 5, 4, 1, 1, 1, 1]}),
        ("NDIM", {"dim": [0, 6, 5, 4, 1, 1, 1, 1]}),
        ("NDIM", {"dim": [3, 6, -5, 4, 1, 1, 1, 1]}),
        ("DTYPE", {"datatype": 128}),
        ("COMPLEX", {"datatype": 32}),
        ("NIFTI_INVALID", {"datatype": 77}),
        ("NIFTI_INVALID", {"vox_offset": -5}),
        ("SIZE_CLAIM", {"vox_offset": 90000}),
        ("NIFTI_INVALID", {"magic": b"ni1"}),
        ("RESCALE_INVALID", {"scl_slope": np.inf}),
        ("RESCALE_INVALID", {"scl_slope": 2, "scl_inter": np.nan}),
        ("SPACING_INVALID", {"sform": 0, "pixdim": [1, 1, -2, 1, 1, 1, 1, 1]}),
        ("SPACING_INVALID", {"sform": 0, "pixdim": [1, 1, 1, 0, 1, 1, 1, 1]}),
    ],
)
@pytest.mark.parametrize("name", ["x.nii", "x.nii.gz"])
def test_a_header_that_cannot_be_trusted_is_refused(plain, name, code, changes):
    with refusal(code):
        read_nifti(plain(name, **changes))


def test_a_gzip_stream_must_be_whole_and_pass_its_checksum(plain):
    path = plain("x.nii.gz")
    data = path.read_bytes()
    for broken in (data[:-9], data[:-200], data[:-8] + b"\0\0\0\0" + data[-4:]):
        path.write_bytes(broken)
        with refusal("GZIP_TRUNCATED"):
            read_nifti(path)


def test_a_small_file_cannot_make_it_allocate_gigabytes(plain):
    with refusal("SIZE_CLAIM", "claims"):
        read_nifti(plain("x.nii.gz", dim=[3, 1200, 1200, 1200, 1, 1, 1, 1]))


def test_what_is_no_file_or_no_nifti_is_said_plainly(tmp_path):
    with refusal("PATH_NOT_FOUND"):
        read_nifti(tmp_path / "none.nii")
    with refusal("PATH_UNSAFE"):
        read_nifti(tmp_path)
    (tmp_path / "empty.nii").touch()
    with refusal("EMPTY_FILE", "empty.nii has no bytes"):
        read_nifti(tmp_path / "empty.nii")
    (tmp_path / "text.nii").write_text("not a header" * 100)
    with refusal("NIFTI_INVALID"):
        read_nifti(tmp_path / "text.nii")


@pytest.mark.skipif(not (DATA / "sct-testing-data").is_dir(), reason="XMED_DATA is not set")
@pytest.mark.parametrize("name", ["t1/t1w.nii.gz", "t2/t2.nii.gz", "t2s/t2s.nii.gz", "mt/mt0.nii.gz"])
def test_real_files_in_any_orientation_lie_where_nibabel_says(name):
    path = DATA / "sct-testing-data" / name
    volume, image = read_nifti(path, "MR"), nib.load(path)
    np.testing.assert_allclose(volume.affine, RAS @ image.affine, atol=1e-5)
    assert np.array_equal(volume.array, np.asanyarray(image.dataobj))
