"""Build a comparison: comparison.json, its document, and comparison.html, the page that shows it."""

from __future__ import annotations

from pathlib import Path

from xmed.comparison.comparison_document import compose_comparison
from xmed.comparison.comparison_page import comparison_html
from xmed.errors import XmedError
from xmed.files.atomic import write_atomically
from xmed.files.json_numbers import without_nan
from xmed.records.method_comparison import MethodComparison
from xmed.run import Run


def write_comparison(run: Run) -> Path:
    """Write comparison.json and comparison.html of an evaluated comparison; only files are read, so it can be repeated.

    Returns:
        The page's path.

    Args:
        run: The run of a comparison, evaluated.

    Raises:
        XmedError: RUN_NOT_FOUND, for a run that compares nothing or has not been evaluated.
    """
    for name in ("methods", "data", "rows", "metrics"):
        if not run.has(name):
            raise XmedError(
                "RUN_NOT_FOUND", f"run {run.id} has no {name}.json", "a judged comparison", "finish it first"
            )
    document = without_nan(compose_comparison(run))
    html = comparison_html(run, document)
    run.write(MethodComparison.model_validate(document))
    write_atomically(run.folder / "comparison.html", html)
    return run.folder / "comparison.html"
