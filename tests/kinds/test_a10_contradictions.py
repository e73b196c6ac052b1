"""A10: headers that contradict the picture they describe: refused, or noted; what only looks so is taken."""

import io

import nibabel as nib
import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit, RLELossless

from support.synthetic_dicom import film, oblique, save, slices, texture
from xmed.errors import XmedError
from xmed.io import read_nifti, read_series
from xmed.io.notes import collect_notes

FRAMES = np.zeros((3, 60, 80), np.uint8)
FRAMES[:, 5:55, 8:72] = np.random.default_rng(0).integers(1, 255, (3, 50, 64))


def read(datasets, tmp_path):
    """(volume, {code: text})"""
    with collect_notes() as notes:
        volume = read_series(save(datasets, tmp_path))
    return volume, {made.code: made.text for made in notes}


def refused(datasets, tmp_path, *words):
    with pytest.raises(XmedError) as caught:
        read(datasets, tmp_path)
    assert caught.value.code not in ("READER_FAILED", "TSUID_MISMATCH")
    assert all(word in str(caught.value) for word in words), str(caught.value)


# ultrasound: regions that belong to another size of the picture
@pytest.mark.parametrize("region", [
    (8, 5, 143, 109), (16, 10, 143, 54), (8, 10, 71, 109),  # the picture was halved along both, x, y
    (100, 70, 143, 109), (8, 5, 81, 54), (8, 5, 71, 61), (8, 5, 4_000_000_000, 54),
    (71, 5, 8, 54), (8, 54, 71, 5), (0, 0, 159, 119),
])  # fmt: skip
def test_a_region_beyond_the_picture_is_refused_with_both_sizes(tmp_path, region):
    refused([film(FRAMES, [(*region, 0.02, 0.02)])], tmp_path, "region", "80 × 60")


def test_one_such_region_among_others_is_enough(tmp_path):
    refused([film(FRAMES, [(8, 5, 71, 54, 0.02, 0.02), (8, 5, 143, 109, 0.02, 0.02)])], tmp_path, "region", "80 × 60")


@pytest.mark.parametrize("region", [(0, 0, 80, 60), (8, 5, 80, 54), (0, 0, 79, 60)])
def test_a_region_that_ends_one_pixel_behind_the_last_is_a_habit(tmp_path, region):
    volume, _ = read([film(FRAMES, [(*region, 0.02, 0.02)])], tmp_path)
    assert volume.fov[10, 10].all()
    np.testing.assert_allclose(volume.spacing[:2], 0.2)


def test_a_region_within_the_picture_is_taken_without_a_word(tmp_path):
    _, notes = read([film(FRAMES, [(8, 5, 71, 54, 0.02, 0.02)])], tmp_path)
    assert notes == {}


def test_a_region_of_another_kind_may_lie_anywhere(tmp_path):
    ds = film(FRAMES, [(8, 5, 71, 54, 0.02, 0.02), (8, 5, 143, 109, 0.02, 0.02)])
    ds.SequenceOfUltrasoundRegions[1].RegionDataType = 4  # PW Doppler
    assert read([ds], tmp_path)[0].array.shape == (80, 60, 3)


@pytest.mark.parametrize(
    "keyword",
    [
        "RegionLocationMinX0",
        "RegionLocationMaxX1",
        "RegionLocationMinY0",
        "RegionLocationMaxY1",
        "PhysicalDeltaX",
        "PhysicalDeltaY",
    ],
)
@pytest.mark.parametrize("empty", [False, True])
def test_a_region_without_place_or_scale_is_refused_for_that(tmp_path, keyword, empty):
    ds = film(FRAMES, [(8, 5, 71, 54, 0.02, 0.02)])
    if empty:
        setattr(ds.SequenceOfUltrasoundRegions[0], keyword, None)
    else:
        delattr(ds.SequenceOfUltrasoundRegions[0], keyword)
    refused([ds], tmp_path, "region")


def test_a_region_over_nothing_beside_a_picture_is_refused(tmp_path):
    frames = np.zeros((1, 120, 160), np.uint8)
    frames[:, 70:, 90:] = texture((1, 50, 70))
    refused([film(frames, [(5, 5, 60, 50, 0.02, 0.02)])], tmp_path, "region")


