"""Viewer: a page that scrolls through the volumes of chosen cases, truth and predictions with them, by script.

NiiVue (BSD 2-Clause, bundled unchanged) draws; the volumes lie in the page as NIfTI, so nothing is fetched. The report
itself needs neither this page nor a script.
"""

from __future__ import annotations

import base64
import hashlib
import tempfile
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from xmed.html.render import drawing
from xmed.io import write_nifti
from xmed.report import words
from xmed.run import TRAINED_ARMS, Run
from xmed.volume import Volume

NIIVUE = "niivue-0.69.0.umd.js"
MOST_BYTES, CASE_BYTES = 16_000_000, 4_000_000
"""Of all volumes together and of one case, as they stand in the page (base64): with NiiVue it stays below 20 MB."""
COLOURS = {"truth": "#62cbff", "adapted": "#ff9838", "source_only": "#e3b4ef", "target_supervised": "#52e0a8"}


def viewer(run: Run, report: dict[str, Any]) -> str:
    """viewer.html: the worst, the random and the best case as far as there is room; deterministic."""
    cases, room = [], MOST_BYTES
    for case in _chosen(report):
        path = run.pictures / f"{case}.npz"
        found = _volumes(path, report["data"]["target"]["modality"]) if path.is_file() else None
        size = sum(len(layer["nifti"]) for layer in found["layers"]) if found else 0
        if found and size <= room:
            room -= size
            cases.append({"case": case, **found})
    library = files("xmed.report").joinpath("bundled", NIIVUE).read_text(encoding="utf-8")
    names = {"truth": "Truth", **words.ARM_NAMES}
    template = drawing().get_template("viewer.html.j2")
    script = (drawing().loader.get_source(drawing(), "viewer.js")[0]).strip()  # type: ignore[union-attr]
    return template.render(
        report=report,
        cases=cases,
        names={layer: names[layer] for layer in COLOURS},
        colours=COLOURS,
        library=library,
        script=script,
        hashes=[script_hash(library), script_hash(script)],
    )


def script_hash(text: str) -> str:
    """What a Content-Security-Policy calls one script by, so that no other may run."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _chosen(report: dict[str, Any]) -> list[str]:
    ordered = [case["case"] for case in report["cases"]]
    return list(dict.fromkeys([*ordered[:4], *report["failures"]["random"], *ordered[-1:]]))


def _volumes(path: Path, modality: str) -> dict[str, Any] | None:
    """Image and label maps as gzipped NIfTI in base64; every second, third ... voxel where a case is too large."""
    with np.load(path, allow_pickle=False) as file:
        arrays = {
            name: file[name] for name in file.files if name in ("image", "truth", "spacing", "affine", *TRAINED_ARMS)
        }
    placed = "affine" in arrays
    affine = arrays["affine"] if placed else np.diag([*arrays["spacing"], 1.0])
    image = np.rint(np.clip(np.nan_to_num(arrays["image"].astype(np.float32)), 0, 1) * 255).astype(np.uint8)
    labels = {name: arrays[name] for name in COLOURS if name in arrays}
    for every in range(1, 9):
        place = affine @ np.diag([every, every, every, 1.0])
        cut = (slice(None, None, every),) * 3
        layers = [
            {"name": name, "nifti": _nifti(Volume(array[cut], place, modality=modality))}
            for name, array in {"image": image, **labels}.items()
        ]
        if sum(len(layer["nifti"]) for layer in layers) <= CASE_BYTES:
            most = int(max(label.max() for label in labels.values())) if labels else 0
            return {"layers": layers, "every": every, "placed": placed, "most": most}
    return None


def _nifti(volume: Volume) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "volume.nii.gz"
        write_nifti(volume, path)
        return "data:application/gzip;base64," + base64.b64encode(path.read_bytes()).decode()
