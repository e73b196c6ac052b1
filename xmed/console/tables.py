"""Tables that commands print for a person to read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from xmed.console.printable import escape_line, print_line
from xmed.run import ARMS

GOOD, BAD, OPEN = "green", "red", "yellow"
VERDICT_COLOURS = {"pass": GOOD, "fail": BAD, "inconclusive": OPEN}
"""Verdicts of a report."""
DRIFT_COLOURS = {"alarm": BAD, "no_alarm": GOOD, "undecided": OPEN}
"""Verdicts of a drift check."""
NOTHING = "–"
MODEL_COLUMNS = ("name", "version", "aliases", "verdict", "xmed.run", "weights_sha256")
RECORD_COLUMNS = ("seq", "at", "event", "model", "version", "alias", "by", "account", "meaning", "reasons")
SCHEDULE_COLUMNS = ("study", "schedule", "timezone", "active", "next", "last", "last_at", "last_said")


def plain_table(rows: Sequence[dict[str, Any]], columns: Sequence[str], title: str | None = None) -> Table:
    """Make a table of plain values; a value that a row lacks stays empty."""
    grid = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for name in columns:
        grid.add_column(name.replace("_", " "), overflow="fold")
    for row in rows:
        grid.add_row(*(Text(escape_line(_format_value(row.get(name)))) for name in columns))
    return grid


def show_models(console: Console, rows: Sequence[dict[str, Any]]) -> None:
    """Print registered model versions."""
    short = [{**row, "weights_sha256": str(row.get("weights_sha256", ""))[:12]} for row in rows]
    console.print(plain_table(short, MODEL_COLUMNS) if rows else "no models yet")


def show_records(console: Console, rows: Sequence[dict[str, Any]]) -> None:
    """Print records of the audit log."""
    console.print(plain_table(rows, RECORD_COLUMNS) if rows else "no records yet")


def show_schedules(console: Console, rows: Sequence[dict[str, Any]]) -> None:
    """Print schedules with their next and last run."""
    console.print(plain_table(rows, SCHEDULE_COLUMNS) if rows else "nothing is scheduled")


def show_servers(console: Console, document: dict[str, Any]) -> None:
    """Print where the servers of `xmed up` answer, and who may log in."""
    for name in ("prefect", "mlflow"):
        server = document[name]
        print_line(console, f"{name:9}{server['url']}   user {server['user']}, password in {server['password']}")
    postgres = document["postgres"]
    print_line(console, f"postgres {postgres['address']}   data in {postgres['data']}")
    print_line(console, f"logs     {document['logs']}")
    if document["embedded"]:
        print_line(
            console, f"What was registered before stays in {document['embedded']}: MLFLOW_TRACKING_URI may name it"
        )


def show_result(console: Console, result: dict[str, Any], report: dict[str, Any]) -> None:
    """Print a finished run: Dice of every arm and structure, the two main numbers, the verdict, where things are.

    Args:
        console: Where to print.
        result: What the flow `adapt` returned.
        report: The run's report.json.
    """
    show_dice(console, report)
    registered = result["registered"]
    _show_verdict(console, report)
    if registered["version"] is None:
        console.print("registered  nothing")
    else:
        alias = f"alias {registered['alias']}" if registered["alias"] else "not as candidate"
        console.print(f"registered  {registered['name']} version {registered['version']}, {alias}")
    if reason := registered.get("not_registered") or registered.get("not_promoted"):
        print_line(console, f"selection   {reason}")
    _show_places(console, result)


def show_validation(console: Console, result: dict[str, Any], report: dict[str, Any]) -> None:
    """Print an external validation: Dice, the verdict with its reasons, where things are."""
    show_dice(console, report)
    _show_verdict(console, report)
    _show_places(console, result)


def _show_places(console: Console, result: dict[str, Any]) -> None:
    console.print(f"run         {result['run']}")
    console.print(f"report      {result['report']}", soft_wrap=True, highlight=False)


def _show_verdict(console: Console, report: dict[str, Any]) -> None:
    """The verdict, and which criterion was not met or cannot be judged."""
    verdict = report["verdict"]
    console.print(Text.assemble("verdict     ", (verdict, f"bold {VERDICT_COLOURS.get(verdict, '')}")))
    for reason in report.get("banner", {}).get("reasons", ()):
        print_line(console, f"            {reason}")


def show_dice(console: Console, report: dict[str, Any]) -> None:
    """Print the Dice of every arm and structure with its interval, gap closed, and gain over trivial."""
    summary = report["summary"]
    arms = [arm for arm in ARMS if summary.get(arm)]
    structures = sorted({name for arm in arms for name in summary[arm]}, key=_study_order(report))
    console.print("\nDice on the target's test patients: mean, 95 % interval", highlight=False)
    grid = Table(header_style="bold")
    grid.add_column("")
    for structure in structures:
        grid.add_column(structure, justify="right")
    for arm in arms:
        cells = [_format_dice(summary[arm].get(structure)) for structure in structures]
        grid.add_row(arm.replace("_", " "), *cells, end_section=arm == arms[-1])
    for key, form in (("gap_closed", ".2f"), ("gain_over_trivial", "+.2f")):
        values = summary.get(key) or {}
        cells = [_format_number(values.get(structure), form) for structure in structures]
        grid.add_row(key.replace("_", " "), *cells)
    console.print(grid)


def show_comparison(console: Console, result: dict[str, Any], document: dict[str, Any]) -> None:
    """Print a finished comparison: a ranked table for each structure, what failed, the conclusion, where things are.

    Args:
        console: Where to print.
        result: What the flow `compare` returned.
        document: comparison.json.
    """
    for structure in document["structures"]:
        console.print(_ranking_table(document, structure))
    for failure in document["failed"]:
        line = f"failed      {failure['method']} seed {failure['seed']}: {failure['message']}"
        console.print(line, markup=False, soft_wrap=True)
    for sentence in document["verdict"]:
        console.print(sentence, markup=False, highlight=False)
    console.print(f"comparison  {result['run']}")
    console.print(f"page        {result['page']}", soft_wrap=True, highlight=False)


def _ranking_table(document: dict[str, Any], structure: str) -> Table:
    title = f"\n{structure}: Dice on {document['patients']} test patients, 95 % interval"
    grid = Table(header_style="bold", title=title)
    grid.title_justify = "left"
    for name in ("rank", "method", "Dice", "gap closed", "over source only", "p (Holm)", "over trivial", "seconds"):
        grid.add_column(name, justify="left" if name == "method" else "right")
    for row in document["ranking"][structure]:
        over_source = row["minus_source_only"] or {}
        grid.add_row(
            "labels" if row["target_labels_used"] else _format_rank(row["rank"]),
            row["method"],
            _format_dice(row),
            _format_number(row["gap_closed"]["value"], ".0%"),
            _format_number(over_source.get("value"), "+z.3f"),
            _format_number(over_source.get("p_holm"), ".3f"),
            _format_number(row["gain_over_trivial"]["value"], "+z.3f"),
            f"{row['seconds']:.0f}",
        )
    for row in document["baselines"]:
        if row["structure"] == structure:
            grid.add_row("", row["method"], _format_dice(row), *[""] * 5)
    return grid


def show_cohort(console: Console, document: dict[str, Any], has_crosswalk: bool = False) -> None:
    """Print what an ingest read: the number of cases, quarantined cases with the reason, and what was corrected.

    Args:
        console: Where to print.
        document: What `xmed.cohort.describe_cohort` returned.
        has_crosswalk: Whether pseudonyms may stand for cases, which a crosswalk can name.
    """
    flow = ", ".join(f"{value} {key}" for key, value in document["flow"].items())
    console.print(f"{document['name']} ({document['modality']}): {flow}")
    console.print(f"fingerprint {document['fingerprint'][:16]}")
    if document["quarantined"]:
        columns = ("case", "patient", "split", "code", "message")
        console.print(plain_table(document["quarantined"], columns, "in quarantine"))
        if has_crosswalk:
            console.print("`xmed deidentify --crosswalk` says which case and patient a pseudonym stands for.")
    notes = [{"case": case["case"], **note} for case in document.get("cases", ()) for note in case.get("notes", ())]
    if notes:
        console.print(plain_table(notes, ("case", "code", "text"), "put right"))


def show_drift(console: Console, document: dict[str, Any], page: str) -> None:
    """Print a drift check: the groups of measurements, the verdict with its reason, the Dice to expect, the rule.

    Args:
        console: Where to print.
        document: drift.json.
        page: Path of the page that shows it.
    """
    rows = [{**group, "changed": "changed" if group["changed"] else ""} for group in document["groups"]]
    console.print(plain_table(rows, ("id", "mmd2", "p", "p_adjusted", "changed")))
    verdict = document["verdict"]
    console.print(Text.assemble("verdict     ", (verdict.replace("_", " "), f"bold {DRIFT_COLOURS[verdict]}")))
    unreadable = document["unreadable"]
    codes = ", ".join(f"{code} {count}" for code, count in unreadable["by_code"].items())
    count = f"{unreadable['n']} of {unreadable['of']}" + (f": {codes}" if codes else "")
    lines = [("", document["reason"]), ("", document["do"]), ("unreadable", count)]
    lines += [("expected", _expected_dice(name, entry)) for name, entry in document["estimate"].items()]
    lines += [("rule", document["rule"]["text"]), ("report", page)]
    for name, text in lines:
        print_line(console, f"{name:<11} {text}")


def _expected_dice(structure: str, entry: dict[str, Any]) -> str:
    half = f"± {entry['half_width']:.2f} for one patient" if entry["half_width"] is not None else entry["reason"]
    mean = "none" if entry["mean"] is None else f"{entry['mean']:.2f}, {half}"
    return f"Dice of {structure} {mean}" + (f"; {entry['warning']}" if entry["warning"] else "")


def show_lines(console: Console, lines: Sequence[str]) -> None:
    """Print lines of text."""
    for line in lines:
        console.print(line, markup=False, highlight=False)


def show_checks(console: Console, checks: Sequence[dict[str, Any]]) -> None:
    """Print what `xmed doctor` checked, one line each."""
    for check in checks:
        mark = Text("ok   ", GOOD) if check["ok"] else Text("wrong", BAD)
        console.print(mark, f"{check['name']:<12}", end=" ")
        print_line(console, check["detail"])


def _study_order(report: dict[str, Any]) -> Callable[[str], tuple[int, str]]:
    """A sort key: structures in the study's order, others after them by name."""
    study = report.get("study")
    named = list(study.get("structures", [])) if isinstance(study, dict) else []
    return lambda name: (named.index(name) if name in named else len(named), name)


def _format_dice(metrics: dict[str, Any] | None) -> str:
    dice = (metrics or {}).get("dice") or {}
    if dice.get("mean") is None:
        has_no_reference = dice.get("n_cases") and not dice.get("n")
        return f"{NOTHING} ({dice['reason']})" if has_no_reference and dice.get("reason") else NOTHING
    low, high = dice.get("ci") or (None, None)
    interval = "" if low is None or high is None else f" ({low:.2f}–{high:.2f})"
    return f"{dice['mean']:.3f}{interval}"


def _format_rank(rank: dict[str, Any] | None) -> str:
    """Such as `1 (1–3)`: the rank, and the ranks that 95 % of the resamples of patients give."""
    if rank is None:
        return NOTHING
    return f"{rank['value']}" + (f" ({rank['ci'][0]}–{rank['ci'][1]})" if rank["ci"] else "")


def _format_number(value: Any, form: str) -> str:
    return format(value, form) if isinstance(value, int | float) else NOTHING


def _format_value(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list | tuple):
        if value and not isinstance(value[0], str):
            return " × ".join(_format_value(item) for item in value)
        return ", ".join(value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)
