"""What commands print about decisions on a model: registered, approved, withdrawn, exported, on record."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from xmed.console.printable import print_line


def show_registration(console: Console, document: dict[str, Any]) -> None:
    """Print the version that was registered, or why there is none."""
    if "refused" in document:
        print_line(console, f"refused: {document['refused']['what']}")
    elif document["version"] is None:
        print_line(console, f"nothing registered: {document['not_registered']}")
    else:
        is_candidate = document["alias"]
        alias = f"alias {is_candidate}" if is_candidate else f"not as candidate: {document.get('not_promoted')}"
        version = f"{document['name']} version {document['version']}"
        print_line(console, f"{version}, {alias}, verdict {document['verdict']}")


def show_decision(console: Console, document: dict[str, Any]) -> None:
    """Print the alias that a version was given, or every reason why not."""
    version = f"{document['name']} version {document['version']}"
    if document["approved"]:
        how = ", already" if document.get("already") else f", approved by {document['by']}"
        print_line(console, f"{version} holds {document['alias']}{how}")
    elif document.get("declined"):
        print_line(console, f"{version}: declined by {document['by']}, on record")
    else:
        print_line(console, f"{version} does not become {document['alias']}:")
        for reason in document["refused"]:
            print_line(console, f"  {reason['text']}")
            for line in reason["detail"]:
                print_line(console, f"    {line}")


def show_withdrawal(console: Console, name: str, version: int, document: dict[str, Any]) -> None:
    """Print the aliases that were taken away from a version."""
    aliases = ", ".join(document["withdrawn"]) or "nothing, it held no such alias"
    print_line(console, f"{name} version {version}: withdrawn from {aliases}")


def show_export(console: Console, document: dict[str, Any]) -> None:
    """Print where an exported bundle is, how far it agrees with xmed, and the commands that check it."""
    print_line(console, document["folder"])
    for line in (*document["differs"], *document["check"]):
        print_line(console, f"  {line}")


def show_audit(console: Console, document: dict[str, Any]) -> None:
    """Print whether the audit log is whole, and what a log without a key cannot show."""
    for line in document["problems"]:
        print_line(console, line)
    if document["ok"]:
        signed = "" if document["signed"] else "; without XMED_AUDIT_KEY signatures are neither made nor checked"
        print_line(console, f"{document['records']} records, each continues the one before it{signed}")
