"""Write label maps that a scene has generated as NIfTI files."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np

from xmed.files.progress import Progress
from xmed.io import write_nifti
from xmed.rendering import scenes
from xmed.spec import MapsSpec
from xmed.volume import Volume


def label_map_names(spec: MapsSpec) -> list[str]:
    """Return patient ids, which are also case ids and file names, made of the scene, the seed and the number."""
    return [f"{spec.scene}{spec.seed}-{number:03}" for number in range(1, spec.patients + 1)]


def write_label_maps(spec: MapsSpec, folder: Path, progress: Progress | None = None) -> None:
    """Write every label map that is not there yet as `folder`/<id>.nii.gz, with voxels of 1 mm that stand for pixels.

    Each is wholly determined by scene, seed and number, and appears whole or not at all.

    Args:
        spec: Scene, number of patients and seed.
        folder: Made where it does not exist.
        progress: Called with (what, done, total, id).

    Raises:
        XmedError: SPEC_INVALID for a scene that generates no label maps.
    """
    anatomy = scenes.label_map_generator(spec.scene)
    folder.mkdir(parents=True, exist_ok=True)
    word = zlib.crc32(spec.scene.encode())
    for number, name in enumerate(label_map_names(spec), start=1):
        if progress:
            progress(f"draw {spec.scene}", number - 1, spec.patients, name)
        path, part = folder / f"{name}.nii.gz", folder / f".{name}.nii.gz"
        if not path.is_file():
            drawn = anatomy(np.random.default_rng([word, spec.seed, number]))
            write_nifti(Volume(drawn, np.eye(4)), part)
            part.rename(path)
    if progress:
        progress(f"draw {spec.scene}", spec.patients, spec.patients, "")
