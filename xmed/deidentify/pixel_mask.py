"""Pixel mask: decodes pixels, masks ultrasound screens to their regions, and checks for burned-in text."""

from __future__ import annotations

import numpy as np
from pydicom import Dataset
from pydicom.pixels.processing import apply_color_lut
from pydicom.pixels.utils import pixel_array
from pydicom.uid import UID

from xmed.deidentify.burned_in_text import MIN_LETTERS, longest_line
from xmed.errors import XmedError
from xmed.io.dicom.colour import check_photometric, decode_rgb, frame_streams
from xmed.io.dicom.instance import Instance
from xmed.io.dicom.mosaic import is_mosaic
from xmed.io.dicom.pixels import LUMA
from xmed.io.dicom.stated_sizes import check_pixel_size
from xmed.io.dicom.ultrasound import COLOUR_FLOW, TISSUE, calibrated_regions
from xmed.io.file_kinds import reader_errors

MAX_REGION_SHARE = 0.95
"""Regions that cover more of an image than this share were not drawn around tissue: there is always a margin."""
PICTURES = {
    UID("1.2.840.10008.5.1.4.1.1.6"),  # Ultrasound Image Storage (Retired)
    UID("1.2.840.10008.5.1.4.1.1.3"),  # Ultrasound Multi-frame Image Storage (Retired)
    UID("1.2.840.10008.5.1.4.1.1.6.1"),
    UID("1.2.840.10008.5.1.4.1.1.3.1"),
}
"""SOP classes of ultrasound screens: tissue in the middle, text around it."""
SLICES = {
    UID(f"1.2.840.10008.5.1.4.1.1.{number}") for number in ("2", "2.1", "4", "4.1", "128", "130", "6.2")
}  # CT, Enhanced CT, MR, Enhanced MR, PET, Enhanced PET, Enhanced US Volume
"""SOP classes of reconstructed slices, which have no margin with text."""


def put_pixels(old: Instance, new: Dataset, *, flow: bool = False, written: bool = False) -> bool:
    """Copy the pixels of an image into a new data set.

    An ultrasound screen keeps its pixels within the calibrated tissue regions, and 0 elsewhere, in every frame.
    Palettes and YBR become RGB; bits beyond Bits Stored and bytes beyond the last pixel are dropped; the copy is not
    compressed.

    Args:
        old: The image.
        new: The data set that takes the pixels.
        flow: Whether colour flow regions count as tissue.
        written: Whether burned-in text may stay.

    Returns:
        Whether pixels were cleaned (code 113101); False if text stayed.

    Raises:
        XmedError: US_NO_REGION, BURNED_IN_TEXT, TSUID_MISMATCH for pixels that do not decode, and the codes of
            `check_claim`.
    """
    check_pixel_size(old)
    check_photometric(old.header, old.name)
    frames = _decoded(old)
    screen = old.sop_class in PICTURES
    if screen:
        frames[:, ~_shown(old, frames.shape[1:3], flow)] = 0
    grey = frames @ np.array(LUMA, dtype=np.float32) if frames.ndim == 4 else frames
    writing = longest_line(grey) >= MIN_LETTERS or (not screen and old.dataset.get("BurnedInAnnotation") == "YES")
    if writing and not written:
        raise XmedError(
            "BURNED_IN_TEXT", "what looks like writing is left in the pixels", "pixels without writing",
            "look at it; --keep-writing passes it on",
        )  # fmt: skip
    _set_pixel_module(new, frames, old)
    new.BurnedInAnnotation = "YES" if writing else "NO"
    return screen and not writing


