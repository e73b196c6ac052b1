"""Pictures: grey comes in as grey, colours as luminance, palette indices as labels."""

import numpy as np
import pytest
from PIL import Image

from support.synthetic_dicom import DATA, refusal
from xmed.io import read_picture
from xmed.io.pictures.picture import read_label_picture

GREY = np.random.default_rng(0).integers(0, 255, (9, 12)).astype(np.uint8)


def save(path, pixels, mode=None):
    picture = Image.fromarray(pixels)
    if mode == "P":
        picture = picture.convert("L")
        picture = Image.frombytes("P", picture.size, picture.tobytes())
        picture.putpalette([value for n in range(256) for value in (255 - n, n // 2, 7)])
    picture.save(path)
    return path


def test_columns_are_the_first_axis_and_voxels_are_of_a_millimetre(tmp_path):
    volume = read_picture(save(tmp_path / "x.png", GREY), "US")
    assert np.array_equal(volume.array[:, :, 0], GREY.T)
    assert (volume.spacing, volume.modality) == ((1, 1, 1), "US")


def test_sixteen_bits_are_kept(tmp_path):
    deep = GREY.astype(np.uint16) * 257
    assert np.array_equal(read_picture(save(tmp_path / "x.png", deep)).array[:, :, 0], deep.T)


def test_colours_become_luminance_and_grey_stored_as_colour_stays_as_it_is(tmp_path):
    colours = np.random.default_rng(0).integers(0, 255, (9, 12, 3)).astype(np.uint8)
    found = read_picture(save(tmp_path / "x.png", colours)).array[:, :, 0]
    np.testing.assert_allclose(found, (colours @ np.array((0.299, 0.587, 0.114))).T, rtol=1e-5)
    grey = read_picture(save(tmp_path / "y.png", np.repeat(GREY[..., np.newaxis], 3, axis=2))).array
    assert np.array_equal(grey[:, :, 0], GREY.T)


def test_a_label_picture_keeps_its_palette_indices(tmp_path):
    assert np.array_equal(read_label_picture(save(tmp_path / "x.png", GREY % 3, "P")).array[:, :, 0], GREY.T % 3)
    colours = np.random.default_rng(0).integers(0, 255, (9, 12, 3)).astype(np.uint8)
    with refusal("DTYPE", "colour picture"):
        read_label_picture(save(tmp_path / "y.png", colours))


def test_a_broken_or_blank_picture_is_refused(tmp_path):
    path = save(tmp_path / "x.png", GREY)
    path.write_bytes(path.read_bytes()[:60])
    with refusal("PICTURE_INVALID", "x.png"):
        read_picture(path)
    with refusal("CONSTANT"):
        read_picture(save(tmp_path / "y.png", GREY * 0))
    assert not read_label_picture(tmp_path / "y.png").array.any()


def test_a_picture_that_claims_too_much_is_not_decoded(tmp_path, monkeypatch):
    monkeypatch.setattr("xmed.io.pictures.picture.MAX_PIXELS", 50)
    with refusal("SIZE_CLAIM"):
        read_picture(save(tmp_path / "x.png", GREY))


@pytest.mark.skipif(not (DATA / "usgra-seg").is_dir(), reason="XMED_DATA is not set")
def test_a_real_picture_and_its_mask_lie_on_one_grid():
    image = read_picture(DATA / "usgra-seg/dataset/test/images/0004.png", "US")
    mask = read_label_picture(DATA / "usgra-seg/dataset/test/masks/0004.png")
    assert mask.grid.same(image.grid)
