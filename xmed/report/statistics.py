"""Statistics: the tests of a study, their family, what else could have been assumed, and how many patients it takes."""

from __future__ import annotations

from typing import Any

from xmed import stats
from xmed.report.plain import difference, interval, paired, span
from xmed.report.rows import Rows
from xmed.report.sources import Sources

Document = dict[str, Any]
LEVEL = 0.95
COMPARED = {
    "adapted_minus_source_only": ("adapted", "source_only"),
    "adapted_minus_target_supervised": ("adapted", "target_supervised"),
}
FAMILY = "adapted against source-only, Dice, one sign-flip permutation test per structure"
NOT_ASKED = "not pre-specified: the protocol names no margin"


def statistics(sources: Sources, rows: Rows) -> Document:
    """Section 7: effect and interval first, then p; every test that was made stands here, and no other was made."""
    structures = sources.structures
    dice = {s: {arm: rows.by_patient(arm, s, "dice")[0] for arm in rows.arms} for s in structures}
    protocol = sources.protocol["protocol"]
    margin = protocol.get("non_inferiority")
    inferior = [_non_inferiority(s, dice[s], margin if s == sources.primary else None) for s in structures]
    reached = len(dice[sources.primary].get("adapted", {}))
    return {
        "level": LEVEL,
        "unit": "patient",
        "n": reached,
        "planned": _planned(protocol, reached, inferior, sources.primary),
        "family": {"name": FAMILY, "members": structures, "method": "Holm 1979", "alpha": round(1 - LEVEL, 10)},
        "holm": holm(dice, structures),
        "sensitivity": [
            {"structure": s, "comparison": name, "metric": "dice", "rows": _assumptions(dice[s], *pair)}
            for s in structures
            for name, pair in COMPARED.items()
        ],
        "non_inferiority": inferior,
        "paired": {name: {s: _pairs(dice[s], *pair) for s in structures} for name, pair in COMPARED.items()},
        "seeds": {s: _seeds(rows, s) for s in structures},
    }


def holm(dice: dict[str, dict[str, dict[str, float]]], structures: list[str]) -> list[Document]:
    """The family of tests, each with the p that Holm's procedure makes of it."""
    found = {s: difference(dice[s].get("adapted", {}), dice[s].get("source_only", {})) for s in structures}
    tested = [s for s in structures if found[s]["p_sign_flip"] is not None]
    adjusted = dict(zip(tested, stats.holm_adjusted([found[s]["p_sign_flip"] for s in tested])))
    kept = ("ci", "n", "n_nonzero", "p_sign_flip", "p_wilcoxon", "smallest_p", "note", "reason")
    return [
        {
            "structure": s,
            "comparison": "adapted_minus_source_only",
            "metric": "dice",
            "estimate": found[s]["value"],
            **{key: found[s][key] for key in kept},
            "p_holm": adjusted.get(s),
        }
        for s in structures
    ]


def _assumptions(dice: dict[str, dict[str, float]], a: str, b: str) -> list[Document]:
    """The same difference under three assumptions: normal means, the sample itself, exchangeable signs; and ranks."""
    _, x, y = paired(dice.get(a, {}), dice.get(b, {}))
    found = stats.paired_sensitivity(x, y)
    mean = found.t.mean
    no_test, no_span = "an interval, no test", "a test, no interval"

    def row(method: str, given: stats.Interval | None, p: float | None, why: str | None) -> Document:
        return {
            "method": method,
            "estimate": mean,
            "ci": span(given.lo, given.hi) if given else None,
            "p": p,
            "reason": (given.degenerate if given and given.lo is None else None) or why,
        }

    return [
        row("t", found.t, found.p_t, None if found.p_t is not None else found.note),
        row("patient bootstrap, BCa", found.bootstrap, None, no_test),
        row("sign-flip permutation", None, found.p_sign_flip, found.note or no_span),
        row("Wilcoxon", None, found.p_wilcoxon, found.note or no_span),
    ]


def _non_inferiority(structure: str, dice: dict[str, dict[str, float]], asked: Document | None) -> Document:
    """Adapted against target-supervised at the margin of the protocol; without one there is an interval, no verdict."""
    _, adapted, supervised = paired(dice.get("adapted", {}), dice.get("target_supervised", {}))
    shown = {"structure": structure, "metric": "dice", "comparison": "adapted_minus_target_supervised"}
    if asked is None:
        found = stats.t_ci([a - b for a, b in zip(adapted, supervised)])
        empty = dict.fromkeys(("margin", "source", "p", "p_wilcoxon", "planned_n", "verdict"))
        why = NOT_ASKED if found.mean is not None else f"{NOT_ASKED}; and no patient has both arms"
        return {
            **shown, "estimate": found.mean, "ci": span(found.lo, found.hi), "n": found.n, "alpha_one_sided": 0.025,
            **empty, "reason": why,
        }  # fmt: skip
    made = stats.assess_noninferiority(
        adapted, supervised, asked["margin"], asked["source"], planned_sd=asked.get("sd")
    )
    return {
        **shown,
        "estimate": made.difference.mean,
        "ci": span(made.difference.lo, made.difference.hi),
        "n": made.n,
        "margin": made.margin,
        "source": made.margin_source,
        "alpha_one_sided": made.alpha_one_sided,
        "p": made.p,
        "p_wilcoxon": made.p_wilcoxon,
        "planned_n": made.planned_n,
        "verdict": made.verdict,
        "reason": made.note,
    }


def _planned(protocol: Document, reached: int, inferior: list[Document], primary: str) -> Document:
    planned = protocol.get("planned_n")
    needed = next((one["planned_n"] for one in inferior if one["structure"] == primary), None)
    return {
        "n": planned,
        "achieved": reached,
        "reached": None if planned is None else reached >= planned,
        "needed_for_non_inferiority": needed,
        "reason": None if planned is not None else "the protocol names no number of patients",
    }


def _pairs(dice: dict[str, dict[str, float]], a: str, b: str) -> list[Document]:
    shared, x, y = paired(dice.get(a, {}), dice.get(b, {}))
    return [{"patient": p, "a": one, "b": two, "difference": one - two} for p, one, two in zip(shared, x, y)]


def _seeds(rows: Rows, structure: str) -> Document:
    """The adapted arm's mean Dice of each seed, over patients; their spread is no interval."""
    seeds = sorted({row["seed"] for row in rows.of("adapted", structure)})
    means = {}
    for seed in seeds:
        mine = Rows(tuple(row for row in rows.of("adapted", structure) if row["seed"] == seed))
        means[str(seed)] = interval(stats.t_ci(list(mine.by_patient("adapted", structure, "dice")[0].values())))[
            "value"
        ]
    spread = rows.by_patient("adapted", structure, "dice")[1]
    return {"n": len(seeds), "means": means, "sd": spread, "reason": None if len(seeds) > 1 else "fewer than two seeds"}