@pytest.mark.parametrize("scale", [2, 1.5])
def test_a_picture_that_was_enlarged_under_its_regions_is_noted(tmp_path, scale):
    larger = np.stack([np.asarray(Image.fromarray(f).resize((int(80 * scale), int(60 * scale)))) for f in FRAMES])
    _, notes = read([film(larger, [(8, 5, 71, 54, 0.02, 0.02)])], tmp_path)
    assert any("region" in text for text in notes.values())


@pytest.mark.parametrize(("keyword", "value", "agrees"), [
    ("PixelSpacing", [0.2, 0.2], True), ("PixelSpacing", [0.4, 0.4], False), ("PixelSpacing", [0.2, 0.1], False),
    ("PixelAspectRatio", [1, 1], True), ("PixelAspectRatio", [2, 1], False),
    ("NominalScannedPixelSpacing", [0.1, 0.1], False), ("NominalScannedPixelSpacing", [0.2, 0.2], True),
])  # fmt: skip
def test_a_second_calibration_that_says_otherwise_is_noted(tmp_path, keyword, value, agrees):
    ds = film(FRAMES, [(8, 5, 71, 54, 0.02, 0.02)])
    setattr(ds, keyword, value)
    volume, notes = read([ds], tmp_path)
    np.testing.assert_allclose(volume.spacing[:2], 0.2)
    assert any(keyword in text for text in notes.values()) != agrees


# slices: sizes left over
def stack(spacing=(1.0, 1.0, 2.0), shape=(64, 64, 6), **values):
    made = slices(texture(shape), oblique(spacing), "CT")
    for ds in made:
        for keyword, value in values.items():
            setattr(ds, keyword, value)
    return made


@pytest.mark.parametrize(("shape", "spacing", "diameter", "agrees"), [
    ((64, 64, 6), (1.0, 1.0, 2.0), 64, True), ((64, 64, 6), (1.0, 1.0, 2.0), 64.3, True),
    ((64, 48, 6), (1.0, 1.0, 2.0), 64, True), ((48, 64, 6), (1.0, 1.0, 2.0), 64, True),
    ((64, 64, 6), (1.0, 1.0, 2.0), 128, False), ((64, 64, 6), (1.0, 1.0, 2.0), 32, False),
    ((64, 64, 6), (1.0, 1.0, 2.0), 90, False), ((40, 40, 6), (1.0, 1.0, 2.0), 64, False),
    ((64, 64, 6), (1.0, 1.0, 2.0), 0, True),
])  # fmt: skip
def test_a_reconstruction_diameter_of_another_size_is_noted(tmp_path, shape, spacing, diameter, agrees):
    volume, notes = read(stack(spacing, shape, ReconstructionDiameter=diameter), tmp_path)
    assert volume.array.shape == shape
    assert any("Reconstruction" in text for text in notes.values()) != agrees


@pytest.mark.parametrize(("between", "thickness", "agrees"), [
    (2.0, 2.0, True), (-2.0, 2.0, True), (2.0, 5.0, True), (2.0, 1.0, True),
    (0.5, 1.5, True),  # some vendors write the gap
    (1.0, 1.0, False), (1.0, 0.9, False), (4.0, 2.0, False), (0, 2.0, True), (2.001, 2.0, True), (1.0, 3.0, False),
])  # fmt: skip
def test_a_distance_of_slices_that_the_positions_contradict_is_noted(tmp_path, between, thickness, agrees):
    volume, notes = read(stack(SpacingBetweenSlices=between, SliceThickness=thickness), tmp_path)
    assert volume.spacing[2] == pytest.approx(2.0)
    assert any("SpacingBetweenSlices" in text for text in notes.values()) != agrees


def test_every_second_slice_missing_is_seen_by_the_distance_that_is_left(tmp_path):
    made = stack(shape=(64, 64, 12), SpacingBetweenSlices=2.0, SliceThickness=2.0)
    assert any("SpacingBetweenSlices" in text for text in read(made[::2], tmp_path)[1].values())


@pytest.mark.parametrize(("ratio", "agrees"), [([1, 1], True), ([2, 1], False), ([1, 2], False)])
def test_an_aspect_ratio_beside_another_spacing_is_noted(tmp_path, ratio, agrees):
    _, notes = read(stack(PixelAspectRatio=ratio), tmp_path)
    assert any("PixelAspectRatio" in text for text in notes.values()) != agrees


