"""CLAIM checklist: the 44 items of CLAIM 2024, each answered from the run, by a person, by both, or not at all.

Tejani et al., Checklist for Artificial Intelligence in Medical Imaging: 2024 update, doi 10.1148/ryai.240300. Wording
condensed. What this pipeline did not measure is left to a person, never marked as filled.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

from xmed.report.author_text import NOT_PROVIDED, TEXTS
from xmed.report.cards.claim_answers import ANSWERS

Document = dict[str, Any]
FILLED, HUMAN, NOT = "filled", "human_required", "not_applicable"
ITEMS: tuple[tuple[str, str], ...] = (
    ("Title: AI methodology and technology category", "summary"),
    ("Structured abstract", "summary"),
    ("Background, intended use and role", "intended"),
    ("Aims, objectives, hypotheses", "summary"),
    ("Prospective or retrospective", "data"),
    ("Study goal", "summary"),
    ("Data sources", "data"),
    ("Inclusion and exclusion criteria", "data"),
    ("Data preprocessing", "methods"),
    ("Selection of data subsets", "data"),
    ("De-identification methods", "data"),
    ("Missing data handling", "data"),
    ("Image acquisition protocol", "data"),
    ("Definition of the reference standard", "reference"),
    ("Rationale for the reference standard", "reference"),
    ("Source of annotations", "reference"),
    ("Annotation of the test set", "reference"),
    ("Inter- and intra-rater variability", "reference"),
    ("How data were assigned to partitions", "data"),
    ("Level at which partitions are disjoint", "leakage"),
    ("Intended sample size", "statistics"),
    ("Detailed model description", "model"),
    ("Software libraries, frameworks, packages", "reproducibility"),
    ("Initialisation of parameters", "model"),
    ("Training approach", "model"),
    ("Method of selecting the final model", "model"),
    ("Ensembling", "model"),
    ("Metrics of model performance", "results"),
    ("Statistical measures of significance and uncertainty", "statistics"),
    ("Robustness or sensitivity analysis", "robustness"),
    ("Methods for explainability", "failures"),
    ("Evaluation on internal data", "results"),
    ("Testing on external data", "results"),
    ("Clinical trial registration", "reproducibility"),
    ("Numbers included and excluded", "data"),
    ("Demographics per partition", "data"),
    ("Performance with uncertainty", "results"),
    ("Diagnostic performance estimates", "failures"),
    ("Failure analysis", "failures"),
    ("Limitations", "summary"),
    ("Implications for practice", "summary"),
    ("Full protocol", "reproducibility"),
    ("Availability of software, model and data", "reproducibility"),
    ("Funding and role of funders", "reproducibility"),
)
NOT_USED = {31: "No explainability method was used; cases are shown with contours, and failures with their causes."}
PARTLY = frozenset({8, 40})
"""Items that the run answers in part: a person still has to answer them."""
EXTERNAL = 33
"""Testing on external data: a run that tested none says so, which is no answer either."""


def claim(report: Document) -> list[Document]:
    """Return the checklist as {item, title, text, status, anchor, by, machine}.

    Args:
        report: The report's document, apart from `claim` and `banner`.
    """
    by_people: dict[int, list[str]] = defaultdict(list)
    for key, (item, description) in TEXTS.items():
        if report["text"]["items"][key]:
            by_people[item].append(f"{description}: {report['text']['items'][key]}")
    return [_item(n, title, anchor, by_people[n], report) for n, (title, anchor) in enumerate(ITEMS, start=1)]


def counts(items: list[Document]) -> dict[str, int]:
    """Return how many items have each status; a report is ready for a board when none is human_required."""
    counted = Counter(item["status"] for item in items)
    return {status: counted.get(status, 0) for status in (FILLED, HUMAN, NOT)}


def _item(n: int, title: str, anchor: str, people: list[str], report: Document) -> Document:
    answer = ANSWERS[n](report) if n in ANSWERS else None
    sufficient = answer is not None and n not in PARTLY and not (n == EXTERNAL and report["kind"] != "external")
    by = " and ".join(name for name, answered in (("people", people), ("machine", sufficient)) if answered) or None
    if by:
        status, text = FILLED, " ".join([*people, *([answer] if answer else [])])
    elif n in NOT_USED:
        status, text = NOT, NOT_USED[n]
    else:
        status, text = HUMAN, NOT_PROVIDED
    return {
        "item": n,
        "title": title,
        "status": status,
        "text": text,
        "anchor": f"#{anchor}",
        "by": by,
        "machine": answer,
    }
