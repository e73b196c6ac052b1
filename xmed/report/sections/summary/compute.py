"""Section Summary: verdict, six numbers, the sentence of the primary endpoint, the worst cases and the limitations."""

from __future__ import annotations

from typing import Any

from xmed.html.render import word
from xmed.report.case_pictures import thumbnails
from xmed.report.criteria import criteria
from xmed.report.display_names import INTERVAL_METHODS, metric_name_and_unit
from xmed.report.rows import NO_REFERENCE, Rows
from xmed.report.section_registry import Section
from xmed.report.sections.leakage.compute import n_overlaps, why_not_compared
from xmed.report.sources import Sources
from xmed.report.trivial_baseline import NOT_REQUIRED
from xmed.report.verdict import banner, judge_criteria, protocol_unchanged
from xmed.run import ARMS, Run

Document = dict[str, Any]
N_WORST = 3
NOT_JUDGED = "no adapted prediction was judged"
NON_INFERIORITY_VERDICTS = {"established": "was established", "not_established": "was not established"}
CRITERION_NAMES = {
    "gap_closed": "Gap closed",
    "dice": "Dice",
    "gain_over_trivial": "Gain over the best trivial baseline",
    "not_below_source_only": "Not below source only",
    "not_all_failed": "Not every case failed",
    "patients": "More than one patient",
    "reference": "A test patient who has it",
    "ceiling": "Target labels do better than the best trivial baseline",
    "no_leakage": "No patient or image in training and test",
    "protocol_unchanged": "Protocol unchanged since it was fixed",
}


def compute(sources: Sources, rows: Rows, report: Document) -> Document:
    """Return exploratory, criteria, verdict, headline and banner."""
    same = protocol_unchanged(sources)
    judged = criteria(sources.protocol, report, same, sources.edition)
    decided = {"exploratory": not same, "criteria": judged, "verdict": judge_criteria(judged, sources.edition)}
    return {
        **decided,
        "headline": _headline(sources, report),
        "banner": banner(sources, report | decided),
    }


def _headline(sources: Sources, report: Document) -> Document:
    """Numbers and sentences of the first page. Every number names the path of the one that it repeats."""
    structure = sources.primary
    metric = sources.protocol["protocol"]["primary"]["metric"]
    cells = report["summary"]["adapted"].get(structure, {})
    primary = cells.get(metric, {})
    worst = [entry for entry in report["failures"]["worst"] if entry["structure"] == structure]
    return {
        "structure": structure,
        "arm": "adapted",
        "sentence": _sentence(sources, report, structure),
        "strip": _strip(report, structure, cells),
        "endpoint": {
            "metric": metric,
            "structure": structure,
            "estimate": primary.get("mean"),
            "ci": primary.get("ci"),
            "n": primary.get("n", 0),
            "n_failed": primary.get("n_failed", 0),
            "sentence": _endpoint(metric, structure, primary),
            "non_inferiority": _non_inferiority(report, structure),
        },
        "worst": [
            {
                **{key: entry[key] for key in ("case", "patient", "structure", "dice")},
                "cause": next(iter(entry["causes"]), None),
                "anchor": entry["anchor"],
            }
            for entry in worst[:N_WORST]
        ],
        "limitations": report["limitations"]["machine"],
    }


def _strip(report: Document, structure: str, cells: Document) -> list[Document]:
    """The six numbers: patients, Dice, NSD, HD95, volume bias, failures."""
    base, agreement = f"summary.adapted.{structure}", report["volume_agreement"].get(structure, {})
    dice = cells.get("dice", {})
    tolerance = report["metrics_conventions"]["nsd_tolerance_mm"]

    def entry(
        key: str, label: str, value: Any, ci: list[float] | None, unit: str | None, path: str, reason: str | None
    ) -> Document:
        return {
            "id": key, "label": label, "value": value, "ci": ci, "unit": unit, "n": dice.get("n", 0), "path": path,
            "reason": None if value is not None else reason or NOT_JUDGED,
        }  # fmt: skip

    def of_metric(metric: str, label: str, unit: str | None = None) -> Document:
        cell = cells.get(metric, {})
        return entry(metric, label, cell.get("mean"), cell.get("ci"), unit, f"{base}.{metric}", cell.get("reason"))

    bias, bias_ci, reason = agreement.get("bias_ml"), agreement.get("bias_ci"), agreement.get("reason")
    bias_path, rate = f"volume_agreement.{structure}.bias_ml", dice.get("failure_rate", {})
    return [
        entry("patients", "patients", dice.get("n", 0), None, None, f"{base}.dice.n", None),
        of_metric("dice", "Dice"),
        of_metric("nsd", f"NSD at {tolerance:.3g} mm"),
        of_metric("hd95_mm", "HD95", "mm"),
        {
            **entry("volume_bias_ml", "volume bias", bias, bias_ci, "ml", bias_path, reason),
            "signed": bias,
            "ci_of": "predicted minus reference:",
        },
        entry("failure_rate", "failures", rate.get("value"), rate.get("ci"), "share", f"{base}.dice.failure_rate", ""),
    ]


