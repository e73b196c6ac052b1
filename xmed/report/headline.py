"""Headline: six numbers, the sentence of the primary endpoint, the worst cases, and what limits all of it."""

from __future__ import annotations

from typing import Any

from xmed.html.render import word
from xmed.report.population import leaks, uncompared
from xmed.report.rows import NO_REFERENCE
from xmed.report.sources import Sources
from xmed.report.support import NOT_ASKED, doubts
from xmed.report.words import metric_of

Document = dict[str, Any]
WORST = 3
METHODS = {"t": "t-interval", "BCa bootstrap": "BCa bootstrap"}
FEW = 30
"""Patients below which the report says by itself that they are few."""


def headline(sources: Sources, report: Document) -> Document:
    """The first page. Every entry names the path of the number that it repeats."""
    s = sources.primary
    metric = sources.protocol["protocol"]["primary"]["metric"]
    cells = report["summary"]["adapted"].get(s, {})
    primary = cells.get(metric, {})
    return {
        "structure": s,
        "arm": "adapted",
        "sentence": _sentence(sources, report, s),
        "strip": _strip(report, s, cells),
        "endpoint": {
            "metric": metric,
            "structure": s,
            "estimate": primary.get("mean"),
            "ci": primary.get("ci"),
            "n": primary.get("n", 0),
            "n_failed": primary.get("n_failed", 0),
            "sentence": _endpoint(metric, s, primary),
            "non_inferiority": _non_inferiority(report, s),
        },
        "worst": [
            {"case": one["case"], "patient": one["patient"], "structure": one["structure"], "dice": one["dice"],
             "cause": next(iter(one["causes"]), None), "anchor": one["anchor"]}
            for one in report["failures"]["worst"] if one["structure"] == s
        ][:WORST],
        "limitations": report["limitations"]["machine"],
    }  # fmt: skip


def _strip(report: Document, s: str, cells: Document) -> list[Document]:
    base, volume = f"summary.adapted.{s}", report["volume_agreement"].get(s, {})
    dice, reason = cells.get("dice", {}), "no adapted prediction was judged"
    tolerance = report["metrics_conventions"]["nsd_tolerance_mm"]

    def entry(key: str, label: str, value: Any, ci: Any, unit: str | None, path: str, why: str | None) -> Document:
        why = None if value is not None else why or reason
        return {"id": key, "label": label, "value": value, "ci": ci, "unit": unit, "n": dice.get("n", 0), "path": path,
                "reason": why}  # fmt: skip

    def of(metric: str, label: str, unit: str | None = None) -> Document:
        cell = cells.get(metric, {})
        return entry(metric, label, cell.get("mean"), cell.get("ci"), unit, f"{base}.{metric}", cell.get("reason"))

    bias = volume.get("bias_ml")
    rate = dice.get("failure_rate", {})
    return [
        entry("patients", "patients", dice.get("n", 0), None, None, f"{base}.dice.n", None),
        of("dice", "Dice"),
        of("nsd", f"NSD at {tolerance:.3g} mm"),
        of("hd95_mm", "HD95", "mm"),
        {
            **entry("volume_bias_ml", "volume bias", bias, volume.get("bias_ci"), "ml",
                    f"volume_agreement.{s}.bias_ml", volume.get("reason")),
            "signed": bias, "ci_of": "predicted minus reference:",
        },
        entry("failure_rate", "failures", rate.get("value"), rate.get("ci"), "share", f"{base}.dice.failure_rate", ""),
    ]  # fmt: skip


def _sentence(sources: Sources, report: Document, s: str) -> str:
    """The primary structure's numbers, and what is missing where something is."""
    target = report["data"]["target"]["modality"]
    cell = {arm: found.get(s, {}).get("dice", {}) for arm, found in report["summary"].items() if isinstance(found, dict)
            and not arm.startswith("ga")}  # fmt: skip
    adapted, source = cell["adapted"].get("mean"), cell["source_only"].get("mean")
    if sources.edition > 1 and report["intervals"]["gap_closed"][s]["reason"] == NO_REFERENCE:
        return f"No test patient has {word(s)}: nothing here says how well it is found on {target}."
    if adapted is None:
        return f"No adapted prediction of {word(s)} could be judged on {target}."
    n, leakage = cell["adapted"]["n"], report["data"]["leakage"]
    unseen = "" if uncompared(leakage) or leaks(leakage) else " unseen in training"
    who = f"On {n} {target} test patient{'s' * (n != 1)}{unseen}"
    text = f"{who}, {word(report['model']['method'])} segmented {word(s)} with a mean Dice of {adapted:.2f}"
    if source is not None:
        text += f", against {source:.2f} without adaptation"
    if cell["target_supervised"].get("mean") is not None:
        text += f" and {cell['target_supervised']['mean']:.2f} with target labels"
    gain = report["intervals"]["gain_over_trivial"][s]
    if gain["value"] is not None:
        side = "above" if gain["value"] >= 0 else "below"
        text += f". That is {abs(gain['value']):.2f} {side} the best baseline that learns nothing"
    failed = cell["adapted"]["n_failed"]
    text += (
        f"; {failed} of {cell['adapted']['n_cases']} case{'s' * (cell['adapted']['n_cases'] != 1)} failed."
        if failed
        else "; no case failed."
    )
    return _caution(sources, report, cell, s) + text