def check_permitted(old: Instance) -> None:
    """Check that an image is of a permitted kind and does not need attributes that may not be kept.

    Raises:
        XmedError: DEID_UNSAFE.
    """
    data = old.dataset
    if old.sop_class not in PICTURES | SLICES:
        raise XmedError("DEID_UNSAFE", "an object of a kind without an allow-list", "MR, CT, PET or ultrasound images")
    if data.get("ModalityLUTSequence"):
        raise XmedError("DEID_UNSAFE", "values in a table that may not cross", "Rescale Slope and Intercept")
    if is_mosaic(old.header):
        raise XmedError("DEID_UNSAFE", "a Siemens mosaic needs its private attributes", "one picture per slice")
    if old.sop_class in SLICES and (data.get("SamplesPerPixel") != 1 or "PALETTE" in data.PhotometricInterpretation):
        raise XmedError("DEID_UNSAFE", "a colour picture among slices", "grey values")


def _shown(old: Instance, size: tuple[int, ...], flow: bool) -> np.ndarray:
    """Mask (rows, columns) of the calibrated tissue regions; US_NO_REGION if there are none."""
    visible = np.zeros(size, dtype=bool)
    for region in calibrated_regions(old.dataset, (TISSUE, COLOUR_FLOW) if flow else (TISSUE,)):
        visible[region.rows, region.columns] = True
    share = visible.mean()
    if not 0 < share < MAX_REGION_SHARE:
        what = "no calibrated tissue region" if share == 0 else f"regions that cover {share:.0%} of the picture"
        raise XmedError("US_NO_REGION", what, "Sequence of Ultrasound Regions around the tissue")
    return visible


def _decoded(old: Instance) -> np.ndarray:
    """A copy of the stored pixels: grey (frames, rows, columns), or RGB (frames, rows, columns, 3)."""
    data = old.dataset
    shape = (int(data.get("NumberOfFrames") or 1), int(data.Rows), int(data.Columns))
    streams = frame_streams(data, "the file")
    try:
        with reader_errors("the file"):
            frames = decode_rgb(data, streams) if int(data.SamplesPerPixel) == 3 else pixel_array(data)
            if data.PhotometricInterpretation == "PALETTE COLOR":
                frames = apply_color_lut(frames, data)[..., :3]
                if frames.itemsize == 2:
                    frames = (frames >> 8).astype(np.uint8)  # an ultrasound image has 8 bits (PS3.3 C.8.5.6.1.12)
    except XmedError as problem:
        syntax = UID(str(data.file_meta.get("TransferSyntaxUID", "")))
        raise XmedError(
            "TSUID_MISMATCH", "pixels do not decode", syntax.name if syntax.is_transfer_syntax else ""
        ) from problem
    frames = frames.reshape(*shape, 3) if frames.size == 3 * np.prod(shape) else frames.reshape(shape)
    if frames.ndim == 3 and frames.dtype.kind in "iu":
        unused = frames.itemsize * 8 - int(data.BitsStored)
        frames = (frames << unused) >> unused  # the bits above the stored ones may be an overlay
    return frames.copy()


def _set_pixel_module(new: Dataset, frames: np.ndarray, old: Instance) -> None:
    """Write the Image Pixel module (PS3.3 C.7.6.3) of uncompressed pixels."""
    colour = frames.ndim == 4
    if colour:
        new.SamplesPerPixel, new.PhotometricInterpretation, new.PlanarConfiguration = 3, "RGB", 0
        new.BitsStored = new.BitsAllocated = frames.itemsize * 8
    elif "PlanarConfiguration" in new:
        del new.PlanarConfiguration
    new.HighBit, new.BitsAllocated = new.BitsStored - 1, frames.itemsize * 8
    syntax = UID(str(old.dataset.file_meta.get("TransferSyntaxUID", "")))
    if syntax in _LOSSY:
        new.LossyImageCompression = "01"
    new.PixelData = frames.tobytes() + b"\0" * (frames.nbytes % 2)
    new["PixelData"].VR = "OW" if frames.itemsize > 1 else "OB"


_LOSSY = {UID(f"1.2.840.10008.1.2.4.{number}") for number in ("50", "51", "81", "91", "203")}
"""Transfer syntaxes that may be lossy: JPEG baseline and extended, near-lossless JPEG-LS, JPEG 2000, HTJ2K."""
