"""What `xmed methods` prints: adaptation methods, compositions of them, and the baselines of every table."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from xmed import methods
from xmed.console.printable import print_line


def method_rows() -> list[dict[str, str]]:
    """List every method and baseline, without loading torch.

    Returns:
        For each: kind, name, does (one sentence) and cite (the paper).
    """
    facts = {name: methods.facts(name) for name in methods.names()}
    rows = [_row("method", name, fact.does, fact.cite) for name, fact in facts.items()]
    rows += [_row("made of others", name, fact.does, fact.cite) for name, fact in methods.COMPOSITIONS.items()]
    rows += [_row("in every table", name, does, cite) for name, (does, cite) in methods.BASELINES.items()]
    return rows


def show_methods(console: Console, rows: Sequence[dict[str, str]]) -> None:
    """Print one unfolded line per method, and a heading where the kind changes.

    Args:
        console: Where to print.
        rows: What `method_rows` returned.
    """
    width, kind = max(len(row["name"]) for row in rows), rows[0]["kind"]
    for row in rows:
        if row["kind"] != kind:
            kind = row["kind"]
            console.print(f"\n{kind}:")
        print_line(console, f"{row['name']:<{width}}  {row['does']} {row['cite']}")


def _row(kind: str, name: str, does: str, cite: str) -> dict[str, str]:
    return {"kind": kind, "name": name, "does": does, "cite": cite}
