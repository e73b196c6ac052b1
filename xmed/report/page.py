"""Page: the report's document and figures → one self-contained HTML file, every string escaped."""

from __future__ import annotations

import json
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from xmed import __version__
from xmed.report import words
from xmed.report.figures import SHOWN_ARMS, curves, patients
from xmed.report.slices import views
from xmed.run import Run


def page(run: Run, report: dict[str, Any]) -> str:
    """report.html of a report. Deterministic: the same files give the same text."""
    structures = report["study"]["structures"]
    primary = report["protocol"]["protocol"]["primary"]["structure"]
    pictures = {}
    for case in report["cases"]:
        path = run.pictures / f"{case['case']}.npz"
        pictures[case["case"]] = views(path) if path.is_file() else []
    drawn = [figure for structure in structures if (figure := patients(report, structure))]
    return (
        drawing()
        .get_template("page.html.j2")
        .render(
            report=report,
            words=words,
            structures=structures,
            primary=primary,
            arms=[arm for arm in SHOWN_ARMS if report["summary"][arm]],
            sentence=words.headline(report),
            methods=words.methods(report),
            patients=drawn,
            curves=curves(run, report["training"], report["selection"]),
            pictures=pictures,
            guards=_guards(report["selection"]),
            shown_contours=[arm for arm in ("adapted", "source_only", "target_supervised") if report["summary"][arm]],
            version=__version__,
        )
    )


def drawing(*packages: str) -> Environment:
    """How a page is drawn: every string escaped, nothing undefined; templates of `packages`, then the report's own."""
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(name) for name in (*packages, "xmed.report")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": _number, "signed": _signed, "percent": _percent, "span": _span, "plain": _plain}
    return environment


def _guards(selection: dict[str, Any]) -> list[str]:
    """Every guard that any candidate was held against, in the order met: the columns of one table."""
    candidates = [one for arm in selection["arms"] for one in arm.get("candidates", [])]
    return list(dict.fromkeys(name for one in candidates for name in one["guards"]))


def _number(value: float | None, digits: int = 2) -> str:
    if value is None:
        return "–"
    text = f"{value:.{digits}f}"
    return (text.lstrip("-") if float(text) == 0 else text).replace("-", "−")


def _signed(value: float | None, digits: int = 2) -> str:
    return _number(value, digits) if value is None or value < 0 else "+" + _number(value, digits)


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.0f} %".replace("-", "−")


def _span(ci: list[float] | None, form: str = "number", digits: int = 2) -> str:
    """An interval as text, empty where there is none."""
    if ci is None:
        return ""
    show = {"number": lambda v: _number(v, digits), "signed": lambda v: _signed(v, digits), "percent": _percent}[form]
    return f"{show(ci[0])} to {show(ci[1])}"


def _plain(value: Any) -> str:
    """Anything of a JSON document as short readable text."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}".replace("-", "−")
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
