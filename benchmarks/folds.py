"""Folds: every patient of a small dataset judged once, not only the few of the shipped split.

    OMP_NUM_THREADS=1 XMED_HOME=WORK XMED_DATA=DATA python benchmarks/folds.py STUDY[,STUDY…] [--seed 0]
        [--siblings METHOD[,METHOD…]] [--table]

The patients outside the shipped test split are sorted by name and halved in turn; either half is the labelled source
once, and of the other one half is the unlabelled target and the rest is judged, then the two change places: four folds.
Arms are trained and scored as `xmed run` does; folds that WORK/folds-STUDY.json has are kept, so that it can be stopped and
begun again. --siblings: methods to be trained beside bridge, and those that they begin with. The table adds the patients of
the shipped split as its committed tables have them, same seed. --table: only write the table of what is there, to
reports/benchmarks/folds.md. Run one study per core, then --table.
"""

import argparse
import json
import os
import platform
import statistics
from pathlib import Path

import torch

from xmed import __version__, cohort, evaluate, methods, stats, train
from xmed.files.atomic import write_atomically
from xmed.records.record import content
from xmed.run import ARMS, TRAINED_ARMS, TRIVIAL_ARMS, Run, home
from xmed.spec import MethodSpec, Splits, Study, load_dataset, load_study

BENCHMARKS = Path(__file__).resolve().parents[1] / "reports" / "benchmarks"
Fold = tuple[list[str], list[str], list[str]]
"""Patients of the source, of the unlabelled target, and those to be judged."""
Scores = dict[str, dict[str, float]]
"""arm -> patient -> Dice of the first structure; a missing or empty prediction counts 0."""


def folds(study: Study) -> list[Fold]:
    source, target = (load_dataset(name).splits for name in (study.source, study.target))
    patients = sorted([*source.train, *source.select, *target.train])
    halves = patients[0::2], patients[1::2]
    return [
        (source, target[at::2], target[1 - at :: 2])
        for source, target in (halves, halves[::-1])
        for at in (0, 1)
    ]  # fmt: skip


def judged(study: Study, fold: Fold, number: int, seed: int, arms: list[str]) -> Scores:
    """Train and score these arms, and what they begin with, on one fold."""
    source, unlabelled, test = fold
    names = {"source": f"{study.source}-{number}", "target": f"{study.target}-{number}"}
    for role, splits in (("source", {"train": source}), ("target", {"train": unlabelled, "test": test})):
        spec = load_dataset(getattr(study, role))
        cohort.ingest_cases(spec.model_copy(update={"name": names[role], "splits": Splits(**splits)}), home())
    run = Run.create(study.model_copy(update={**names, "seeds": [seed], "robustness": False}), home())
    begun = [start for arm in arms if arm not in TRAINED_ARMS for start in methods.needs(MethodSpec(name=arm))]
    for arm in dict.fromkeys([*begun, *arms]):
        train.fit(run, arm, seed, home())
    return scores([content(row) for row in evaluate.evaluate(run, home())], study.structures[0], seed)


def scores(rows: list[dict], structure: str, seed: int) -> Scores:
    found: Scores = {}
    for row in rows:
        if row["structure"] == structure and row["seed"] in (seed, None):
            found.setdefault(row["arm"], {})[row["case"]] = row["dice"] or 0.0
    return found


def shipped(name: str, structure: str, seed: int) -> Scores:
    """The committed scores on the shipped split: the study's own arms, and siblings where they were compared."""
    rows = json.loads((BENCHMARKS / f"{name}.json").read_text())["rows"]
    compared = BENCHMARKS / f"{name}-seeds.json"
    siblings = json.loads(compared.read_text())["dice"] if compared.exists() else []
    return scores(siblings, structure, seed) | scores(rows, structure, seed)


