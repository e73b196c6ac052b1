"""XmedError: a code, what came, what was expected, what to do; its codes and those of notes are closed tables."""

from __future__ import annotations

CODES: dict[str, str] = {
    # specs and command line
    "SPEC_INVALID": "a YAML file does not follow its schema",
    "DOCUMENT_INVALID": "a JSON or YAML document is damaged, or of another shape than its reader's",
    "SPEC_NOT_FOUND": "no dataset spec or study of that name or path",
    "PATH_NOT_FOUND": "a file or folder is not there",
    "PATH_UNSAFE": "a path leaves its root, or is no ordinary file or folder",
    "USAGE": "the command line does not fit the command",
    "METHOD_UNKNOWN": "no adaptation method of that name",
    "METHOD_NEEDS": "a method lacks something it needs (running statistics, a field of view, spacing ...)",
    "MODEL_NOT_FOUND": "no model of that name, alias, version or folder",
    "MODEL_INVALID": "a model folder is incomplete, or its weights do not match their checksum",
    "MODEL_REFUSED": "the registry refuses this model",
    "REGISTRY_UNREACHABLE": "the server of the registry does not answer, or is one that xmed cannot work with",
    "REGISTRY_ELSEWHERE": "a registered model belongs to another home, whose audit log holds its steps",
    "EXPORT_UNSUPPORTED": "a model that another format cannot express",
    "REFERENCE_MISSING": "a model that nothing is kept of to hold new data against",
    "AUDIT_BROKEN": "the audit log does not end where its head says",
    "BUSY": "another process is at work where only one may be",
    "RUN_NOT_FOUND": "no run of that id or folder",
    "DATA_CHANGED": "a run cannot go on with other data than it began with",
    "OUTPUT_EXISTS": "a file stands where the output should go",
    "REPORT_MISMATCH": "a report does not agree with the files it was made from",
    "REPORT_SIGNED": "a report that somebody signed says what it said then",
    "PDF_UNAVAILABLE": "a PDF needs a browser, or the library that drives one, and there is none",
    "NO_CASES": "nothing is left to work on after quarantine",
    "PATIENT_OVERLAP": "the same patient stands in two partitions that must be disjoint",
    "TRAINING_DIVERGED": "a loss became NaN or infinite",
    "CLUSTER_UNREACHABLE": "a Dask cluster does not answer, or has no workers",
    "SERVER_FAILED": "a server or a worker did not start, ended, or is down",
    "SCHEDULE_NOT_FOUND": "no schedule of that name",
    "DEVICE_LOST": "a training that began on a GPU cannot go on without one",
    "DISK_FULL": "the disk has no room left",
    "NOT_WRITABLE": "a folder that xmed must write to does not let it",
    "FETCH_FAILED": "a file that a spec names could not be fetched",
    "FETCH_MISMATCH": "a fetched file is not the one that a spec or a manifest names",
    "SHARE_FAILED": "a shared store does not take or give what it is asked for",
    # files
    "EMPTY_FILE": "a file has no bytes",
    "NOT_DICOM": "a file is neither DICOM nor any other format xmed reads",
    "NON_IMAGE": "a DICOM object without pixels to learn from (report, PDF, key object ...)",
    "DICOM_TRUNCATED": "a DICOM file ends before its data does",
    "TSUID_MISMATCH": "pixel data does not decode under the transfer syntax it names",
    "SIZE_CLAIM": "a header claims more data than the file can hold or xmed will allocate",
    "PIXEL_MODULE": "the image pixel module is incomplete or contradictory",
    "META_LENGTH": "the meta information of a DICOM file claims more than the file can hold",
    "INFLATE_LIMIT": "a compressed stream swells beyond every credible size",
    "NESTING": "sequences are nested deeper than any real data set",
    "PREAMBLE_EXECUTABLE": "the first bytes of a DICOM file are a program or an archive",
    "UID_INVALID": "an identifier holds other signs than digits and dots, or too many of them",
    "RESCALE_INVALID": "rescale or real-world map is zero, NaN or infinite, does not reach all values, or is ambiguous",
    "GZIP_TRUNCATED": "a gzip stream ends early or fails its checksum",
    "ARCHIVE_INVALID": "a zip or tar archive cannot be unpacked",
    "NIFTI_INVALID": "a NIfTI header or its data cannot be read",
    "PICTURE_INVALID": "a PNG or JPEG cannot be read",
    # de-identification
    "KEY_INVALID": "a key (de-identification, audit log) is too short, open to others, or not the one that was used",
    "DEID_UNSAFE": "a file that cannot be de-identified and still mean what it meant",
    "BURNED_IN_TEXT": "something in the pixels looks like writing",
    "FACE_VISIBLE": "images of a head may show a face, and nothing says what to do about it",
    # archives
    "PACS_UNREACHABLE": "a picture archive does not answer, or is too busy to",
    "PACS_REFUSED": "a picture archive refuses what it is asked",
    "PACS_ANSWER": "a picture archive answers with something that the standard does not know",
    # geometry
    "NO_GEOMETRY": "no position or orientation in patient space",
    "NO_ORIENTATION": "a NIfTI has neither a valid qform nor sform",
    "AFFINE_INVALID": "an affine is singular, NaN or infinite",
    "IOP_INVALID": "Image Orientation (Patient) is not a pair of orthogonal unit vectors",
    "SPACING_INVALID": "a voxel spacing is zero, negative, NaN or implausible",
    "SLICE_GAP": "a slice is missing",
    "DUP_POSITION": "two different slices stand at one position",
    "IRREGULAR_SPACING": "slices are not equally spaced",
    "MIXED_ORIENTATION": "slices of one series have different orientations",
    "MIXED_MATRIX": "slices of one series have different rows or columns",
    "MIXED_SPACING": "slices of one series have different pixel spacing",
    "MIXED_SERIES": "several series where one was expected",
    "MIXED_IDENTITY": "images of one series, or an image and its label, name different patients, studies or scanners",
    "MIXED_FRAME": "slices of one series have different frames of reference",
    "MULTI_VOLUME": "one series holds several volumes (time points, b-values, echoes)",
    "GANTRY_TILT": "slices are shifted in their plane, and not by equal steps",
    "FRAME_MISMATCH": "two objects do not share a frame of reference",
    "NOT_REFERABLE": "images that lack, repeat or misspell what an object that refers to them must name",
    "SUV_INVALID": "a PET series lacks what its SUV is computed from, or contradicts itself",
    "US_NO_REGION": "an ultrasound picture without calibrated regions, or with those of another size of it",
    "GRID_MISMATCH": "a label does not lie on its image's grid",
    "NDIM": "an array has the wrong number of dimensions",
    "DTYPE": "voxels of a type xmed does not read (RGB, complex, text)",
    "COMPLEX": "complex voxels, whose phase would be dropped silently",
    # contents
    "CONSTANT": "every voxel has the same value",
    "NON_FINITE": "too many NaN or infinite voxels",
    "LABEL_VALUES": "a label holds values that the label table does not know",
    "LABEL_MISSING": "a case that needs a label has none",
    "IMAGE_MISSING": "a case of the spec has no image",
    "MODALITY_MISMATCH": "an image is of another modality than its dataset declares",
    "METRIC_INPUT": "masks, spacing or tolerance do not fit the metric",
    "INPUT_CHANGED": "a file changed while it was being read",
    "READER_FAILED": "the reader failed for a reason not foreseen here",
    "READER_TIMEOUT": "the reader took longer than its case may take",
    "READER_CRASHED": "the process that read a case was killed or crashed",
    "OOM": "reading a case needs more memory than a case may have",
}
"""Every code xmed may answer with, and what it means. Documented, tested, never reused for something else."""

