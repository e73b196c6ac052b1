"""Volume viewer: a page with the volumes of chosen cases, their reference and predictions, to scroll through.

NiiVue (BSD 2-Clause, bundled unchanged) draws. The volumes stand in the page as NIfTI, so nothing is fetched. The
report itself needs neither this page nor a script.
"""

from __future__ import annotations

import base64
import hashlib
import tempfile
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from xmed.html.render import drawing, text_of_template
from xmed.io import write_nifti
from xmed.report.display_names import ARM_NAMES
from xmed.run import TRAINED_ARMS, Run
from xmed.volume import Volume

Document = dict[str, Any]
NIIVUE = "niivue-0.69.0.umd.js"
MOST_BYTES, CASE_BYTES = 16_000_000, 4_000_000
"""Of all volumes together and of one case, as they stand in the page (base64): with NiiVue it stays below 20 MB."""
LARGEST_STEP = 8
"""A case of which every 8th voxel is still too large is left out."""
COLOURS = {"truth": "#62cbff", "adapted": "#ff9838", "source_only": "#e3b4ef", "target_supervised": "#52e0a8"}
"""Layer of a picture file -> colour; `truth` is the reference there."""


def volume_viewer(run: Run, report: Document) -> str:
    """Return viewer.html with the worst, the random and the best cases as far as there is room.

    Args:
        run: The run, whose pictures are shown.
        report: The report's document.
    """
    cases, room = [], MOST_BYTES
    for case in _chosen(report):
        path = run.pictures / f"{case}.npz"
        volumes = _volumes(path, report["data"]["target"]["modality"]) if path.is_file() else None
        size = sum(len(layer["nifti"]) for layer in volumes["layers"]) if volumes else 0
        if volumes and size <= room:
            room -= size
            cases.append({"case": case, **volumes})
    library = files("xmed.report").joinpath("bundled", NIIVUE).read_text(encoding="utf-8")
    names = {"truth": "Truth", **ARM_NAMES}
    environment = drawing("xmed.report")
    script = text_of_template(environment, "volume_viewer.js").strip()
    return environment.get_template("volume_viewer.html.j2").render(
        report=report,
        cases=cases,
        names={layer: names[layer] for layer in COLOURS},
        colours=COLOURS,
        library=library,
        script=script,
        hashes=[script_hash(library), script_hash(script)],
    )


def script_hash(text: str) -> str:
    """Return the hash by which a Content-Security-Policy allows one script, so that no other may run."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _chosen(report: Document) -> list[str]:
    ordered = [case["case"] for case in report["cases"]]
    return list(dict.fromkeys([*ordered[:4], *report["failures"]["random"], *ordered[-1:]]))


def _volumes(path: Path, modality: str) -> Document | None:
    """Image and label maps as gzipped NIfTI in base64; every second, third ... voxel where a case is too large."""
    with np.load(path, allow_pickle=False) as file:
        arrays = {
            name: file[name] for name in file.files if name in ("image", "truth", "spacing", "affine", *TRAINED_ARMS)
        }
    has_affine = "affine" in arrays
    affine = arrays["affine"] if has_affine else np.diag([*arrays["spacing"], 1.0])
    image = np.rint(np.clip(np.nan_to_num(arrays["image"].astype(np.float32)), 0, 1) * 255).astype(np.uint8)
    labels = {name: arrays[name] for name in COLOURS if name in arrays}
    for step in range(1, LARGEST_STEP + 1):
        coarser = affine @ np.diag([step, step, step, 1.0])
        every = (slice(None, None, step),) * 3
        layers = [
            {"name": name, "nifti": _nifti(Volume(array[every], coarser, modality=modality))}
            for name, array in {"image": image, **labels}.items()
        ]
        if sum(len(layer["nifti"]) for layer in layers) <= CASE_BYTES:
            highest = int(max(label.max() for label in labels.values())) if labels else 0
            return {"layers": layers, "every": step, "placed": has_affine, "most": highest}
    return None


def _nifti(volume: Volume) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "volume.nii.gz"
        write_nifti(volume, path)
        return "data:application/gzip;base64," + base64.b64encode(path.read_bytes()).decode()
