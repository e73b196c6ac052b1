"""Fault table: the fault matrix and the kinds of faults as tables, with what their tests say when they are run.

PYTHONPATH=tests python tests/bench/fault_table.py          # which tests stand for which fault
PYTHONPATH=tests python tests/bench/fault_table.py --run    # run them, and write reports/benchmarks/faults.md

The tests of the kinds run twice: with the code of commit BEFORE, on which the faults were found, and with today's.
"""

import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections import Counter
from pathlib import Path

from fault_kinds import BEFORE, FOLDER, KINDS, modules
from fault_matrix import ROWS, Row
from run_table import BENCHMARKS

TESTS = Path(__file__).resolve().parents[1]


def run_tests() -> dict[str, str]:
    """Outcome (passed, failed, skipped) of every test that the matrix names, the worst of its parameters."""
    names = {test.partition("::")[2] for row in ROWS for test in row.tests}
    files = sorted({str(TESTS / test.partition("::")[0]) for row in ROWS for test in row.tests})
    found: dict[str, str] = {}
    order = ("passed", "skipped", "failed")
    for _, name, outcome in outcomes_of(TESTS.parent, ["-k", " or ".join(sorted(names)), *files]):
        test = name.partition("[")[0]
        found[test] = max(found.get(test, "passed"), outcome, key=order.index)
    return found


def outcomes_of(tree: Path, arguments: list[str]) -> list[tuple[str, str, str]]:
    """(module, test case, outcome) of a pytest run in a checkout; the code is that checkout's."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "results.xml"
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", f"--junitxml={out}", *arguments]
        subprocess.run(command, check=False, cwd=tree)
        return [
            (case.attrib["classname"].rpartition(".")[2], case.attrib["name"], _outcome(case))
            for case in ElementTree.parse(out).iter("testcase")
        ]


def _outcome(case: ElementTree.Element) -> str:
    bad = case.find("failure") is not None or case.find("error") is not None
    return "failed" if bad else "skipped" if case.find("skipped") is not None else "passed"


def run_kinds() -> dict[str, dict[str, Counter[str]]]:
    """before | after -> module -> how many of its test cases ended how."""
    with tempfile.TemporaryDirectory() as folder:
        old = Path(folder) / "before"
        git = ["git", "-C", str(TESTS.parent), "worktree"]
        subprocess.run([*git, "add", "--quiet", "--detach", str(old), BEFORE], check=True)
        try:
            shutil.copytree(FOLDER, old / "tests" / "kinds")
            trees = {"before": old, "after": TESTS.parent}
            return {when: _counted(outcomes_of(tree, ["tests/kinds"])) for when, tree in trees.items()}
        finally:
            subprocess.run([*git, "remove", "--force", str(old)], check=False)


def _counted(outcomes: list[tuple[str, str, str]]) -> dict[str, Counter[str]]:
    found: dict[str, Counter[str]] = {}
    for module, _, outcome in outcomes:
        found.setdefault(module, Counter())[outcome] += 1
    return found


def kinds_table(found: dict[str, dict[str, Counter[str]]] | None) -> str:
    """A row for each kind: inputs tried, and how many of them held before and hold now."""
    lines = [
        "| kind | fault | what must hold | inputs | held before | hold now | tests |",
        "|---|---|---|---|---|---|---|",
    ]
    for kind in KINDS:
        names = [path.stem for path in modules(kind)]
        if found is None:
            inputs, before, after = "", "", ""
        else:
            sums = {when: sum((rows.get(name, Counter()) for name in names), Counter()) for when, rows in found.items()}
            inputs = str(sums["after"]["passed"] + sums["after"]["failed"])
            before, after = str(sums["before"]["passed"]), str(sums["after"]["passed"])
        tests = "<br>".join(f"`kinds/{name}`" for name in names) or "none"
        lines.append(f"| {kind.code} | {kind.fault} | {kind.expected} | {inputs} | {before} | {after} | {tests} |")
    said = f"Faults that were found from outside on {BEFORE}, by kind, and inputs of each kind that were written before they were mended."
    return "\n".join(["", "# Kinds of faults found from outside", "", said, "", *lines])


def line(row: Row, outcomes: dict[str, str] | None) -> str:
    tests = [test.partition("::")[2] for test in row.tests]
    said = "" if outcomes is None else ", ".join(sorted({outcomes.get(test, "not run") for test in tests})) + " | "
    names = "<br>".join(f"`{test.replace('.py::', ' · ')}`" for test in row.tests)
    return f"| {row.number} | {row.fault} | {row.expected} | {said}{names} | {row.gap or '–'} |"


def table(outcomes: dict[str, str] | None) -> str:
    whole = sum(not row.gap for row in ROWS)
    head = "| # | fault | what must hold | " + ("outcome | " if outcomes is not None else "") + "tests | not covered |"
    rule = "|---" * (head.count("|") - 1) + "|"
    said = f"{len(ROWS)} faults: {whole} wholly covered by tests, {len(ROWS) - whole} in part."
    said += " Made by `PYTHONPATH=tests python tests/bench/fault_table.py --run`, which runs the tests that it names."
    return "\n".join(
        ["# Faults and what is left of them", "", said, "", head, rule, *(line(r, outcomes) for r in ROWS)]
    )


def main() -> None:
    run = "--run" in sys.argv[1:]
    outcomes = run_tests() if run else None
    text = table(outcomes) + "\n" + kinds_table(run_kinds() if run else None)
    print(text)  # noqa: T201
    if outcomes is not None:
        (BENCHMARKS / "faults.md").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
