"""What commands print about runs: reports, comparisons, ingested datasets and drift checks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from xmed.console.printable import Cell, plain_table, print_line
from xmed.run import ARMS

if TYPE_CHECKING:  # light commands print without building a record
    from xmed.records.answers import AdaptedRun, ComparedRun, ValidatedRun
    from xmed.records.data_summary import CohortSummary
    from xmed.records.drift import DiceExpectation, DriftCheck
    from xmed.records.method_comparison import DiceStatistic, MethodComparison, MethodRank
    from xmed.records.report_cases import MetricStatistic
    from xmed.records.report_results import ResultSummary, StatisticsByStructure
    from xmed.records.validation_report import Report

GOOD, BAD, OPEN = "green", "red", "yellow"
VERDICT_COLOURS = {"pass": GOOD, "fail": BAD, "inconclusive": OPEN}
"""Verdicts of a report."""
DRIFT_COLOURS = {"alarm": BAD, "no_alarm": GOOD, "undecided": OPEN}
"""Verdicts of a drift check."""
NOTHING = "–"


def show_result(console: Console, result: AdaptedRun, report: Report) -> None:
    """Print a finished run: Dice of every arm and structure, the two main numbers, the verdict, where things are.

    Args:
        console: Where to print.
        result: What the flow `adapt` returned.
        report: The run's report.json.
    """
    show_dice(console, report)
    registered = result.registered
    _show_verdict(console, report)
    if registered.version is None:
        console.print("registered  nothing")
    else:
        alias = f"alias {registered.alias}" if registered.alias else "not as candidate"
        console.print(f"registered  {registered.name} version {registered.version}, {alias}")
    if reason := registered.not_registered or registered.not_promoted:
        print_line(console, f"selection   {reason}")
    _show_places(console, result)


def show_validation(console: Console, result: ValidatedRun, report: Report) -> None:
    """Print an external validation: Dice, the verdict with its reasons, where things are.

    Args:
        console: Where to print.
        result: What the flow `validate` returned.
        report: The run's report.json.
    """
    show_dice(console, report)
    _show_verdict(console, report)
    _show_places(console, result)


def _show_places(console: Console, result: AdaptedRun | ValidatedRun) -> None:
    console.print(f"run         {result.run}")
    console.print(f"report      {result.report}", soft_wrap=True, highlight=False)


def _show_verdict(console: Console, report: Report) -> None:
    """The verdict, and which criterion was not met or cannot be judged."""
    verdict = report.verdict
    console.print(Text.assemble("verdict     ", (verdict, f"bold {VERDICT_COLOURS.get(verdict, '')}")))
    for reason in report.banner.reasons if report.banner else ():
        print_line(console, f"            {reason}")


def show_dice(console: Console, report: Report) -> None:
    """Print the Dice of every arm and structure with its interval, gap closed, and gain over trivial.

    Args:
        console: Where to print.
        report: A report.json.
    """
    summary = report.summary
    arms = [arm for arm in ARMS if _arm_of(summary, arm)]
    structures = sorted({name for arm in arms for name in _arm_of(summary, arm)}, key=_study_order(report))
    console.print("\nDice on the target's test patients: mean, 95 % interval", highlight=False)
    grid = Table(header_style="bold")
    grid.add_column("")
    for structure in structures:
        grid.add_column(structure, justify="right")
    for arm in arms:
        cells = [_format_dice(_arm_of(summary, arm).get(structure, {}).get("dice")) for structure in structures]
        grid.add_row(arm.replace("_", " "), *cells, end_section=arm == arms[-1])
    for name, values, form in (
        ("gap closed", summary.gap_closed, ".2f"),
        ("gain over trivial", summary.gain_over_trivial, "+.2f"),
    ):
        grid.add_row(name, *(_format_number(values.get(structure), form) for structure in structures))
    console.print(grid)


def show_comparison(console: Console, result: ComparedRun, comparison: MethodComparison) -> None:
    """Print a finished comparison: a ranked table for each structure, what failed, the conclusion, where things are.

    Args:
        console: Where to print.
        result: What the flow `compare` returned.
        comparison: The run's comparison.json.
    """
    for structure in comparison.structures:
        console.print(_ranking_table(comparison, structure))
    for failure in comparison.failed:
        line = f"failed      {failure.method} seed {failure.seed}: {failure.message}"
        console.print(line, markup=False, soft_wrap=True)
    for sentence in comparison.verdict:
        console.print(sentence, markup=False, highlight=False)
    console.print(f"comparison  {result.run}")
    console.print(f"page        {result.page}", soft_wrap=True, highlight=False)


def _ranking_table(comparison: MethodComparison, structure: str) -> Table:
    title = f"\n{structure}: Dice on {comparison.patients} test patients, 95 % interval"
    grid = Table(header_style="bold", title=title)
    grid.title_justify = "left"
    for name in ("rank", "method", "Dice", "gap closed", "over source only", "p (Holm)", "over trivial", "seconds"):
        grid.add_column(name, justify="left" if name == "method" else "right")
    for row in comparison.ranking[structure]:
        over_source = row.minus_source_only
        grid.add_row(
            "labels" if row.target_labels_used else _format_rank(row.rank),
            row.method,
            _format_dice(row.dice),
            _format_number(row.gap_closed.value, ".0%"),
            _format_number(over_source.value if over_source else None, "+z.3f"),
            _format_number(over_source.p_holm if over_source else None, ".3f"),
            _format_number(row.gain_over_trivial.value, "+z.3f"),
            f"{row.seconds:.0f}",
        )
    for baseline in comparison.baselines:
        if baseline.structure == structure:
            grid.add_row("", baseline.method, _format_dice(baseline.dice), *[""] * 5)
    return grid


def show_cohort(console: Console, cohort: CohortSummary, has_crosswalk: bool = False) -> None:
    """Print what an ingest read: the number of cases, quarantined cases with the reason, and what was corrected.

    Args:
        console: Where to print.
        cohort: What `xmed.cohort.describe_cohort` returned.
        has_crosswalk: Whether pseudonyms may stand for cases, which a crosswalk can name.
    """
    flow = cohort.flow
    if flow:
        splits = f"{flow.train} train, {flow.select} select, {flow.test} test"
        counts = f"{flow.n_found} found, {flow.readable} readable, {flow.quarantined} quarantined, {splits}"
        console.print(f"{cohort.name} ({cohort.modality}): {counts}")
    console.print(f"fingerprint {cohort.fingerprint[:16]}")
    if cohort.quarantined:
        columns = ("case", "patient", "split", "code", "message")
        refused = [{name: getattr(case, name) for name in columns} for case in cohort.quarantined]
        console.print(plain_table(refused, columns, "in quarantine"))
        if has_crosswalk:
            console.print("`xmed deidentify --crosswalk` says which case and patient a pseudonym stands for.")
    notes = [{"case": case.case, "code": note.code, "text": note.text} for case in cohort.cases for note in case.notes]
    if notes:
        console.print(plain_table(notes, ("case", "code", "text"), "corrected while reading"))


def show_drift(console: Console, check: DriftCheck, page: str) -> None:
    """Print a drift check: the groups of measurements, the verdict with its reason, the Dice to expect, the rule.

    Args:
        console: Where to print.
        check: The drift.json.
        page: Path of the page that shows it.
    """
    rows: list[dict[str, Cell]] = [
        {
            "id": group.id,
            "mmd2": group.mmd2,
            "p": group.p,
            "p_adjusted": group.p_adjusted,
            "changed": "changed" if group.changed else "",
        }
        for group in check.groups
    ]
    console.print(plain_table(rows, ("id", "mmd2", "p", "p_adjusted", "changed")))
    verdict = check.verdict
    console.print(Text.assemble("verdict     ", (verdict.replace("_", " "), f"bold {DRIFT_COLOURS[verdict]}")))
    unreadable = check.unreadable
    codes = ", ".join(f"{code} {count}" for code, count in unreadable.by_code.items())
    count = f"{unreadable.n} of {unreadable.of}" + (f": {codes}" if codes else "")
    lines = [("", check.reason), ("", check.do), ("unreadable", count)]
    lines += [("expected", _expected_dice(name, expected)) for name, expected in check.estimate.items()]
    lines += [("rule", check.rule.text), ("report", page)]
    for name, text in lines:
        print_line(console, f"{name:<11} {text}")


def _arm_of(summary: ResultSummary, arm: str) -> StatisticsByStructure:
    """The results of one arm; empty where the report has none."""
    results: StatisticsByStructure = getattr(summary, arm)
    return results


def _expected_dice(structure: str, expected: DiceExpectation) -> str:
    half = f"± {expected.half_width:.2f} for one patient" if expected.half_width is not None else expected.reason
    mean = "none" if expected.mean is None else f"{expected.mean:.2f}, {half}"
    return f"Dice of {structure} {mean}" + (f"; {expected.warning}" if expected.warning else "")


def show_lines(console: Console, lines: Sequence[str]) -> None:
    """Print lines of text.

    Args:
        console: Where to print.
        lines: The lines.
    """
    for line in lines:
        console.print(line, markup=False, highlight=False)


def _study_order(report: Report) -> Callable[[str], tuple[int, str]]:
    """A sort key: structures in the study's order, others after them by name."""
    order = report.study.structures
    return lambda name: (order.index(name) if name in order else len(order), name)


def _format_dice(dice: MetricStatistic | DiceStatistic | None) -> str:
    if dice is None or dice.mean is None:
        has_no_reference = dice is not None and dice.n_cases and not dice.n
        return f"{NOTHING} ({dice.reason})" if dice and has_no_reference and dice.reason else NOTHING
    interval = "" if dice.ci is None else f" ({dice.ci[0]:.2f}–{dice.ci[1]:.2f})"
    return f"{dice.mean:.3f}{interval}"


def _format_rank(rank: MethodRank | None) -> str:
    """Such as `1 (1–3)`: the rank, and the ranks that 95 % of the resamples of patients give."""
    if rank is None:
        return NOTHING
    return f"{rank.value}" + (f" ({rank.ci[0]}–{rank.ci[1]})" if rank.ci else "")


def _format_number(value: float | None, form: str) -> str:
    return NOTHING if value is None else format(value, form)
