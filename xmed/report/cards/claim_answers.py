"""Answers to CLAIM 2024: what the run's own numbers say of an item of the checklist.

Each function takes the report's document and returns a sentence, or None where the numbers do not answer the item. The
title of every item is in `claim_checklist`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from xmed.html.render import initial, plain, word
from xmed.report.display_names import INTERVAL_METHODS, attribute_name, attribute_value
from xmed.report.sections.data.compute import PERSONAL
from xmed.report.sections.leakage.compute import why_not_compared

Document = dict[str, Any]


def _dice(report: Document, arm: str = "adapted") -> Document:
    structure = report["protocol"]["protocol"]["primary"]["structure"]
    cell: Document = report["summary"][arm].get(structure, {}).get("dice", {})
    return cell


def _title(report: Document) -> str:
    modality = report["data"]["target"]["modality"]
    structures = ", ".join(map(word, report["study"]["structures"]))
    how = f"{word(report['model']['method'])}, unsupervised domain adaptation"
    return f"Deep learning ({how}): {structures} in {modality}."


def _abstract(report: Document) -> str | None:
    if _dice(report).get("mean") is None:
        return None
    return (
        f"Purpose: {_goal(report)} Methods: {report['methods']['paragraphs'][0]} Results: "
        f"{report['headline']['sentence']} Conclusion: {report['verdict']}, by criteria fixed before the test labels "
        "were read."
    )


def _goal(report: Document) -> str:
    always = ("no_leakage", "protocol_unchanged")
    criteria = [word(criterion["text"]) for criterion in report["criteria"] if criterion["id"] not in always]
    kind = "validation on external data" if report["kind"] == "external" else "feasibility of adaptation without labels"
    return f"The goal is {kind}; asked beforehand: {'; '.join(criteria) or 'nothing'}."


def _data_sources(report: Document) -> str | None:
    sides = [report["data"][side] for side in ("source", "target")]
    if not all(side["source"] and side["licence"] for side in sides):
        return None
    return " ".join(f"{side['name']}: {side['source']} ({side['licence']})." for side in sides)


def _eligibility(report: Document) -> str:
    steps = report["data"]["steps"]["target"]
    return f"Of {steps['received']} target cases {steps['quarantined']['n']} were refused by a technical check."


def _preprocessing(report: Document) -> str:
    grid = report["study"]["grid"]
    edges, unit = (grid["fit"], "voxels") if grid.get("fit") else (grid.get("spacing_mm") or [], "mm")
    size, patch = (" × ".join(f"{n:g}" for n in triple) for triple in (edges, grid["patch"]))
    return (
        f"Resampled to {size} {unit}, normalised, predicted in patches of {patch} voxels; metrics on the native grid."
    )


def _subsets(report: Document) -> str:
    parts = report["data"]["steps"]["target"]["partition"]
    return "Target: " + ", ".join(f"{parts[name]['cases']} {name}" for name in ("train", "select", "test")) + "."


def _deidentification(report: Document) -> str:
    del report  # ingest keeps the same of every dataset
    return (
        "Ingest keeps voxels and geometry only; of a header it keeps sex, age in bands, the vendor and the field "
        "strength, and keyed digests in place of UIDs; where a spec names no patients, names become keyed pseudonyms."
    )


def _missing_data(report: Document) -> str:
    cell = _dice(report)
    lines = len(report["data"]["missing"])
    return (
        f"{lines} kinds of missing data are listed. A prediction that is missing counts as a failure with Dice 0; "
        f"{cell.get('n_excluded', 0)} cases were excluded from the mean because Dice is not defined for them."
    )


def _acquisition(report: Document) -> str | None:
    rows = [row for row in report["data"].get("cohort", []) if row["vendor"]]
    if not rows:
        return None
    return " ".join(f"{row['dataset']}, {row['partition']}: {_listed(row['vendor'])}." for row in rows)


def _assignment(report: Document) -> str:
    return f"By patient, as the dataset specs say: {_subsets(report)}"


def _disjointness(report: Document) -> str | None:
    if why_not_compared(report["data"]["leakage"]):
        return None
    checks = report["data"]["leakage"]["checks"]
    counts = [f"{check['text']}: {check['found']}" for check in checks if check["found"] is not None]
    overlap = len(report["data"]["leakage"]["patient_overlap"])
    return f"By patient. Overlap of learned and tested, {'; '.join(counts) or f'patients: {overlap}'}."


def _sample_size(report: Document) -> str | None:
    planned = report["statistics"]["planned"]
    return (
        None if planned["n"] is None else f"{planned['n']} test patients were planned, {planned['achieved']} reached."
    )


def _model_description(report: Document) -> str | None:
    model = report["model"]
    if model["parameters"] is None:
        return None
    network = ", ".join(f"{key} {plain(value)}" for key, value in model["network"].items())
    return f"Network ({network}), {model['parameters']} parameters; method {model['method']} ({model['cite']})."


def _software(report: Document) -> str:
    del report  # no versions here: the report's id covers this text, and must not change with a package
    return "Python, PyTorch, MONAI, NumPy, SciPy, scikit-image and xmed; every package is listed with its version."


def _training(report: Document) -> str | None:
    if not report["training"] or report["kind"] == "external":
        return None
    training = report["training"]
    record = next((record for record in training if record["arm"] == "adapted"), training[0])
    budget, seeds = report["study"]["budget"], report["study"]["seeds"]
    return (
        f"{record['steps']} steps of {budget['batch']} patches, learning rate {budget['learning_rate']:g}, "
        f"seed{'s' * (len(seeds) != 1)} {', '.join(map(str, seeds))}."
    )


def _selection(report: Document) -> str | None:
    rule = report["selection"]["rule"]
    return None if rule is None else f"{initial(rule)}; target labels were not used for it."


def _initialisation(report: Document) -> str | None:
    trained_here = report["training"] and report["kind"] == "adaptation"
    return "At random, by the seed; no pretrained weights." if trained_here else None


def _ensemble(report: Document) -> str | None:
    members = report["model"]["network"].get("members", 1)
    return None if not report["training"] else f"{members} network{'s' * (members != 1)} in the deployed model."


def _metrics(report: Document) -> str:
    names = ", ".join(metric["name"] for metric in report["metrics_conventions"]["conventions"].values())
    return f"{names}; every definition and what happens to empty masks is in the report."


def _uncertainty(report: Document) -> str | None:
    if _dice(report).get("ci") is None:
        return None
    tests = [test for test in report["statistics"]["holm"] if test["p_sign_flip"] is not None]
    family = f" {initial(report['statistics']['family']['name'])}, Holm." if tests else " No test was made."
    method = _dice(report)["method"]
    return f"95 % intervals over patients ({INTERVAL_METHODS.get(method, method)}).{family}"


def _robustness(report: Document) -> str | None:
    if _dice(report).get("mean") is None:
        return None
    methods = ", ".join(line["method"] for line in report["statistics"]["sensitivity"][0]["rows"])
    curves = report["robustness"]["curves"]
    disturbed = (
        f"{len(curves)} kinds of disturbance in three severities on {report['robustness']['n_cases']} test volumes."
        if curves
        else f"Disturbed images: {report['robustness']['reason']}."
    )
    return f"Sensitivity to assumptions: {methods}. {disturbed}"


def _internal(report: Document) -> str | None:
    if report["kind"] == "external" or _dice(report).get("mean") is None:
        return None
    return str(report["headline"]["endpoint"]["sentence"])


def _external(report: Document) -> str | None:
    if report["kind"] != "external":
        return "No external data set was tested in this run."
    return str(report["headline"]["endpoint"]["sentence"])


def _numbers_included(report: Document) -> str:
    steps = report["data"]["steps"]["target"]
    codes = steps["quarantined"]["by_code"]
    return f"{_eligibility(report)} {_listed(codes) or 'No code applies'}. {_subsets(report)}"


def _demographics(report: Document) -> str | None:
    """Sex and age of the test patients, where headers give both, of so many patients that nobody is identified."""
    parts = []
    for row in (row for row in report["data"].get("cohort", []) if row["patients"]):
        given = all(row[name] and "suppressed" not in row[name] for name in PERSONAL)
        tested = (row["side"], row["partition"]) == ("target", "test")
        if tested and not given:
            return None
        where = f"{initial(row['side'])}, {row['partition']}"
        text = "; ".join(f"{attribute_name(name)} {_levels(name, row)}" for name in PERSONAL) if given else "not given"
        parts.append(f"{where}: {text}.")
    return " ".join(parts) or None


def _levels(name: str, row: Document) -> str:
    """8 female, 3 male: how many patients of each level, and of how many nothing is known."""
    parts = [f"{n} {attribute_value(name, value)}" for value, n in row[name].items()]
    rest = row["patients"] - sum(row[name].values())
    return ", ".join([*parts, *([f"{rest} not given"] if rest else [])])


def _performance(report: Document) -> str | None:
    return None if _dice(report).get("ci") is None else report["headline"]["endpoint"]["sentence"]


def _failure_rate(report: Document) -> str | None:
    structure = report["protocol"]["protocol"]["primary"]["structure"]
    rate = report["failures"]["by_arm"].get("adapted", {}).get(structure)
    if rate is None or rate["ci"] is None:
        return None
    low, high = rate["ci"]
    counted = f"{rate['n_failed']} of {rate['n_cases']} case{'s' * (rate['n_cases'] != 1)} failed"
    return f"{initial(word(structure))}: {counted} (95 % CI {low:.3f} to {high:.3f})."


def _failure_analysis(report: Document) -> str | None:
    if "adapted" not in report["failures"]["by_arm"]:
        return None
    causes = ", ".join(f"{word(cause['code'])} {cause['n']}" for cause in report["failures"]["causes"] if cause["n"])
    return f"Every case is listed, worst first, with causes: {causes or 'none below the threshold'}."


def _limitations(report: Document) -> str:
    return " ".join(report["limitations"]["machine"])


def _protocol(report: Document) -> str:
    return f"protocol.json, sha256 {report['protocol_sha256']}, fixed {report['protocol'].get('fixed_at', '')}."


def _availability(report: Document) -> str | None:
    data = _data_sources(report)
    return data and f"Software: xmed, Apache-2.0. Model: {report['model']['name']} in the registry. Data: {data}"


def _listed(counts: Document | None) -> str:
    return ", ".join(f"{key} {n}" for key, n in (counts or {}).items())


ANSWERS: dict[int, Callable[[Document], str | None]] = {
    1: _title,
    2: _abstract,
    6: _goal,
    7: _data_sources,
    8: _eligibility,
    9: _preprocessing,
    10: _subsets,
    11: _deidentification,
    12: _missing_data,
    13: _acquisition,
    19: _assignment,
    20: _disjointness,
    21: _sample_size,
    22: _model_description,
    23: _software,
    24: _initialisation,
    25: _training,
    26: _selection,
    27: _ensemble,
    28: _metrics,
    29: _uncertainty,
    30: _robustness,
    32: _internal,
    33: _external,
    35: _numbers_included,
    36: _demographics,
    37: _performance,
    38: _failure_rate,
    39: _failure_analysis,
    40: _limitations,
    42: _protocol,
    43: _availability,
}
"""Item of CLAIM 2024 -> what the report's own numbers say of it."""
