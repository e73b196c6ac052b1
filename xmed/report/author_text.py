"""Author text: what only people can say of a study, from a YAML file with known keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from xmed.errors import XmedError
from xmed.files.digest import file_digest
from xmed.records.provenance import AuthorText
from xmed.spec import read_spec

Document = dict[str, Any]
NOT_PROVIDED = "NOT PROVIDED"
"""What stands in the document and the cards where nobody wrote anything."""
TEXTS: dict[str, tuple[int, str]] = {
    "abstract": (2, "Structured abstract"),
    "background": (3, "Scientific and clinical background, and the role of the model in it"),
    "intended_use": (3, "What the model is for"),
    "users": (3, "Who uses it, and what they must know"),
    "population": (3, "Whom it is for"),
    "out_of_scope": (3, "What it must not be used for"),
    "aims": (4, "Aims and hypotheses"),
    "design": (5, "Prospective or retrospective"),
    "goal": (6, "Goal of the study: creation, feasibility, non-inferiority"),
    "data_sources": (7, "Where the data come from: sites, dates"),
    "eligibility": (8, "Who was included, who was not"),
    "deidentification": (11, "How the data were de-identified before they came here"),
    "acquisition": (13, "How the images were acquired"),
    "reference_standard": (14, "How the reference labels are defined"),
    "reference_rationale": (15, "Why this reference standard"),
    "annotators": (16, "Who drew the labels, with what experience"),
    "test_annotation": (17, "How the test set was labelled"),
    "rater_variability": (18, "Agreement within and between raters"),
    "sample_size": (21, "Why this many patients"),
    "external": (33, "Testing on external data"),
    "demographics": (36, "Who the patients are, in each partition"),
    "registration": (34, "Registration of the trial"),
    "limitations": (40, "Limitations"),
    "implications": (41, "What follows for practice"),
    "risks": (41, "Risks, and how they are controlled"),
    "availability": (43, "Where software, model and data are"),
    "funding": (44, "Funding, and the role of who funded"),
}
"""key -> (the item of CLAIM 2024 that it answers, what is asked for)."""


def read_text(path: Path) -> AuthorText:
    """Read what people wrote of a study from their YAML file.

    Args:
        path: The file, a mapping of keys of TEXTS to texts.

    Returns:
        text.json of a run.

    Raises:
        XmedError: SPEC_INVALID for unknown keys or values that are no text, SPEC_NOT_FOUND.
    """
    texts = read_spec(path)
    unknown = [key for key in texts if key not in TEXTS]
    if unknown:
        raise XmedError("SPEC_INVALID", f"{path.name}: {', '.join(map(str, unknown))}", f"some of {', '.join(TEXTS)}")
    items = {key: value.strip() for key, value in texts.items() if isinstance(value, str) and value.strip()}
    wrong = [key for key in texts if key not in items]
    if wrong:
        raise XmedError("SPEC_INVALID", f"{path.name}: {', '.join(wrong)} is no text", "text, or leave the key out")
    return AuthorText(file=path.name, sha256=file_digest(path), items=items)


def author_text(text: AuthorText | None) -> Document:
    """Return the report's `text`: every key of TEXTS, null where nobody wrote it, and what is asked for there.

    Args:
        text: text.json of the run; None where there is none.

    Returns:
        {file, sha256, items, asked, missing}.
    """
    items = text.items if text else {}
    return {
        "file": text.file if text else None,
        "sha256": text.sha256 if text else None,
        "items": {key: items.get(key) for key in TEXTS},
        "asked": {key: description for key, (_, description) in TEXTS.items()},
        "missing": [key for key in TEXTS if not items.get(key)],
    }
