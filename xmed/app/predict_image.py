"""Segment one image with one model, into files that are complete or not there."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
from rich.console import Console

from xmed.errors import XmedError
from xmed.files.permissions import check_output
from xmed.io import Algorithm, check_seg, read_image, write_nifti, write_seg, write_sr
from xmed.io.dicom.ultrasound import is_film
from xmed.io.notes import Note, collect_notes
from xmed.io.sandbox.worker import run_in_sandbox
from xmed.labels import LabelTable
from xmed.model.prediction import Model, predict
from xmed.records.answers import PredictedFile
from xmed.registry import fetch
from xmed.volume import Volume

ENDINGS = {"nifti": (".nii.gz", ".nii"), "dicom-seg": (".dcm",)}


def predict_file(
    reference: str | Path,
    source: str | Path,
    out: str | Path,
    form: str,
    force: bool,
    home: str | Path,
    *,
    sr: str | Path | None = None,
    channel: int | None = None,
) -> PredictedFile:
    """Segment an image and write the result.

    Args:
        reference: The model: models:/NAME@alias, models:/NAME/3, or a model folder.
        source: A DICOM folder or file, or a NIfTI.
        out: The file to write.
        form: `nifti` or `dicom-seg`.
        force: Whether to replace `out` where it exists.
        home: The home.
        sr: With `dicom-seg`: also write the measurements to this file, as a DICOM SR.
        channel: Which volume, from 0, of a file or series with several.

    Returns:
        What was written, and the size of every structure.

    Raises:
        XmedError: USAGE, PATH_NOT_FOUND, OUTPUT_EXISTS, MODEL_NOT_FOUND, MODEL_INVALID, MODALITY_MISMATCH, and what
            reading the image raises; NOT_REFERABLE, SPEC_INVALID, where no DICOM SEG can be written of it.
    """
    source, out, sr, reference = Path(source), Path(out), None if sr is None else Path(sr), str(reference)
    if not source.exists():
        raise XmedError("PATH_NOT_FOUND", f"no file or folder {source}", "a DICOM folder or file, or a NIfTI")
    _check_output(out, form, force)
    if sr is not None:
        _check_measurements_output(sr, out, form, force)
    model = Model.load(fetch(reference, Path(home)))
    weights = str(model.weights_sha256)
    by = Algorithm((model.origin.study or "xmed")[:64], weights[:12], weights)  # no reference: may be a path
    with collect_notes() as notes:
        image = run_in_sandbox(read_image, source, model.modality, channel)
        if form == "dicom-seg":
            run_in_sandbox(check_seg, source, model.structures, by)  # what cannot be written is not computed
    labels = predict(model, image)
    if form == "nifti":
        write_nifti(labels, out)
    else:
        run_in_sandbox(write_seg, labels, source, model.structures, out, by)  # it reads the source once more
        if sr is not None:
            write_sr(labels, out, model.structures, sr, by)
    files = {"output": str(out), "measurements": None if sr is None else str(sr), "model": reference}
    return _describe_prediction(files, model, labels, notes)


def _describe_prediction(
    files: dict[str, str | None], model: Model, labels: Volume, notes: list[Note]
) -> PredictedFile:
    """Describe what was written. `files`: the fields output, measurements and model of the answer."""
    fields = {
        **files,
        "weights_sha256": model.weights_sha256,
        "shape": list(labels.array.shape),
        "spacing_mm": list(labels.spacing),
        "voxels": {s.name: int(np.count_nonzero(labels.array == s.value)) for s in model.structures},
        "notes": [asdict(note) for note in notes],
        **_measured(labels, model.structures),
    }
    return PredictedFile.model_validate(fields)


def _measured(labels: Volume, structures: LabelTable) -> dict[str, dict[str, float] | None]:
    """Volume of each structure in mL; in an ultrasound film, where nothing has one, its largest area in cm²."""
    counts = {s.name: np.count_nonzero(labels.array == s.value, axis=(0, 1)) for s in structures}
    if is_film(labels):
        x, y, _ = labels.spacing
        areas = {name: float(pixels.max()) * x * y / 100 for name, pixels in counts.items()}
        return {"volume_ml": None, "largest_area_cm2": areas}
    return {"volume_ml": {name: int(pixels.sum()) * labels.grid.voxel_ml for name, pixels in counts.items()}}


def _check_output(out: Path, form: str, force: bool) -> None:
    if not out.name.endswith(ENDINGS[form]):
        raise XmedError("USAGE", f"output {out.name}", f"a name that ends in {' or '.join(ENDINGS[form])} for {form}")
    if out.exists() and not force:
        raise XmedError("OUTPUT_EXISTS", f"{out} is there already", "a new name", "--force replaces it")
    check_output(out)


def _check_measurements_output(sr: Path, out: Path, form: str, force: bool) -> None:
    if form != "dicom-seg":
        raise XmedError("USAGE", f"--sr beside {form}", "--format dicom-seg: measurements refer to its segments")
    if sr.absolute() == out.absolute():
        raise XmedError("USAGE", f"--sr and --out are both {sr}", "a file for each")
    _check_output(sr, form, force)


def show_prediction(console: Console, prediction: PredictedFile) -> None:
    """Print what was corrected while reading, the measurements, the output, and what the archive answered.

    Args:
        console: Where to print.
        prediction: What `predict_file` returned.
    """
    for note in prediction.notes:
        console.print(f"note[{note.code}]: {note.text}", markup=False, highlight=False, soft_wrap=True)
    for name, volume in (prediction.volume_ml or {}).items():
        console.print(f"{name}: {volume:.1f} mL")
    for name, area in (prediction.largest_area_cm2 or {}).items():
        console.print(f"{name}: {area:.1f} cm² in the frame where it is largest")
    console.print(prediction.output, highlight=False, soft_wrap=True)
    for sent in prediction.sent or ():
        console.print(f"{Path(sent.file).name}: {sent.status}", markup=False, highlight=False, soft_wrap=True)
