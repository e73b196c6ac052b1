"""What commands print about registered models: versions, decisions, exports, and the audit log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console

from xmed.console.printable import Cell, plain_table, print_line

if TYPE_CHECKING:  # light commands print without building a record
    from xmed.records.answers import AuditCheck, ExportedBundle, RefusedRegistration
    from xmed.records.audit_trail import AuditRecord
    from xmed.records.model_version import ListedVersion, VersionDecision, Withdrawal
    from xmed.records.run_state import RegisteredVersion

MODEL_COLUMNS = ("name", "version", "aliases", "verdict", "xmed.run", "weights_sha256")
RECORD_COLUMNS = ("seq", "at", "event", "model", "version", "alias", "by", "account", "meaning", "reasons")


def show_models(console: Console, versions: Sequence[ListedVersion]) -> None:
    """Print registered model versions.

    Args:
        console: Where to print.
        versions: The versions, as the registry lists them.
    """
    rows: list[dict[str, Cell]] = [
        {
            "name": version.name,
            "version": version.version,
            "aliases": version.aliases,
            "verdict": version.verdict,
            "xmed.run": version.run,
            "weights_sha256": (version.weights_sha256 or "")[:12],
        }
        for version in versions
    ]
    console.print(plain_table(rows, MODEL_COLUMNS) if rows else "no models yet")


def show_records(console: Console, records: Sequence[AuditRecord]) -> None:
    """Print records of the audit log.

    Args:
        console: Where to print.
        records: The records, oldest first.
    """
    rows: list[dict[str, Cell]] = [{name: getattr(record, name) for name in RECORD_COLUMNS} for record in records]
    console.print(plain_table(rows, RECORD_COLUMNS) if rows else "no records yet")


def show_registration(console: Console, answer: RegisteredVersion | RefusedRegistration) -> None:
    """Print the version that was registered, or why there is none.

    Args:
        console: Where to print.
        answer: What the registry answered.
    """
    from xmed.records.answers import RefusedRegistration

    if isinstance(answer, RefusedRegistration):
        print_line(console, f"refused: {answer.refused.what}")
    elif answer.version is None:
        print_line(console, f"nothing registered: {answer.not_registered}")
    else:
        alias = f"alias {answer.alias}" if answer.alias else f"not as candidate: {answer.not_promoted}"
        print_line(console, f"{answer.name} version {answer.version}, {alias}, verdict {answer.verdict}")


def show_decision(console: Console, decision: VersionDecision) -> None:
    """Print the alias that a version was given, or every reason why not.

    Args:
        console: Where to print.
        decision: What the registry answered.
    """
    version = f"{decision.name} version {decision.version}"
    if decision.approved:
        how = ", already" if decision.already else f", approved by {decision.by}"
        print_line(console, f"{version} holds {decision.alias}{how}")
    elif decision.declined:
        print_line(console, f"{version}: declined by {decision.by}, on record")
    else:
        print_line(console, f"{version} does not become {decision.alias}:")
        for reason in decision.refused:
            print_line(console, f"  {reason.text}")
            for line in reason.detail:
                print_line(console, f"    {line}")


def show_withdrawal(console: Console, withdrawal: Withdrawal) -> None:
    """Print the aliases that were taken away from a version.

    Args:
        console: Where to print.
        withdrawal: What the registry answered.
    """
    aliases = ", ".join(withdrawal.withdrawn) or "nothing, it held no such alias"
    print_line(console, f"{withdrawal.name} version {withdrawal.version}: withdrawn from {aliases}")


def show_export(console: Console, bundle: ExportedBundle) -> None:
    """Print where an exported bundle is, how far it agrees with xmed, and the commands that check it.

    Args:
        console: Where to print.
        bundle: The bundle.
    """
    print_line(console, bundle.folder)
    for line in (*bundle.differs, *bundle.check):
        print_line(console, f"  {line}")


def show_audit(console: Console, check: AuditCheck) -> None:
    """Print whether the audit log is whole, and what a log without a key cannot show.

    Args:
        console: Where to print.
        check: What was found in the log.
    """
    for line in check.problems:
        print_line(console, line)
    if check.ok:
        signed = "" if check.signed else "; without XMED_AUDIT_KEY signatures are neither made nor checked"
        print_line(console, f"{check.records} records, each continues the one before it{signed}")
