"""Contact sheet: every test case on one page, a row of thumbnails each, to be rated from the keyboard and exported."""

from __future__ import annotations

from typing import Any

from xmed.html.render import drawing, text_of_template, traced
from xmed.report.case_pictures import thumbnail_views
from xmed.report.volume_viewer import script_hash
from xmed.run import Run


def contact_sheet(run: Run, report: dict[str, Any]) -> str:
    """Return contact.html.

    The page can be read without a script. With one, the keys 1, 2, 3 rate a case and the ratings can be exported: as
    JSON, which `xmed report build RUN --ratings FILE` reads, and as TSV (case, rating, comment).

    Args:
        run: The run, whose pictures are shown.
        report: The report's document.
    """
    environment = drawing("xmed.report")
    script = text_of_template(environment, "contact_sheet.js").strip()
    return environment.get_template("contact_sheet.html.j2").render(
        report=report,
        at=traced(report),
        structures=report["study"]["structures"],
        pictures={case["case"]: thumbnail_views(run, case["case"], report) for case in report["cases"]},
        script=script,
        hash=script_hash(script),
    )
