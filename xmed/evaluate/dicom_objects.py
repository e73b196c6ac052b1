"""For every DICOM test case a segmentation and a measurement report (TID 1500), without names of people.

Headers pass the allow-list of `xmed deidentify`, with the same key. The objects refer to images as that command writes
them, and the crosswalk tells who is who.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from xmed import __version__
from xmed.cohort import Case, Cohort, find_image_files, load_cohort
from xmed.deidentify import Crosswalk, Secret
from xmed.deidentify.nameless_objects import write_nameless_objects
from xmed.errors import CODES, XmedError
from xmed.evaluate.evaluate_run import LABELS, judged, kept_name
from xmed.files.digest import digest, file_digest, folder_digest
from xmed.io import Algorithm
from xmed.io.file_kinds import file_kind, list_files
from xmed.io.sandbox.worker import run_in_sandbox
from xmed.labels import LabelTable, Structure
from xmed.model.folder import WEIGHTS
from xmed.records.evaluation import CaseObjects, DicomObjects
from xmed.run import Arm, Run
from xmed.volume import Volume

Source = Path | list[Path]
KINDS = ("seg", "sr")
"""Files of each case: objects/CASE.seg.dcm, the prediction of the adapted model of the first seed, and
objects/CASE.sr.dcm.
"""


def write_objects(
    run: Run,
    home: Path,
    data_root: Path | None = None,
    progress: Callable[[str, int, int, str], None] | None = None,
) -> DicomObjects | None:
    """Write objects/ and objects.json of an evaluated run.

    Cases that were not DICOM are left out. Nothing is done again for the same model on the same data.

    Args:
        run: The run.
        home: Home folder with the store.
        data_root: As it was given to ingest.
        progress: Called with (what, done, total, case id).

    Returns:
        objects.json: per case the digests of its files, or the reason why there are none. None where no case of the
            adapted model was evaluated.

    Raises:
        XmedError: KEY_INVALID, NOT_WRITABLE.
    """
    target, seed = load_cohort(run.study.target, home), run.study.seeds[0]
    arm = run.arm(Arm.ADAPTED, seed)
    if not (arm / LABELS).is_file():
        return None
    weights = file_digest(arm / "model" / WEIGHTS)
    of = digest([folder_digest(arm / "model"), target.fingerprint, run.study.structures, __version__])
    if run.has(DicomObjects) and (before := run.read(DicomObjects)).of == of:
        return before
    cases = judged(target)
    sources = {case: path for case, path in find_image_files(target, cases, data_root).items() if _is_dicom(path)}
    secret = Secret.find(home)[0]
    crosswalk, by = Crosswalk.below(home, secret), Algorithm(run.study.name[:64], weights[:12], weights)
    run.objects.mkdir(exist_ok=True)
    rows = []
    with np.load(arm / LABELS, allow_pickle=False) as drawn, TemporaryDirectory(dir=run.objects, prefix=".") as scratch:
        for n, case in enumerate((case for case in cases if case.id in sources), start=1):
            try:
                labels = _labels(target, case, drawn)
                table = _table(target, run.study.structures)
                pairs = run_in_sandbox(
                    write_nameless_objects, labels, sources[case.id], table, Path(scratch), by, secret
                )
                crosswalk.commit(pairs)  # before a file has its name
                rows.append(CaseObjects(case=case.id, reason=None, **_kept(Path(scratch), run.objects, case.id)))
            except XmedError as problem:
                # The code's own sentence: that of the problem may quote the file.
                rows.append(CaseObjects(case=case.id, reason=f"{problem.code}: {CODES[problem.code]}"))
            if progress:
                progress("DICOM objects", n, len(sources), case.id)
    document = DicomObjects(of=of, seed=seed, cases=rows)
    run.write(document)
    return document


def _is_dicom(source: Source) -> bool:
    return file_kind(list_files(source)[0]) == "dicom"


def _labels(target: Cohort, case: Case, drawn: Any) -> Volume:
    if kept_name(case) not in drawn:
        raise XmedError("LABEL_MISSING", f"no prediction of case {case.id}", "one that was judged")
    return target.image(case).with_array(drawn[kept_name(case)])


def _table(target: Cohort, structures: Sequence[str]) -> LabelTable:
    """Return the study's structures with its label values 1, 2, ... and the codes of the dataset's spec."""
    in_spec = [target.spec.label_table[name] for name in structures]
    return LabelTable(
        tuple(Structure(n, entry.name, entry.category, entry.type) for n, entry in enumerate(in_spec, start=1))
    )


def _kept(scratch: Path, folder: Path, case: str) -> dict[str, str]:
    """Move both files to their names with the case id; return their sha256."""
    return {kind: file_digest((scratch / f"{kind}.dcm").replace(folder / f"{case}.{kind}.dcm")) for kind in KINDS}
