"""Prediction: one image through one model, into one file that is whole or not there."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

import numpy as np

from xmed.errors import XmedError
from xmed.io import read_image, write_nifti, write_seg
from xmed.predict import Model, predict
from xmed.registry import fetch

ENDINGS = {"nifti": (".nii.gz", ".nii"), "dicom-seg": (".dcm",)}


def predict_file(reference: str, source: Path, out: Path, form: str, force: bool, home: Path) -> dict[str, Any]:
    """Segment `source` with the model that `reference` names, write `out`; returns what was done, volumes in mL.

    Raises XmedError USAGE, PATH_NOT_FOUND, OUTPUT_EXISTS, MODEL_NOT_FOUND, MODEL_INVALID, MODALITY_MISMATCH, and what
    reading the image raises.
    """
    if not out.name.endswith(ENDINGS[form]):
        raise XmedError("USAGE", f"output {out.name}", f"a name that ends in {' or '.join(ENDINGS[form])} for {form}")
    if not source.exists():
        raise XmedError("PATH_NOT_FOUND", f"no file or folder {source}", "a DICOM folder or file, or a NIfTI")
    if out.exists() and not force:
        raise XmedError("OUTPUT_EXISTS", f"{out} is there already", "a new name", "--force replaces it")
    if not out.absolute().parent.is_dir():
        raise XmedError("PATH_NOT_FOUND", f"no folder {out.absolute().parent}", "an existing folder to write into")
    folder = fetch(reference, home)
    model = Model.load(folder)
    image = read_image(source, model.modality)
    labels = predict(model, image)
    part = out.with_name(f".{secrets.token_hex(4)}.{out.name}")  # the ending stays: writers choose the format by it
    try:
        if form == "nifti":
            write_nifti(labels, part)
        else:
            named = {"model": str(model.card.get("study", "xmed")), "version": str(model.card["weights_sha256"])[:12]}
            write_seg(labels, source, model.structures, part, **named)  # not the reference: it may be somebody's path
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)
    voxels = {s.name: int(np.count_nonzero(labels.array == s.value)) for s in model.structures}
    return {
        "output": str(out),
        "model": reference,
        "weights_sha256": model.card.get("weights_sha256"),
        "shape": list(labels.array.shape),
        "spacing_mm": list(labels.spacing),
        "voxels": voxels,
        "volume_ml": {name: count * labels.grid.voxel_ml for name, count in voxels.items()},
    }
