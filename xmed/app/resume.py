"""Find a run that was killed, so that the same command or the next scheduled start continues it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from xmed.home import Home
from xmed.records.run_state import Begun, Ended
from xmed.run import Run
from xmed.spec import Study

CODE = ("xmed", "xmed_pipelines")
"""Packages whose source files decide what a run computes."""
BEGUN, ENDED = "begun", "ended"
"""Stems of the documents of `Begun` and `Ended`; a run without the second is unfinished."""


def begin(study: Study, roots: Mapping[str, Path | None], home: Path) -> Run:
    """Make a new run of a study, and write down what it was asked and by which code."""
    run = Run.create(study, home)
    run.write(Begun(**_request(roots), at=datetime.now(UTC).isoformat()))
    return run


def end(run: Run, result: Mapping[str, Any]) -> None:
    """Mark a run as finished; `result` says how it ended."""
    run.write(Ended.model_validate({**result, "at": datetime.now(UTC).isoformat()}))


def unfinished(study: Study, roots: Mapping[str, Path | None], home: Path) -> Run | None:
    """Find the latest unfinished run of the same study, on the same data folders, begun by the same code.

    A run begun by other code is not continued: its parts would be made by two versions.
    """
    request, spec = _request(roots), study.model_dump(mode="json")
    for folder in sorted(Home(home).runs.glob(f"{study.name}-*/"), key=lambda folder: folder.name, reverse=True):
        run = Run(folder)
        if not (run.has(Begun) and run.has("study")) or run.has(Ended):
            continue
        begun = run.read(Begun)
        if (begun.roots, begun.code) == (request["roots"], request["code"]) and run.read("study") == spec:
            return run
    return None


def _request(roots: Mapping[str, Path | None]) -> dict[str, Any]:
    places = {name: str(path.absolute()) if path else None for name, path in roots.items()}
    return {"roots": places, "code": code()}


@cache
def code() -> str:
    """sha256 (hex) of xmed's source files, as this process would run them."""
    total = hashlib.sha256()
    for name in CODE:
        spec = find_spec(name)
        if spec is None or spec.origin is None:
            continue
        folder = Path(spec.origin).parent
        for path in sorted(folder.rglob("*.py")):
            total.update(f"{folder.name}/{path.relative_to(folder)}\0".encode() + path.read_bytes())
    return total.hexdigest()
