"""Section Statistics: the tests of a study, what else could have been assumed, and how many patients it takes."""

from __future__ import annotations

from typing import Any

from xmed import stats
from xmed.report.rows import Rows
from xmed.report.section_registry import Section
from xmed.report.sources import Sources
from xmed.report.stats_as_json import difference, interval, limits, paired

Document = dict[str, Any]
DiceByArm = dict[str, dict[str, float]]
"""arm -> patient -> Dice of one structure."""
LEVEL = 0.95
COMPARISONS = {
    "adapted_minus_source_only": ("adapted", "source_only"),
    "adapted_minus_target_supervised": ("adapted", "target_supervised"),
}
FAMILY = "adapted against source-only, Dice, one sign-flip permutation test per structure"
NOT_ASKED = "not pre-specified: the protocol names no margin"


def compute(sources: Sources, rows: Rows, report: Document) -> Document:
    """Return statistics: every test that was made, each with its effect and interval; no other test was made."""
    structures = sources.structures
    dice = {s: {arm: rows.by_patient(arm, s, "dice")[0] for arm in rows.arms} for s in structures}
    protocol = sources.protocol["protocol"]
    margin = protocol.get("non_inferiority")
    non_inferiority = [_non_inferiority(s, dice[s], margin if s == sources.primary else None) for s in structures]
    n = len(dice[sources.primary].get("adapted", {}))
    statistics = {
        "level": LEVEL,
        "unit": "patient",
        "n": n,
        "planned": _planned(protocol, n, non_inferiority, sources.primary),
        "family": {"name": FAMILY, "members": structures, "method": "Holm 1979", "alpha": round(1 - LEVEL, 10)},
        "holm": _holm(dice, structures),
        "sensitivity": [
            {"structure": s, "comparison": name, "metric": "dice", "rows": _under_other_assumptions(dice[s], *pair)}
            for s in structures
            for name, pair in COMPARISONS.items()
        ],
        "non_inferiority": non_inferiority,
        "paired": {name: {s: _pairs(dice[s], *pair) for s in structures} for name, pair in COMPARISONS.items()},
        "seeds": {s: _seeds(rows, s) for s in structures},
    }
    return {"statistics": statistics}


def _holm(dice: dict[str, DiceByArm], structures: list[str]) -> list[Document]:
    """The family of tests, each with its p-value after Holm's correction."""
    tests = {s: difference(dice[s].get("adapted", {}), dice[s].get("source_only", {})) for s in structures}
    tested = [s for s in structures if tests[s]["p_sign_flip"] is not None]
    adjusted = dict(zip(tested, stats.holm_adjusted([tests[s]["p_sign_flip"] for s in tested])))
    keys = ("ci", "n", "n_nonzero", "p_sign_flip", "p_wilcoxon", "smallest_p", "note", "reason")
    return [
        {
            "structure": s,
            "comparison": "adapted_minus_source_only",
            "metric": "dice",
            "estimate": tests[s]["value"],
            **{key: tests[s][key] for key in keys},
            "p_holm": adjusted.get(s),
        }
        for s in structures
    ]


def _under_other_assumptions(dice: DiceByArm, a: str, b: str) -> list[Document]:
    """The same difference assuming normal means, the sample itself, exchangeable signs; and by ranks."""
    _, x, y = paired(dice.get(a, {}), dice.get(b, {}))
    result = stats.paired_sensitivity(x, y)
    no_test, no_interval = "an interval, no test", "a test, no interval"

    def line(method: str, interval: stats.Interval | None, p: float | None, reason: str | None) -> Document:
        return {
            "method": method,
            "estimate": result.t.mean,
            "ci": limits(interval.lo, interval.hi) if interval else None,
            "p": p,
            "reason": (interval.degenerate if interval and interval.lo is None else None) or reason,
        }

    return [
        line("t", result.t, result.p_t, None if result.p_t is not None else result.note),
        line("patient bootstrap, BCa", result.bootstrap, None, no_test),
        line("sign-flip permutation", None, result.p_sign_flip, result.note or no_interval),
        line("Wilcoxon", None, result.p_wilcoxon, result.note or no_interval),
    ]


def _non_inferiority(structure: str, dice: DiceByArm, margin: Document | None) -> Document:
    """Adapted against target-supervised at the protocol's margin; without one there is an interval and no verdict."""
    _, adapted, supervised = paired(dice.get("adapted", {}), dice.get("target_supervised", {}))
    about = {"structure": structure, "metric": "dice", "comparison": "adapted_minus_target_supervised"}
    if margin is None:
        mean = stats.t_ci([a - b for a, b in zip(adapted, supervised)])
        empty = dict.fromkeys(("margin", "source", "p", "p_wilcoxon", "planned_n", "verdict"))
        reason = NOT_ASKED if mean.mean is not None else f"{NOT_ASKED}; and no patient has both arms"
        return {
            **about, "estimate": mean.mean, "ci": limits(mean.lo, mean.hi), "n": mean.n, "alpha_one_sided": 0.025,
            **empty, "reason": reason,
        }  # fmt: skip
    test = stats.assess_noninferiority(
        adapted, supervised, margin["margin"], margin["source"], planned_sd=margin.get("sd")
    )
    return {
        **about,
        "estimate": test.difference.mean,
        "ci": limits(test.difference.lo, test.difference.hi),
        "n": test.n,
        "margin": test.margin,
        "source": test.margin_source,
        "alpha_one_sided": test.alpha_one_sided,
        "p": test.p,
        "p_wilcoxon": test.p_wilcoxon,
        "planned_n": test.planned_n,
        "verdict": test.verdict,
        "reason": test.note,
    }


def _planned(protocol: Document, n: int, non_inferiority: list[Document], primary: str) -> Document:
    planned = protocol.get("planned_n")
    needed = next((test["planned_n"] for test in non_inferiority if test["structure"] == primary), None)
    return {
        "n": planned,
        "achieved": n,
        "reached": None if planned is None else n >= planned,
        "needed_for_non_inferiority": needed,
        "reason": None if planned is not None else "the protocol names no number of patients",
    }


def _pairs(dice: DiceByArm, a: str, b: str) -> list[Document]:
    patients, x, y = paired(dice.get(a, {}), dice.get(b, {}))
    return [
        {"patient": patient, "a": first, "b": second, "difference": first - second}
        for patient, first, second in zip(patients, x, y)
    ]


def _seeds(rows: Rows, structure: str) -> Document:
    """The adapted arm's mean Dice of each seed, over patients; their spread is no interval."""
    seeds = sorted({row.seed for row in rows.of("adapted", structure) if row.seed is not None})
    means = {}
    for seed in seeds:
        of_seed = Rows(tuple(row for row in rows.of("adapted", structure) if row.seed == seed))
        by_patient = of_seed.by_patient("adapted", structure, "dice")[0]
        means[str(seed)] = interval(stats.t_ci(list(by_patient.values())))["value"]
    spread = rows.by_patient("adapted", structure, "dice")[1]
    return {"n": len(seeds), "means": means, "sd": spread, "reason": None if len(seeds) > 1 else "fewer than two seeds"}


SECTION = Section(
    title="Statistics",
    order=80,
    how_to_read="Effects with their intervals come first, p-values after. Three ways to the same interval should "
    "agree; where they do not, trust the widest. Not significant does not mean equal: only the margin "
    "answers that.",
    provides=("statistics",),
    compute=compute,
)
