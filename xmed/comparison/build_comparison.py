"""Write comparison.json, the source of truth of a comparison, and comparison.html from it."""

from __future__ import annotations

from pathlib import Path

from xmed.comparison.comparison_document import compose
from xmed.comparison.comparison_page import page
from xmed.errors import XmedError
from xmed.files.atomic import write_atomically
from xmed.files.json_numbers import whole
from xmed.records.method_comparison import MethodComparison
from xmed.run import Run


def build(run: Run) -> Path:
    """Write comparison.json and comparison.html of a judged comparison; return the page's path.

    Only files are read, so it can be built again at any time. Raises XmedError RUN_NOT_FOUND for a run that compares
    nothing, or that has not been judged.
    """
    for name in ("methods", "data", "rows", "metrics"):
        if not run.has(name):
            raise XmedError(
                "RUN_NOT_FOUND", f"run {run.id} has no {name}.json", "a judged comparison", "finish it first"
            )
    document = whole(compose(run))
    html = page(run, document)
    run.write(MethodComparison.model_validate(document))
    write_atomically(run.folder / "comparison.html", html)
    return run.folder / "comparison.html"