def _sentence(sources: Sources, report: Document, structure: str) -> str:
    """The primary structure's numbers in one sentence, and what is missing where something is."""
    target = report["data"]["target"]["modality"]
    cells = {arm: report["summary"][arm].get(structure, {}).get("dice", {}) for arm in ARMS}
    adapted, source = cells["adapted"].get("mean"), cells["source_only"].get("mean")
    if sources.edition > 1 and report["intervals"]["gap_closed"][structure]["reason"] == NO_REFERENCE:
        return f"No test patient has {word(structure)}: nothing here says how well it is found on {target}."
    if adapted is None:
        return f"No adapted prediction of {word(structure)} could be judged on {target}."
    n, leakage = cells["adapted"]["n"], report["data"]["leakage"]
    unseen = "" if why_not_compared(leakage) or n_overlaps(leakage) else " unseen in training"
    who = f"On {n} {target} test patient{'s' * (n != 1)}{unseen}"
    text = f"{who}, {word(report['model']['method'])} segmented {word(structure)} with a mean Dice of {adapted:.2f}"
    if source is not None:
        text += f", against {source:.2f} without adaptation"
    if cells["target_supervised"].get("mean") is not None:
        text += f" and {cells['target_supervised']['mean']:.2f} with target labels"
    gain = report["intervals"]["gain_over_trivial"][structure]
    if gain["value"] is not None:
        side = "above" if gain["value"] >= 0 else "below"
        text += f". That is {abs(gain['value']):.2f} {side} the best baseline that learns nothing"
    n_failed, n_cases = cells["adapted"]["n_failed"], cells["adapted"]["n_cases"]
    failed = f"{n_failed} of {n_cases} case{'s' * (n_cases != 1)} failed" if n_failed else "no case failed"
    return f"{_caution(sources, report, cells, structure)}{text}; {failed}."


def _caution(sources: Sources, report: Document, cells: dict[str, Document], structure: str) -> str:
    """What a reader must know before any number: that the test set cannot judge, or what the protocol left out."""
    if sources.edition == 1:
        return ""
    text, lead = "", report["intervals"]["ceiling_over_trivial"][structure]
    if lead["value"] is not None and lead["value"] <= 0:
        means = f"{cells['target_supervised']['mean']:.2f}, {cells[lead['baseline']]['mean']:.2f}"
        why = "a net trained with target labels is not above a rule that learns nothing"
        text = f"This test set cannot judge: {why} ({means}). "
    if report["protocol"]["protocol"]["accept"]["gain_over_trivial"] is None:
        text += f"{NOT_REQUIRED}. "
    return text


def _endpoint(metric: str, structure: str, cell: Document) -> str:
    (name, unit), what = metric_name_and_unit(metric), word(structure)
    if cell.get("mean") is None:
        return f"Primary endpoint: mean {name} of {what}, not defined: {cell.get('reason') or 'no adapted prediction'}."
    n = cell["n"]
    patients = f"{n} patient{'s' * (n != 1)}"
    interval = f"95 % CI {cell['ci'][0]:.3f} to {cell['ci'][1]:.3f}, " if cell["ci"] else ""
    note = f" ({cell['reason']})" if cell.get("reason") else ""
    method = f", {INTERVAL_METHODS[cell['method']]}" if cell["method"] in INTERVAL_METHODS else ""
    return f"Primary endpoint: mean {name} of {what}, {cell['mean']:.3f}{unit} ({interval}{patients}{method}){note}."


def _non_inferiority(report: Document, structure: str) -> str:
    tests = report["statistics"]["non_inferiority"]
    test = next(test for test in tests if test["structure"] == structure)
    if test["verdict"] is None:
        return f"Non-inferiority to target supervision: {test['reason']}; no verdict."
    text = f"Non-inferiority to target supervision at a margin of {test['margin']:g} ({test['source']})"
    if test["estimate"] is None or test["ci"] is None:
        return f"{text} could not be assessed: {test['reason']}."
    low, high = test["ci"]
    numbers = f"adapted minus supervised {test['estimate']:+.3f} (95 % CI {low:+.3f} to {high:+.3f})"
    judged = NON_INFERIORITY_VERDICTS.get(test["verdict"], "could not be assessed")
    return f"{text} {judged}: {numbers}.".replace("-", "−")


def template_values(run: Run, report: Document) -> Document:
    """Small pictures of the worst cases, and the criteria's names."""
    return {"thumbnails": thumbnails(run, report), "criterion_names": CRITERION_NAMES}


SECTION = Section(
    title="Summary",
    order=10,
    provides=("exploratory", "criteria", "verdict", "headline", "banner"),
    needs=(
        "summary", "intervals", "data", "model", "selection", "reference_standard", "statistics", "volume_agreement",
        "failures", "limitations",
    ),
    not_in_id=("banner",),
    compute=compute,
    template_values=template_values,
)  # fmt: skip
