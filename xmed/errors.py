"""Errors: one exception with a code, what was found, what was expected and how to fix it; the tables of all codes."""

from __future__ import annotations

from typing import NamedTuple


class XmedError(Exception):
    """An error that a person can act on, printed as `error[CODE]: found … · expected … · fix …`.

    `XmedError("CODE", ...)` gives an instance of the class that `ERROR_CODES` declares for the code, so that
    `except DataError` catches every error of that class.

    Args:
        code: One of `ERROR_CODES`.
        what: What was found, with its value.
        expected: What would have been right.
        do: How to fix it.

    Raises:
        KeyError: For a code that `ERROR_CODES` does not declare.
        TypeError: Where a subclass is called with a code that is declared for another one.
    """

    def __new__(cls, *parts: str, **named: str) -> XmedError:
        """An instance of the class that the code is declared for.

        Without a code it is one of this class: tblib, which Dask brings, makes it so and fills it in afterwards.
        """
        code = parts[0] if parts else named.get("code")
        if code is None:
            return super().__new__(cls)
        declared = ERROR_CODES[code].error_class
        if not issubclass(declared, cls):
            raise TypeError(f"{code} is declared for {declared.__name__}, not for {cls.__name__}")
        return super().__new__(declared)

    def __init__(self, code: str, what: str, expected: str = "", do: str = "") -> None:
        self.code, self.what, self.expected, self.do = code, what, expected, do
        super().__init__(code, what, expected, do)  # all four: pickle calls the class with them in another process

    @property
    def exit_code(self) -> int:
        """The exit code of a command that ends with this error."""
        return ERROR_CODES[self.code].exit_code

    def __str__(self) -> str:
        labelled = (("found", self.what), ("expected", self.expected), ("fix", self.do))
        parts = (f"{label} {' '.join(text.split())}" for label, text in labelled if text)
        return f"error[{self.code}]: " + " · ".join(parts)


class InputError(XmedError):
    """What the user gave is wrong: the command line, a spec, a path, a name, an output that exists already."""


class DataError(XmedError):
    """Images or labels cannot be used: damaged, contradictory, incomplete, of another kind, or changed meanwhile."""


class ModelError(XmedError):
    """A model, a method or their evidence cannot be used: missing, damaged, unsuitable, or refused by the registry."""


class ServiceError(XmedError):
    """Something that xmed depends on failed: an archive, a server, the disk, the device, a reader's process, xmed."""


class ErrorCode(NamedTuple):
    """What is declared about one error code.

    Attributes:
        error_class: The class of the errors with this code.
        meaning: What the code means, as a sentence without a full stop.
        exit_code: The exit code of a command that ends with it. Version 0.1.0 gave 2 for every code, and scripts rely
            on it; 3 is kept for a fault of xmed itself.
    """

    error_class: type[XmedError]
    meaning: str
    exit_code: int = 2


