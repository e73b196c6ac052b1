"""Case pictures: test cases as slices on the page, on a contact sheet to be rated, and as volumes to scroll through.

NiiVue (BSD 2-Clause, bundled unchanged) draws the volumes. They stand in their page as NIfTI, so nothing is fetched.
The report itself needs neither that page nor a script.
"""

from __future__ import annotations

import base64
import hashlib
import tempfile
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from xmed.html.render import drawing, text_of_template, traced
from xmed.html.slices import MOST_PIXELS, SliceView, views
from xmed.io import write_nifti
from xmed.report.display_names import ARM_NAMES
from xmed.run import TRAINED_ARMS, Run
from xmed.volume import Volume

Document = dict[str, Any]
N_WORST, MOST = 12, 24
"""Cases from the bad end, and pictured cases in all: every case stands in the table and on the contact sheet."""
THUMBNAIL = 150
"""A thumbnail's longer side in pixels: 500 cases in three planes stay well below 25 MB."""
NIIVUE = "niivue-0.69.0.umd.js"
MOST_BYTES, CASE_BYTES = 16_000_000, 4_000_000
"""Of all volumes together and of one case, as they stand in the page (base64): with NiiVue it stays below 20 MB."""
LARGEST_STEP = 8
"""A case of which every 8th voxel is still too large is left out."""
COLOURS = {"truth": "#62cbff", "adapted": "#ff9838", "source_only": "#e3b4ef", "target_supervised": "#52e0a8"}
"""Layer of a picture file -> colour; `truth` is the reference there."""


def gallery(run: Run, report: Document) -> list[Document]:
    """Return the pictured cases: the worst, some at random, and failures while there is room.

    Returns:
        {n, entry, why, views} in the order of the document; n: the case's index in `cases` of the document.
    """
    index = {entry["case"]: n for n, entry in enumerate(report["cases"])}
    # A report of edition 1 lists the names of failed cases, a later one an entry for each.
    failed = [entry["case"] if isinstance(entry, dict) else entry for entry in report["failures"]["failed"]]
    why: dict[int, str] = dict.fromkeys(range(min(N_WORST, len(report["cases"]))), "worst")
    more = [*((case, "at random") for case in report["failures"]["random"]), *((case, "failed") for case in failed)]
    for case, reason in more:
        if case in index and len(why) < MOST:
            why.setdefault(index[case], reason)
    pictured = []
    for n in sorted(why):
        entry = report["cases"][n]
        of_case = case_views(run, entry["case"], through=primary_label(report))
        pictured.append({"n": n, "entry": entry, "why": why[n], "views": of_case})
    return pictured


def thumbnails(run: Run, report: Document) -> dict[str, list[SliceView]]:
    """Return a small picture, in one plane, of every case that the headline names."""
    return {
        entry["case"]: thumbnail_views(run, entry["case"], report, planes=1) for entry in report["headline"]["worst"]
    }


def thumbnail_views(run: Run, case: str, report: Document, planes: int = 3) -> list[SliceView]:
    """Return small views of one case with the reference and the adapted prediction."""
    return case_views(run, case, arms=("adapted",), through=primary_label(report), planes=planes, pixels=THUMBNAIL)


def case_views(
    run: Run,
    case: str,
    *,
    through: int | None = None,
    arms: Sequence[str] = TRAINED_ARMS,
    planes: int = 3,
    pixels: int = MOST_PIXELS,
) -> list[SliceView]:
    """Return the views of a case as `xmed.html.slices.views` draws them; none where evaluation kept no picture."""
    path = run.pictures / f"{case}.npz"
    return views(path, arms=arms, through=through, planes=planes, pixels=pixels) if path.is_file() else []


def primary_label(report: Document) -> int:
    """Return the label value of the primary structure."""
    structures: list[str] = report["study"]["structures"]
    return structures.index(report["protocol"]["protocol"]["primary"]["structure"]) + 1


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


def contact_sheet(run: Run, report: dict[str, Any]) -> str:
    """Return contact.html.

    The page can be read without a script. With one, the keys 1, 2, 3 rate a case and the ratings can be exported: as
    JSON, which `xmed report build RUN --ratings FILE` reads, and as TSV (case, rating, comment).

    Args:
        run: The run, whose pictures are shown.
        report: The report's document.
    """
    environment = drawing("xmed.report")
    script = text_of_template(environment, "contact_sheet.js").strip()
    return environment.get_template("contact_sheet.html.j2").render(
        report=report,
        at=traced(report),
        structures=report["study"]["structures"],
        pictures={case["case"]: thumbnail_views(run, case["case"], report) for case in report["cases"]},
        script=script,
        hash=script_hash(script),
    )
