"""Speed: every measurement of speed in one run, against the alternatives that people use, with aims beside the figures.

    make bench                                                        # installs the alternatives, then runs this
    XMED_DATA=DATA python benchmarks/speed.py WORK [--only training-step prediction …] [--table]

Each part is a process of its own with one thread of torch, one after the other; how it measures, its own file says. A
part that fails, or whose alternative is not installed, is left out, and the table says so. --table makes the table of
what was measured before. A ratio is the other's time over ours: above 1, ours is faster. The result is written to
reports/benchmarks/speed.{json,md,png}.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from xmed.processes.processor import cpu

ROOT = Path(__file__).resolve().parents[1]
BENCHMARKS = ROOT / "reports" / "benchmarks"
DEMO_BEFORE = 19.9
"""Processor minutes of `make demo` in November 2026 (commit 896da74)."""
Row = dict[str, Any]


def row(what: str, against: str, ours: float, theirs: float, unit: str, aim: str, wall: float | None = None) -> Row:
    """One line of the table.

    Args:
        what: What is measured.
        against: The alternative.
        ours: Processor time, or what `unit` says.
        theirs: The same of the alternative.
        unit: Unit of both.
        aim: What was aimed at, in words.
        wall: The other's wall-clock time over ours; None where it was not measured.
    """
    return {
        "what": what, "against": against, "ratio_cpu": theirs / ours, "ratio_wall": wall, "ours": ours,
        "theirs": theirs, "unit": unit, "aim": aim,
    }  # fmt: skip


def training_step(result: Any) -> Iterator[Row]:
    for each in result["rows"]:
        aim = "≥ 2.8 with bfloat16, else ≥ 1.5"
        ours, theirs = (1000 * each[way]["cpu_s_per_step"] for way in ("xmed", "MONAI"))
        what = f"training step, {each['what']} ({each['precision']})"
        yield row(what, "MONAI's loop", ours, theirs, "ms", aim, each["ratio_wall"])


def prediction(result: Any) -> Iterator[Row]:
    for each in result["rows"]:
        for way in ("MONAI", "nnU-Net"):
            if way in each:
                what = f"prediction, {each['dims']}, {each['volume']}"
                pair = each["xmed"], each[way]
                wall = pair[1]["wall_s"] / pair[0]["wall_s"]
                yield row(what, f"{way}'s", pair[0]["cpu_s"], pair[1]["cpu_s"], "s", "≥ 4", wall)


def augmentation(result: Any) -> Iterator[Row]:
    aims = {"MONAI": "≥ 15", "batchgeneratorsv2": "≥ 1"}
    for dims, seconds in result["median_seconds"].items():
        for way, theirs in seconds.items():
            if way != "xmed":
                what, ours = f"patch drawn and augmented, {dims}", 1000 * seconds["xmed"]
                yield row(what, way, ours, 1000 * theirs, "ms", aims.get(way, "–"))


def metrics(result: Any) -> Iterator[Row]:
    pairs = next(run["pairs"] for run in result["runs"] if run["cores"] == 1).values()
    for way in ("MONAI", "surface-distance"):
        both = [(pair["seconds"]["xmed, these five"]["cpu"], pair["seconds"][way]["cpu"]) for pair in pairs]
        ours, theirs = (1000 * statistics.median(times) for times in zip(*both))
        yield row("surface metrics of a pair of masks", way, ours, theirs, "ms", "≥ 1")


def report_500(result: Any, before: Any) -> Iterator[Row]:
    for step in ("build", "verify"):
        ours, theirs = (document["steps"][step]["cpu_seconds"] for document in (result, before))
        yield row(f"report of 500 cases, {step}", "committed before", ours, theirs, "s", "≥ 1")


def pairing(result: Any) -> Iterator[Row]:
    slowest = max(result["seconds"]["10000"].values())
    yield row("10,000 cases listed and paired, slowest layout", "the limit", slowest, 5.0, "s", "≥ 1")


def demo(result: Any) -> Iterator[Row]:
    what = "`xmed demo`, whole"
    yield row(what, "November 2026", result["cpu_s"] / 60, DEMO_BEFORE, "min", "≤ 8 minutes of the processor")


PARTS: dict[str, tuple[list[str], Callable[..., Iterator[Row]]]] = {
    "training-step": (["training_step.py"], training_step),
    "augmentation": (["augmentation.py"], augmentation),
    "metrics": (["metrics.py"], metrics),
    "report-500": (["report_500.py"], report_500),
    "pairing": (["pairing.py"], pairing),
    "prediction": (["prediction.py"], prediction),
    "demo": (["speed.py", "{work}", "--demo"], demo),
}
"""Name of the JSON file that a part leaves → the script with its words, and what makes rows of the file."""


def run_demo(work: Path) -> None:
    """Run `xmed demo` in a new home, and write what it took into demo.json."""
    home = work / "demo-home"
    shutil.rmtree(home, ignore_errors=True)
    began = time.perf_counter()
    command = [str(Path(sys.executable).with_name("xmed")), "demo"]
    as_usual = {name: value for name, value in os.environ.items() if name not in ("OMP_NUM_THREADS", "PYTHONPATH")}
    with (work / "demo.log").open("w", encoding="utf-8") as log:
        subprocess.run(command, check=True, env=as_usual | {"XMED_HOME": str(home)}, stdout=log, stderr=log)
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    took = {"cpu_s": usage.ru_utime + usage.ru_stime, "wall_s": time.perf_counter() - began}
    (BENCHMARKS / "demo.json").write_text(json.dumps(took, indent=1) + "\n", encoding="utf-8")


def read(name: str) -> Any:
    """Read the result of a part, None where there is none."""
    path = BENCHMARKS / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def picture(rows: list[Row], path: Path) -> None:
    """Draw the ratios as bars on a logarithmic scale."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot

    names = [f"{each['what'].replace('`', '')} – {each['against']}" for each in rows]
    figure, axes = pyplot.subplots(figsize=(9, 0.32 * len(rows) + 1.2))
    ratios = [each["ratio_cpu"] for each in rows]
    bars = axes.barh(names, ratios, color=["#2a6f97" if ratio >= 1 else "#b5651d" for ratio in ratios])
    axes.bar_label(bars, [f"{ratio:.1f} ×" for ratio in ratios], padding=3, fontsize=8)
    axes.axvline(1, color="#444444", linewidth=0.8)
    axes.set_xscale("log")
    axes.set_xlim(min(0.7, *ratios) * 0.9, max(ratios) * 2)
    axes.invert_yaxis()
    axes.tick_params(labelsize=8)
    axes.set_xlabel("the other's time divided by xmed's (logarithmic; above 1 xmed is faster)", fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=130, bbox_inches="tight")


