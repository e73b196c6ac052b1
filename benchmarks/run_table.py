"""Tabulate: a finished run's report.json → the committed table under reports/benchmarks/.

python benchmarks/run_table.py RUN_FOLDER [RUN_FOLDER ...]
"""

import json
import sys
from pathlib import Path

from xmed.run import ARMS

BENCHMARKS = Path(__file__).resolve().parents[1] / "reports" / "benchmarks"
MACHINE = ("xmed", "python", "torch", "monai", "cpu", "device", "threads", "git")


def number(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def rows_of(folder: Path) -> list[dict]:
    """Dice of every case, arm and seed, so that the table can be recomputed from what is committed."""
    keep = ("arm", "seed", "case", "structure", "dice", "status", "rule")
    return [{k: row[k] for k in keep if k in row} for row in json.loads((folder / "rows.json").read_text())]


def table(report: dict, rows: list[dict]) -> str:
    lines = [
        "| structure | arm | Dice mean | 95 % interval (patients) | each seed | failed |",
        "|---|---|---|---|---|---|",
    ]
    structures = list(dict.fromkeys(row["structure"] for row in rows))
    for structure in structures:
        for arm in ARMS:
            found = [row for row in rows if row["arm"] == arm and row["structure"] == structure]
            if not found:
                continue
            seeds = sorted({row["seed"] for row in found if row["seed"] is not None})
            each = [[row["dice"] or 0.0 for row in found if row["seed"] == seed] for seed in seeds]
            dice = report["summary"][arm][structure]["dice"]
            low, high = dice["ci"] or (None, None)
            name = arm + (f" ({found[0]['rule']})" if "rule" in found[0] else "")
            by_seed = ", ".join(number(sum(v) / len(v)) for v in each) or "–"
            interval = f"{number(low)} to {number(high)}"
            lines.append(
                f"| {structure} | {name} | {number(dice['mean'])} | {interval} | {by_seed} | {dice['n_failed']} |"
            )
    closed, gain = report["summary"]["gap_closed"], report["summary"]["gain_over_trivial"]
    lines += ["", "| structure | gap closed | gain over the better trivial baseline (Dice) |", "|---|---|---|"]
    lines += [f"| {name} | {number(closed[name])} | {number(gain[name])} |" for name in structures]
    return "\n".join(lines)


def seconds(folder: Path) -> str:
    """Training seconds of each arm, seeds in order."""
    found = [json.loads(path.read_text()) for path in sorted(folder.glob("arms/*/seed*/train.json"))]
    arms = dict.fromkeys(record["arm"] for record in found)
    return "; ".join(f"{a} {', '.join(str(round(r['seconds'])) for r in found if r['arm'] == a)}" for a in arms)


def main() -> None:
    for folder in map(Path, sys.argv[1:]):
        report, rows = json.loads((folder / "report" / "report.json").read_text()), rows_of(folder)
        study = report["study"] if isinstance(report["study"], str) else report["study"]["name"]
        environment = {key: report["environment"].get(key) for key in MACHINE}
        text = (
            f"# {study}\n\nVerdict against the protocol: **{report['verdict']}**. Command: "
            f"`{report['environment']['command']}`. Trivial rules are chosen with the test labels, in their favour.\n\n"
            f"{table(report, rows)}\n\nTraining seconds, one thread each, two at a time: {seconds(folder)}.\n\n"
            f"Machine: {', '.join(f'{key} {value}' for key, value in environment.items())}. "
            f"Protocol {report['protocol_sha256'][:12]}, report {report['report_id'][:19]}.\n"
        )
        BENCHMARKS.mkdir(parents=True, exist_ok=True)
        (BENCHMARKS / f"{study}.md").write_text(text, encoding="utf-8")
        document = {"study": study, "summary": report["summary"], "environment": report["environment"], "rows": rows}
        (BENCHMARKS / f"{study}.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
