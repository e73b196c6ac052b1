"""CHAI: the report as an Applied Model Card of the Coalition for Health AI, XML by its schema v0.2.

The schema asks for an order of elements, all of them text; a metric's value is JSON in one of a few kinds, the
bibliography BibTeX. What only a person can say stands there as NOT PROVIDED, so that the card is valid and its gaps are
seen. https://mc.chai.org
"""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

from xmed.html.render import word
from xmed.report.cards.chai_metrics import MISSING, Tree, groups, key_metrics, said

NAMESPACE = "https://mc.chai.org/v0.2/schema.xsd"


def chai_card(report: dict[str, Any]) -> str:
    """chai_model_card.xml of a report; the same document gives the same text."""
    ElementTree.register_namespace("", NAMESPACE)
    root = ElementTree.Element(f"{{{NAMESPACE}}}AppliedModelCard")
    _write(
        root, {**_what(report), **_use(report), **_facts(report), "KeyMetrics": key_metrics(report), **_rest(report)}
    )
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _write(parent: ElementTree.Element, tree: Tree) -> None:
    """A dict becomes nested elements in its own order, a list the same element again and again."""
    for name, value in tree.items():
        for one in value if isinstance(value, list) else [value]:
            child = ElementTree.SubElement(parent, f"{{{NAMESPACE}}}{name}")
            if isinstance(one, dict):
                _write(child, one)
            else:
                child.text = _legal(str(one))


def _legal(text: str) -> str:
    """Without the characters that XML 1.0 forbids, which a header of an image may hold."""
    return "".join(
        c for c in text if c in "\t\n\r" or 0x20 <= ord(c) <= 0xD7FF or 0xE000 <= ord(c) <= 0xFFFD or ord(c) > 0xFFFF
    )


def _what(report: dict[str, Any]) -> Tree:
    target, structures = report["data"]["target"]["modality"], report["study"]["structures"]
    banner = report["banner"]
    return {
        "BasicInfo": {"ModelName": report["model"]["name"], "ModelDeveloper": MISSING, "DeveloperContact": MISSING},
        "ReleaseInfo": {
            "ReleaseStage": "Research candidate. Research use only, not for diagnosis.",
            "ReleaseDate": banner["date"] or MISSING,
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
            "IntendedUseAndWorkflow": said(report, "intended_use", "background"),
            "PrimaryIntendedUsers": said(report, "users"),
            "HowToUse": "xmed predict with the registered model; the output lies on the input's own grid and is to be "
            "reviewed by a person.",
            "TargetedPatientPopulation": said(report, "population"),
            "CautionedOutOfScopeSettings": "; ".join(scope) or MISSING,
        },
        "Warnings": {
            "KnownRisksAndLimitations": " ".join(
                [*report["limitations"]["machine"], said(report, "limitations", "risks")]
            ),
            "KnownBiasesOrEthicalConsiderations": groups(report),
            "ClinicalRiskLevel": MISSING,
        },
    }


def _facts(report: dict[str, Any]) -> Tree:
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
                    f"{data[side]['name']}: {data[side]['source'] or MISSING}" for side in sides
                ),
                "OutputAndInputDataTypes": f"{data['target']['modality']} as DICOM or NIfTI in, SEG or NIfTI out.",
                "DevelopmentDataCharacterization": f"{learned}. {said(report, 'data_sources', 'eligibility')}",
                "BiasMitigationApproaches": "None beyond adaptation; subgroups are measured, not corrected.",
                "OngoingMaintenance": " ".join(f"{one['text']}." for one in report["monitoring"]["rules"]) or MISSING,
                "Security": "Weights are safetensors, checked by sha256; nothing is unpickled. Input is read apart.",
                "Transparency": f"Report {report['report_id']}, protocol {report['protocol_sha256']}.",
            },
            "TransparencyInformation": {"FundingSource": said(report, "funding"), "StakeholdersConsulted": MISSING},
        }
    }


def _rest(report: dict[str, Any]) -> Tree:
    entries = [one["bibtex"] for one in report["methods"]["references"]]
    return {
        "Resources": {
            "EvaluationReferences": f"report.html and report.json, id {report['report_id']}",
            "ClinicalTrial": said(report, "registration"),
            "PeerReviewedPublications": "None",
            "PatientConsentOrDisclosure": MISSING,
        },
        "Bibliography": "\n".join(entries) or "None",
    }
