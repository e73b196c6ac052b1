"""Fault table: the fault matrix and the kinds of faults as tables, with what their tests say when they are run.

PYTHONPATH=tests python benchmarks/fault_table.py          # which tests stand for which fault
PYTHONPATH=tests python benchmarks/fault_table.py --run    # run them, and write reports/benchmarks/faults.md
PYTHONPATH=tests python benchmarks/fault_table.py --kinds  # run those of the kinds, and write their half of that file
PYTHONPATH=tests python benchmarks/fault_table.py --results suite.xml  # as --run, with today's outcomes from that file

The tests of the kinds run twice: with the code of commit BEFORE, on which the faults were found, and with today's. With the
code of before they run as they were in commit NAMED_AS_BEFORE, because modules were renamed since. A file
for --results is what `pytest --junitxml=suite.xml` wrote of a run of every test.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from run_table import BENCHMARKS

from support.fault_kinds import BEFORE, FOLDER, KINDS, modules
from support.fault_matrix import ROWS, Row

ROOT = Path(__file__).resolve().parents[1]
TESTS = ROOT / "tests"
MODULE_SECONDS, END_SECONDS = 300.0, 60.0
"""How long the inputs of one module may take, and pytest to write down what it has by then."""
NAMED_AS_BEFORE = "b31cd25"
"""The last commit whose tests of kinds use the module names that the code of BEFORE has."""
KINDS_HEAD = "# Kinds of faults found from outside"


Outcome = tuple[str, str, str]
"""Module, test case, and passed, failed or skipped."""


def run_tests() -> list[Outcome]:
    """Outcome of every test that the matrix names."""
    names = {test.partition("::")[2] for row in ROWS for test in row.tests}
    files = sorted({str(TESTS / test.partition("::")[0]) for row in ROWS for test in row.tests})
    return outcomes_of(ROOT, ["-k", " or ".join(sorted(names)), *files])


def worst(outcomes: list[Outcome]) -> dict[str, str]:
    """Outcome of each test of the matrix, the worst of its parameters."""
    named = {
        (Path(module).stem, name) for row in ROWS for test in row.tests for module, _, name in [test.partition("::")]
    }
    found: dict[str, str] = {}
    order = ("passed", "skipped", "failed")
    for module, name, outcome in outcomes:
        test = name.partition("[")[0]
        if (module, test) in named:
            found[test] = max(found.get(test, "passed"), outcome, key=order.index)
    return found


def outcomes_of(tree: Path, arguments: list[str], seconds: float | None = None) -> list[Outcome]:
    """Outcomes of a pytest run in a checkout; the code is that checkout's.

    seconds: how long it may take; what was not run by then is left out. Code that waits for ever is one of the faults.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "results.xml"
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", f"--junitxml={out}", *arguments]
        one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}  # as many modules run at once as there are processors
        process = subprocess.Popen(command, cwd=tree, start_new_session=True, env=one_thread)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)  # pytest then writes down what it has
            try:
                process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        return read_outcomes(out) if out.is_file() else []


def read_outcomes(path: Path) -> list[Outcome]:
    """Outcomes in a file that pytest wrote."""
    return [
        (_module(case.attrib["classname"]), case.attrib["name"], _outcome(case))
        for case in ElementTree.parse(path).iter("testcase")
    ]


def _module(name: str) -> str:
    """The module in a dotted name, which may end in a class."""
    return next(part for part in name.split(".") if part.startswith("test_"))


def _outcome(case: ElementTree.Element) -> str:
    bad = case.find("failure") is not None or case.find("error") is not None
    return "failed" if bad else "skipped" if case.find("skipped") is not None else "passed"


def run_kinds(now: list[Outcome] | None) -> dict[str, dict[str, Counter[str]]]:
    """before | after -> module -> how many of its test cases ended how; `now`: outcomes with today's code, if known."""
    after = _by_module(ROOT) if now is None else _counted(now)
    with tempfile.TemporaryDirectory() as folder:
        old = Path(folder) / "before"
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "--quiet", "--detach", str(old), BEFORE], check=True)
        try:
            subprocess.run(
                ["git", "-C", str(old), "checkout", "--quiet", NAMED_AS_BEFORE, "--", "tests/kinds"], check=True
            )
            return {"before": _by_module(old), "after": after}
        finally:
            subprocess.run([*git, "remove", "--force", str(old)], check=False)


def _by_module(tree: Path) -> dict[str, Counter[str]]:
    names = sorted(path.stem for path in FOLDER.glob("test_*.py"))
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        runs = pool.map(lambda name: outcomes_of(tree, [f"tests/kinds/{name}.py"], MODULE_SECONDS), names)
        return _counted([outcome for run in runs for outcome in run])


def _counted(outcomes: list[Outcome]) -> dict[str, Counter[str]]:
    counts: dict[str, Counter[str]] = {}
    for module, _, outcome in outcomes:
        counts.setdefault(module, Counter())[outcome] += 1
    return counts


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
            ran = sums["before"]["passed"] + sums["before"]["failed"]
            if ran < int(inputs):
                before = f"{before} of the {ran} that ran" if ran else "did not run"
        tests = "<br>".join(f"`kinds/{name}`" for name in names) or "none"
        lines.append(f"| {kind.code} | {kind.fault} | {kind.expected} | {inputs} | {before} | {after} | {tests} |")
    said = f"Faults that were found from outside on {BEFORE}, by kind. An input is a test case; each ran with that code and with"
    said += " today's. That code never ends some of them, or takes hours: what a module had not run there within 5 minutes is left out, and"
    said += " `did not run` means that nothing is known of before. Made by `PYTHONPATH=tests python benchmarks/fault_table.py --kinds`."
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
    said += " Made by `PYTHONPATH=tests python benchmarks/fault_table.py --run`, which runs the tests that it names."
    return "\n".join(
        ["# Faults and what is left of them", "", said, "", head, rule, *(line(r, outcomes) for r in ROWS)]
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--run", action="store_true")
    parser.add_argument("--kinds", action="store_true")
    parser.add_argument("--results", type=Path)
    asked = parser.parse_args()
    known = read_outcomes(asked.results) if asked.results else None
    path = BENCHMARKS / "faults.md"
    if asked.run or asked.results:
        matrix = table(worst(known if known is not None else run_tests()))
    elif asked.kinds:  # the other half of the file stays as it is
        matrix = path.read_text(encoding="utf-8").partition(KINDS_HEAD)[0].rstrip()
    else:
        matrix = table(None)
    measured = asked.run or asked.kinds or known is not None
    text = f"{matrix}\n\n{kinds_table(run_kinds(known) if measured else None)}\n"
    print(text)  # noqa: T201
    if measured:
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
