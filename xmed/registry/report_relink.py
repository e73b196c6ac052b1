"""Lets versions follow a report that people added text or ratings to; the change is recorded.

A report whose numbers changed is another report: its versions stay with the one that they were registered with, and the
gate refuses them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mlflow.entities.model_registry import ModelVersion

from xmed import report as reports
from xmed.errors import XmedError
from xmed.files.digest import file_digest
from xmed.registry import ledger
from xmed.registry.registration import EVALUATION, USE, holder, versions_of
from xmed.registry.tracked_runs import RUN_TAG, write_run
from xmed.registry.tracking_store import client, is_there, registry_lock
from xmed.registry.version_evidence import REPORT
from xmed.run import Run

EVENT = "report changed"


def unsigned(run: Run, home: Path, told: bool) -> None:
    """Check that no version of the run holds a clinical alias if the report would change.

    Args:
        run: The run.
        home: The home.
        told: Whether people add something new; if not, the report may still be built again.

    Raises:
        XmedError: REPORT_SIGNED.
    """
    for entry in _versions(run, home):
        held = [alias for alias in (EVALUATION, USE) if holder(entry.name, alias, home) == int(entry.version)]
        if held and (told or reports.identity_now(run) != entry.tags.get("report_id")):
            raise XmedError(
                "REPORT_SIGNED",
                f"{entry.name} version {entry.version} holds {' and '.join(held)} by this report",
                "a report that nobody has signed",
                "withdraw the version first, or say it in the next one's report",
            )


def relink(run: Run, home: Path) -> list[dict[str, Any]]:
    """Bind the run's versions to its report as it is now, where only what people said is new.

    Each gets the new report's id and sha256 as tags, after an audit record of both. MLflow's run gets the report again.

    Returns:
        name, version and relinked (whether it follows) of each version.
    """
    if not _versions(run, home):
        return []
    report = reports.read_report(run.report)
    said = []
    with registry_lock(home):
        ledger.ours(home, run.study.register_as)
        for entry in _versions(run, home):
            if entry.tags.get("report_id") == report.report_id:
                continue
            row = {"name": entry.name, "version": int(entry.version), "relinked": False, "record": None}
            if entry.tags.get("findings_sha256") == reports.numbers_digest(report):
                new = {"report_id": report.report_id, "report_sha256": file_digest(run.report / REPORT)}
                hashes = {key: value for key, value in sorted(entry.tags.items()) if ledger.is_hash(key)} | new
                facts: dict[str, Any] = {"run": run.id, "before": entry.tags["report_id"], "hashes": hashes}
                made = ledger.record(home, EVENT, entry.name, int(entry.version), **facts)
                for key, value in new.items():  # after its record, never before
                    client(home).set_model_version_tag(entry.name, entry.version, key, value)
                row |= {"relinked": True, "record": made["sha256"]}
            said.append(row)
        if any(row["relinked"] for row in said):
            write_run(run, home)
    return said


def _versions(run: Run, home: Path) -> list[ModelVersion]:
    found = versions_of(run.study.register_as, home) if is_there(home) else []
    return [entry for entry in found if entry.tags.get(RUN_TAG) == run.id]
