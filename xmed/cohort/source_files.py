"""Source files: finds the files that a cohort's cases were read from, if they are unchanged."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from xmed.cohort.case import Case, Cohort
from xmed.cohort.case_inputs import CaseInputs
from xmed.cohort.layout import find_cases
from xmed.cohort.pseudonymise import pseudonymise_cases
from xmed.cohort.store import Store
from xmed.deidentify import Crosswalk, Secret
from xmed.errors import XmedError
from xmed.io.links import LinkPolicy


def find_image_files(
    cohort: Cohort, cases: Sequence[Case], data_root: Path | None = None
) -> dict[str, Path | list[Path]]:
    """Find the files that each case's image was read from.

    Args:
        cohort: The cohort.
        cases: The cases that are asked for.
        data_root: The folder that `ingest_cases` was given in place of the spec's root.

    Returns:
        Case id → the image's file, or the files of its series; no entry for a case whose files moved or changed.

    Raises:
        XmedError: KEY_INVALID, NOT_WRITABLE.
    """
    try:
        root, links = cohort.spec.folder(data_root).resolve(), cohort.spec.link_folders()
        on_disk = find_cases(cohort.spec.layout, root, links) if root.is_dir() else []
    except XmedError:  # for example an environment variable that is no longer set
        return {}
    crosswalk = Crosswalk.below(cohort.home, Secret.find(cohort.home)[0])
    on_disk, _ = pseudonymise_cases(cohort.spec, on_disk, {}, crosswalk)
    case_of, index, reach = {case.id: case for case in cases}, Store(cohort.home).index, LinkPolicy(root, links)
    image_files: dict[str, Path | list[Path]] = {}
    try:
        for files in on_disk:
            case = case_of.get(files.case)
            if case is None:
                continue
            try:
                inputs = CaseInputs.of(cohort.spec, reach, files, case.split, index.digest)
            except XmedError:
                continue
            if (source := inputs.source) is not None and inputs.image_key == case.image:
                image_files[case.id] = source
    finally:
        index.close()
    return image_files