ERROR_CODES: dict[str, ErrorCode] = {
    # specs and command line
    "SPEC_INVALID": ErrorCode(InputError, "a YAML file does not follow its schema"),
    "DOCUMENT_INVALID": ErrorCode(
        InputError, "a JSON or YAML document is damaged, or does not have the structure that its reader expects"
    ),
    "SPEC_NOT_FOUND": ErrorCode(InputError, "no dataset spec or study of that name or path"),
    "PATH_NOT_FOUND": ErrorCode(InputError, "a file or folder is not there"),
    "PATH_UNSAFE": ErrorCode(InputError, "a path leads out of its root, or is not an ordinary file or folder"),
    "USAGE": ErrorCode(InputError, "the command line does not fit the command"),
    "METHOD_UNKNOWN": ErrorCode(InputError, "no adaptation method of that name"),
    "METHOD_NEEDS": ErrorCode(
        ModelError, "a method lacks something it needs (running statistics, a field of view, spacing ...)"
    ),
    "MODEL_NOT_FOUND": ErrorCode(ModelError, "no model of that name, alias, version or folder"),
    "MODEL_INVALID": ErrorCode(ModelError, "a model folder is incomplete, or its weights do not match their checksum"),
    "MODEL_REFUSED": ErrorCode(ModelError, "the registry refuses this model"),
    "REGISTRY_UNREACHABLE": ErrorCode(
        ServiceError, "the server of the registry does not answer, or is one that xmed cannot work with"
    ),
    "REGISTRY_ELSEWHERE": ErrorCode(
        ModelError, "a registered model belongs to another home, whose audit log holds its steps"
    ),
    "EXPORT_UNSUPPORTED": ErrorCode(ModelError, "the model cannot be expressed in the requested format"),
    "REFERENCE_MISSING": ErrorCode(
        ModelError, "a model carries no reference distribution that new data could be compared with"
    ),
    "AUDIT_BROKEN": ErrorCode(ModelError, "the audit log does not end with the entry that its head file names"),
    "BUSY": ErrorCode(ServiceError, "another process holds the lock: only one may do this at a time"),
    "RUN_NOT_FOUND": ErrorCode(InputError, "no run of that id or folder"),
    "DATA_CHANGED": ErrorCode(DataError, "a run cannot continue: its data are not those it began with"),
    "OUTPUT_EXISTS": ErrorCode(InputError, "a file stands where the output should go"),
    "REPORT_MISMATCH": ErrorCode(ModelError, "a report does not agree with the files it was made from"),
    "REPORT_SIGNED": ErrorCode(ModelError, "a report that was signed cannot be changed"),
    "PDF_UNAVAILABLE": ErrorCode(
        ServiceError, "a PDF needs a browser, or the library that drives one, and there is none"
    ),
    "NO_CASES": ErrorCode(DataError, "no case is left after quarantine"),
    "TRAINING_DIVERGED": ErrorCode(ModelError, "a loss became NaN or infinite"),
    "CLUSTER_UNREACHABLE": ErrorCode(ServiceError, "a Dask cluster does not answer, or has no workers"),
    "SERVER_FAILED": ErrorCode(ServiceError, "a server or a worker did not start, ended, or is down"),
    "SCHEDULE_NOT_FOUND": ErrorCode(InputError, "no schedule of that name"),
    "DEVICE_LOST": ErrorCode(ServiceError, "a training that began on a GPU cannot go on without one"),
    "DISK_FULL": ErrorCode(ServiceError, "the disk has no room left"),
    "NOT_WRITABLE": ErrorCode(ServiceError, "a folder that xmed must write to does not let it"),
    "FETCH_FAILED": ErrorCode(ServiceError, "a file that a spec names could not be fetched"),
    "FETCH_MISMATCH": ErrorCode(DataError, "a fetched file is not the one that a spec or a manifest names"),
    "SHARE_FAILED": ErrorCode(ServiceError, "a shared store cannot be read or written"),
    # files
    "EMPTY_FILE": ErrorCode(DataError, "a file has no bytes"),
    "NOT_DICOM": ErrorCode(DataError, "a file is neither DICOM nor any other format xmed reads"),
    "NON_IMAGE": ErrorCode(DataError, "a DICOM object without pixels to learn from (report, PDF, key object ...)"),
    "DICOM_TRUNCATED": ErrorCode(DataError, "a DICOM file ends before its data does"),
    "TSUID_MISMATCH": ErrorCode(DataError, "pixel data does not decode under the transfer syntax it names"),
    "SIZE_CLAIM": ErrorCode(DataError, "a header claims more data than the file can hold or xmed will allocate"),
    "PIXEL_MODULE": ErrorCode(DataError, "the image pixel module is incomplete or contradictory"),
    "META_LENGTH": ErrorCode(DataError, "the meta information of a DICOM file claims more than the file can hold"),
    "INFLATE_LIMIT": ErrorCode(DataError, "a compressed stream expands beyond any plausible size"),
    "NESTING": ErrorCode(DataError, "sequences are nested deeper than in any real data set"),
    "PREAMBLE_EXECUTABLE": ErrorCode(DataError, "the first bytes of a DICOM file are a program or an archive"),
    "UID_INVALID": ErrorCode(
        DataError, "an identifier (UID) contains characters other than digits and dots, or is too long"
    ),
    "RESCALE_INVALID": ErrorCode(
        DataError, "rescale or real-world map is zero, NaN or infinite, does not reach all values, or is ambiguous"
    ),
    "GZIP_TRUNCATED": ErrorCode(DataError, "a gzip stream ends early or fails its checksum"),
    "ARCHIVE_INVALID": ErrorCode(DataError, "a zip or tar archive cannot be unpacked"),
    "NIFTI_INVALID": ErrorCode(DataError, "a NIfTI header or its data cannot be read"),
    "PICTURE_INVALID": ErrorCode(DataError, "a PNG or JPEG cannot be read"),
    # de-identification
    "KEY_INVALID": ErrorCode(
        InputError, "a key (de-identification, audit log) is too short, open to others, or not the one that was used"
    ),
    "DEID_UNSAFE": ErrorCode(DataError, "a file cannot be de-identified without changing what it means"),
    "BURNED_IN_TEXT": ErrorCode(DataError, "the pixels seem to contain text"),
    "FACE_VISIBLE": ErrorCode(DataError, "images of a head may show a face, and no option says what to do about it"),
    # archives
    "PACS_UNREACHABLE": ErrorCode(ServiceError, "a picture archive does not answer, or is too busy to"),
    "PACS_REFUSED": ErrorCode(ServiceError, "a picture archive refuses what it is asked"),
    "PACS_ANSWER": ErrorCode(ServiceError, "a picture archive gives an answer that the standard does not define"),
    # geometry
    "NO_GEOMETRY": ErrorCode(DataError, "no position or orientation in patient space"),
    "NO_ORIENTATION": ErrorCode(DataError, "a NIfTI has neither a valid qform nor sform"),
    "AFFINE_INVALID": ErrorCode(DataError, "an affine is singular, NaN or infinite"),
    "IOP_INVALID": ErrorCode(DataError, "Image Orientation (Patient) is not a pair of orthogonal unit vectors"),
    "SPACING_INVALID": ErrorCode(DataError, "a voxel spacing is zero, negative, NaN or implausible"),
    "SLICE_GAP": ErrorCode(DataError, "a slice is missing"),
    "DUP_POSITION": ErrorCode(DataError, "two different slices stand at one position"),
    "IRREGULAR_SPACING": ErrorCode(DataError, "slices are not equally spaced"),
    "MIXED_ORIENTATION": ErrorCode(DataError, "slices of one series have different orientations"),
    "MIXED_MATRIX": ErrorCode(DataError, "slices of one series have different rows or columns"),
    "MIXED_SPACING": ErrorCode(DataError, "slices of one series have different pixel spacing"),
    "MIXED_SERIES": ErrorCode(DataError, "several series where one was expected"),
    "MIXED_IDENTITY": ErrorCode(
        DataError, "images of one series, or an image and its label, name different patients, studies or scanners"
    ),
    "MIXED_FRAME": ErrorCode(DataError, "slices of one series have different frames of reference"),
    "MULTI_VOLUME": ErrorCode(DataError, "one series holds several volumes (time points, b-values, echoes)"),
    "GANTRY_TILT": ErrorCode(DataError, "slices are shifted in their plane, and not by equal steps"),
    "FRAME_MISMATCH": ErrorCode(DataError, "two objects do not share a frame of reference"),
    "NOT_REFERABLE": ErrorCode(
        DataError, "images lack, repeat or misspell an attribute that an object needs in order to refer to them"
    ),
    "SUV_INVALID": ErrorCode(DataError, "a PET series lacks what its SUV is computed from, or contradicts itself"),
    "US_NO_REGION": ErrorCode(
        DataError, "an ultrasound picture without calibrated regions, or with those of another size of it"
    ),
    "GRID_MISMATCH": ErrorCode(DataError, "a label does not lie on its image's grid"),
    "NDIM": ErrorCode(DataError, "an array has the wrong number of dimensions"),
    "DTYPE": ErrorCode(DataError, "voxels of a type xmed does not read (RGB, complex, text)"),
    "COMPLEX": ErrorCode(DataError, "complex voxels, whose phase would be dropped silently"),
    # contents
    "CONSTANT": ErrorCode(DataError, "every voxel has the same value"),
    "NON_FINITE": ErrorCode(DataError, "too many NaN or infinite voxels"),
    "LABEL_VALUES": ErrorCode(DataError, "a label holds values that the label table does not know"),
    "LABEL_MISSING": ErrorCode(DataError, "a case that needs a label has none"),
    "IMAGE_MISSING": ErrorCode(DataError, "a case of the spec has no image"),
    "MODALITY_MISMATCH": ErrorCode(DataError, "an image is of another modality than its dataset declares"),
    "METRIC_INPUT": ErrorCode(InputError, "masks, spacing or tolerance do not fit the metric"),
    "INPUT_CHANGED": ErrorCode(DataError, "a file changed while it was being read"),
    "READER_FAILED": ErrorCode(ServiceError, "the reader failed for a reason that is not foreseen here"),
    "READER_TIMEOUT": ErrorCode(ServiceError, "the reader took longer than its case may take"),
    "READER_CRASHED": ErrorCode(ServiceError, "the process that read a case was killed or crashed"),
    "OOM": ErrorCode(ServiceError, "reading a case needs more memory than a case may have"),
    # xmed itself
    "FAULT": ErrorCode(ServiceError, "xmed itself failed; the log says where", exit_code=3),
}
"""Every error code, declared once. A code is never reused for something else; documentation is generated from here."""

