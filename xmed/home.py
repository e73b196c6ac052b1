"""Home: the folder that contains everything xmed writes, and the paths in it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

VARIABLE = "XMED_HOME"
"""The environment variable that names the home."""
DEFAULT = ".xmed"
"""The home where the variable is not set, in the working directory."""


@dataclass(frozen=True)
class Home:
    """A home by its folder. A path of it may not exist yet: it is made by whatever writes there first."""

    folder: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "folder", Path(os.path.expanduser(self.folder)).absolute())

    @classmethod
    def current(cls) -> Home:
        """Find the home that commands and jobs use now.

        Returns:
            The home at XMED_HOME, or at `.xmed` in the working directory.
        """
        return cls(Path(os.environ.get(VARIABLE) or DEFAULT))

    @contextmanager
    def in_use(self) -> Iterator[Home]:
        """Make this the current home for the time of a `with` block, also for the processes that start in it.

        It sets XMED_HOME, which belongs to the whole process: do not use two homes in two threads.

        Yields:
            This home.
        """
        before = os.environ.get(VARIABLE)
        os.environ[VARIABLE] = str(self.folder)
        try:
            yield self
        finally:
            if before is None:
                os.environ.pop(VARIABLE, None)
            else:
                os.environ[VARIABLE] = before

    @property
    def runs(self) -> Path:
        """One folder for each run."""
        return self.folder / "runs"

    @property
    def store(self) -> Path:
        """Ingested volumes, by the digest of what they were read from, and the manifests of datasets."""
        return self.folder / "store"

    @property
    def volumes(self) -> Path:
        """The entries of the store: a folder for each volume, named by its key."""
        return self.store / "volumes"

    @property
    def datasets(self) -> Path:
        """A manifest of each ingested dataset."""
        return self.store / "datasets"

    @property
    def store_index(self) -> Path:
        """The database of digests of stored entries and of the files that they were read from."""
        return self.store / "index.db"

    @property
    def thumbnails(self) -> Path:
        """Small copies of stored images, by which near duplicates are found."""
        return self.store / "likeness"

    @property
    def cache(self) -> Path:
        """What can be made again from the store: deleting it loses time alone."""
        return self.folder / "cache"

    @property
    def quarantine(self) -> Path:
        """Refused cases: a folder for each dataset, a record for each case."""
        return self.folder / "quarantine"

    @property
    def pseudonym_key(self) -> Path:
        """The secret that pseudonyms are made with, where no environment variable gives one."""
        return self.folder / "deidentify" / "key"

    @property
    def crosswalk(self) -> Path:
        """The encrypted table of pseudonyms and originals."""
        return self.folder / "deidentify" / "crosswalk"

    @property
    def models(self) -> Path:
        """Models that were fetched from the registry."""
        return self.folder / "models"

    @property
    def fetched(self) -> Path:
        """Published runs that were fetched from a shared store."""
        return self.folder / "fetched"

    @property
    def reports(self) -> Path:
        """Pages that belong to no run, such as those of drift checks."""
        return self.folder / "reports"

    @property
    def drift_reports(self) -> Path:
        """A folder for each drift check."""
        return self.reports / "drift"

    @property
    def watched(self) -> Path:
        """What is known of watched data: a file for each study and reason to look."""
        return self.folder / "watch"

    @property
    def registry_database(self) -> Path:
        """The embedded database of MLflow; not used where servers of the home or MLFLOW_TRACKING_URI replace it."""
        return self.folder / "mlflow.db"

    @property
    def registry_artifacts(self) -> Path:
        """What the embedded MLflow keeps beside its database."""
        return self.folder / "mlartifacts"

    @property
    def registry_lock(self) -> Path:
        """The lock of whoever changes the registry or the audit log."""
        return self.folder / "registry.lock"

    @property
    def audit_log(self) -> Path:
        """One record a line, each with the hash of the record before."""
        return self.folder / "audit.jsonl"

    @property
    def audit_head(self) -> Path:
        """The last record of the audit log, kept a second time."""
        return self.folder / "audit.head.json"

    @property
    def locks(self) -> Path:
        """Locks of runs, servers and backups."""
        return self.folder / "locks"

    @property
    def run_lock(self) -> Path:
        """The lock of whoever trains in this home."""
        return self.locks / "run.json"

    @property
    def server_lock(self) -> Path:
        """The lock of whoever serves this home; its owner names the address."""
        return self.locks / "serve.json"

    @property
    def backup_lock(self) -> Path:
        """The lock of whoever backs this home up."""
        return self.locks / "backup.json"

    @property
    def backup_folder(self) -> Path:
        """What a backup in progress sets aside."""
        return self.locks / "backup"

    @property
    def stack(self) -> Path:
        """What the servers of the home keep (`xmed up`)."""
        return self.folder / "stack"

    @property
    def stack_file(self) -> Path:
        """The file that exists when the home has servers of its own (`xmed up`), and says where."""
        return self.stack / "stack.json"

    @property
    def prefect(self) -> Path:
        """What Prefect keeps by itself (PREFECT_HOME)."""
        return self.folder / "prefect"

    @property
    def prefect_database(self) -> Path:
        """The embedded database of Prefect."""
        return self.prefect / "prefect.db"

    @property
    def prefect_password(self) -> Path:
        """User and password of the Prefect server of this home."""
        return self.prefect / "password"

    @property
    def precision(self) -> Path:
        """Which precision is faster on this machine, for each network that was measured."""
        return self.folder / "precision.json"

    @property
    def logs(self) -> Path:
        """One file for each internal fault, and the logs of servers."""
        return self.folder / "logs"

    @property
    def prefect_log(self) -> Path:
        """The log of the Prefect server of this home."""
        return self.logs / "prefect-server.log"
