"""CHAI card: the report as an Applied Model Card of the Coalition for Health AI, XML by its schema v0.2.

The schema asks for an order of elements, all of them text; a metric's value is JSON in one of a few kinds, the
bibliography BibTeX. What only a person can say is written as NOT PROVIDED, so that the card is valid and its gaps are
visible. https://mc.chai.org
"""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

from xmed.html.render import word
from xmed.report.author_text import NOT_PROVIDED
from xmed.report.cards.chai_metrics import Tree, authors_words, key_metrics, worst_groups

NAMESPACE = "https://mc.chai.org/v0.2/schema.xsd"


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
