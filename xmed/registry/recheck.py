"""Computes again what a run says about itself: from the store, its models and the audit log.

Whoever may write in a run's folder may write any number there, and a report that agrees with it. So nothing in the
folder is evidence of anything but itself. Rows are measured again from the stored predictions, predictions are made
again by the models, the choice between them is made again, and models and protocol are those that the log names.
Not found: models that were badly trained on purpose, before the log had a record of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from xmed import report as reports
from xmed.errors import XmedError
from xmed.files import documents
from xmed.files.digest import digest
from xmed.records.audit_trail import MadeWith
from xmed.records.evaluation import CaseRows
from xmed.records.record import content
from xmed.records.training import Training
from xmed.registry import audit_log
from xmed.run import Run

LOGGED, REGISTERED = "logged", "registered"
"""Records that say what a run was made with."""
SAMPLED = 1
"""Predictions that a registration draws again; approval draws all of them."""


@dataclass(frozen=True)
class DisprovedClaim:
    """Something that a run says about itself and that does not come out when it is computed again.

    Attributes:
        code: A word for it.
        text: A sentence for the record that names no case.
        lines: Every difference; they may name cases.
    """

    code: str
    text: str
    lines: list[str]


def disproved(run: Run, home: Path, whole: bool) -> list[DisprovedClaim]:
    """Find what a run says about itself that does not come out when it is computed again.

    A run without rows.json has nothing to compute again, which `xmed.report.verify_report` reports.

    Args:
        run: The run.
        home: The home.
        whole: Whether models run again on every test case and on the unlabelled data. Else they run on one random case,
            and the choice is made from the stored results of the models.
    """
    if not run.has(CaseRows):
        return []
    from xmed.evaluate import remeasure, repredict  # models are not what a registry loads at its start
    from xmed.train import reselect

    steps: list[tuple[str, str, str, Callable[[], list[str]]]] = [
        ("made", "what it was made with", "the run is not the one that the audit log knows",
         lambda: list(_differences_to_log(run, home))),
        ("measured", "its numbers", "its numbers are not what its predictions measure against the stored reference",
         lambda: remeasure(run, home)),
        ("drawn", "its predictions", "its kept predictions are not what its models draw",
         lambda: repredict(run, home, None if whole else SAMPLED).problems),
        ("selected", "the label-free choice", "the label-free choice is not the one that its models give",
         lambda: reselect(run, home, anew=whole)),
    ]  # fmt: skip
    if not whole:  # the gate asks the report itself, and says so in its own words
        steps.insert(
            1, ("report", "its report", "its report does not verify", lambda: reports.verify_report(run.folder))
        )
    claims: list[DisprovedClaim] = []
    for code, subject, text, look in steps:
        try:
            with documents.guarded(subject, "DOCUMENT_INVALID", "files as xmed writes them"):
                problems = look()
        except (XmedError, OSError) as problem:
            what = str(problem) if isinstance(problem, XmedError) else f"{type(problem).__name__}: {problem}"
            text = f"{subject} cannot be made again: what is needed is gone or damaged"
            claims.append(DisprovedClaim(code, text, [what]))
            continue
        if problems:
            claims.append(DisprovedClaim(code, f"{text}: {len(problems)} difference(s)", problems))
    return claims


def made_with(run: Run) -> MadeWith:
    """Digests of what a run was made with and cannot be made again in seconds: study, protocol and every model."""
    models = {}
    for arm, seed in run.arms():
        trained = run.read(Training, arm, seed)
        models[f"{arm}/{seed}"] = trained.model_sha256 or trained.weights_sha256
    protocol = {key: value for key, value in run.read("protocol").items() if key not in ("sha256", "fixed_at")}
    return MadeWith(study=digest(run.read("study")), protocol=digest(protocol), models=models)


def record_origin(run: Run, home: Path) -> None:
    """Record once what a run was made with; from then on the log knows this run."""
    made_now = content(made_with(run))
    recorded = [record.made_with for record in audit_log.records(home) if record.run == run.id and record.made_with]
    if not any(content(origin) == made_now for origin in recorded):
        audit_log.append(home, LOGGED, run=run.id, made=made_now)


def _differences_to_log(run: Run, home: Path) -> Iterator[str]:
    """Where a run differs from what the log says it was made with; what the log does not say is no difference."""
    made_now = made_with(run)
    for record in audit_log.records(home):
        if record.run != run.id or record.event not in (LOGGED, REGISTERED) or record.made_with is None:
            continue
        if record.made_with.study != made_now.study:
            yield f"study.json is not the one of audit record {record.seq}"
        if record.made_with.protocol != made_now.protocol:
            yield f"protocol.json is not the one of audit record {record.seq}"
        for name, sha256 in record.made_with.models.items():
            if made_now.models.get(name) != sha256:
                yield f"the model of {name} is not the one of audit record {record.seq}"
