"""Claim: the 44 items of CLAIM 2024, each filled from the run, left to a person, or not applicable.

Tejani et al., Checklist for Artificial Intelligence in Medical Imaging: 2024 update, doi 10.1148/ryai.240300. Wording
condensed. What this pipeline did not measure is left to a person, never marked as filled.
"""

from __future__ import annotations

from typing import Any

FILLED, HUMAN, NOT = "filled", "human_required", "not_applicable"
ITEMS: tuple[tuple[str, str, str], ...] = (
    ("Title: AI methodology and technology category", FILLED, "summary"),
    ("Structured abstract", HUMAN, "summary"),
    ("Background, intended use and role", HUMAN, "summary"),
    ("Aims, objectives, hypotheses", HUMAN, "summary"),
    ("Prospective or retrospective", HUMAN, "data"),
    ("Study goal", HUMAN, "summary"),
    ("Data sources", HUMAN, "data"),
    ("Inclusion and exclusion criteria", HUMAN, "data"),
    ("Data preprocessing", FILLED, "methods"),
    ("Selection of data subsets", FILLED, "data"),
    ("De-identification methods", HUMAN, "data"),
    ("Missing data handling", FILLED, "conventions"),
    ("Image acquisition protocol", HUMAN, "data"),
    ("Definition of the reference standard", HUMAN, "data"),
    ("Rationale for the reference standard", HUMAN, "data"),
    ("Source of annotations", HUMAN, "data"),
    ("Annotation of the test set", HUMAN, "data"),
    ("Inter- and intra-rater variability", HUMAN, "data"),
    ("How data were assigned to partitions", FILLED, "data"),
    ("Level at which partitions are disjoint", FILLED, "leakage"),
    ("Intended sample size", HUMAN, "data"),
    ("Detailed model description", FILLED, "provenance"),
    ("Software libraries, frameworks, packages", FILLED, "provenance"),
    ("Initialisation of parameters", FILLED, "methods"),
    ("Training approach", FILLED, "training"),
    ("Method of selecting the final model", FILLED, "selection"),
    ("Ensembling", FILLED, "methods"),
    ("Metrics of model performance", FILLED, "conventions"),
    ("Statistical measures of significance and uncertainty", FILLED, "results"),
    ("Robustness or sensitivity analysis", HUMAN, "results"),
    ("Methods for explainability", NOT, "cases"),
    ("Evaluation on internal data", FILLED, "results"),
    ("Testing on external data", HUMAN, "results"),
    ("Clinical trial registration", HUMAN, "provenance"),
    ("Numbers included and excluded", FILLED, "data"),
    ("Demographics per partition", HUMAN, "data"),
    ("Performance with uncertainty", FILLED, "results"),
    ("Diagnostic performance estimates", NOT, "results"),
    ("Failure analysis", FILLED, "cases"),
    ("Limitations", HUMAN, "summary"),
    ("Implications for practice", HUMAN, "summary"),
    ("Full protocol", FILLED, "provenance"),
    ("Availability of software, model and data", HUMAN, "provenance"),
    ("Funding and role of funders", HUMAN, "provenance"),
)
NEEDS_RESULTS = frozenset({"results", "cases", "training", "selection"})


def claim(report: dict[str, Any]) -> list[dict[str, Any]]:
    """The checklist as {item, title, status, anchor}; an item whose evidence is missing is not called filled."""
    empty = not report["cases"] or not report["training"]
    return [
        {
            "item": n,
            "title": title,
            "status": HUMAN if status == FILLED and empty and anchor in NEEDS_RESULTS else status,
            "anchor": f"#{anchor}",
        }
        for n, (title, status, anchor) in enumerate(ITEMS, start=1)
    ]
