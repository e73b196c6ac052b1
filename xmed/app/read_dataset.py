"""Read dataset: the job that reads every case of a dataset into the store of the home."""

from __future__ import annotations

from pathlib import Path

from xmed import cohort
from xmed.app.adapt import make
from xmed.app.plan import plan_dataset
from xmed.cohort import Cohort
from xmed.console.progress_display import report
from xmed.run import home


def ingest(spec: str, data_root: Path | None = None) -> Cohort:
    """Read every case of a dataset into the store of the home.

    Args:
        spec: a dataset's name or its YAML file.
        data_root: where the files lie, instead of the spec's root.

    Returns:
        The cohort: cases, and refused cases with a code each.

    Raises:
        XmedError: SPEC_NOT_FOUND, SPEC_INVALID, PATH_NOT_FOUND, NO_CASES, DISK_FULL, NOT_WRITABLE.
    """
    return cohort.ingest_cases(
        plan_dataset(spec, data_root), home(), data_root=data_root, progress=report, generate=make
    )