def _caution(sources: Sources, report: Document, cell: dict[str, Document], s: str) -> str:
    """What a reader must know before any number: that the test set cannot judge, or what the protocol left out."""
    if sources.edition == 1:
        return ""
    text, lead = "", report["intervals"]["ceiling_over_trivial"][s]
    if lead["value"] is not None and lead["value"] <= 0:
        reached = f"{cell['target_supervised']['mean']:.2f}, {cell[lead['baseline']]['mean']:.2f}"
        why = "a net trained with target labels is not above a rule that learns nothing"
        text = f"This test set cannot judge: {why} ({reached}). "
    if report["protocol"]["protocol"]["accept"]["gain_over_trivial"] is None:
        text += f"{NOT_ASKED}. "
    return text


def _endpoint(metric: str, s: str, cell: Document) -> str:
    (name, unit), s = metric_of(metric), word(s)
    if cell.get("mean") is None:
        return f"Primary endpoint: mean {name} of {s}, not defined: {cell.get('reason') or 'no adapted prediction'}."
    n = cell["n"]
    who = f"{n} patient{'s' * (n != 1)}"
    interval = f"95 % CI {cell['ci'][0]:.3f} to {cell['ci'][1]:.3f}, " if cell["ci"] else ""
    note = f" ({cell['reason']})" if cell.get("reason") else ""
    how = f", {METHODS[cell['method']]}" if cell["method"] in METHODS else ""
    return f"Primary endpoint: mean {name} of {s}, {cell['mean']:.3f}{unit} ({interval}{who}{how}){note}."


def _non_inferiority(report: Document, s: str) -> str:
    found = next(one for one in report["statistics"]["non_inferiority"] if one["structure"] == s)
    if found["verdict"] is None:
        return f"Non-inferiority to target supervision: {found['reason']}; no verdict."
    word = {"established": "was established", "not_established": "was not established"}
    text = f"Non-inferiority to target supervision at a margin of {found['margin']:g} ({found['source']})"
    if found["estimate"] is None or found["ci"] is None:
        return f"{text} could not be assessed: {found['reason']}."
    low, high = found["ci"]
    numbers = f"adapted minus supervised {found['estimate']:+.3f} (95 % CI {low:+.3f} to {high:+.3f})"
    return f"{text} {word.get(found['verdict'], 'could not be assessed')}: {numbers}.".replace("-", "−")


def machine_limitations(sources: Sources, report: Document) -> list[str]:
    """What the numbers themselves say against relying on them; never empty by neglect."""
    s, out = sources.primary, []
    cell = report["summary"]["adapted"].get(s, {}).get("dice", {})
    n = cell.get("n", 0)
    if n < FEW:
        width = f": the interval of the mean Dice is {cell['ci'][1] - cell['ci'][0]:.2f} wide" if cell.get("ci") else ""
        out.append(f"{n} test patient{'s' * (n != 1)}{width}.")
    if len(sources.study["seeds"]) < 3:
        seeds = len(sources.study["seeds"])
        out.append(f"{seeds} training seed{'s' * (seeds != 1)}: how much training itself varies is not known.")
    if report["kind"] == "adaptation":
        out.append("No external data set: source and target test data come from the datasets that were learned from.")
    if uncompared(report["data"]["leakage"]):
        out.append("Whether a test patient was learned from is not known: the data of the training are not here.")
    if not report["summary"]["target_supervised"] and report["kind"] == "adaptation":
        out.append("No ceiling was trained with target labels: gap closed and non-inferiority are unknown.")
    out.append("One reference label per case: agreement between raters, the ceiling of any model, is not known.")
    if not sources.metrics["spacing_credible"]:
        out.append("The spacing of the target is not credible: nothing is reported in millimetres or millilitres.")
    if any(card.get("enlarges") for card in sources.cards):
        out.append(
            "The model enlarges volumes that are smaller than its patch before it looks at them: how tightly an image "
            "was cropped, or how small its field of view is, changes at what scale it is read."
        )
    out += doubts(report, sources.structures, s) if sources.edition > 1 else []
    gain = report["intervals"]["gain_over_trivial"][s]
    if gain["value"] is not None and gain["ci"] and gain["ci"][0] <= 0:
        out.append("The gain over the best trivial baseline is not clearly above zero.")
    shift = report["robustness"]
    if not shift["curves"]:
        out.append(f"Robustness to disturbed images is not known: {shift['reason']}.")
    if report["data"]["leakage"]["near_duplicates"]:
        out.append("Near duplicates of test images stand among the training images: somebody must look at them.")
    return out
