"""Quarantine: one record for each refused case, with its code, for as long as it is refused."""

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
    """The records of one dataset, by case. The files stay where they are: a clinical archive is not ours to move.

    Their paths are not recorded, for they may name people; the case id and the spec's layout lead to them.
    """

    folder: Path

    def hold(self, refusal: QuarantinedCase) -> None:
        """Record a refusal; `since` keeps the time at which this very refusal was first seen."""
        record = asdict(refusal)
        path = self._record(refusal.case)
        try:
            held = mapping(read_json(path), path.name)
            if {key: held.get(key) for key in record} == record:
                return
        except (OSError, XmedError):
            pass  # none yet, or an unreadable one: written anew
        record["since"] = datetime.now(UTC).isoformat(timespec="seconds")
        with naming_disk_errors(self.folder):
            write_atomically(path, json.dumps(record, indent=1) + "\n")

    def release(self, case: str) -> None:
        """Forget a case that has become good."""
        with naming_disk_errors(self.folder):
            self._record(case).unlink(missing_ok=True)

    def keep_only(self, cases: Collection[str]) -> None:
        """Forget every case but these: the others are gone from the dataset."""
        kept = {self._record(case) for case in cases}
        with naming_disk_errors(self.folder):
            for path in self.folder.glob("*.json"):
                if path not in kept:
                    path.unlink(missing_ok=True)

    def _record(self, case: str) -> Path:
        """Where the record of a case lies: under its id, or a digest of it where that is no name for a file."""
        plain = case.isprintable() and not case.startswith(".") and "/" not in case and "\\" not in case
        if not (plain and case and len(os.fsencode(case)) <= LONGEST_ID):
            case = f"case-{hashlib.sha256(os.fsencode(case)).hexdigest()[:16]}"
        return self.folder / f"{case}.json"
