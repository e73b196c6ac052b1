"""Report page: the report's document and drawings as one self-contained HTML file, every string escaped."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment
from markupsafe import Markup

from xmed import __version__
from xmed.html.render import drawing, traced
from xmed.report import display_names
from xmed.report.section_registry import Section, folders, numbered_sections
from xmed.report.sections.leakage.compute import n_overlaps, why_not_compared
from xmed.run import Run

Document = dict[str, Any]


def report_html(run: Run, report: Document) -> str:
    """Return report.html of a report. The same files give the same text.

    Every number comes from the document; only the pictures and the loss curves are read from the run's files.

    Args:
        run: The run, for its pictures and losses.
        report: The report's document.
    """
    environment, common = _environment(), _common_values(report)
    leakage = report["data"]["leakage"]
    parts = [
        {
            "number": number,
            "anchor": section.anchor,
            "title": section.title,
            "how_to_read": section.how_to_read,
            "styles": Markup(section.styles),
            "body": _body(environment, section, run, common),
        }
        for number, section in numbered_sections()
    ]
    return environment.get_template("page.html.j2").render(
        **common,
        sections=parts,
        unseen=not (n_overlaps(leakage) or why_not_compared(leakage)),
        version=__version__,
    )


def section_body(run: Run, report: Document, section: Section) -> str:
    """Return one section's part of report.html, without its heading."""
    return _body(_environment(), section, run, _common_values(report))


def _environment() -> Environment:
    return drawing("xmed.report", folders=folders())


def _body(environment: Environment, section: Section, run: Run, common: Document) -> Markup:
    values = section.template_values(run, common["report"])
    return Markup(environment.get_template(f"{section.name}/section.html.j2").render(**common, **values))


def _common_values(report: Document) -> Document:
    """The variables that every section's template has."""
    return {
        "report": report,
        "at": traced(report),
        "display": display_names,
        "structures": report["study"]["structures"],
        "primary": report["protocol"]["protocol"]["primary"]["structure"],
    }
