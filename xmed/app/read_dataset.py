"""Read dataset: the job that reads every case of a dataset into the store of the home. It loads no torch."""

from __future__ import annotations

from pathlib import Path

from xmed import cohort, phantom
from xmed.app.plan import as_path, plan_dataset
from xmed.app.steps import outward
from xmed.cohort import Cohort, ReadShards
from xmed.console.progress_display import report
from xmed.run import home
from xmed.spec import MapsSpec, PhantomSpec, load_dataset


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
        plan_dataset(spec, data_root), home(), data_root=as_path(data_root), progress=report, generate=write_generated
    )


@outward
def ingest_dataset(spec: str | Path, root: Path | None, spread: ReadShards | None = None) -> dict[str, str]:
    """Read a dataset's cases into the store, as a step of a job.

    Args:
        spec: A dataset: its name or YAML file.
        root: Folder of the dataset's files, in place of the spec's.
        spread: Reads parts of the dataset on other machines.

    Returns:
        name and fingerprint of the dataset.
    """
    ingested = cohort.ingest_cases(
        load_dataset(spec), home(), data_root=root, progress=report, generate=write_generated, read_shards=spread
    )
    return {"name": ingested.spec.name, "fingerprint": ingested.fingerprint}


def write_generated(spec: PhantomSpec | MapsSpec, folder: Path) -> None:
    """Write a dataset that xmed makes itself: simulated patients, or label maps of a scene.

    Ingest calls this; it cannot import the modules that write, because they are above it.

    Args:
        spec: What to make.
        folder: Where the files are written.
    """
    if isinstance(spec, PhantomSpec):
        phantom.write_patients(spec, folder, report)
    else:
        from xmed.rendering.scenes import write_label_maps  # loads torch, which no other dataset needs

        write_label_maps.write_label_maps(spec, folder, report)
