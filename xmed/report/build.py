"""Build: a run's files → report.json, its source of truth, and report.html; verify recomputes both."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from itertools import zip_longest
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from xmed.atomic import write_atomically
from xmed.errors import XmedError
from xmed.report.numbers import compose, identity
from xmed.report.page import page
from xmed.run import Run

_MISSING = object()


def build(run: Run) -> Path:
    """Write report/report.json and report/report.html of an evaluated run; return the page's path.

    Only files are read, so a report can be built again at any time. Raises XmedError REPORT_MISMATCH when the document
    breaks the schema it promises, RUN_NOT_FOUND when the run has not been evaluated or is a comparison.
    """
    if run.methods:
        raise XmedError(
            "RUN_NOT_FOUND", f"run {run.id} is a comparison", "an ordinary run", "see comparison.html there"
        )
    for name in ("data", "rows", "metrics"):
        if not run.has(name):
            raise XmedError(
                "RUN_NOT_FOUND", f"run {run.id} has no {name}.json", "an evaluated run", "finish the run first"
            )
    report = compose(run)
    problems = schema_problems(report)
    if problems:
        raise XmedError("REPORT_MISMATCH", "; ".join(problems[:5]), "a report as schema.json describes it")
    html = page(run, report)
    write_atomically(
        run.report / "report.json", json.dumps(report, indent=1, allow_nan=False, ensure_ascii=False) + "\n"
    )
    write_atomically(run.report / "report.html", html)
    return run.report / "report.html"


def schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of report.json."""
    return json.loads(files("xmed.report").joinpath("schema.json").read_text(encoding="utf-8"))


def schema_problems(report: dict[str, Any]) -> list[str]:
    """Where a document departs from the schema, one line each; empty when it does not."""
    found = Draft202012Validator(schema()).iter_errors(report)
    return [f"{'.'.join(map(str, e.absolute_path)) or 'report'}: {e.message[:200]}" for e in found]


def verify(folder: Path) -> list[str]:
    """Everything in which a run's report differs from what its files say; empty when nothing does.

    folder: the run's, or its report's. Every number is recomputed from rows.json and its like, the id is hashed anew,
    and the page is drawn again. Pictures are compared by their contours, not byte by byte: JPEG encoders differ.
    Raises XmedError RUN_NOT_FOUND.
    """
    folder = Path(folder).absolute()
    run = Run(folder.parent if folder.name == "report" else folder)
    if not run.has("study") or not (run.report / "report.json").is_file():
        raise XmedError("RUN_NOT_FOUND", f"no report below {folder}", "a run's folder, with the files it was made from")
    try:
        written = json.loads((run.report / "report.json").read_text(encoding="utf-8"))
    except ValueError as problem:
        return [f"report.json: {problem}"]
    fresh = json.loads(json.dumps(compose(run)))
    problems = [*schema_problems(written), *_differences("report", written, fresh)]
    if not problems and written["report_id"] != identity(written):
        problems.append("report_id: does not match the report's content")
    html = run.report / "report.html"
    if not html.is_file():
        problems.append("report.html: missing")
    elif _text(html.read_text(encoding="utf-8")) != _text(page(run, fresh)):
        problems.append("report.html: differs from the page that its files give")
    return problems


def _differences(where: str, written: Any, fresh: Any) -> list[str]:
    if isinstance(written, dict) and isinstance(fresh, dict):
        keys = [*fresh, *(key for key in written if key not in fresh)]
        pairs = [(f"{where}.{key}", written.get(key, _MISSING), fresh.get(key, _MISSING)) for key in keys]
    elif isinstance(written, list) and isinstance(fresh, list):
        both = zip_longest(written, fresh, fillvalue=_MISSING)
        pairs = [(f"{where}[{n}]", a, b) for n, (a, b) in enumerate(both)]
    else:
        return (
            []
            if _same(written, fresh)
            else [f"{where}: {_short(written)} stands there, the files give {_short(fresh)}"]
        )
    return [problem for pair in pairs for problem in _differences(*pair)]


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        return abs(a - b) <= 1e-12 * max(1.0, abs(a), abs(b))
    return type(a) is type(b) and a == b


def _short(value: Any) -> str:
    return "nothing" if value is _MISSING else json.dumps(value)[:80]


def _text(html: str) -> str:
    return re.sub(r"data:image/jpeg;base64,[A-Za-z0-9+/=]*", "", html)
