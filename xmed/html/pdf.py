"""PDF: a report's page printed to A4 by a browser, through Playwright (the extra `pdf`); no network and no script."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from xmed.errors import XmedError

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge")
FOOT = (
    '<div style="font: 7px sans-serif; width: 100%; padding: 0 13mm; display: flex; justify-content: space-between">'
    "<span>xmed validation report. Research use only, not for diagnosis.</span>"
    '<span><span class="pageNumber"></span> / <span class="totalPages"></span></span></div>'
)


def write_pdf(html: Path, out: Path | None = None) -> Path:
    """Print a report's page to PDF.

    A browser that is installed is used (XMED_BROWSER names another), else Playwright's own.

    Args:
        html: The report's page.
        out: Where the PDF is written; beside the page where it is not given.

    Returns:
        The PDF's path.

    Raises:
        XmedError: PDF_UNAVAILABLE where there is no browser, PATH_NOT_FOUND where there is no page.
    """
    html = Path(html).absolute()
    if not html.is_file():
        raise XmedError("PATH_NOT_FOUND", f"no file {html}", "a report.html")
    out = Path(out) if out is not None else html.with_suffix(".pdf")
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError as problem:
        raise XmedError(
            "PDF_UNAVAILABLE", "Playwright is not installed", "pip install 'xmed[pdf]'", "or print report.html yourself"
        ) from problem
    with sync_playwright() as playwright:
        try:
            # Chromium's own sandbox cannot start as root, as in most containers; the page holds no script anyway
            browser = playwright.chromium.launch(executable_path=_browser(), chromium_sandbox=os.geteuid() != 0)
        except Error as problem:
            what = str(problem).strip().splitlines()[0]
            raise XmedError(
                "PDF_UNAVAILABLE", what, "chromium, or `playwright install chromium`", "or print report.html yourself"
            ) from problem
        context = browser.new_context(java_script_enabled=False, offline=True)
        page = context.new_page()
        page.goto(html.as_uri())
        page.pdf(
            path=out,
            prefer_css_page_size=True,
            print_background=True,
            display_header_footer=True,
            header_template="<span></span>",
            footer_template=FOOT,
            tagged=True,
            outline=True,
        )
        browser.close()
    return out


def _browser() -> str | None:
    """The browser to print with, None for Playwright's own."""
    named = os.environ.get("XMED_BROWSER")
    return named or next((path for name in BROWSERS if (path := shutil.which(name))), None)
