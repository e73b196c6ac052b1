"""Quarantine: one record for each refused case, with its error code, as long as the case is refused."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from xmed.cohort.case import QuarantinedCase
from xmed.cohort.store import naming_disk_errors
from xmed.errors import XmedError
from xmed.files.atomic import write_atomically
from xmed.files.documents import mapping, read_json

LONGEST_ID = 150
"""Bytes of a case id that is used as a file name."""


@dataclass(frozen=True)
class Quarantine:
    """The quarantine records of one dataset, by case.

    The refused files are not moved. Their paths are not recorded because they may contain names of patients; the case
    id and the spec's layout lead to them.
    """

    folder: Path

    def hold(self, refused: QuarantinedCase) -> None:
        """Record a refused case; `since` keeps the time at which this code and message were first recorded.

        Raises:
            XmedError: DISK_FULL, NOT_WRITABLE.
        """
        record = asdict(refused)
        path = self._record(refused.case)
        try:
            previous = mapping(read_json(path), path.name)
            if {key: previous.get(key) for key in record} == record:
                return
        except (OSError, XmedError):
            pass  # none yet, or an unreadable one: written anew
        record["since"] = datetime.now(UTC).isoformat(timespec="seconds")
        with naming_disk_errors(self.folder):
            write_atomically(path, json.dumps(record, indent=1) + "\n")

    def release(self, case: str) -> None:
        """Remove the record of a case that can be read now."""
        with naming_disk_errors(self.folder):
            self._record(case).unlink(missing_ok=True)

    def keep_only(self, cases: Collection[str]) -> None:
        """Remove the records of all cases but these: the others are no longer in the dataset."""
        current = {self._record(case) for case in cases}
        with naming_disk_errors(self.folder):
            for path in self.folder.glob("*.json"):
                if path not in current:
                    path.unlink(missing_ok=True)

    def _record(self, case: str) -> Path:
        """The path of a case's record: its id, or a digest of it where the id cannot be a file name."""
        plain = case.isprintable() and not case.startswith(".") and "/" not in case and "\\" not in case
        if not (plain and case and len(os.fsencode(case)) <= LONGEST_ID):
            case = f"case-{hashlib.sha256(os.fsencode(case)).hexdigest()[:16]}"
        return self.folder / f"{case}.json"