NOTES: dict[str, str] = {
    "NO_PREAMBLE": "a DICOM file without preamble was read from its first element",
    "SYNTAX_SNIFFED": "a DICOM file names no transfer syntax; it was found out from the bytes",
    "MONOCHROME1": "an image stored with black and white exchanged was inverted, once",
    "HIGH_BITS": "bits beyond those that an image says it stores (overlays, garbage) were left out",
    "PADDING": "padding outside the scanned field became the lowest real value",
    "CHARSET": "text in bytes that its character set does not have; none of it is kept",
    "COLOUR_MODEL": "pixels whose colour model is another than their header says were read as they are",
    "ORIENTATION": "a picture was turned as its EXIF orientation says, as every viewer does",
    "TRANSPARENT": "a picture with transparent parts was read as its colours are stored, the transparency left out",
    "SEVERAL_PICTURES": "the first picture of a file was taken; the others are previews of it",
    "OBJECT_FILLED": "an attribute of patient or study that an object must carry was filled, emptied or put in order",
    "CALIBRATION": "a second statement of a picture's size or spacing in its header contradicts the one that was taken",
    "SLICE_STEP": "Spacing Between Slices contradicts the positions of the slices, which were taken",
    "REGION_EDGE": "an ultrasound region ends one pixel behind the picture: vendors count, the standard numbers from 0",
    "REGION_SMALL": "most of an ultrasound picture lies outside of its regions, whose scale may be another size's",
    "LUMINANCE": "an ultrasound picture in colour became grey (ITU-R BT.601)",
    "DUPLICATE": "images that came twice, pixel by pixel, were counted once",
    "MODALITY": "an object calls itself another modality than its kind has; the kind was believed",
    "MOSAIC": "a picture calls itself a mosaic, and nothing else of it says so: it was read as the one slice it is",
    "SERIES_WORDS": "images of one series differ in descriptions that the standard keeps constant",
    "LOCALIZER": "localizer images in a series were left out",
    "NON_IMAGE": "DICOM objects without pixels beside an image series were passed over",
    "OTHER_SERIES": "series of other modalities than the one asked for were passed over",
    "INTERLEAVED": "slices of several passes alternate, and only a part of the evidence says whose they are",
    "GANTRY_TILT": "slices are stacked off their normal, each by the same step; the affine keeps the shear",
    "SEVERAL_VOLUMES": "one of the volumes of a series was taken, as it was named",
    "SUV": "PET activity became standardised uptake values by body weight",
    "PET_UNITS": "PET values in a unit that is not SUV were kept as they are",
    "REAL_WORLD": "a real-world value map was applied, or stands beside the rescale and was not",
    "PRIVATE_SCALE": "slices that a scanner scaled each for itself were made to compare by its private factor",
    "CT_UNITS": "CT values in another unit than Hounsfield's were kept as they are",
    "HOLES": "a few NaN or infinite voxels became the lowest value and lie outside the field of view",
    "SLOPE": "a NIfTI slope of zero or NaN was taken for no scaling",
    "FORMS": "sform and qform of a NIfTI disagree; the sform was taken",
    "SHEAR": "the axes of a NIfTI are not at right angles; the affine keeps them as they are",
    "PIXDIM": "a NIfTI pixdim of zero or less, or other than the sform's spacing, was passed over for the sform",
    "UNITS": "NIfTI lengths in metres or micrometres became millimetres",
    "SQUEEZED": "an axis of one was dropped",
    "LABEL_UNPLACED": "a label map without orientation was laid on its image of the same shape and spacing",
    "LABEL_REORDERED": "a label map whose axes run in another order or direction was put into its image's order",
    "LABEL_ROUNDED": "label values within a thousandth of a whole number were rounded to it",
    "ROI_EMPTY": "an ROI of a structure set is listed and has no contour; its structure stays empty",
    "OVERLAP": "structures of a structure set share voxels; the later in the label table stands",
    "CONTOURS_LEFT_OUT": "contours of a structure set that enclose no area (points, open lines, damage) were left out",
    "CONTOURS_OUTSIDE": "contours that lie wholly outside of the image were left out",
    "CONTOURS_CUT": "contours that reach beyond the picture's edge were cut there",
    "CONTOURS_SMALL": "contours that cover no pixel by half leave no trace in the label map",
    "CONTOURS_NESTED": "a closed contour within another cuts no hole: by the standard, only CLOSEDPLANAR_XOR does",
    "CONTOURS_COUNTED": "contours that state another number of points than they have were drawn as they are stored",
    "CONTOURS_INTERPOLATED": "contours that software interpolated were drawn like those that somebody drew",
    "CONTOURS_MIXED": "contours of both kinds, added up and exclusive, in one structure; the exclusive ones came last",
    "CONTOURS_STRAY": "contours that belong to no ROI that a structure set lists were left out",
    "CONTOUR_GAPS": "slices between contoured ones have no contour, and were left empty",
    "EMPTY": "a NIfTI of zeros alone, which may be an empty label map, was let pass",
    "WITHDRAWN": "a model version that was withdrawn from clinical use was asked for by its number",
    "GZIP_NAME": "a name says gzip and the bytes do not, or the reverse; the bytes were believed",
}
"""Every repair that a reader makes by itself and puts on record, and what it means. A note never stops a case."""


class XmedError(Exception):
    """What went wrong, in three parts a person can act on.

    Parameters
    ----------
    code: one of `CODES`.
    what: what came, with its value.
    expected: what would have been right.
    do: what to do about it.

    Raises
    ------
    KeyError: for a code that `CODES` does not list.
    """

    def __init__(self, code: str, what: str, expected: str = "", do: str = "") -> None:
        CODES[code]
        self.code, self.what, self.expected, self.do = code, what, expected, do
        super().__init__(code, what, expected, do)  # all four: it must survive the way back from a worker process

    def __str__(self) -> str:
        parts = (" ".join(part.split()) for part in (self.what, self.expected, self.do) if part)
        return f"error[{self.code}]: " + " · ".join(parts)