CODES: dict[str, str] = {code: declared.meaning for code, declared in ERROR_CODES.items()}
"""Error code → its meaning."""

NOTES: dict[str, str] = {
    "NO_PREAMBLE": "a DICOM file without preamble was read from its first element",
    "SYNTAX_SNIFFED": "a DICOM file names no transfer syntax; it was found out from the bytes",
    "MONOCHROME1": "an image stored with black and white exchanged was inverted, once",
    "HIGH_BITS": "bits beyond those that an image says it stores (overlays, garbage) were left out",
    "PADDING": "padding outside the scanned field became the lowest real value",
    "CHARSET": "text contains bytes that its character set does not define; none of it is kept",
    "COLOUR_MODEL": "pixels whose colour model is another than their header says were read as they are",
    "ORIENTATION": "a picture was turned as its EXIF orientation says, as every viewer does",
    "TRANSPARENT": "a picture with transparent parts was read as its colours are stored, the transparency left out",
    "SEVERAL_PICTURES": "the first picture of a file was taken; the others are previews of it",
    "OBJECT_FILLED": "a required attribute of patient or study was filled, emptied or corrected in an object",
    "CALIBRATION": "a second statement of pixel size or spacing in a header contradicts the one that was used",
    "SLICE_STEP": "Spacing Between Slices contradicts the positions of the slices, which were taken",
    "REGION_EDGE": "an ultrasound region ends one pixel beyond the image: vendors count from 1, the standard from 0",
    "REGION_SMALL": "most of an ultrasound image lies outside its regions, which may be meant for another image size",
    "LUMINANCE": "an ultrasound picture in colour became grey (ITU-R BT.601)",
    "DUPLICATE": "images that are present twice, pixel by pixel, were counted once",
    "MODALITY": "an object states another modality than its SOP class has; the SOP class was used",
    "MOSAIC": "an image calls itself a mosaic and nothing else supports it: it was read as one slice",
    "SERIES_WORDS": "images of one series differ in descriptions that the standard requires to be constant",
    "LOCALIZER": "localizer images in a series were left out",
    "NON_IMAGE": "DICOM objects without pixels beside an image series were passed over",
    "OTHER_SERIES": "series of other modalities than the one asked for were passed over",
    "INTERLEAVED": "slices of several acquisitions alternate, and only part of the evidence says which is which",
    "GANTRY_TILT": "slices are stacked off their normal, each by the same step; the affine keeps the shear",
    "SEVERAL_VOLUMES": "one of several volumes in a series was read, the one that was named",
    "SUV": "PET activity became standardised uptake values by body weight",
    "PET_UNITS": "PET values in a unit that is not SUV were kept as they are",
    "REAL_WORLD": "a real-world value map was applied, or stands beside the rescale and was not",
    "PRIVATE_SCALE": "slices with individual scaling were made comparable by the scanner's private scale factor",
    "CT_UNITS": "CT values in another unit than Hounsfield's were kept as they are",
    "HOLES": "a few NaN or infinite voxels became the lowest value and lie outside the field of view",
    "SLOPE": "a NIfTI slope of zero or NaN was read as no scaling",
    "FORMS": "sform and qform of a NIfTI disagree; the sform was taken",
    "SHEAR": "the axes of a NIfTI are not at right angles; the affine keeps them as they are",
    "PIXDIM": "a NIfTI pixdim that is not positive, or differs from the sform, was ignored in favour of the sform",
    "UNITS": "NIfTI lengths in metres or micrometres became millimetres",
    "SQUEEZED": "an axis of one was dropped",
    "LABEL_UNPLACED": "a label map without orientation was placed on its image, which has the same shape and spacing",
    "LABEL_REORDERED": "a label map whose axes run in another order or direction was put into its image's order",
    "LABEL_ROUNDED": "label values within a thousandth of a whole number were rounded to it",
    "ROI_EMPTY": "an ROI of a structure set is listed and has no contour; its structure stays empty",
    "OVERLAP": "structures of a structure set share voxels; the later in the label table stands",
    "CONTOURS_LEFT_OUT": "contours of a structure set that enclose no area (points, open lines, damage) were left out",
    "CONTOURS_OUTSIDE": "contours that lie wholly outside of the image were left out",
    "CONTOURS_CUT": "contours that reach beyond the picture's edge were cut there",
    "CONTOURS_SMALL": "contours that cover no pixel by half leave no trace in the label map",
    "CONTOURS_NESTED": "a closed contour inside another cuts no hole: in the standard only CLOSEDPLANAR_XOR does",
    "CONTOURS_COUNTED": "contours that state another number of points than they have were drawn as they are stored",
    "CONTOURS_INTERPOLATED": "contours that software interpolated were drawn like those that somebody drew",
    "CONTOURS_MIXED": "contours of both kinds, added up and exclusive, in one structure; the exclusive ones came last",
    "CONTOURS_STRAY": "contours that belong to no ROI that a structure set lists were left out",
    "CONTOUR_GAPS": "slices between contoured ones have no contour, and were left empty",
    "EMPTY": "a NIfTI that contains only zeros, which may be an empty label map, was accepted",
    "WITHDRAWN": "a model version that was withdrawn from clinical use was asked for by its number",
    "GZIP_NAME": "the file name says gzip and the content does not, or the reverse; the content decided",
}
"""Every repair that a reader makes by itself and records, and what it means. A note never refuses a case."""
