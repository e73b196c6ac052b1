"""Pixel mask: decoded, cut to what may be seen of them, looked over for writing, and native again."""

from __future__ import annotations

import numpy as np
from pydicom import Dataset
from pydicom.pixels import apply_color_lut, pixel_array
from pydicom.uid import UID

from xmed.deidentify.burned_in_text import LETTERS, longest_line
from xmed.errors import XmedError
from xmed.io.dicom.colour import check_photometric, decode_rgb, frame_streams
from xmed.io.dicom.instance import Instance
from xmed.io.dicom.mosaic import is_mosaic
from xmed.io.dicom.pixel_size_check import check_pixel_size
from xmed.io.dicom.pixels import LUMA
from xmed.io.dicom.ultrasound import COLOUR_FLOW, TISSUE, calibrated_regions
from xmed.io.file_kinds import reader_errors

WHOLE = 0.95
"""Regions that cover more of a picture than this share say that nobody drew them: there is always a margin."""
PICTURES = {
    UID("1.2.840.10008.5.1.4.1.1.6"),  # Ultrasound Image Storage (Retired)
    UID("1.2.840.10008.5.1.4.1.1.3"),  # Ultrasound Multi-frame Image Storage (Retired)
    UID("1.2.840.10008.5.1.4.1.1.6.1"),
    UID("1.2.840.10008.5.1.4.1.1.3.1"),
}
"""Screens of ultrasound scanners: tissue in the middle, names around it."""
SLICES = {
    UID(f"1.2.840.10008.5.1.4.1.1.{number}") for number in ("2", "2.1", "4", "4.1", "128", "130", "6.2")
}  # CT, Enhanced CT, MR, Enhanced MR, PET, Enhanced PET, Enhanced US Volume
"""Slices of patients, computed, without a margin that is written on."""


def put_pixels(old: Instance, new: Dataset, *, flow: bool = False, written: bool = False) -> bool:
    """Give `new` the pixels of `old`: an ultrasound screen only within its regions, 0 elsewhere, in every frame.

    flow: colour flow regions are tissue, too. written: somebody has looked at it: writing within them may stay.
    Palettes and YBR become RGB, bits beyond Bits Stored and bytes beyond the last pixel are gone, nothing is
    compressed. Returns whether pixels were cleaned (code 113101): not when writing stayed.

    Raises XmedError US_NO_REGION, BURNED_IN_TEXT, what `check_pixel_size` raises, TSUID_MISMATCH for pixels that do not
    decode.
    """
    check_pixel_size(old)
    check_photometric(old.header, old.name)
    frames = _decoded(old)
    screen = old.sop_class in PICTURES
    if screen:
        frames[:, ~_shown(old, frames.shape[1:3], flow)] = 0
    grey = frames @ np.array(LUMA, dtype=np.float32) if frames.ndim == 4 else frames
    writing = longest_line(grey) >= LETTERS or (not screen and old.dataset.get("BurnedInAnnotation") == "YES")
    if writing and not written:
        raise XmedError(
            "BURNED_IN_TEXT", "what looks like writing is left in the pixels", "pixels without writing",
            "look at it; --keep-writing passes it on",
        )  # fmt: skip
    _describe(new, frames, old)
    new.BurnedInAnnotation = "YES" if writing else "NO"
    return screen and not writing


def refuse(old: Instance) -> None:
    """Raises XmedError DEID_UNSAFE for no kind of image that is permitted, or one that needs what may not cross."""
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
    """(rows, columns), where a calibrated region of tissue lies. Raises XmedError US_NO_REGION."""
    shown = np.zeros(size, dtype=bool)
    for region in calibrated_regions(old.dataset, (TISSUE, COLOUR_FLOW) if flow else (TISSUE,)):
        shown[region.rows, region.columns] = True
    share = shown.mean()
    if not 0 < share < WHOLE:
        what = "no calibrated tissue region" if share == 0 else f"regions that cover {share:.0%} of the picture"
        raise XmedError("US_NO_REGION", what, "Sequence of Ultrasound Regions around the tissue")
    return shown


def _decoded(old: Instance) -> np.ndarray:
    """(frames, rows, columns) in grey or (frames, rows, columns, 3) in RGB, a copy, stored bits alone."""
    data = old.dataset
    shape = (int(data.get("NumberOfFrames") or 1), int(data.Rows), int(data.Columns))
    streams = frame_streams(data, "the file")
    try:
        with reader_errors("the file"):
            frames = decode_rgb(data, streams) if int(data.SamplesPerPixel) == 3 else pixel_array(data)
            if data.PhotometricInterpretation == "PALETTE COLOR":
                frames = apply_color_lut(frames, data)[..., :3]
                if frames.itemsize == 2:
                    frames = (frames >> 8).astype(np.uint8)  # an ultrasound picture has 8 bits (PS3.3 C.8.5.6.1.12)
    except XmedError as problem:
        syntax = UID(str(data.file_meta.get("TransferSyntaxUID", "")))
        raise XmedError(
            "TSUID_MISMATCH", "pixels do not decode", syntax.name if syntax.is_transfer_syntax else ""
        ) from problem
    frames = frames.reshape(*shape, 3) if frames.size == 3 * np.prod(shape) else frames.reshape(shape)
    if frames.ndim == 3 and frames.dtype.kind in "iu":
        unused = frames.itemsize * 8 - int(data.BitsStored)
        frames = (frames << unused) >> unused  # what stood above the stored bits may be an overlay
    return frames.copy()


def _describe(new: Dataset, frames: np.ndarray, old: Instance) -> None:
    """The Image Pixel module of native pixels (PS3.3 C.7.6.3)."""
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
"""JPEG baseline and extended, near-lossless JPEG-LS, JPEG 2000, HTJ2K: an image that came through them may be lossy."""
