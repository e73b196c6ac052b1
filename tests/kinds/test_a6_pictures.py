"""A6: PNG and JPEG pictures in every mode and orientation that they come in."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo

from support.synthetic_dicom import refusal
from xmed.errors import XmedError
from xmed.io import read_label, read_picture
from xmed.io.notes import collect_notes
from xmed.labels import LabelTable, Structure
from xmed.volume import Volume

WEIGHTS = np.array((0.299, 0.587, 0.114))
ORIENTATION = 0x0112


def drawing():
    """Without any symmetry."""
    grey = np.zeros((48, 64), np.uint8)
    grey[4:20, 4:40] = 200
    grey[28:44, 30:34] = 120
    grey[30:34, 50:60] = 60
    return grey


def exif(orientation):
    found = Image.Exif()
    found[ORIENTATION] = orientation
    return found


def read(path):
    with collect_notes() as notes:
        return read_picture(path, "US").array[:, :, 0].T.astype(float), {made.code for made in notes}


def stored(upright, orientation):
    """The pixels that a camera stores, for a viewer that follows the orientation to show `upright`."""
    undo = {1: lambda a: a, 2: np.fliplr, 3: lambda a: np.rot90(a, 2), 4: np.flipud, 5: lambda a: a.swapaxes(0, 1),
            6: lambda a: np.rot90(a, 1), 7: lambda a: np.rot90(a, 2).swapaxes(0, 1), 8: lambda a: np.rot90(a, -1)}  # fmt: skip
    return np.ascontiguousarray(undo[orientation](upright))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["jpg", "png"])
def test_every_orientation_shows_what_a_viewer_shows(tmp_path, orientation, ending):
    path = tmp_path / f"x.{ending}"
    Image.fromarray(stored(drawing(), orientation)).save(path, quality=98, exif=exif(orientation))
    np.testing.assert_allclose(np.asarray(ImageOps.exif_transpose(Image.open(path))), drawing(), atol=8)
    array, notes = read(path)
    assert array.shape == (48, 64)
    np.testing.assert_allclose(array, drawing(), atol=8)
    assert ("ORIENTATION" in notes) == (orientation != 1)


@pytest.mark.parametrize("orientation", [0, 9, 255])
def test_an_orientation_that_is_none_changes_nothing(tmp_path, orientation):
    Image.fromarray(drawing()).save(tmp_path / "x.jpg", quality=98, exif=exif(orientation))
    np.testing.assert_allclose(read(tmp_path / "x.jpg")[0], drawing(), atol=8)


@pytest.mark.parametrize("orientation", [2, 3, 5, 6, 8])
@pytest.mark.parametrize("mask_too", [False, True])
def test_a_mask_lies_on_its_picture_whichever_of_them_is_turned(tmp_path, orientation, mask_too):
    drawn = drawing()
    Image.fromarray(stored(drawn, orientation)).save(tmp_path / "x.jpg", quality=98, exif=exif(orientation))
    mask = (drawn == 120).astype(np.uint8)
    if mask_too:
        Image.fromarray(stored(mask, orientation)).save(tmp_path / "m.png", exif=exif(orientation))
    else:
        Image.fromarray(mask).save(tmp_path / "m.png")
    with collect_notes():
        image = read_picture(tmp_path / "x.jpg", "US")
        label = read_label(tmp_path / "m.png", image, LabelTable((Structure(1, "a"),)))
    np.testing.assert_array_equal(label.array[:, :, 0].T, mask)
    assert np.abs(image.array[label.array == 1].astype(int) - 120).max() < 8


def test_sixteen_bits_are_turned_too(tmp_path):
    deep = drawing().astype(np.uint16) * 257
    Image.fromarray(stored(deep, 6)).save(tmp_path / "x.png", exif=exif(6))
    np.testing.assert_array_equal(read(tmp_path / "x.png")[0], deep)


# modes: the right value is PIL's own conversion to RGB, in luminance
def colours():
    rgb = np.random.default_rng(0).integers(0, 255, (6, 8, 3)).repeat(8, 0).repeat(8, 1).astype(np.uint8)
    rgb[:16] = 0
    return rgb


def luminance(path):
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB")).astype(float) @ WEIGHTS


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L", "LA", "1"])
def test_every_mode_of_png_is_what_pil_shows(tmp_path, mode):
    picture = Image.fromarray(colours())
    (picture.convert(mode) if mode != "RGBA" else picture.convert("RGB").convert("RGBA")).save(tmp_path / "x.png")
    array, _ = read(tmp_path / "x.png")
    expected = luminance(tmp_path / "x.png")
    scale = 255 if mode == "1" and array.max() == 1 else 1
    np.testing.assert_allclose(array * scale, expected, atol=0.6)


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_every_mode_of_jpeg_is_what_pil_shows(tmp_path, mode):
    Image.fromarray(colours()).convert(mode).save(tmp_path / "x.jpg", quality=98)
    array, _ = read(tmp_path / "x.jpg")
    np.testing.assert_allclose(array, luminance(tmp_path / "x.jpg"), atol=0.6)
    assert np.abs(array - colours() @ WEIGHTS).mean() < 4  # and what was saved, not its negative


@pytest.mark.parametrize("marker", [True, False])
def test_a_jpeg_of_red_green_and_blue_or_of_luma(tmp_path, marker):
    out = io.BytesIO()
    Image.fromarray(colours()).save(out, "JPEG", quality=98, subsampling=0)
    data = out.getvalue()
    if not marker:
        data = data[:2] + data[4 + int.from_bytes(data[4:6], "big") :]
    (tmp_path / "x.jpg").write_bytes(data)
    assert np.abs(read(tmp_path / "x.jpg")[0] - colours() @ WEIGHTS).mean() < 3


def png16(path, array, kind):
    """A PNG of 16 bits per sample, which PIL does not write. kind: 2 RGB, 4 grey and alpha, 6 RGB and alpha."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in array)
    head = struct.pack(">IIBBBBB", array.shape[1], array.shape[0], 16, kind, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("kind", [2, 4, 6])
def test_sixteen_bits_of_colour_keep_their_values_or_are_refused(tmp_path, kind):
    grey = np.random.default_rng(0).integers(0, 65535, (12, 16))
    planes = {2: [grey] * 3, 4: [grey, grey * 0 + 65535], 6: [grey, grey, grey, grey * 0 + 65535]}[kind]
    png16(tmp_path / "x.png", np.stack(planes, axis=-1), kind)
    try:
        array, _ = read(tmp_path / "x.png")
    except XmedError as problem:
        assert problem.code == "DTYPE"  # noqa: PT017
        assert "16" in str(problem)  # noqa: PT017
    else:
        np.testing.assert_allclose(array, grey, atol=1)


def test_what_is_transparent_is_said(tmp_path):
    grey = drawing()
    alpha = np.where(grey > 0, 255, 0).astype(np.uint8)
    Image.fromarray(np.dstack([grey, grey, grey, alpha])).save(tmp_path / "x.png")
    array, notes = read(tmp_path / "x.png")
    np.testing.assert_array_equal(array, grey)
    assert "TRANSPARENT" in notes
    Image.fromarray(np.dstack([grey, alpha])).save(tmp_path / "la.png")
    assert "TRANSPARENT" in read(tmp_path / "la.png")[1]


def test_what_is_opaque_needs_no_word(tmp_path):
    grey = drawing()
    Image.fromarray(np.dstack([grey, grey, grey, np.full_like(grey, 255)])).save(tmp_path / "x.png")
    array, notes = read(tmp_path / "x.png")
    np.testing.assert_array_equal(array, grey)
    assert notes == set()


def test_several_pictures_in_one_png_are_refused(tmp_path):
    frames = [Image.fromarray(drawing()), Image.fromarray(drawing()[::-1].copy())]
    frames[0].save(tmp_path / "x.png", save_all=True, append_images=frames[1:])
    with refusal("NDIM", "2"):
        read_picture(tmp_path / "x.png")


def test_a_preview_behind_a_photograph_is_said(tmp_path):
    frames = [Image.fromarray(np.dstack([drawing()] * 3)), Image.fromarray(np.dstack([drawing()[::2, ::2]] * 3))]
    frames[0].save(tmp_path / "x.jpg", "MPO", save_all=True, append_images=frames[1:], quality=98)
    array, notes = read(tmp_path / "x.jpg")
    np.testing.assert_allclose(array, drawing(), atol=8)
    assert "SEVERAL_PICTURES" in notes


@pytest.mark.parametrize("ending", ["tif", "bmp", "gif"])
def test_other_formats_are_refused_as_what_xmed_does_not_read(tmp_path, ending):
    Image.fromarray(drawing()).save(tmp_path / f"x.{ending}")
    with pytest.raises(XmedError) as caught:
        read_picture(tmp_path / f"x.{ending}", "US")
    assert caught.value.code in ("PICTURE_INVALID", "NOT_DICOM", "DTYPE")


def test_an_interlaced_picture_and_one_of_gamma_keep_their_values(tmp_path):
    info = PngInfo()
    info.add(b"gAMA", struct.pack(">I", 100000))
    Image.fromarray(drawing()).save(tmp_path / "x.png", pnginfo=info)
    np.testing.assert_array_equal(read(tmp_path / "x.png")[0], drawing())


# labels
TABLE = LabelTable((Structure(1, "a"), Structure(2, "b")))
IMAGE = Volume(np.random.default_rng(0).random((64, 48, 1)), np.eye(4), modality="US")
MASK = np.select([drawing() == 200, drawing() == 120], [1, 2]).astype(np.uint8)


def label(path, table=TABLE):
    return read_label(path, IMAGE, table).array[:, :, 0].T


def palette(mask):
    picture = Image.frombytes("P", mask.shape[::-1], mask.tobytes())
    picture.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    return picture


def test_palette_indices_are_labels_also_beside_a_transparent_background(tmp_path):
    palette(MASK).save(tmp_path / "x.png")
    np.testing.assert_array_equal(label(tmp_path / "x.png"), MASK)
    palette(MASK).save(tmp_path / "y.png", transparency=0)
    np.testing.assert_array_equal(label(tmp_path / "y.png"), MASK)


@pytest.mark.parametrize("orientation", [3, 6])
def test_a_palette_is_turned_by_its_indices(tmp_path, orientation):
    palette(stored(MASK, orientation)).save(tmp_path / "x.png", exif=exif(orientation))
    np.testing.assert_array_equal(label(tmp_path / "x.png"), MASK)


def test_grey_values_are_labels_in_one_plane_or_three(tmp_path):
    for n, array in enumerate([MASK, np.dstack([MASK] * 3), np.dstack([MASK] * 3 + [np.full_like(MASK, 255)])]):
        Image.fromarray(array).save(tmp_path / f"{n}.png")
        np.testing.assert_array_equal(label(tmp_path / f"{n}.png"), MASK)


def test_colours_name_nothing(tmp_path):
    Image.fromarray(np.dstack([MASK * 100, MASK, MASK])).save(tmp_path / "x.png")
    with refusal("DTYPE", "colour"):
        label(tmp_path / "x.png")


@pytest.mark.parametrize("quality", [50, 90, 100])
def test_a_mask_that_went_through_jpeg_is_refused(tmp_path, quality):
    Image.fromarray(MASK * 100).save(tmp_path / "x.jpg", quality=quality)
    table = LabelTable(tuple(Structure(n, f"s{n}") for n in range(1, 256)))  # every value is one that somebody named
    with refusal("DTYPE", "JPEG"):
        label(tmp_path / "x.jpg", table)


def test_a_mask_drawn_in_transparency_alone_is_refused(tmp_path):
    white = np.full_like(MASK, 1)
    Image.fromarray(np.dstack([white, white, white, MASK * 100])).save(tmp_path / "x.png")
    with refusal("DTYPE", "transparent"):
        label(tmp_path / "x.png")


def test_a_mask_with_a_transparent_background_of_zeros_is_one(tmp_path):
    Image.fromarray(np.dstack([MASK, MASK, MASK, np.where(MASK > 0, 255, 0).astype(np.uint8)])).save(tmp_path / "x.png")
    np.testing.assert_array_equal(label(tmp_path / "x.png"), MASK)


def test_two_values_of_one_bit_are_nothing_and_one(tmp_path):
    Image.fromarray(MASK == 1).save(tmp_path / "x.png")
    np.testing.assert_array_equal(label(tmp_path / "x.png"), MASK == 1)
