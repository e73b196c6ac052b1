"""Convert stored pixel values to modality values (PS3.3 C.7.6.3, C.11.1)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydicom import DataElement, Dataset
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut
from pydicom.pixels.utils import pixel_array
from pydicom.uid import UID, ExplicitVRBigEndian

from xmed.errors import XmedError
from xmed.io.dicom.colour import check_photometric, decode_rgb, frame_streams
from xmed.io.dicom.header import Header
from xmed.io.dicom.instance import Instance
from xmed.io.dicom.mosaic import detect_mosaic
from xmed.io.dicom.prescan import UNDEFINED_LENGTH
from xmed.io.dicom.scaling import apply_real_world_maps, read_scaling
from xmed.io.dicom.stated_sizes import check_pixel_size
from xmed.io.notes import add_note
from xmed.io.sandbox.limits import grow_limits

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in grey: ITU-R BT.601, those of YBR_FULL (PS3.3 C.7.6.3.1.2)."""
_BYTES_PER_PIXEL = 48  # stored, colour, luminance (float64), value (float32), stacked, filled


def modality_values(instance: Instance) -> np.ndarray:
    """Return the modality values of an image.

    Rescale slope and intercept, the Modality LUT or the real-world value map are applied to each frame. MONOCHROME1 is
    first inverted within its stored range. Colour is accepted only for ultrasound, where scanners store grey as colour.

    Args:
        instance: The image.

    Returns:
        Array of shape (frames, rows, columns). Usually float32, with padding as NaN. If there is no padding and an
        integer shift is all that is applied to values of 8 or 16 bits, integers: of the stored type or int16.

    Raises:
        XmedError: PIXEL_MODULE, SIZE_CLAIM, DICOM_TRUNCATED, TSUID_MISMATCH, RESCALE_INVALID, DTYPE.
    """
    check_pixel_size(instance)
    header = instance.header
    grow_limits(
        _BYTES_PER_PIXEL * int(header.get("NumberOfFrames") or 1) * int(header["Rows"]) * int(header["Columns"])
    )
    stored = _native_values(header)
    if stored is None:
        stored = _decoded_values(instance)
    padding, scaling = _padding_mask(header, stored), read_scaling(instance)
    stored_as_read = stored
    if header["PhotometricInterpretation"] == "MONOCHROME1":
        add_note("MONOCHROME1", "black and white were exchanged: inverted once, within the stored range")
        span = (1 << int(header["BitsStored"])) - 1
        stored = span - stored if not header["PixelRepresentation"] else -1 - stored  # lowest + highest - stored
    if scaling.table:
        values = np.asarray(apply_modality_lut(stored.astype(np.int64), instance.dataset), dtype=np.float32)
    elif scaling.uses_map:
        # Maps apply to stored values before MONOCHROME1 is inverted
        values = apply_real_world_maps(stored_as_read, scaling, padding, instance.name)
    else:
        values = _apply_rescale(stored, scaling.lines, padding)
    if padding is not None:
        values[padding] = np.nan
    mosaic = detect_mosaic(header, instance.name)
    return values if mosaic is None else mosaic.unpack(values)


def fill_padding(values: np.ndarray) -> np.ndarray:
    """Replace padding (NaN) by the lowest other value.

    Raises:
        XmedError: CONSTANT if there is only padding.
    """
    if values.dtype.kind != "f" or not (padding := np.isnan(values)).any():
        return values
    if padding.all():
        raise XmedError("CONSTANT", "every pixel is padding", "an image with content")
    lowest = values[~padding].min()
    add_note(
        "PADDING", f"{padding.mean():.1%} of the pixels are padding: they became {lowest:g}, the lowest real value"
    )
    return np.where(padding, lowest, values)


def _native_values(header: Header) -> np.ndarray | None:
    """Return stored values (frames, rows, columns) as a read-only view of the file, or None if they must be decoded.

    This works for little-endian grey of 8 or 16 bits without any bits above those that are stored.
    """
    bits, shape = header["BitsAllocated"], (-1, header["Rows"], header["Columns"])
    plain = header["PhotometricInterpretation"] in ("MONOCHROME1", "MONOCHROME2") and header["SamplesPerPixel"] == 1
    if not (plain and bits in (8, 16) and header.is_indexed):
        return None
    count = int(header.get("NumberOfFrames") or 1) * header["Rows"] * header["Columns"]
    signed = bool(header["PixelRepresentation"])
    stored = np.frombuffer(header.pixels, f"<{'iu'[not signed]}{bits // 8}", count)
    span = 1 << (header["BitsStored"] - signed)
    if header["BitsStored"] < bits and not (-span if signed else 0) <= stored.min() <= stored.max() < span:
        return None
    return stored.reshape(shape)


