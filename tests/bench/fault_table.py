"""Fault table: the fault matrix and the kinds of faults as tables, with what their tests say when they are run.

PYTHONPATH=tests python tests/bench/fault_table.py          # which tests stand for which fault
PYTHONPATH=tests python tests/bench/fault_table.py --run    # run them, and write reports/benchmarks/faults.md
PYTHONPATH=tests python tests/bench/fault_table.py --kinds  # run those of the kinds, and write their half of that file

The tests of the kinds run twice: with the code of commit BEFORE, on which the faults were found, and with today's.
"""

import os
import shutil
import signal
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
MODULE_SECONDS, END_SECONDS = 600.0, 60.0
"""How long the inputs of one module may take, and pytest to write down what it has by then."""
KINDS_HEAD = "# Kinds of faults found from outside"


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


def outcomes_of(tree: Path, arguments: list[str], seconds: float | None = None) -> list[tuple[str, str, str]]:
    """(module, test case, outcome) of a pytest run in a checkout; the code is that checkout's.

    seconds: how long it may take; what was not run by then is left out. Code that waits for ever is one of the faults.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "results.xml"
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", f"--junitxml={out}", *arguments]
        process = subprocess.Popen(command, cwd=tree, start_new_session=True)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)  # pytest then writes down what it has
            try:
                process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if not out.is_file():
            return []
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
            return {when: _by_module(tree) for when, tree in trees.items()}
        finally:
            subprocess.run([*git, "remove", "--force", str(old)], check=False)


def _by_module(tree: Path) -> dict[str, Counter[str]]:
    names = sorted(path.stem for path in FOLDER.glob("test_*.py"))
    runs = {name: outcomes_of(tree, [f"tests/kinds/{name}.py"], MODULE_SECONDS) for name in names}
    return {name: Counter(outcome for _, _, outcome in run) for name, run in runs.items()}


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
    said = f"Faults that were found from outside on {BEFORE}, by kind. An input is a test case; each ran with that code and with"
    said += " today's. Made by `PYTHONPATH=tests python tests/bench/fault_table.py --kinds`."
    return "\n".join([KINDS_HEAD, "", said, "", *lines])


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
    run, path = "--run" in sys.argv[1:], BENCHMARKS / "faults.md"
    kinds = run or "--kinds" in sys.argv[1:]
    if kinds and not run:  # the other half of the file stays as it is
        matrix = path.read_text(encoding="utf-8").partition(KINDS_HEAD)[0].rstrip()
    else:
        matrix = table(run_tests() if run else None)
    text = f"{matrix}\n\n{kinds_table(run_kinds() if kinds else None)}\n"
    print(text)  # noqa: T201
    if kinds:
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
