"""Compare table: a finished comparison's comparison.json → reports/benchmarks/<study>-<name>.md and .json.

python benchmarks/compare_table.py [--name methods] COMPARISON_FOLDER [COMPARISON_FOLDER ...]
"""

import argparse
import json
from pathlib import Path

from run_table import BENCHMARKS, MACHINE, number, rows_of

KEPT = (
    "study",
    "primary",
    "patients",
    "seeds",
    "budget",
    "methods",
    "verdict",
    "rows",
    "baselines",
    "ranking",
    "failed",
)


def signed(found: dict | None, p: bool = False) -> str:
    """A difference with its interval, and its p after Holm."""
    if not found or found["value"] is None:
        return "–"
    low, high = found["ci"] or (None, None)
    interval = f" ({number(low)} to {number(high)})" if low is not None else ""
    sure = f", p {number(found['p_holm'])}" if p and found["p_holm"] is not None else ""
    return f"{found['value']:+z.3f}{interval}{sure}"


def table(found: dict, structure: str) -> str:
    lines = [
        "| rank (95 % of resamples) | method | Dice (95 % interval) | each seed | gap closed | over source only "
        "(interval, p after Holm) | over the better trivial baseline | seconds |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for one in found["ranking"][structure]:
        place, dice = one["rank"], one["dice"]
        rank = f"{place['value']} ({place['ci'][0]}–{place['ci'][1]})" if place else "saw target labels"
        low, high = dice["ci"] or (None, None)
        cells = [row for row in found["rows"] if (row["method"], row["structure"]) == (one["method"], structure)]
        each = ", ".join(number(row["dice_mean"]) for row in sorted(cells, key=lambda row: row["seed"]))
        closed = "–" if one["gap_closed"]["value"] is None else f"{one['gap_closed']['value']:.0%}"
        lines.append(
            f"| {rank} | {one['method']} | {number(dice['mean'])} ({number(low)} to {number(high)}) | {each} | {closed} "
            f"| {signed(one['minus_source_only'], p=True)} | {signed(one['gain_over_trivial'])} | {one['seconds']:.0f} |"
        )
    for one in (one for one in found["baselines"] if one["structure"] == structure):
        lines.append(
            f"| no learning | {one['method']} ({one['rule']}) | {number(one['dice']['mean'])} | – | – | – | – | – |"
        )
    return "\n".join(lines)


def choice(found: dict) -> str:
    """What label-free selection would have chosen, and how its validators order the methods."""
    if "selection" not in found:
        return ""
    seeds = [
        f"| {one['seed']} | {one['chosen']} | {number(one['chosen_dice'])} | {one['best']} | {number(one['best_dice'])} "
        f"| {number(one['regret'])} |"
        for one in found["selection"]["seeds"]
    ]
    scores = [
        f"| {one['name']} | {number(one['weighted_spearman'], 2)} | {number(one['regret'])} | {one['n']} |"
        for one in found["selection"]["validators"]
    ]
    parts = [
        "\n## Choosing without labels\n\nMean Dice over structures. Mean regret "
        f"{number(found['selection']['regret'])}.\n",
        "| seed | chosen | its Dice | best in hindsight | its Dice | regret |\n|---|---|---|---|---|---|",
        *seeds,
        "\n| validator alone | weighted Spearman | regret | models |\n|---|---|---|---|",
        *scores,
    ]
    return "\n".join(parts) + "\n"


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("folders", nargs="+", type=Path)
    asked.add_argument("--name", default="methods", help="what the table is of")
    given = asked.parse_args()
    for folder in given.folders:
        found = json.loads((folder / "comparison.json").read_text())
        environment = {key: found["environment"].get(key) for key in MACHINE}
        tables = "\n\n".join(f"## {structure}\n\n{table(found, structure)}" for structure in found["structures"])
        failed = "".join(f"- {one['method']} seed {one['seed']}: {one['message']}\n" for one in found["failed"])
        text = (
            f"# {found['study']}: methods\n\n{' '.join(found['verdict'])}\n\n{found['patients']} test patients, seeds "
            f"{', '.join(map(str, found['seeds']))}, {found['budget']['steps']} steps. Command: "
            f"`{found['environment'].get('command')}`. Trivial rules are chosen with the test labels, in their favour.\n\n"
            f"{tables}\n{choice(found)}"
            + (f"\nNot trained:\n\n{failed}" if failed else "")
            + f"\nMachine: {', '.join(f'{key} {value}' for key, value in environment.items())}. "
            f"Protocol {found['protocol_sha256'][:12]}.\n"
        )
        BENCHMARKS.mkdir(parents=True, exist_ok=True)
        (BENCHMARKS / f"{found['study']}-{given.name}.md").write_text(text, encoding="utf-8")
        document = {key: found[key] for key in KEPT} | {"selection": found.get("selection"), "environment": environment}
        document["dice"] = rows_of(folder)
        (BENCHMARKS / f"{found['study']}-{given.name}.json").write_text(
            json.dumps(document, indent=1) + "\n", encoding="utf-8"
        )


if __name__ == "__main__":
    main()
