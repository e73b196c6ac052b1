"""Tables: what the commands show to a person."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from xmed.console.printable import one_line
from xmed.run import ARMS

GOOD, BAD = "green", "red"
VERDICT = {"pass": GOOD, "fail": BAD, "inconclusive": "yellow"}
VERDICTS = {"alarm": BAD, "no_alarm": GOOD, "undecided": "yellow"}
"""Of a report, and of a drift check, by colour."""


def table(rows: Sequence[dict[str, Any]], columns: Sequence[str], title: str | None = None) -> Table:
    """Rows of plain values under the named columns; what is missing stays empty."""
    grid = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for name in columns:
        grid.add_column(name.replace("_", " "), overflow="fold")
    for row in rows:
        grid.add_row(*(Text(one_line(_plain(row.get(name)))) for name in columns))
    return grid


def show_result(console: Console, result: dict[str, Any], report: dict[str, Any]) -> None:
    """A finished run: Dice of every arm and structure with its interval, the two headline numbers, where things are."""
    show_dice(console, report)
    registered = result["registered"]
    _show_verdict(console, report)
    if registered["version"] is None:
        console.print("registered  nothing")
    else:
        alias = f"alias {registered['alias']}" if registered["alias"] else "not as candidate"
        console.print(f"registered  {registered['name']} version {registered['version']}, {alias}")
    if why := registered.get("not_registered") or registered.get("not_promoted"):
        console.print(f"selection   {why}", markup=False, soft_wrap=True, highlight=False)
    console.print(f"run         {result['run']}")
    console.print(f"report      {result['report']}", soft_wrap=True, highlight=False)


def show_validation(console: Console, result: dict[str, Any], report: dict[str, Any]) -> None:
    """A model validated elsewhere: its Dice, the verdict and why, where things are."""
    show_dice(console, report)
    _show_verdict(console, report)
    console.print(f"run         {result['run']}")
    console.print(f"report      {result['report']}", soft_wrap=True, highlight=False)


def _show_verdict(console: Console, report: dict[str, Any]) -> None:
    """The verdict, and why: which criterion was not met or cannot be judged."""
    verdict = report["verdict"]
    console.print(Text.assemble("verdict     ", (verdict, f"bold {VERDICT.get(verdict, '')}")))
    for reason in report.get("banner", {}).get("reasons", ()):
        console.print(f"            {reason}", markup=False, highlight=False, soft_wrap=True)


def show_dice(console: Console, report: dict[str, Any]) -> None:
    """Dice of every arm and structure with its interval, and the two headline numbers."""
    summary = report["summary"]
    arms = [arm for arm in ARMS if summary.get(arm)]
    structures = sorted({name for arm in arms for name in summary[arm]}, key=_order(report))
    console.print("\nDice on the target's test patients: mean, 95 % interval", highlight=False)
    grid = Table(header_style="bold")
    grid.add_column("")
    for structure in structures:
        grid.add_column(structure, justify="right")
    for arm in arms:
        grid.add_row(
            arm.replace("_", " "), *(_dice(summary[arm].get(s)) for s in structures), end_section=arm == arms[-1]
        )
    for key in ("gap_closed", "gain_over_trivial"):
        values = summary.get(key) or {}
        grid.add_row(
            key.replace("_", " "), *(_number(values.get(s), "+.2f" if "gain" in key else ".2f") for s in structures)
        )
    console.print(grid)


def show_comparison(console: Console, result: dict[str, Any], found: dict[str, Any]) -> None:
    """A finished comparison: one line per method, best first, for each structure; what it means; where things are."""
    for structure in found["structures"]:
        grid = Table(
            header_style="bold", title=f"\n{structure}: Dice on {found['patients']} test patients, 95 % interval"
        )
        grid.title_justify = "left"
        for name in ("rank", "method", "Dice", "gap closed", "over source only", "p (Holm)", "over trivial", "seconds"):
            grid.add_column(name, justify="left" if name == "method" else "right")
        for one in found["ranking"][structure]:
            place, gain = one["rank"], one["minus_source_only"] or {}
            rank = "labels" if one["target_labels_used"] else _rank(place)
            numbers = (_number(gain.get("value"), "+z.3f"), _number(gain.get("p_holm"), ".3f"))
            last = _number(one["gain_over_trivial"]["value"], "+z.3f"), f"{one['seconds']:.0f}"
            grid.add_row(rank, one["method"], _dice(one), _number(one["gap_closed"]["value"], ".0%"), *numbers, *last)
        for one in (one for one in found["baselines"] if one["structure"] == structure):
            grid.add_row("", one["method"], _dice(one), *[""] * 5)
        console.print(grid)
    for one in found["failed"]:
        console.print(f"failed      {one['method']} seed {one['seed']}: {one['message']}", markup=False, soft_wrap=True)
    for sentence in found["verdict"]:
        console.print(sentence, markup=False, highlight=False)
    console.print(f"comparison  {result['run']}")
    console.print(f"page        {result['page']}", soft_wrap=True, highlight=False)


def show_cohort(console: Console, found: dict[str, Any], hidden: bool = False) -> None:
    """What an ingest found: the flow of cases, and why the quarantined ones are.

    hidden: pseudonyms may stand for cases, and a crosswalk says for which.
    """
    flow = ", ".join(f"{value} {key}" for key, value in found["flow"].items())
    console.print(f"{found['name']} ({found['modality']}): {flow}")
    console.print(f"fingerprint {found['fingerprint'][:16]}")
    if found["quarantined"]:
        console.print(table(found["quarantined"], ("case", "patient", "split", "code", "message"), "in quarantine"))
        if hidden:
            console.print("`xmed deidentify --crosswalk` says which case and patient a pseudonym stands for.")
    repaired = [{"case": case["case"], **note} for case in found.get("cases", ()) for note in case.get("notes", ())]
    if repaired:
        console.print(table(repaired, ("case", "code", "text"), "put right"))


def show_methods(console: Console, rows: Sequence[dict[str, str]]) -> None:
    """One line per method, however long: name, what it does, citation; a heading where the kind changes."""
    width, kind = max(len(row["name"]) for row in rows), rows[0]["kind"]
    for row in rows:
        if row["kind"] != kind:
            kind = row["kind"]
            console.print(f"\n{kind}:")
        line = f"{row['name']:<{width}}  {row['does']} {row['cite']}"
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def show_drift(console: Console, found: dict[str, Any], page: str) -> None:
    """The groups, the verdict and why, what was refused, what is expected of the model, the rule, where the page is."""
    rows: Sequence[dict[str, Any]] = [
        {**one, "changed": "changed" if one["changed"] else ""} for one in found["groups"]
    ]
    console.print(table(rows, ("id", "mmd2", "p", "p_adjusted", "changed")))
    verdict = found["verdict"]
    console.print(Text.assemble("verdict     ", (verdict.replace("_", " "), f"bold {VERDICTS[verdict]}")))
    lines = [("", found["reason"]), ("", found["do"])]
    codes = ", ".join(f"{code} {n}" for code, n in found["unreadable"]["by_code"].items())
    unread = f"{found['unreadable']['n']} of {found['unreadable']['of']}"
    lines.append(("unreadable", unread + (f": {codes}" if codes else "")))
    for name, one in found["estimate"].items():
        half = f"± {one['half_width']:.2f} for one patient" if one["half_width"] is not None else one["reason"]
        mean = "none" if one["mean"] is None else f"{one['mean']:.2f}, {half}"
        lines.append(("expected", f"Dice of {name} {mean}" + (f"; {one['warning']}" if one["warning"] else "")))
    lines += [("rule", found["rule"]["text"]), ("report", page)]
    for what, text in lines:
        console.print(f"{what:<11} {text}", markup=False, highlight=False, soft_wrap=True)


def show_lines(console: Console, lines: Sequence[str]) -> None:
    """Text, line by line."""
    for line in lines:
        console.print(line, markup=False, highlight=False)


def show_checks(console: Console, checks: Sequence[dict[str, Any]]) -> None:
    """The doctor's findings, one line each."""
    for check in checks:
        mark = Text("ok   ", GOOD) if check["ok"] else Text("wrong", BAD)
        console.print(mark, f"{check['name']:<12}", end=" ")
        console.print(check["detail"], markup=False, highlight=False, soft_wrap=True)


def _order(report: dict[str, Any]) -> Any:
    study = report.get("study")
    named = list(study.get("structures", [])) if isinstance(study, dict) else []
    return lambda name: (named.index(name) if name in named else len(named), name)


def _dice(metrics: dict[str, Any] | None) -> str:
    dice = (metrics or {}).get("dice") or {}
    if dice.get("mean") is None:
        nobody = dice.get("n_cases") and not dice.get("n")
        return f"– ({dice['reason']})" if nobody and dice.get("reason") else "–"
    low, high = dice.get("ci") or (None, None)
    interval = "" if low is None or high is None else f" ({low:.2f}–{high:.2f})"
    return f"{dice['mean']:.3f}{interval}"


def _rank(place: dict[str, Any] | None) -> str:
    """1 (1–3): the rank, and where 95 % of the resamples of patients have it."""
    if place is None:
        return "–"
    return f"{place['value']}" + (f" ({place['ci'][0]}–{place['ci'][1]})" if place["ci"] else "")


def _number(value: Any, form: str) -> str:
    return format(value, form) if isinstance(value, int | float) else "–"


def _plain(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list | tuple):
        return " × ".join(_plain(one) for one in value) if value and not isinstance(value[0], str) else ", ".join(value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)
