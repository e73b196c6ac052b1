"""Fault table: the fault matrix as a table, with what its tests say when they are run.

PYTHONPATH=tests python tests/bench/fault_table.py          # which tests stand for which fault
PYTHONPATH=tests python tests/bench/fault_table.py --run    # run them, and write reports/benchmarks/faults.md
"""

import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from fault_matrix import ROWS, Row
from run_table import BENCHMARKS

TESTS = Path(__file__).resolve().parents[1]


def run_tests() -> dict[str, str]:
    """Outcome (passed, failed, skipped) of every test that the matrix names, the worst of its parameters."""
    names = {test.partition("::")[2] for row in ROWS for test in row.tests}
    modules = sorted({str(TESTS / test.partition("::")[0]) for row in ROWS for test in row.tests})
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "results.xml"
        command = [sys.executable, "-m", "pytest", "-k", " or ".join(sorted(names)), f"--junitxml={out}", *modules]
        subprocess.run(command, check=False)
        cases = ElementTree.parse(out).iter("testcase")
        found: dict[str, str] = {}
        order = ("passed", "skipped", "failed")
        for case in cases:
            bad = case.find("failure") is not None or case.find("error") is not None
            outcome = "failed" if bad else "skipped" if case.find("skipped") is not None else "passed"
            name = case.attrib["name"].partition("[")[0]
            found[name] = max(found.get(name, "passed"), outcome, key=order.index)
    return found


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
    outcomes = run_tests() if "--run" in sys.argv[1:] else None
    text = table(outcomes)
    print(text)  # noqa: T201
    if outcomes is not None:
        (BENCHMARKS / "faults.md").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
