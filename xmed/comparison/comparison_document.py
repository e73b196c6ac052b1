"""Comparison document: every method and seed, the ranking, and how certain the ranking is."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from xmed import methods
from xmed.comparison.conclusion import choice, conclude
from xmed.comparison.ranking import Cell, Document, ceiling, gap_closed, rank_agreement, ranking, statistic
from xmed.records.data_summary import DataSummary
from xmed.records.evaluation import CaseRows, MetricConventions
from xmed.records.provenance import FixedProtocol, RunEnvironment
from xmed.records.record import content
from xmed.records.run_state import FailedTrainings
from xmed.records.selection import Selection
from xmed.records.training import Training
from xmed.report.rows import Rows
from xmed.run import TRIVIAL_ARMS, Arm, Run
from xmed.train.arms import method_of

SCHEMA = "xmed-comparison/1"
HARDEST = 3


def compose_comparison(run: Run) -> Document:
    """Make comparison.json from the files of an evaluated comparison.

    A patient's Dice is the mean over cases, then over seeds; everything compares patients. Methods that learn without
    target labels are ranked; the others are shown beside them.

    Args:
        run: The run of a comparison.

    Returns:
        The document, as the record MethodComparison describes it.

    Raises:
        XmedError: PATH_NOT_FOUND where nothing has been evaluated.
    """
    study, data, measured = run.read("study"), run.read(DataSummary), run.read(MetricConventions)
    structures, primary = study["structures"], study["protocol"]["primary"]["structure"]
    tested = [case for case in data.target.cases if case.split == "test" and case.has_label]
    rows = Rows.complete(run.read(CaseRows).root, run.arms(), tested, structures, measured.spacing_credible)
    trained = {cell: run.read(Training, *cell) for cell in run.arms()}
    seconds = {cell: _seconds(run, trained, cell) for cell in trained}
    document: Document = {
        "schema": SCHEMA,
        "run": run.id,
        "study": study["name"],
        "source": {key: getattr(data.source, key) for key in ("name", "modality", "fingerprint")},
        "target": {key: getattr(data.target, key) for key in ("name", "modality", "fingerprint")},
        "structures": structures,
        "primary": primary,
        "methods": run.methods,
        "seeds": study["seeds"],
        "patients": len({case.patient for case in tested}),
        "budget": study["budget"],
        "rows": [_row(rows, cell, s, trained[cell], seconds[cell]) for cell in trained for s in structures],
        "baselines": [
            {"method": arm, "structure": s, **statistic(rows, arm, s), "rule": rows.of(arm, s)[0].rule}
            for arm in TRIVIAL_ARMS for s in structures if rows.of(arm, s)
        ],
        "ranking": {s: ranking(rows, s, trained, seconds) for s in structures},
        "failed": content(run.read(FailedTrainings)) if run.has(FailedTrainings) else [],
        "protocol_sha256": run.read(FixedProtocol).sha256,
        "environment": content(run.read(RunEnvironment)) if run.has(RunEnvironment) else {},
    }  # fmt: skip
    document["rank_agreement"] = {s: rank_agreement(entries) for s, entries in document["ranking"].items()}
    document["hardest"] = hardest(rows, document["ranking"][primary], study["seeds"][0])
    if run.has(Selection):
        chosen = run.read(Selection)
        document["selection"] = choice(chosen, _means(document["rows"]))
        if not chosen.registered:
            document["selection"]["trivial"] = chosen.reason
    document["unsupported"] = sorted(rows.unsupported)
    arms: list[str] = [*TRIVIAL_ARMS, Arm.TARGET_SUPERVISED]
    dice = {arm: rows.by_patient(arm, primary, "dice")[0] for arm in arms}
    document["ceiling_over_trivial"] = ceiling(dice)
    document["verdict"] = conclude(document, document["ranking"][primary], primary, document["patients"])
    return document


def hardest(rows: Rows, ranked: list[Document], seed: int) -> list[Document]:
    """Find the HARDEST cases: those with the lowest mean Dice over ranked methods, seeds and structures.

    Args:
        rows: Every measured prediction.
        ranked: The ranking of the primary structure.
        seed: The seed whose Dice is listed.

    Returns:
        The cases, the hardest first, with the Dice of every method by structure.
    """
    blind = {entry["method"] for entry in ranked if not entry["target_labels_used"]}
    all_of: dict[str, list[float]] = defaultdict(list)
    of_seed: dict[str, dict[str, dict[str, float]]] = defaultdict(dict)
    for row in rows.rows:
        if row.dice is None or row.seed is None:
            continue
        if row.arm in blind:
            all_of[row.case].append(row.dice)
        if row.seed == seed:
            of_seed[row.case].setdefault(row.arm, {})[row.structure] = row.dice
    order = sorted(all_of, key=lambda case: (float(np.mean(all_of[case])), case))
    return [
        {"case": case, "dice_mean": float(np.mean(all_of[case])), "dice": of_seed[case]} for case in order[:HARDEST]
    ]


def _means(rows: list[Document]) -> dict[Cell, float]:
    """Mean Dice over structures of every cell that has one for each."""
    by_cell: dict[Cell, list[float | None]] = defaultdict(list)
    for row in rows:
        by_cell[row["method"], row["seed"]].append(row["dice_mean"])
    means = {}
    for cell, values in by_cell.items():
        defined = [value for value in values if value is not None]
        if len(defined) == len(values):
            means[cell] = float(np.mean(defined))
    return means


def _row(rows: Rows, cell: Cell, structure: str, record: Training, seconds: float) -> Document:
    arm, seed = cell
    of_seed = Rows(tuple(row for row in rows.rows if row.seed == seed))
    statistics = statistic(of_seed, arm, structure)
    named = (Arm.SOURCE_ONLY, arm, Arm.TARGET_SUPERVISED)
    dice = {name: of_seed.by_patient(name, structure, "dice")[0] for name in named}
    dice |= {name: rows.by_patient(name, structure, "dice")[0] for name in TRIVIAL_ARMS}
    return {
        "method": arm,
        "seed": seed,
        "structure": structure,
        "dice_mean": statistics["dice"]["mean"],
        "dice_ci": statistics["dice"]["ci"],
        "gap_closed": gap_closed(dice, arm)["value"],
        "seconds": seconds,
        "selected_by": record.selection.rule,
        "n": statistics["dice"]["n"],
        "n_failed": statistics["dice"]["n_failed"],
        "target_labels_used": record.target_labels_used,
        "weights_sha256": record.weights_sha256,
    }


def _seconds(run: Run, trained: dict[Cell, Training], cell: Cell) -> float:
    """Seconds of a cell's own training and of every training that it begins with, each once."""
    seed, counted, waiting = cell[1], dict[str, float](), [cell[0]]
    while waiting:
        arm = waiting.pop()
        needed = methods.needs(method_of(run.study, arm))
        is_composition = arm in methods.COMPOSITIONS  # what it is made of is its whole cost
        counted[arm] = 0.0 if is_composition else trained[arm, seed].seconds
        waiting += [other for other in needed if other not in counted]
    return round(sum(counted.values()), 1)
