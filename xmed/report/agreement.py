"""Agreement: predicted against reference volumes, patient by patient; never a correlation alone."""

from __future__ import annotations

from math import isfinite
from typing import Any

from xmed import metrics, stats
from xmed.report.plain import interval, paired, span
from xmed.report.rows import NO_REFERENCE, Rows
from xmed.report.sources import Sources

Document = dict[str, Any]


def volume_agreement(sources: Sources, rows: Rows) -> dict[str, Document]:
    """Section 8, per structure: Bland & Altman (Lancet 1986) with intervals, Lin's CCC, ICC(A,1); adapted arm, ml."""
    return {s: _agreement(sources, rows, s) for s in sources.structures}


def _agreement(sources: Sources, rows: Rows, structure: str) -> Document:
    predicted = rows.by_patient("adapted", structure, "volume_ml")[0]
    reference = rows.by_patient("adapted", structure, "reference_volume_ml")[0]
    patients, x, y = paired(predicted, reference)
    found = stats.bland_altman(x, y)
    relative = stats.mean_ci([share for a, b in zip(x, y) if b > 0 and isfinite(share := (a - b) / b)])
    ratio = found.ratio and {
        "bias": found.ratio.bias,
        "loa": [found.ratio.lower, found.ratio.upper],
        "reason": None,
    }
    reason = found.degenerate
    if not patients:
        credible = sources.metrics["spacing_credible"]
        reason = metrics.NO_MM if not credible else "no patient of the adapted arm has both volumes"
        reason = NO_REFERENCE if structure in rows.unsupported else reason
    limits = [one for one in (found.lower, found.upper) if one is not None]
    return {
        "n": found.n,
        "bias_ml": found.bias.mean,
        "bias_ci": span(found.bias.lo, found.bias.hi),
        "sd_ml": found.sd,
        "loa_ml": [one.value for one in limits] or None,
        "loa_ci": [[one.lo, one.hi] for one in limits] or None,
        "slope": interval(found.slope),
        "ratio": ratio or {"bias": None, "loa": None, "reason": "no proportional bias, or a volume of zero"},
        "ccc": interval(found.ccc),
        "icc": interval(found.icc),
        "relative_error": interval(relative),
        "points": [
            {"patient": p, "predicted_ml": a, "reference_ml": b, "difference_ml": a - b, "mean_ml": (a + b) / 2}
            for p, a, b in zip(patients, x, y)
        ],
        "reason": reason,
    }
