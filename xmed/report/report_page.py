"""Report page: the report's document and figures → one self-contained HTML file, every string escaped."""

from __future__ import annotations

from typing import Any

from xmed import __version__
from xmed.html.render import drawing, traced
from xmed.report import charts, words
from xmed.report.curves import curves
from xmed.report.extras import extras
from xmed.report.figures import SHOWN_ARMS, differences, patients
from xmed.report.flow import flow
from xmed.report.gallery import gallery, thumbnails
from xmed.report.population import leaks, uncompared
from xmed.run import Run

__all__ = ["drawing", "extras", "page"]


def page(run: Run, report: dict[str, Any]) -> str:
    """report.html of a report. Deterministic: the same files give the same text.

    Every number comes from the document; only the pictures and the loss curves are read from the run's files.
    """
    structures = report["study"]["structures"]
    return (
        drawing()
        .get_template("page.html.j2")
        .render(
            report=report,
            at=traced(report),
            words=words,
            sections=_numbered(),
            structures=structures,
            primary=report["protocol"]["protocol"]["primary"]["structure"],
            arms=[arm for arm in SHOWN_ARMS if report["summary"].get(arm)],
            figures=_figures(run, report, structures),
            gallery=gallery(run, report),
            thumbnails=thumbnails(run, report),
            unseen=not (leaks(report["data"]["leakage"]) or uncompared(report["data"]["leakage"])),
            guards=_guards(report["selection"]),
            shown_contours=[arm for arm in ("adapted", *CONTOURS) if report["summary"].get(arm)],
            version=__version__,
        )
    )


CONTOURS = ("source_only", "target_supervised")
"""Arms that are drawn beside the adapted one."""


def _numbered() -> list[tuple[str, str, str, str]]:
    """(number, id, title, how to read it) of every section; leakage is the second part of the data."""
    out, n = [], 0
    for name, title, how in words.SECTIONS:
        n += name != "leakage"
        out.append((f"{n}.1" if name == "leakage" else str(n), name, title, how))
    return out


def _figures(run: Run, report: dict[str, Any], structures: list[str]) -> dict[str, Any]:
    """Every drawing of the page by the section that shows it; null where there is nothing to draw."""

    def each(key: str, draw: Any) -> dict[str, Any]:
        return {name: draw(report[key][name]) if report[key].get(name) else None for name in structures}

    named = {
        side: f"{report['data'][side]['modality']} · {report['data'][side]['name']}" for side in report["data"]["steps"]
    }
    adapted = report["summary"].get("adapted", {})
    means = {name: adapted.get(name, {}).get("dice", {}).get("mean") for name in structures}
    return {
        "patients": {name: patients(report, name) for name in structures},
        "differences": {name: differences(report, name) for name in structures},
        "flow": flow(report["data"]["steps"], named),
        "agreement": each("volume_agreement", charts.agreement),
        "reliability": each("calibration", charts.reliability),
        "risk": each("risk_coverage", charts.risk),
        "robustness": charts.robustness(report["robustness"], structures),
        "forest": charts.forest(report["subgroups"], means),
        "spread": {name: charts.spread(one) for name, one in report["monitoring"]["distributions"].items()},
        "curves": curves(run, report["training"], report["selection"]),
    }  # fmt: skip


def _guards(selection: dict[str, Any]) -> list[str]:
    """Every guard that any candidate was held against, in the order met: the columns of one table."""
    candidates = [one for arm in selection["arms"] for one in arm.get("candidates", [])]
    return list(dict.fromkeys(name for one in candidates for name in one["guards"]))