def _decoded_values(instance: Instance) -> np.ndarray:
    """Return decoded stored values (frames, rows, columns); colour, for ultrasound only, becomes luminance."""
    dataset = instance.dataset
    check_photometric(instance.header, instance.name)
    colour = dataset.PhotometricInterpretation == "PALETTE COLOR" or int(dataset.SamplesPerPixel) > 1
    if colour and instance.modality != "US":
        raise XmedError("DTYPE", f"{instance.name} is a colour picture", "grey values", "export the original series")
    streams = frame_streams(dataset, instance.name)
    try:
        pixels = decode_rgb(dataset, streams) if int(dataset.SamplesPerPixel) > 1 else pixel_array(dataset)
        if dataset.PhotometricInterpretation == "PALETTE COLOR":
            pixels = apply_color_lut(pixels, _with_little_endian_palette(dataset))
    except (MemoryError, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as problem:  # a panic of a codec in Rust is not an Exception
        syntax = UID(str(dataset.file_meta.get("TransferSyntaxUID", ""))).name or "none"
        raise XmedError(
            "TSUID_MISMATCH", f"{instance.name} does not decode as {syntax}", "pixels in the syntax it names"
        ) from problem
    if _has_high_bits(instance):
        add_note("HIGH_BITS", f"bits above the {dataset.BitsStored} stored ones (an overlay, or garbage) were left out")
    shape = (int(dataset.get("NumberOfFrames") or 1), int(dataset.Rows), int(dataset.Columns))
    if colour:
        add_note("LUMINANCE", "colour became grey: luminance after ITU-R BT.601")
        pixels = pixels.reshape(*shape, -1)[..., :3] @ np.array(LUMA)
    if pixels.size != np.prod(shape):
        raise XmedError("PIXEL_MODULE", f"{instance.name} decodes to {pixels.shape}", f"frames, rows, columns {shape}")
    return pixels.reshape(shape)


def _with_little_endian_palette(dataset: Dataset) -> Dataset:
    """Return the data set with 16-bit palettes in little endian, because pydicom 3.0.2 reads every palette as such."""
    big = dataset.file_meta.get("TransferSyntaxUID") == ExplicitVRBigEndian
    if not big or "RedPaletteColorLookupTableData" not in dataset:
        return dataset
    swapped = Dataset(dataset)
    for colour in ("Red", "Green", "Blue"):
        table = dataset.get(f"{colour}PaletteColorLookupTableData")
        if table and dataset[f"{colour}PaletteColorLookupTableDescriptor"].value[2] == 16:
            data = np.frombuffer(table, ">u2").astype("<u2").tobytes()
            swapped[f"{colour}PaletteColorLookupTableData"] = DataElement(
                f"{colour}PaletteColorLookupTableData", "OW", data
            )
    return swapped


def _has_high_bits(instance: Instance) -> bool:
    """Return whether uncompressed 16-bit pixels have bits above the stored ones; pydicom drops these silently."""
    dataset = instance.dataset
    unused = 16 - int(dataset.BitsStored)
    if dataset.BitsAllocated != 16 or unused == 0 or instance.pixel_length == UNDEFINED_LENGTH:
        return False
    big = dataset.file_meta.TransferSyntaxUID == ExplicitVRBigEndian
    words = np.frombuffer(dataset.PixelData, dtype=">i2" if big else "<i2", count=len(dataset.PixelData) // 2)
    above = words >> int(dataset.BitsStored)  # arithmetic: -1 where the sign was extended
    extended = above == (words << unused >> 15) if dataset.PixelRepresentation else np.zeros(1, dtype=bool)
    return not bool(((above == 0) | extended).all())


def _padding_mask(header: Header, stored: np.ndarray) -> np.ndarray | None:
    """Return where pixels are padding (PS3.3 C.7.5.1.1.2): one value, or a range up to the limit. None if nowhere."""
    value = header.get("PixelPaddingValue")
    if not isinstance(value, int):
        return None
    limit = header.get("PixelPaddingRangeLimit")
    ends = sorted(_as_pixel_sign(end, header) for end in (value, limit if isinstance(limit, int) else value))
    if ends[1] < stored.min() or ends[0] > stored.max():
        return None
    padding = (stored >= ends[0]) & (stored <= ends[1])
    return padding if padding.any() else None


def _as_pixel_sign(value: int, header: Header) -> int:
    """Return a padding value with the sign of the pixels: scanners write it unsigned beside signed pixels."""
    bits = int(header["BitsAllocated"])
    return value - (1 << bits) if header["PixelRepresentation"] and value >= 1 << (bits - 1) else value


def _apply_rescale(stored: np.ndarray, lines: Sequence[tuple[float, float]], padding: np.ndarray | None) -> np.ndarray:
    """Apply slope and intercept to each frame of stored values (frames, rows, columns)."""
    whole = stored.dtype.kind in "iu" and stored.dtype.itemsize <= 2 and padding is None
    if whole and all(slope == 1 and intercept.is_integer() for slope, intercept in lines):
        shifts = [int(intercept) for _, intercept in lines]
        if not any(shifts):
            return stored
        if int(stored.min()) + min(shifts) >= -(1 << 15) and int(stored.max()) + max(shifts) < 1 << 15:
            # Overflow of two's complement cancels out, so the sums are correct
            return stored.astype(np.int16) + np.array(shifts, dtype=np.int64).astype(np.int16)[:, None, None]
    values = np.empty(stored.shape, dtype=np.float32)
    for frame, value, (slope, intercept) in zip(stored, values, lines):
        line = np.multiply(frame, slope, dtype=np.float64)
        line += intercept
        value[...] = line
    return values
