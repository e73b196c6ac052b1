"""Commands that check and show the audit log."""

from __future__ import annotations

from typing import Annotated

import typer

from xmed.cli.command import DONE, NO, Answer

HELP = "The audit log: every step of every model, in one chain of records."


def audit_verify_command() -> Answer:
    """Check that no record of the audit log was edited, dropped, moved or cut off. Exit code 1: one was.

    Example: xmed audit verify
    """
    from xmed.console.decisions import show_audit
    from xmed.records.answers import AuditCheck
    from xmed.registry import audit_log, verify_audit
    from xmed.run import home

    problems, records = verify_audit(home()), len(audit_log.records(home()))
    check = AuditCheck(ok=not problems, records=records, problems=problems, signed=audit_log.has_key())
    return Answer(check, lambda console: show_audit(console, check), DONE if check.ok else NO)


def audit_show_command(
    model: Annotated[
        str | None, typer.Argument(help="Show the records of this model only.", show_default=False)
    ] = None,
) -> Answer:
    """Show who did what, when, with which checksums: the records, oldest first.

    Example: xmed audit show NAME
    """
    from xmed.console.decisions import show_records
    from xmed.registry import audit_log
    from xmed.run import home

    records = [record for record in audit_log.records(home()) if model in (None, record.model)]
    return Answer(records, lambda console: show_records(console, records))


COMMANDS = {"verify": audit_verify_command, "show": audit_show_command}
