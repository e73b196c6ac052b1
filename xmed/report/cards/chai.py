"""CHAI card: the report as an Applied Model Card of the Coalition for Health AI, XML by its schema v0.2.

The schema asks for an order of elements, all of them text; a metric's value is JSON in one of a few kinds, the
bibliography BibTeX. What only a person can say is written as NOT PROVIDED, so that the card is valid and its gaps are
visible. https://mc.chai.org
"""

from __future__ import annotations

import json
from typing import Any
from xml.etree import ElementTree

from xmed.html.render import number, word
from xmed.report.author_text import NOT_PROVIDED

Tree = dict[str, Any]
CRITERION_STATES = {True: "met", False: "not met", None: "open"}
NAMESPACE = "https://mc.chai.org/v0.2/schema.xsd"


def key_metrics(report: dict[str, Any]) -> Tree:
    """Return the card's KeyMetrics; a metric without any number says so."""
    about = _about(report)
    states = [f"{criterion['text']}: {CRITERION_STATES[criterion['holds']]}" for criterion in report["criteria"]]
    nothing = [_result("Not measured", {"kind": "text", "text": "no number could be computed"})]

    def metric(goal: str, results: list[Tree], meaning: str) -> Tree:
        return {"MetricGoal": goal, "Results": {"MetricResult": results or nothing}, "Interpretation": meaning, **about}

    failure = f"A failure: {report['failures']['definition']}."
    return {
        "UsefulnessUsabilityEfficacy": metric(
            "Agreement of the predicted with the reference contours.",
            _useful(report),
            f"Criteria: {'; '.join(states)}.",
        ),
        "FairnessEquity": metric("No group of patients served worse than others.", _fair(report), worst_groups(report)),
        "SafetyReliability": metric("Few failures, and a confidence that finds them.", _safe(report), failure),
    }


def worst_groups(report: dict[str, Any]) -> str:
    """Return the worst group of every factor that could be compared, in one sentence."""
    sentences = [
        f"{word(group['structure'])} by {group['text']}: worst group {group['worst']}, gap "
        f"{number(group['gap']['value'], 3)}"
        for group in report["subgroups"]
        if group["worst"] is not None and group["gap"]["value"] is not None
    ]
    return "; ".join(sentences) or "No subgroup could be compared; see the report's section on subgroups."


def authors_words(report: dict[str, Any], *keys: str) -> str:
    """Return what people wrote under these keys of the report's `text`."""
    return " ".join(text for key in keys if (text := report["text"]["items"].get(key))) or NOT_PROVIDED


def _about(report: dict[str, Any]) -> Tree:
    """How it was tested: the same for all three."""
    steps = report["data"]["steps"].get("target", {"partition": {}})
    tested = steps["partition"].get("test", {"patients": 0, "cases": 0})
    fixed = "protocol changed afterwards: exploratory" if report["exploratory"] else "criteria hashed beforehand"
    return {
        "TestType": f"Retrospective, on held-out patients of the target; {fixed}.",
        "TestingDataDescription": f"{report['data']['target']['name']}: {tested['patients']} patients, "
        f"{tested['cases']} cases. {authors_words(report, 'test_annotation')}",
        "ValidationProcessAndJustification": "xmed report verify recomputes it. "
        f"{authors_words(report, 'sample_size')}",
    }


def _useful(report: dict[str, Any]) -> list[Tree]:
    adapted = report["summary"].get("adapted", {})
    return [
        _estimate(f"{name}, {word(s)}", adapted[s][metric], unit)
        for s in report["study"]["structures"]
        if s in adapted
        for metric, name, unit in (("dice", "Dice", "1"), ("hd95_mm", "HD95", "mm"))
        if adapted[s][metric]["mean"] is not None
    ]


def _fair(report: dict[str, Any]) -> list[Tree]:
    return [
        _result(f"Gap by {group['text']}, {word(group['structure'])}", _single(group["gap"]["value"], "Dice"))
        for group in report["subgroups"]
        if group["gap"]["value"] is not None
    ]


def _safe(report: dict[str, Any]) -> list[Tree]:
    rates = report["failures"]["by_arm"].get("adapted", {})
    defined = {s: of_structure["rate"] for s, of_structure in rates.items() if of_structure["rate"] is not None}
    return [_result(f"Failed cases, {word(s)}", _single(round(100 * rate, 4), "%")) for s, rate in defined.items()]


def _single(value: float, unit: str) -> dict[str, Any]:
    return {"kind": "single", "value": value, "unit": unit}


def _estimate(label: str, cell: dict[str, Any], unit: str) -> Tree:
    if not cell["ci"]:
        return _result(label, _single(cell["mean"], unit))
    low, high = cell["ci"]
    estimate = {"kind": "estimate_ci", "estimate": cell["mean"], "lower": low, "upper": high, "level": 95, "unit": unit}
    return _result(label, estimate)


def _result(label: str, value: dict[str, Any]) -> Tree:
    return {"Label": label, "ValueJson": json.dumps(value, allow_nan=False, ensure_ascii=False)}


