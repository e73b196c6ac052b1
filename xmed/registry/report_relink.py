"""Lets versions follow a report that people added text or ratings to; the change is recorded.

A report whose numbers changed is another report: its versions stay with the one that they were registered with, and the
gate refuses them.
"""

from __future__ import annotations

from pathlib import Path

from mlflow.entities.model_registry import ModelVersion

from xmed import report as reports
from xmed.errors import XmedError
from xmed.files.digest import file_digest
from xmed.records.model_version import RelinkedVersion
from xmed.registry import ledger
from xmed.registry.audit_state import CHANGED
from xmed.registry.registration import EVALUATION, USE, holder, versions_of
from xmed.registry.tracked_runs import RUN_TAG, write_run
from xmed.registry.tracking_store import client, is_there, registry_lock
from xmed.registry.version_evidence import REPORT
from xmed.run import Run


def unsigned(run: Run, home: Path, adds_answers: bool) -> None:
    """Check that no version of the run holds a clinical alias if the report would change.

    Args:
        run: The run.
        home: The home.
        adds_answers: Whether people add text or ratings; if not, the report may still be built again.

    Raises:
        XmedError: REPORT_SIGNED.
    """
    for entry in _versions(run, home):
        aliases = [alias for alias in (EVALUATION, USE) if holder(entry.name, alias, home) == int(entry.version)]
        if aliases and (adds_answers or reports.identity_now(run) != entry.tags.get("report_id")):
            raise XmedError(
                "REPORT_SIGNED",
                f"{entry.name} version {entry.version} holds {' and '.join(aliases)} by this report",
                "a report that nobody has signed",
                "withdraw the version first, or say it in the next one's report",
            )


def relink(run: Run, home: Path) -> list[RelinkedVersion]:
    """Bind the run's versions to its report as it is now, where only people's text or ratings are new in it.

    Each gets the new report's id and sha256 as tags, after an audit record of both. MLflow's run gets the report again.

    Args:
        run: The run.
        home: The home.

    Returns:
        What became of each version that was registered with another report.
    """
    if not _versions(run, home):
        return []
    report = reports.read_report(run.report)
    relinked: list[RelinkedVersion] = []
    with registry_lock(home):
        ledger.check_owner(home, run.study.register_as)
        for entry in _versions(run, home):
            if entry.tags.get("report_id") == report.report_id:
                continue
            follows = entry.tags.get("findings_sha256") == reports.numbers_digest(report)
            relinked.append(
                RelinkedVersion(
                    name=entry.name,
                    version=int(entry.version),
                    relinked=follows,
                    record=_move_tags(run, entry, report.report_id, home) if follows else None,
                )
            )
        if any(version.relinked for version in relinked):
            write_run(run, home)
    return relinked


def _move_tags(run: Run, entry: ModelVersion, report_id: str, home: Path) -> str:
    """Make a version's tags name the report as it is now; returns the sha256 of the audit record."""
    new_tags = {"report_id": report_id, "report_sha256": file_digest(run.report / REPORT)}
    hashes = {key: value for key, value in sorted(entry.tags.items()) if ledger.is_hash(key)} | new_tags
    before = entry.tags["report_id"]
    record = ledger.record(home, CHANGED, entry.name, int(entry.version), run=run.id, before=before, hashes=hashes)
    for key, value in new_tags.items():  # after its record, never before
        client(home).set_model_version_tag(entry.name, entry.version, key, value)
    return record.sha256


def _versions(run: Run, home: Path) -> list[ModelVersion]:
    """The registered versions that a run made."""
    versions = versions_of(run.study.register_as, home) if is_there(home) else []
    return [entry for entry in versions if entry.tags.get(RUN_TAG) == run.id]
