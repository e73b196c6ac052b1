"""XmedError: a code, what came, what was expected, what to do; the codes are a closed table."""

from __future__ import annotations

CODES: dict[str, str] = {
    # specs and command line
    "SPEC_INVALID": "a YAML file does not follow its schema",
    "SPEC_NOT_FOUND": "no dataset spec or study of that name or path",
    "PATH_NOT_FOUND": "a file or folder is not there",
    "PATH_UNSAFE": "a path leaves its root, or is no ordinary file or folder",
    "USAGE": "the command line does not fit the command",
    "METHOD_UNKNOWN": "no adaptation method of that name",
    "METHOD_NEEDS": "a method lacks something it needs (running statistics, a field of view, spacing ...)",
    "MODEL_NOT_FOUND": "no model of that name, alias, version or folder",
    "MODEL_INVALID": "a model folder is incomplete, or its weights do not match their checksum",
    "MODEL_REFUSED": "the registry refuses this model",
    "RUN_NOT_FOUND": "no run of that id or folder",
    "DATA_CHANGED": "a run cannot go on with other data than it began with",
    "OUTPUT_EXISTS": "a file stands where the output should go",
    "REPORT_MISMATCH": "a report does not agree with the files it was made from",
    "NO_CASES": "nothing is left to work on after quarantine",
    "PATIENT_OVERLAP": "the same patient stands in two partitions that must be disjoint",
    "TRAINING_DIVERGED": "a loss became NaN or infinite",
    "DISK_FULL": "the disk has no room left",
    "NOT_WRITABLE": "a folder that xmed must write to does not let it",
    # files
    "EMPTY_FILE": "a file has no bytes",
    "NOT_DICOM": "a file is neither DICOM nor any other format xmed reads",
    "NON_IMAGE": "a DICOM object without pixels to learn from (report, PDF, key object ...)",
    "DICOM_TRUNCATED": "a DICOM file ends before its data does",
    "TSUID_MISMATCH": "pixel data does not decode under the transfer syntax it names",
    "SIZE_CLAIM": "a header claims more data than the file can hold or xmed will allocate",
    "PIXEL_MODULE": "the image pixel module is incomplete or contradictory",
    "RESCALE_INVALID": "rescale slope or intercept is zero, NaN or infinite",
    "GZIP_TRUNCATED": "a gzip stream ends early or fails its checksum",
    "NIFTI_INVALID": "a NIfTI header or its data cannot be read",
    "PICTURE_INVALID": "a PNG or JPEG cannot be read",
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
    "MIXED_FRAME": "slices of one series have different frames of reference",
    "MULTI_VOLUME": "one series holds several volumes (time points, b-values, echoes)",
    "GANTRY_TILT": "slices are shifted against their normal",
    "FRAME_MISMATCH": "two objects do not share a frame of reference",
    "US_NO_REGION": "an ultrasound picture without calibrated regions",
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
}
"""Every code xmed may answer with, and what it means. Documented, tested, never reused for something else."""


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
