"""Read dataset: the job that reads every case of a dataset into the store of the home."""

from __future__ import annotations

from pathlib import Path

from xmed import cohort
from xmed.app.adapt import make
from xmed.app.plan import as_path, plan_dataset
from xmed.cohort import Cohort
from xmed.console.progress_display import report
from xmed.run import home


def ingest(spec: str | Path, data_root: str | Path | None = None) -> Cohort:
    """Read every case of a dataset into the store of the home.

    Args:
        spec: A dataset: its name or YAML file.
        data_root: Folder of the dataset's files, in place of the spec's.

    Returns:
        The cohort: cases, and refused cases with a code each.

    Raises:
        XmedError: SPEC_NOT_FOUND, SPEC_INVALID, PATH_NOT_FOUND, NO_CASES, DISK_FULL, NOT_WRITABLE.
    """
    return cohort.ingest_cases(
        plan_dataset(spec, data_root), home(), data_root=as_path(data_root), progress=report, generate=make
    )
