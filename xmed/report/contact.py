"""Contact: every test case on one sheet, a row of thumbnails each, to be rated from the keyboard and exported."""

from __future__ import annotations

from typing import Any

from xmed.html.render import drawing, traced
from xmed.report.gallery import THUMBNAIL, pictured, primary
from xmed.report.viewer import script_hash
from xmed.run import Run


def contact(run: Run, report: dict[str, Any]) -> str:
    """contact.html: readable without a script; with one, keys 1, 2, 3 rate a case and the ratings can be exported.

    The exported JSON is what `xmed report build RUN --ratings FILE` reads; the TSV (case, rating, comment) is for
    tables.
    """
    pictures = {
        case["case"]: pictured(run, case["case"], arms=("adapted",), through=primary(report), pixels=THUMBNAIL)
        for case in report["cases"]
    }
    script = drawing().loader.get_source(drawing(), "contact.js")[0].strip()  # type: ignore[union-attr]
    return (
        drawing()
        .get_template("contact.html.j2")
        .render(
            report=report,
            at=traced(report),
            structures=report["study"]["structures"],
            pictures=pictures,
            script=script,
            hash=script_hash(script),
        )
    )