def section(name: str, every: list[Scores], more: Scores) -> list[str]:
    """The tables of one study: over the patients of the folds, and with those of the shipped split."""
    together = {arm: {p: dice for fold in every for p, dice in fold[arm].items()} for arm in ARMS}
    lines = [f"## {name}", "", "| | patients | " + " | ".join(together) + " | gap closed | over the better trivial |"]
    lines += ["|---" * (len(together) + 4) + "|"]
    for what, of in (
        ("folds", together),
        ("and the shipped test split", {arm: together[arm] | more[arm] for arm in together}),
    ):
        patients = sorted(of["adapted"])
        values = {arm: [of[arm][patient] for patient in patients] for arm in of}
        best = max(TRIVIAL_ARMS, key=lambda arm: statistics.mean(values[arm]))
        gain = stats.compare_paired(values["adapted"], values[best])
        closed = stats.gap_closed_interval(values["source_only"], values["adapted"], values["target_supervised"])
        means = " | ".join(f"{statistics.mean(found):.3f}" for found in values.values())
        share, apart = spread(closed, "{:.0%}"), spread(gain.difference, "{:+.3f}")
        lines += [f"| {what} | {len(patients)} | {means} | {share} | {apart}, {sure(gain)} |"]
    return [*lines, "", *siblings(every, more)]


def siblings(every: list[Scores], more: Scores) -> list[str]:
    """The table of the methods that were trained beside bridge on every fold, patient by patient against it."""
    others = [arm for arm in more if arm not in ARMS and all(arm in fold for fold in every)]
    lines = ["| method | folds | bridge over it | and the shipped test split | bridge over it |", "|---" * 5 + "|"]
    for arm in others:
        row = [arm]
        for of in (every, [*every, more]):
            ours, theirs = ({p: d for one in of for p, d in one[which].items()} for which in ("adapted", arm))
            found = stats.compare_paired([ours[p] for p in sorted(ours)], [theirs[p] for p in sorted(ours)])
            apart = f"{spread(found.difference, '{:+.3f}')}, {sure(found)}"
            row += [f"{statistics.mean(theirs.values()):.3f}", apart]
        lines += [f"| {' | '.join(row)} |"]
    return [*lines, ""] if others else []


def sure(found: stats.Paired) -> str:
    return "p < 0.001" if found.p_sign_flip < 0.001 else f"p = {found.p_sign_flip:.3f}"


def spread(found: stats.Interval, form: str) -> str:
    """An estimate with its interval, or why there is none."""
    shown = [form.format(value) for value in (found.value, found.lo, found.hi) if value is not None]
    return f"{shown[0]} ({shown[1]} to {shown[2]})" if len(shown) == 3 else " ".join([*shown, f"({found.degenerate})"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("studies")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--siblings", type=lambda text: text.split(","), default=[])
    parser.add_argument("--table", action="store_true")
    asked = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    lines, kept_all = [], {}
    for name in asked.studies.split(","):
        study, kept = load_study(name), home() / f"folds-{name}.json"
        found: dict[str, Scores] = json.loads(kept.read_text()) if kept.exists() else {}
        for number, fold in enumerate(folds(study)):
            known = found.setdefault(str(number), {})
            missing = [arm for arm in (*TRAINED_ARMS, *asked.siblings) if arm not in known]
            if missing and not asked.table:
                found[str(number)] = judged(study, fold, number, asked.seed, missing) | known
                write_atomically(kept, json.dumps(found, indent=1))
                print(name, number, {arm: statistics.mean(d.values()) for arm, d in found[str(number)].items()})  # noqa: T201
        lines += section(name, list(found.values()), shipped(name, study.structures[0], asked.seed))
        kept_all[name] = found
    said = (
        f"# Every patient once\n\n{' '.join(__doc__.split('    OMP')[0].split(': ', 1)[1].split()).capitalize()}\n"
        "Sources have seven patients and unlabelled targets three or four, fewer than the shipped split. Mean Dice, one "
        "seed; Student's interval over patients and an exact or drawn sign-flip test. The rule of a trivial baseline is "
        "chosen with the test labels, in its favour, in each fold.\nbridge was developed on these patients, though not "
        "on these folds of them; those of the shipped test split were looked at only to be reported.\n\n"
        + "\n".join(lines)
        + f"\nxmed {__version__}, torch {torch.__version__}, python {platform.python_version()}, CPU.\n"
    )
    if asked.table:
        (BENCHMARKS / "folds.md").write_text(said)
        (BENCHMARKS / "folds.json").write_text(json.dumps(kept_all, indent=1) + "\n")


if __name__ == "__main__":
    main()