def chai_card(report: dict[str, Any]) -> str:
    """Return chai_model_card.xml of a report; the same document gives the same text."""
    ElementTree.register_namespace("", NAMESPACE)
    root = ElementTree.Element(f"{{{NAMESPACE}}}AppliedModelCard")
    _write(
        root,
        {
            **_model(report),
            **_use(report),
            **_system_facts(report),
            "KeyMetrics": key_metrics(report),
            **_resources(report),
        },
    )
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _write(parent: ElementTree.Element, tree: Tree) -> None:
    """A dict becomes nested elements in its own order, a list the same element again and again."""
    for name, value in tree.items():
        for content in value if isinstance(value, list) else [value]:
            child = ElementTree.SubElement(parent, f"{{{NAMESPACE}}}{name}")
            if isinstance(content, dict):
                _write(child, content)
            else:
                child.text = _legal(str(content))


def _legal(text: str) -> str:
    """Without the characters that XML 1.0 forbids, which a header of an image may hold."""
    return "".join(
        c for c in text if c in "\t\n\r" or 0x20 <= ord(c) <= 0xD7FF or 0xE000 <= ord(c) <= 0xFFFD or ord(c) > 0xFFFF
    )


def _model(report: dict[str, Any]) -> Tree:
    target, structures = report["data"]["target"]["modality"], report["study"]["structures"]
    banner = report["banner"]
    return {
        "BasicInfo": {
            "ModelName": report["model"]["name"],
            "ModelDeveloper": NOT_PROVIDED,
            "DeveloperContact": NOT_PROVIDED,
        },
        "ReleaseInfo": {
            "ReleaseStage": "Research candidate. Research use only, not for diagnosis.",
            "ReleaseDate": banner["date"] or NOT_PROVIDED,
            "ReleaseVersion": f"weights sha256 {banner['weights_sha256'] or 'not recorded'}",
            "GlobalAvailability": "Not released",
            "RegulatoryApproval": "None",
        },
        "ModelSummary": {
            "Summary": f"{report['headline']['sentence']} Verdict: {report['verdict']}.",
            "Keywords": {"Keyword": ["segmentation", "domain adaptation", target, *map(word, structures)]},
        },
    }


def _use(report: dict[str, Any]) -> Tree:
    scope = [*filter(None, [report["text"]["items"].get("out_of_scope")]), *report["intended_use"]["out_of_scope"]]
    return {
        "UsesAndDirections": {
            "IntendedUseAndWorkflow": authors_words(report, "intended_use", "background"),
            "PrimaryIntendedUsers": authors_words(report, "users"),
            "HowToUse": "xmed predict with the registered model; the output lies on the input's own grid and is to be "
            "reviewed by a person.",
            "TargetedPatientPopulation": authors_words(report, "population"),
            "CautionedOutOfScopeSettings": "; ".join(scope) or NOT_PROVIDED,
        },
        "Warnings": {
            "KnownRisksAndLimitations": " ".join(
                [*report["limitations"]["machine"], authors_words(report, "limitations", "risks")]
            ),
            "KnownBiasesOrEthicalConsiderations": worst_groups(report),
            "ClinicalRiskLevel": NOT_PROVIDED,
        },
    }


def _system_facts(report: dict[str, Any]) -> Tree:
    data, network = report["data"], ", ".join(f"{k} {v}" for k, v in report["model"]["network"].items())
    sides = [side for side in ("source", "target") if data.get(side)]
    learned = "; ".join(
        f"{data[side]['name']} ({data[side]['modality']}): {data['flow'][side]['train']} training cases"
        for side in sides
    )
    return {
        "TrustIngredients": {
            "AISystemFacts": {
                "OutcomesAndOutputs": f"Label map of {', '.join(map(word, report['study']['structures']))}; volumes.",
                "ModelType": f"Network for segmentation ({network}), adapted with {word(report['model']['method'])}.",
                "InputDataSource": "; ".join(
                    f"{data[side]['name']}: {data[side]['source'] or NOT_PROVIDED}" for side in sides
                ),
                "OutputAndInputDataTypes": f"{data['target']['modality']} as DICOM or NIfTI in, SEG or NIfTI out.",
                "DevelopmentDataCharacterization": f"{learned}. {authors_words(report, 'data_sources', 'eligibility')}",
                "BiasMitigationApproaches": "None beyond adaptation; subgroups are measured, not corrected.",
                "OngoingMaintenance": " ".join(f"{rule['text']}." for rule in report["monitoring"]["rules"])
                or NOT_PROVIDED,
                "Security": "Weights are safetensors, checked by sha256; nothing is unpickled. Input is read apart.",
                "Transparency": f"Report {report['report_id']}, protocol {report['protocol_sha256']}.",
            },
            "TransparencyInformation": {
                "FundingSource": authors_words(report, "funding"),
                "StakeholdersConsulted": NOT_PROVIDED,
            },
        }
    }


def _resources(report: dict[str, Any]) -> Tree:
    entries = [reference["bibtex"] for reference in report["methods"]["references"]]
    return {
        "Resources": {
            "EvaluationReferences": f"report.html and report.json, id {report['report_id']}",
            "ClinicalTrial": authors_words(report, "registration"),
            "PeerReviewedPublications": "None",
            "PatientConsentOrDisclosure": NOT_PROVIDED,
        },
        "Bibliography": "\n".join(entries) or "None",
    }
