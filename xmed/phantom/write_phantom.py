"""Write the phantom's patients as files, as a scanner and an annotator would leave them."""

from __future__ import annotations

import shutil
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from xmed.files.progress import Progress
from xmed.io import write_nifti
from xmed.io.dicom.write_series import SeriesIdentity, write_series, write_ultrasound_volume
from xmed.phantom import b_mode, ct, mr
from xmed.phantom.pelvis import Pelvis
from xmed.spec import PhantomSpec
from xmed.volume import Volume

HEADERS = {
    "MR": ("xmed phantom MR", "T2 TSE TRA OBL"),
    "US": ("xmed phantom US", "3D SUPRAPUBIC"),
    "CT": ("xmed phantom CT", "PELVIS SOFT TISSUE"),
}
"""By modality: model name, series description."""


def patient_ids(spec: PhantomSpec) -> list[str]:
    """Return patient ids, which are also case ids and folder names.

    They are made of modality, seed and number; where several datasets scan the same people, of people and number.
    """
    who = f"{spec.modality}{spec.seed}" if spec.people is None else f"P{spec.people}"
    return [f"PHANTOM-{who}-{number:02}" for number in range(1, spec.patients + 1)]


def draw_patient(spec: PhantomSpec, number: int) -> tuple[Volume, Volume]:
    """Scan one patient; the spec and the number determine everything.

    Args:
        spec: Which people, by which modality.
        number: The patient, counted from 1.

    Returns:
        Image and label map, on one grid.
    """
    word = zlib.crc32(spec.modality.encode())  # the MR and the US patient of one seed and number are two people
    random = np.random.default_rng([word, spec.seed, number])
    of_person = random if spec.people is None else np.random.default_rng([spec.people, number])
    anatomy = Pelvis.draw(of_person, spec.distractors)
    if spec.modality == "US":
        return b_mode.scan_ultrasound(anatomy, random)
    scan = mr.scan_mr if spec.modality == "MR" else ct.scan_ct
    return scan(anatomy, random, spec.extent)


def write_patients(spec: PhantomSpec, folder: Path, progress: Progress | None = None) -> None:
    """Write every patient below `folder`: <id>/image/*.dcm and <id>/label.nii.gz. Existing ones are left alone.

    MR and CT are written as single-frame series, in half of the patients numbered from head to feet; ultrasound as an
    Enhanced US Volume. A patient's folder appears whole or not at all.

    Args:
        spec: Modality, number of patients and seed.
        folder: Made where it does not exist.
        progress: Called with (what, done, total, patient id).
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    what = f"scan phantom {spec.modality}"
    for number, name in _missing(spec, folder):
        if progress:
            progress(what, number - 1, spec.patients, name)
        part = folder / f".{name}.part"
        shutil.rmtree(part, ignore_errors=True)
        _write_patient(spec, number, name, part)
        part.rename(folder / name)
    if progress:
        progress(what, spec.patients, spec.patients, "")


def _missing(spec: PhantomSpec, folder: Path) -> Iterator[tuple[int, str]]:
    for number, name in enumerate(patient_ids(spec), start=1):
        if not (folder / name).is_dir():
            yield number, name


def _write_patient(spec: PhantomSpec, number: int, name: str, folder: Path) -> None:
    image, label = draw_patient(spec, number)
    model, description = HEADERS[spec.modality]
    header = SeriesIdentity(name, "xmed", model, description)
    image = replace(image, frame=str(header.uid("frame")))
    if spec.modality != "US":
        last = image.array.shape[2] - 1
        order = [last - k if number % 2 else k for k in range(last + 1)]
        write_series(image, folder / "image", header, order)
    else:
        write_ultrasound_volume(image, folder / "image" / "IM0001.dcm", header)
    write_nifti(label, folder / "label.nii.gz")