@pytest.mark.parametrize(
    ("spacing", "kind", "agrees"), [([1.0, 1.0], None, True), ([0.5, 0.5], None, False), ([0.5, 0.5], "GEOMETRY", True)]
)
def test_a_spacing_at_the_detector_needs_a_reason_to_differ(tmp_path, spacing, kind, agrees):
    made = stack(ImagerPixelSpacing=spacing, **({"PixelSpacingCalibrationType": kind} if kind else {}))
    assert any("ImagerPixelSpacing" in text for text in read(made, tmp_path)[1].values()) != agrees


def test_a_series_that_agrees_with_itself_is_read_without_a_word(tmp_path):
    made = stack(ReconstructionDiameter=64, SpacingBetweenSlices=2.0, PixelAspectRatio=[1, 1])
    assert read(made, tmp_path)[1] == {}


# streams of another size than their header's
def packed(frame, kind):
    out = io.BytesIO()
    if kind == "jpeg":
        Image.fromarray(frame).save(out, "JPEG", quality=95)
    else:
        Image.fromarray(frame).save(out, "JPEG2000", irreversible=False, no_jp2=True)
    return out.getvalue()


def compressed(kind, frames, rows, columns, count=None):
    ds = film(FRAMES, [(8, 5, 30, 25, 0.02, 0.02)])
    ds.file_meta.TransferSyntaxUID = JPEGBaseline8Bit if kind == "jpeg" else JPEG2000Lossless
    ds.Rows, ds.Columns, ds.NumberOfFrames = rows, columns, count or len(frames)
    ds.PixelData = encapsulate([packed(frame, kind) for frame in frames])
    ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OB", True
    return ds


@pytest.mark.parametrize("kind", ["jpeg", "jpeg2000"])
def test_a_stream_of_the_size_that_its_header_says_is_read(tmp_path, kind):
    volume, _ = read([compressed(kind, FRAMES, 60, 80)], tmp_path)
    assert np.abs(volume.array.transpose(2, 1, 0).astype(int) - FRAMES).mean() < 3


@pytest.mark.parametrize("kind", ["jpeg", "jpeg2000"])
@pytest.mark.parametrize(("rows", "columns"), [(120, 160), (30, 40), (80, 60), (60, 79), (59, 80)])
def test_a_stream_of_another_size_is_refused_with_both_sizes(tmp_path, kind, rows, columns):
    refused([compressed(kind, FRAMES, rows, columns)], tmp_path, "60 × 80", f"{rows} × {columns}")


@pytest.mark.parametrize("kind", ["jpeg", "jpeg2000"])
def test_a_stream_in_colour_under_a_header_in_grey_is_refused(tmp_path, kind):
    colour = np.repeat(FRAMES[..., None], 3, axis=3)
    refused([compressed(kind, colour, 60, 80)], tmp_path, "3")


@pytest.mark.parametrize("kind", ["jpeg", "jpeg2000"])
@pytest.mark.parametrize("count", [1, 2, 4, 7])
def test_another_number_of_frames_than_the_stream_has_is_refused(tmp_path, kind, count):
    refused([compressed(kind, FRAMES, 60, 80, count)], tmp_path, "frames")


@pytest.mark.parametrize("count", [2, 4])
def test_another_number_of_frames_in_run_lengths_is_refused(tmp_path, count):
    ds = film(FRAMES, [(8, 5, 30, 25, 0.02, 0.02)])
    ds = pydicom.dcmread(next(save([ds], tmp_path / "native").iterdir()))
    ds.compress(RLELossless, generate_instance_uid=False)
    ds.NumberOfFrames = count
    refused([ds], tmp_path / "packed", "frames")


# NIfTI: spacing in two places
@pytest.mark.parametrize(
    ("factor", "agrees"), [((1, 1, 1), True), ((2, 2, 2), False), ((1, 1, 3), False), ((1.001, 1, 1), True)]
)
def test_a_pixdim_beside_another_sform_is_noted_and_the_sform_taken(tmp_path, factor, agrees):
    image = nib.Nifti1Image(texture((12, 9, 7)).astype(np.int16), np.diag([0.9, 0.8, 3.0, 1.0]))
    image.set_qform(None, 0)
    image.set_sform(np.diag([0.9, 0.8, 3.0, 1.0]), 1)
    image.header["pixdim"][1:4] = np.array([0.9, 0.8, 3.0]) * factor
    nib.save(image, tmp_path / "x.nii")
    with collect_notes() as notes:
        volume = read_nifti(tmp_path / "x.nii", "MR")
    np.testing.assert_allclose(volume.spacing, (0.9, 0.8, 3.0), rtol=1e-5)
    assert any(made.code == "PIXDIM" for made in notes) != agrees
