"""Source files: where the files of a cohort's cases lie, as long as they are the ones that were ingested."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from xmed.cohort.case import Case, Cohort
from xmed.cohort.case_inputs import Inputs
from xmed.cohort.layout import find
from xmed.cohort.pseudonymise import pseudonyms
from xmed.cohort.store import Store
from xmed.deidentify import Crosswalk, Secret
from xmed.errors import XmedError
from xmed.io.links import LinkPolicy


def image_files(cohort: Cohort, cases: Sequence[Case], data_root: Path | None = None) -> dict[str, Path | list[Path]]:
    """What each case's image was read from, by case id; nothing for those that moved or changed since.

    data_root: as `ingest` was given it. Raises XmedError KEY_INVALID, NOT_WRITABLE.
    """
    try:
        root, links = cohort.spec.folder(data_root).resolve(), cohort.spec.link_folders()
        found = find(cohort.spec.layout, root, links) if root.is_dir() else []
    except XmedError:  # a variable that is not set any more, ...
        return {}
    found, _ = pseudonyms(cohort.spec, found, {}, Crosswalk.below(cohort.home, Secret.find(cohort.home)[0]))
    asked, index, reach = {case.id: case for case in cases}, Store(cohort.home).index, LinkPolicy(root, links)
    out: dict[str, Path | list[Path]] = {}
    try:
        for files in found:
            case = asked.get(files.case)
            if case is None:
                continue
            try:
                inputs = Inputs.of(cohort.spec, reach, files, case.split, index.digest)
            except XmedError:
                continue
            if (source := inputs.source) is not None and inputs.image_key == case.image:
                out[case.id] = source
    finally:
        index.close()
    return out