def table(rows: list[Row], missing: dict[str, str], where: str) -> str:
    """Lay the rows out as Markdown."""
    lines = [
        f"# Speed\n\n{__doc__.splitlines()[0]}\n",
        "| | against | xmed | other | ratio, CPU | ratio, wall | aim |",
        "|---|---|---|---|---|---|---|",
    ]
    for each in rows:
        wall = "–" if each["ratio_wall"] is None else f"{each['ratio_wall']:.2f} ×"
        lines.append(
            f"| {each['what']} | {each['against']} | {each['ours']:.3g} {each['unit']} | {each['theirs']:.3g} {each['unit']} | "
            f"{each['ratio_cpu']:.2f} × | {wall} | {each['aim']} |"
        )
    lines += ["", "![Ratios](speed.png)", ""]
    lines += [f"Not measured: {name} ({why})." for name, why in missing.items()]
    return "\n".join(lines) + f"\n{where}.\n"


def main() -> None:
    """Run the parts and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--demo", action="store_true", help=argparse.SUPPRESS)
    words = parser.parse_args()
    work: Path = words.work
    work.mkdir(parents=True, exist_ok=True)
    if words.demo:
        run_demo(work)
        return
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "tests")}
    rows, missing = list[Row](), dict[str, str]()
    for name, (command, rows_of) in PARTS.items():
        before, began = read(name), time.perf_counter()
        if name in words.only and not words.table:
            script, *options = command
            options = [word.format(work=work) for word in options]
            done = subprocess.run([sys.executable, str(ROOT / "benchmarks" / script), *options], env=environment)
            sys.stdout.write(f"{name}: {time.perf_counter() - began:.0f} s\n")
            if done.returncode:
                missing[name] = f"its script ended with {done.returncode}"
                continue
        result = read(name)
        if result is None:
            missing[name] = "it was not run"
            continue
        rows += rows_of(result, before) if name == "report-500" else rows_of(result)
    where = (
        f"{cpu()}, {os.cpu_count()} cores, Python {platform.python_version()}, torch {torch.__version__}, one thread"
    )
    document = {"schema": "xmed-bench-speed/1", "rows": rows, "missing": missing, "where": where}
    (BENCHMARKS / "speed.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    picture(rows, BENCHMARKS / "speed.png")
    text = table(rows, missing, where)
    (BENCHMARKS / "speed.md").write_text(text, encoding="utf-8")
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
