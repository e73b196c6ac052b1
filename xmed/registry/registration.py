"""Registers the adapted model of a reported run as a version with the alias `candidate`, and nothing more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from xmed.errors import XmedError
from xmed.files.permissions import close_to_others
from xmed.registry import audit_log, audit_state, ledger, ownership
from xmed.registry.audit_state import CANDIDATE
from xmed.registry.package import pack
from xmed.registry.recheck import REGISTERED, disproved, made_with
from xmed.registry.relocation import ARTIFACTS
from xmed.registry.tracked_runs import arm_run, write_run
from xmed.registry.tracking_store import client, is_there, registry_lock
from xmed.registry.version_evidence import SAME, evidence, nothing_learned
from xmed.run import Arm, Run

EVALUATION, USE = "clinical-evaluation", "clinical-use"
ALIASES = (USE, EVALUATION, CANDIDATE)
"""From the most trusted to the least."""


def register(run: Run, home: Path) -> dict[str, Any]:
    """Register the adapted arm's net of the first seed under the study's `register_as`, alias `candidate`.

    A failing verdict registers too: it is a candidate, its tags say so, and approval is somebody else's decision. A net
    that is estimated, without target labels, to be no better than source-only is registered without the alias, and its
    tag `not_promoted` says why; an earlier candidate stays. Where a trivial baseline is estimated to be better than
    every net, nothing is registered: `version` is None, and `not_registered` says why.
    Idempotent, and one process at a time: a net that is registered with the same report is not registered again.

    Raises XmedError MODEL_REFUSED (no report, a report on another protocol, not deployable, target labels used) or
    MODEL_INVALID (weights that do not match their checksum); what is refused is on record too. REGISTRY_ELSEWHERE where
    another home that shares the server has models of that name.
    """
    name, seed = run.study.register_as, run.study.seeds[0]
    ledger.ours(home, name)
    if why := nothing_learned(run):
        if is_there(home):
            ledger.record(home, "registration refused", name, run=run.id, reasons=[why])
        return {"name": name, "version": None, "alias": None, "uri": None, "not_registered": why}
    try:
        tags = evidence(run, seed)
    except XmedError as problem:
        if is_there(home):
            ledger.record(home, "registration refused", name, run=run.id, reasons=[problem.what])
        raise
    if not _on_the_shelf(name, tags, home):
        _refuse_disproved(run, name, home)
    with registry_lock(home):
        parent = write_run(run, home)
        found = _known(name, tags, home) or _new(run, name, parent, tags, home)
        _on_record(run, found, home)
        promoted = "not_promoted" not in tags
        if promoted:
            _candidate(found, home)
    if (home / ARTIFACTS).is_dir():
        close_to_others(
            home / ARTIFACTS, home
        )  # MLflow copies files with the mode that they had in the installed package
    return {
        "name": name,
        "version": int(found.version),
        "alias": CANDIDATE if promoted else None,
        "uri": f"models:/{name}@{CANDIDATE}" if promoted else f"models:/{name}/{found.version}",
        **dict(found.tags),
    }


def versions(home: Path) -> list[dict[str, Any]]:
    """List every version, newest first within a name: name, version, aliases, verdict, checksums, created."""
    if not is_there(home):
        return []
    registry, rows = client(home), []
    for model in registry.search_registered_models(max_results=1000):
        aliases: dict[str, list[str]] = {}
        for alias, number in (model.aliases or {}).items():
            aliases.setdefault(str(number), []).append(alias)
        for entry in versions_of(model.name, home):
            row = {"name": entry.name, "version": int(entry.version), "aliases": aliases.get(str(entry.version), [])}
            rows.append({**row, "created": int(entry.creation_timestamp), **dict(entry.tags)})
    return sorted(rows, key=lambda row: (row["name"], -row["version"]))


def holder(name: str, alias: str, home: Path) -> int | None:
    """The version that holds an alias, or None."""
    try:
        return int(client(home).get_model_version_by_alias(name, alias).version)
    except MlflowException as problem:
        if problem.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        return None


def versions_of(name: str, home: Path) -> list[ModelVersion]:
    """Every version of a model name; none where there is no such name."""
    return list(client(home).search_model_versions(f"name = '{name}'", max_results=1000))


def _known(name: str, tags: dict[str, str], home: Path) -> ModelVersion | None:
    """The version that this net has already, if its registration was finished."""
    wanted = {key: tags.get(key) for key in SAME}
    same = [one for one in versions_of(name, home) if {key: one.tags.get(key) for key in SAME} == wanted]
    same = [one for one in same if _made_here(one, home)]
    return max(same, key=lambda one: int(one.version), default=None)


def _made_here(entry: ModelVersion, home: Path) -> bool:
    """Whether this home made a version: others can make one with the same tags, and other contents."""
    if ledger.about(home, entry.name, int(entry.version), REGISTERED):
        return not audit_state.untold(entry, audit_log.records(home))
    return ownership.packed(home, entry.name, entry.tags.get("package_sha256"))


def _candidate(entry: ModelVersion, home: Path) -> None:
    """Give a version the alias `candidate`; where its registration did not, after a record that does."""
    number = int(entry.version)
    if audit_state.of(home, entry.name).holders.get(CANDIDATE) != {number}:
        ledger.record(home, CANDIDATE, entry.name, number, alias=CANDIDATE)
    if holder(entry.name, CANDIDATE, home) != number:
        client(home).set_registered_model_alias(entry.name, CANDIDATE, entry.version)


def _on_the_shelf(name: str, tags: dict[str, str], home: Path) -> bool:
    """Whether this net is registered already, with this report and on record."""
    known = _known(name, tags, home) if is_there(home) else None
    return known is not None and bool(ledger.about(home, name, int(known.version), REGISTERED))


def _refuse_disproved(run: Run, name: str, home: Path) -> None:
    """Raises XmedError MODEL_REFUSED, after a record, where what a run says of itself does not come out again."""
    problems = disproved(run, home, whole=False)
    if not problems:
        return
    if is_there(home):
        ledger.record(home, "registration refused", name, run=run.id, reasons=[text for _, text, _ in problems])
    said = "; ".join(f"{text} ({lines[0]})" for _, text, lines in problems)
    raise XmedError("MODEL_REFUSED", f"run {run.id}: {said}", "a run as it ended", "run the study again")


def _new(run: Run, name: str, parent: str, tags: dict[str, str], home: Path) -> ModelVersion:
    """A new version of `name`; the one that it would replace, if any, is its parent."""
    ownership.note(home, name)
    try:
        client(home).create_registered_model(name)
    except MlflowException as problem:
        if problem.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    before = next((found for alias in ALIASES if (found := holder(name, alias, home))), None)
    lineage = {"study_run": parent, **({"parent_version": str(before)} if before else {})}
    source = arm_run(run, Arm.ADAPTED, run.study.seeds[0], home) or parent
    return pack(run, run.arm(Arm.ADAPTED, run.study.seeds[0]) / "model", name, source, {**tags, **lineage}, home)


def _on_record(run: Run, entry: ModelVersion, home: Path) -> None:
    """See that the log knows of this version: a process may have been killed between the registry and the log."""
    if ledger.about(home, entry.name, int(entry.version), REGISTERED):
        ledger.settle(home, entry.name, int(entry.version))
        return
    tags = dict(entry.tags)
    hashes = {key: value for key, value in sorted(tags.items()) if ledger.is_hash(key)}
    facts: dict[str, Any] = {
        "run": run.id,
        "verdict": tags["verdict"],
        "parent": tags.get("parent_version"),
        "hashes": hashes,
        "made": made_with(run),
        "promoted": "not_promoted" not in tags,
    }
    ledger.record(home, REGISTERED, entry.name, int(entry.version), **facts)
