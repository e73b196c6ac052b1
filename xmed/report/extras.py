"""Extras: the files that stand beside report.html and are not needed to read it."""

from __future__ import annotations

from typing import Any

from xmed.report.chai import chai_card
from xmed.report.contact import contact
from xmed.report.huggingface import model_card
from xmed.report.viewer import viewer
from xmed.run import Run


def extras(run: Run, report: dict[str, Any]) -> dict[str, str | bytes]:
    """Every file beside the report by its name. Deterministic: the same files give the same bytes."""
    return {
        "viewer.html": viewer(run, report),
        "contact.html": contact(run, report),
        "chai_model_card.xml": chai_card(report),
        "README.md": model_card(report),
    }
